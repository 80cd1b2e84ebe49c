"""Reading and writing the application's records, counters, indexes, money and events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import Message, trade
from cosmos_wire.protos import trade_packet as pk
from energy.trade import keys, packets
from energy.trade.errors import UnknownContract
from energy.trade.ports import Ports
from ibc_core import bank
from ibc_core.host import Context, event
from ibc_core.router import Outgoing

PORT = "trade"
FEES, POOL, COLLATERAL = "trade/fees", "trade/pool", "trade/collateral"
PRESENT = b"1"
OPEN, CLOSED = b"1", b"2"  # a channel
M = TypeVar("M", bound=Message)


def escrow_name(channel_id: str) -> str:
    """Name of the module account that holds a channel's escrows on B."""
    return f"trade/escrow/{channel_id}"


def load(ctx: Context, key: bytes, kind: type[M]) -> M | None:
    """The record at a key."""
    raw = ctx.app.get(key)
    return kind.FromString(raw) if raw is not None else None


def save(ctx: Context, key: bytes, record: Message) -> None:
    """Write a record."""
    ctx.app.set(key, record.SerializeToString(deterministic=True))


def params(ctx: Context) -> trade.Params:
    """The parameters; genesis wrote them."""
    found = load(ctx, keys.PARAMS, trade.Params)
    assert found is not None
    return found


def find_seller(ctx: Context, channel_id: str, contract_id: bytes) -> trade.SellerContract:
    """A contract on S; raises UnknownContract."""
    return _known(load(ctx, keys.seller(channel_id, contract_id), trade.SellerContract), contract_id)


def find_buyer(ctx: Context, channel_id: str, contract_id: bytes) -> trade.BuyerContract:
    """A contract on B; raises UnknownContract."""
    return _known(load(ctx, keys.buyer(channel_id, contract_id), trade.BuyerContract), contract_id)


def _known(found: M | None, contract_id: bytes) -> M:
    if found is None:
        raise UnknownContract(f"no contract {contract_id.hex()} on this channel")
    return found


def save_seller(ctx: Context, contract: trade.SellerContract) -> None:
    """Write a contract of S."""
    save(ctx, keys.seller(contract.channel_id, contract.lock.contract_id), contract)


def save_buyer(ctx: Context, contract: trade.BuyerContract) -> None:
    """Write a contract of B."""
    save(ctx, keys.buyer(contract.channel_id, contract.lock.contract_id), contract)


def sellers_of_slot(ctx: Context, channel_id: str, slot: int) -> list[trade.SellerContract]:
    """Contracts on S of a channel and slot, by contract id; at most 64."""
    idents = _tails(ctx, keys.sellers_of_slot(channel_id, slot))
    return [find_seller(ctx, channel_id, ident) for ident in idents]


def buyers_of_slot(ctx: Context, channel_id: str, slot: int) -> list[trade.BuyerContract]:
    """Contracts on B of a channel and slot, by contract id; at most 64."""
    idents = _tails(ctx, keys.buyers_of_slot(channel_id, slot))
    return [find_buyer(ctx, channel_id, ident) for ident in idents]


def _tails(ctx: Context, prefix: bytes) -> list[bytes]:
    return [key[len(prefix) :] for key, _ in ctx.app.iterate(prefix)]


def count_keys(ctx: Context, prefix: bytes) -> int:
    """How many keys begin with a prefix; for prefixes that are bounded."""
    return len(_tails(ctx, prefix))


def counter(ctx: Context, key: bytes) -> int:
    """A decimal counter; absent is zero."""
    raw = ctx.app.get(key)
    return int(raw) if raw is not None else 0


def add_to(ctx: Context, key: bytes, change: int) -> None:
    """Change a counter; zero is no key."""
    total = counter(ctx, key) + change
    if total:
        ctx.app.set(key, str(total).encode())
    else:
        ctx.app.delete(key)


def schedule(ctx: Context, due: keys.Due) -> None:
    """Have work done in the first block at or after its time."""
    ctx.app.set(due.key, PRESENT)


def due_by(ctx: Context, time_ms: int, most: int) -> Iterator[keys.Due]:
    """Up to `most` entries whose time has come, in key order."""
    for key, _ in ctx.app.iterate(keys.DUE):
        entry = keys.due_from_key(key)
        if most == 0 or entry.time_ms > time_ms:
            return
        yield entry
        most -= 1


def move(ctx: Context, sender: bytes, recipient: bytes, coin: tuple[str, int]) -> None:
    """Send coins; an amount of zero is no movement."""
    if coin[1]:
        bank.send(ctx, sender, recipient, coin)


def send(ctx: Context, ports: Ports, channel_id: str, packet: pk.TradePacketData, timeout_ns: int) -> None:
    """Commit a packet; raises what the sender raises (channel not open, client not active)."""
    data = packets.encode(packet)
    ports.sender.send_packet(ctx, Outgoing(port_id=PORT, channel_id=channel_id, data=data, timeout_ns=timeout_ns))


def try_send(ctx: Context, ports: Ports, channel_id: str, packet: pk.TradePacketData, timeout_ns: int) -> bool:
    """As `send`, without effect and False when the channel or its client can't send now."""
    try:
        with ctx.branch() as branch:
            send(branch, ports, channel_id, packet, timeout_ns)
    except OutOfGas:
        raise
    except ChainError:
        return False
    return True


def emit(ctx: Context, kind: str, where: tuple[str, int, bytes], state: str, **more: str | int) -> None:
    """An event `trade_*` of (channel, slot, contract id or nothing)."""
    channel_id, slot, ident = where
    ctx.events.emit(event(kind, contract_id=ident.hex(), slot=slot, channel_id=channel_id, state=state, **more))
