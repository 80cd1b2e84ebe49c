"""The level 2 gate of a slot, evaluated once by each chain; who, when and how much: guards that both sides share."""

from __future__ import annotations

from collections.abc import Iterable

from cosmos_wire.protos import trade
from energy.trade import keys, records
from energy.trade.errors import LineFull, NotAllowed, OppositeDirection, SlotClosed, SlotHalted, TooMany
from energy.trade.life import Buyer, Seller
from energy.trade.params import LEVEL_MICROGRID
from energy.trade.ports import Ports
from ibc_core.host import Context

PASSED, HALTED = b"1", b"2"
CONTRACTS_PER_SLOT_MAX = 64
UNFINISHED_MAX = 4_096


def verdict(ctx: Context, ports: Ports, channel_id: str, slot: int) -> bool | None:
    """The gate's verdict from T_gate on: asked until it is known, then kept."""
    key = keys.gate(channel_id, slot)
    known = ctx.app.get(key)
    if known is not None:
        return known == PASSED
    found = ports.gate.passed(ctx, channel_id, slot)
    if found is not None:
        ctx.app.set(key, PASSED if found else HALTED)
    return found


def halt(ctx: Context, channel_id: str, slot: int) -> None:
    """Keep it that a slot is halted: its verdict did not come in time."""
    ctx.app.set(keys.gate(channel_id, slot), HALTED)


def halted(ctx: Context, ports: Ports, where: tuple[str, int], level: int) -> bool:
    """Whether a (channel, slot) takes no more contracts of a level; at level 3 nothing halts."""
    if level != LEVEL_MICROGRID:
        return False
    known = ctx.app.get(keys.gate(*where))
    return known == HALTED or (known is None and ports.gate.passed(ctx, *where) is False)


def require_running(ctx: Context, ports: Ports, where: tuple[str, int], level: int) -> None:
    """Refuse in a halted slot."""
    if halted(ctx, ports, where, level):
        raise SlotHalted(f"slot {where[1]} of {where[0]} is halted at level {level}")


def require_level(ctx: Context, ports: Ports, channel_id: str, level: int) -> None:
    """Level 3 is traded with the main grid, level 2 with all others: it asks no gate, and must not be a way round."""
    grid = records.params(ctx).grid
    if level == LEVEL_MICROGRID and not grid:
        return
    ends = (ctx.env.chain_id, ports.around.peer(ctx, channel_id))
    if (bool(grid) and grid in ends) == (level == LEVEL_MICROGRID):
        raise NotAllowed(
            f"{channel_id} leads to {ends[1]!r}, the main grid is {grid!r}: no trade of level {level} there"
        )


def require_sound(ctx: Context, ports: Ports, slot: int) -> None:
    """Refuse to sell from a slot whose schedule nobody certified."""
    if ports.around.voided(ctx, slot):
        raise SlotHalted(f"slot {slot} was sealed without a certified schedule")


def require_line(energies_mwh: Iterable[int], added_mwh: int, terms: trade.Terms) -> None:
    """The contracts of a (channel, slot) fit on its tie line together."""
    taken = sum(energies_mwh)
    if taken + added_mwh > terms.line_max_mwh:
        raise LineFull(
            f"the line carries {terms.line_max_mwh} mWh a slot, {taken} are taken, {added_mwh} are asked for"
        )


def selling(ctx: Context, where: tuple[str, int]) -> list[int]:
    """Energies of what this chain sells in a (channel, slot), mWh."""
    contracts = records.sellers_of_slot(ctx, *where)
    return [contract.energy_mwh for contract in contracts if Seller(contract.state) != Seller.CANCELLED]


def buying(ctx: Context, where: tuple[str, int]) -> list[int]:
    """Energies of what this chain buys in a (channel, slot), mWh."""
    contracts = records.buyers_of_slot(ctx, *where)
    return [contract.energy_mwh for contract in contracts if Buyer(contract.state) != Buyer.REFUNDED]


def require_before(ctx: Context, time_ms: int, what: str) -> None:
    """Refuse from a deadline on."""
    if ctx.env.time_ms >= time_ms:
        raise SlotClosed(f"{what} has to come before {time_ms} ms, block time is {ctx.env.time_ms} ms")


def passed(ctx: Context, time_ms: int) -> bool:
    """Whether a time has come."""
    return ctx.env.time_ms >= time_ms


def require_utility(params: trade.Params, account: str) -> None:
    """Only the utility cell's account posts offers, locks and readings."""
    if account != params.utility:
        raise NotAllowed(f"{account} is not the utility cell {params.utility}")


def require_selling(ctx: Context, channel_id: str, slot: int) -> None:
    """Refuse to sell where this chain buys: the meters see the net of a (channel, slot)."""
    if buying(ctx, (channel_id, slot)):
        raise OppositeDirection(f"this chain buys in slot {slot} of {channel_id}")


def require_buying(ctx: Context, channel_id: str, slot: int) -> None:
    """Refuse to buy where this chain sells."""
    if selling(ctx, (channel_id, slot)):
        raise OppositeDirection(f"this chain sells in slot {slot} of {channel_id}")


def require_room(ctx: Context, channel_id: str, slot_prefix: bytes) -> None:
    """Refuse beyond 64 contracts a (channel, slot) and 4,096 unfinished ones a channel."""
    if records.count_keys(ctx, slot_prefix) >= CONTRACTS_PER_SLOT_MAX:
        raise TooMany(f"a channel and slot take {CONTRACTS_PER_SLOT_MAX} contracts")
    if records.counter(ctx, keys.unfinished_count(channel_id)) >= UNFINISHED_MAX:
        raise TooMany(f"a channel takes {UNFINISHED_MAX} unfinished contracts")
