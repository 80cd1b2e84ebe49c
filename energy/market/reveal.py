"""Sealed bids: a hash first, the order later; what nobody reveals pays a little to the incentive pool.

    hash = SHA-256 of `bsmg/commit/1`, length u16 and text of the chain id, the cell's 20 bytes, slot u64, side u8,
    price u32, quantity u64, kind u8, least fill u64, last slot u64, least score u16, length u8 and bytes of the salt

A commit escrows what its cell declares, at least what the order will need. It gets its place in time at once: the
order has the commit's sequence. Nothing is lost by a commit that could not be revealed: the deterrent is due only when
reveals were taken in two blocks at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from energy.errors import CommitMismatch, InsufficientBalance, NoCommits, NoReveals, NoSuchOrder, QuantityOutOfRange
from energy.market import keys, orders, state
from energy.market.life import BIDDING, Step, require_step
from energy.market.sealed import reveals_from_ms
from energy.records import load, save, u8, u16, u32, u64
from energy.registry import Registry
from energy.units import PERMILLE, U16_MAX, U32_MAX, parse_amount, require_range, stored
from ibc_core.host import Context, event

DOMAIN = b"bsmg/commit/1"
HASH_BYTES = 32
SALT_BYTES = 16, 64
REVEAL_BLOCKS_MIN = 2


def commit_hash(chain_id: str, order: tx.MsgPlaceOrder, salt: bytes) -> bytes:
    """What a cell commits to; raises InvalidRequest for what no order can be."""
    for name, top in (("side", 255), ("kind", 255), ("price_e4", U32_MAX), ("min_score_permille", U16_MAX)):
        require_range(getattr(order, name), (0, top), name)
    require_range(len(salt), SALT_BYTES, "bytes of salt")
    chain = chain_id.encode()
    head = DOMAIN + u16(len(chain)) + chain + from_bech32(order.cell) + u64(order.slot) + u8(order.side)
    body = (
        u32(order.price_e4) + u64(order.quantity_mWh) + u8(order.kind) + u64(order.min_fill_mWh) + u64(order.valid_to)
    )
    return sha256(head + body + u16(order.min_score_permille) + u8(len(salt)) + salt).digest()


def commit_order(registry: Registry, ctx: Context, msg: tx.MsgCommitOrder) -> tx.MsgCommitOrderResponse:
    """Keep a hash and escrow what its cell declares, in the first part of BIDDING."""
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.PLACE)
    _check_time(ctx, record, late=False)
    if len(msg.hash) != HASH_BYTES:
        raise InvalidRequest(f"hash has to have {HASH_BYTES} bytes, got {len(msg.hash)}")
    cell, escrow = orders.trader(registry, ctx, msg.cell), parse_amount(msg.escrow, "escrow")
    if escrow == 0:
        raise QuantityOutOfRange("escrow has to be above 0, got 0")
    orders.check_room(ctx, record, cell.number, len(state.orders_of(ctx, record.slot, cell.number)))
    orders.check_standing(record.params, cell, keys.BID)
    held = state.held(ctx, from_bech32(msg.cell))
    if held < escrow:
        raise InsufficientBalance(f"an escrow of {escrow} is declared, {msg.cell} holds {held}")
    seq, record.next_seq = record.next_seq, record.next_seq + 1
    save(ctx, keys.commit_key(record.slot, cell.number, seq), pb.Commit(hash=msg.hash, escrow=msg.escrow))
    _hold(ctx, record, msg.cell, escrow)
    record.commits += 1
    state.save_slot(ctx, record)
    ctx.events.emit(event("order_committed", slot=msg.slot, seq=seq, cell=msg.cell, hash=msg.hash.hex(), escrow=escrow))
    return tx.MsgCommitOrderResponse(seq=seq)


def reveal_order(registry: Registry, ctx: Context, msg: tx.MsgRevealOrder) -> tx.MsgRevealOrderResponse:
    """Open a commit in the second part of BIDDING; the order is checked as if it were placed."""
    record, order = state.slot_record(ctx, msg.order.slot), msg.order
    require_step(record, Step.PLACE)
    _check_time(ctx, record, late=True)
    cell = orders.trader(registry, ctx, msg.cell)
    key = keys.commit_key(record.slot, cell.number, msg.seq)
    kept = load(ctx, key, pb.Commit)
    if kept is None:
        raise NoSuchOrder(f"{msg.cell} has no commit {msg.seq} in slot {record.slot}")
    if order.storage or order.discharge_slot or order.discharge_price_e4:
        raise InvalidRequest("a sealed order can't be the storage's: its hash doesn't cover that")
    if order.cell != msg.cell or commit_hash(ctx.env.chain_id, order, msg.salt) != kept.hash:
        raise CommitMismatch(f"the order and its salt have to hash to {kept.hash.hex()}")
    declared = stored(kept.escrow)
    with ctx.branch() as inner:
        inner.app.delete(key)
        record.commits -= 1
        _hold(inner, record, msg.cell, -declared)
        escrow = orders.admit(inner, record, cell, order, msg.seq)
        require_range(escrow, (0, declared), "escrow of the revealed order", CommitMismatch)
        state.save_slot(inner, record)
    return tx.MsgRevealOrderResponse(escrow=str(escrow), refund=str(declared - escrow))


def _check_time(ctx: Context, record: pb.Slot, *, late: bool) -> None:
    """Commits before, reveals from `reveals_from_ms` on."""
    if not record.params.commit_permille:
        raise NoCommits("commits need the parameter commit_permille, which is 0")
    edge, now = reveals_from_ms(record), ctx.env.time_ms
    if late and now < edge:
        raise NoReveals(f"reveals begin at {edge} ms of block time, it is {now}")
    if not late and now >= edge:
        raise NoCommits(f"commits end at {edge} ms of block time, it is {now}")


def _hold(ctx: Context, record: pb.Slot, owner: str, amount: int) -> None:
    """Take into the slot's escrow; a negative amount returns."""
    address = from_bech32(owner)
    state.move(ctx, address, state.ESCROW, max(0, amount))
    state.move(ctx, state.ESCROW, address, max(0, -amount))
    record.escrow = str(stored(record.escrow) + amount)


# Background


def run(ctx: Context, registry: Registry, units: int) -> int:
    """Count blocks that took reveals; give back what was not revealed, up to `units`; returns the units left."""
    for slot in list(_slots_with_commits(ctx)):
        record = state.slot_record(ctx, slot)
        if record.state == BIDDING:
            if ctx.env.time_ms >= reveals_from_ms(record) and record.reveal_blocks < REVEAL_BLOCKS_MIN:
                record.reveal_blocks += 1
                state.save_slot(ctx, record)
        else:
            units = _give_back(ctx, registry, record, units)
            state.save_slot(ctx, record)
    return units


def _slots_with_commits(ctx: Context) -> Iterator[int]:
    for entry in state.live(ctx).slots:
        if next(iter(ctx.app.iterate(keys.COMMITS + u64(entry.slot) + b"/")), None) is not None:
            yield entry.slot


def _give_back(ctx: Context, registry: Registry, record: pb.Slot, units: int) -> int:
    prefix = keys.COMMITS + u64(record.slot) + b"/"
    found: list[tuple[bytes, pb.Commit]] = []
    for key, raw in ctx.app.iterate(prefix):
        if len(found) == units:
            break
        found.append((key, pb.Commit.FromString(raw)))
    for key, kept in found:
        _, cell, seq = keys.slot_cell_number(key[len(keys.COMMITS) :])
        ctx.app.delete(key)
        _forfeit(ctx, record, registry.cell(ctx, cell).address, (seq, stored(kept.escrow)))
    return units - len(found)


def _forfeit(ctx: Context, record: pb.Slot, owner: str, commit: tuple[int, int]) -> None:
    seq, escrow = commit
    share = record.params.unrevealed_permille if record.reveal_blocks >= REVEAL_BLOCKS_MIN else 0
    lost = escrow * share // PERMILLE
    record.commits -= 1
    _hold(ctx, record, owner, lost - escrow)
    record.escrow = str(stored(record.escrow) - lost)
    state.move(ctx, state.ESCROW, state.INCENTIVE, lost)
    ctx.events.emit(event("commit_unrevealed", slot=record.slot, seq=seq, cell=owner, lost=lost, refund=escrow - lost))
