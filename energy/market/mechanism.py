"""CLEAR by the mechanism that the slot's parameters name.

Five mechanisms need nothing but a merge of the sorted book as long as there are no grid fees; fills follow from two
marginal orders (`clearing`). Everything else clears with `energy.mechanisms` and keeps an award an order (`awards`).

Vickrey and VCG take their deficit out of the subsidy pool, at most `subsidy_max` a slot. A slot opens with the
uniform auction when the pool doesn't hold that much, and is cleared by it when the deficit turns out above the limit
or the pool: bids are binding, so the market clears at prices that pay for themselves rather than not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cosmos_wire.protos import market as pb
from energy.errors import MechanismLimit, SubsidyNotFunded
from energy.market import awards, fees, keys, minimum, state, terms
from energy.market.clearing import BookOrder, Caps, Trade, capped, clear, fill_mWh, read_side, schedule_hash
from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.fees import NO_FEES
from energy.mechanisms.uniform import uniform
from energy.mechanisms.vickrey import ORDERS_MAX
from energy.records import u16, u64
from energy.registry import state as registered
from energy.units import PERMILLE, parse_amount, require_range, stored
from ibc_core.host import Context, event

NAMES: Mapping[int, str] = {
    pb.MECHANISM_UNIFORM_K: "uniform-k",
    pb.MECHANISM_TRADE_REDUCTION: "trade-reduction",
    pb.MECHANISM_PAY_AS_BID: "pay-as-bid",
    pb.MECHANISM_LAO: "lao",
    pb.MECHANISM_FRO: "fro",
    pb.MECHANISM_DISCRIMINATORY_K: "discriminatory-k",
    pb.MECHANISM_VICKREY: "vickrey",
    pb.MECHANISM_VCG: "vcg",
    pb.MECHANISM_GREEDY: "greedy",
    pb.MECHANISM_TARIFF: "tariff",
    pb.MECHANISM_MUDA: "muda",
    pb.MECHANISM_HUANG: "huang",
}
MERGED = (
    pb.MECHANISM_UNIFORM_K,
    pb.MECHANISM_TRADE_REDUCTION,
    pb.MECHANISM_PAY_AS_BID,
    pb.MECHANISM_LAO,
    pb.MECHANISM_FRO,
)
SUBSIDISED = (pb.MECHANISM_VICKREY, pb.MECHANISM_VCG)
SEED_DOMAIN = b"bsmg/muda-seed/1"


def check_mechanism(params: pb.Params) -> None:
    """Refuse a mechanism without what it needs; raises InvalidRequest, MechanismLimit, SubsidyNotFunded."""
    require_range(params.mechanism, (min(NAMES), max(NAMES)), "mechanism")
    limit = parse_amount(params.subsidy_max or "0", "subsidy_max")
    if params.mechanism == pb.MECHANISM_TARIFF:
        require_range(params.tariff_e4, (params.floor_e4, params.cap_e4), "tariff_e4")
    if params.mechanism not in SUBSIDISED:
        return
    name = NAMES[params.mechanism]
    if params.max_orders_per_slot > ORDERS_MAX:
        raise MechanismLimit(
            f"{name} clears at most {ORDERS_MAX} orders: max_orders_per_slot has to be 1..{ORDERS_MAX}, "
            f"got {params.max_orders_per_slot}"
        )
    if limit == 0:
        raise SubsidyNotFunded(f"{name} runs with a subsidy_max above 0, got {params.subsidy_max or 0}")


def funded(ctx: Context, params: pb.Params) -> bool:
    """Whether the subsidy pool covers a slot's limit, where the mechanism needs one."""
    return params.mechanism not in SUBSIDISED or state.held(ctx, state.SUBSIDY) >= stored(params.subsidy_max)


def require_funded(ctx: Context, params: pb.Params) -> None:
    """Raises SubsidyNotFunded."""
    if not funded(ctx, params):
        held = state.held(ctx, state.SUBSIDY)
        raise SubsidyNotFunded(f"the subsidy pool has to hold subsidy_max, {params.subsidy_max}, holds {held}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What clearing under some caps would give; nothing is written yet."""

    clearing: pb.Clearing
    schedule_hash: bytes
    outcome: Outcome | None = None  # where awards have to be kept


def run(ctx: Context, record: pb.Slot, caps: Caps) -> None:
    """Clear a slot's book under caps."""
    adopt(ctx, record, propose(ctx, record, caps))


def propose(ctx: Context, record: pb.Slot, caps: Caps) -> Proposal:
    """Work out a clearing without a change of state; minimum fills hold as long as nothing is cut."""
    least = least_fills(ctx, record)
    if not least:
        return propose_without(ctx, record, caps, ())
    fills_of, read = fills_under(ctx, record), read_once(ctx, record.slot)
    return minimum.cleared(
        lambda dropped: propose_without(ctx, record, caps, dropped, read),
        lambda found: fills_of(found, PERMILLE),
        least,
    )


Reader = Callable[[int], Iterator[BookOrder]]  # a side of the book in clearing order


def read_once(ctx: Context, slot: int) -> Reader:
    """The book in memory, for clearing it several times."""
    sides = {side: list(read_side(ctx.app, slot, side)) for side in (keys.BID, keys.ASK)}
    return lambda side: iter(sides[side])


def least_fills(ctx: Context, record: pb.Slot) -> dict[int, int]:
    """Least fills by sequence, mWh."""
    return {seq: kept.min_fill_mWh for seq, kept in terms.minimums(ctx, record).items()}


def fills_under(ctx: Context, record: pb.Slot) -> Callable[[Proposal, int], minimum.Fills]:
    """Fills of the orders with a minimum, by sequence, under a proposal and a factor."""
    found = terms.minimums(ctx, record)
    orders = {seq: state.book_order(ctx, record.slot, kept.cell, seq) for seq, kept in found.items()}
    return lambda proposal, factor: lambda seq: _fill_of(proposal, orders[seq], factor)


def _fill_of(proposal: Proposal, order: BookOrder | None, factor_permille: int) -> int:
    assert order is not None  # an order and its terms are written and removed together
    if proposal.outcome is None:
        return fill_mWh(order, proposal.clearing, factor_permille)
    awards_of = proposal.outcome.bids if order.side == keys.BID else proposal.outcome.asks
    got = next((award.fill_mWh for award in awards_of if award.order.seq == order.seq), 0)
    return got * factor_permille // PERMILLE


def propose_without(
    ctx: Context, record: pb.Slot, caps: Caps, dropped: minimum.Dropped, read: Reader | None = None
) -> Proposal:
    """A clearing of the book without some orders, whatever it leaves of minimum fills."""
    sides = [_side(ctx, record.slot, side, (dropped, read)) for side in (keys.BID, keys.ASK)]
    if fees.find(ctx, record.slot) is None and record.params.mechanism in MERGED:
        merged, hashed = clear((sides[0], sides[1]), state.rules_of(record), caps)
        merged.dropped.extend(dropped)
        return Proposal(clearing=merged, schedule_hash=hashed)
    cuts: list[pb.Cut] = []
    book = Book(bids=list(capped(sides[0], caps, cuts)), asks=list(capped(sides[1], caps, cuts)))
    mechanism, outcome = _outcome(ctx, record, book, _terms(ctx, record, book))
    result = pb.Clearing(
        price_e4=outcome.price_e4,
        volume_mWh=outcome.volume_mWh,
        welfare=str(outcome.welfare),
        cuts=sorted(cuts, key=lambda cut: (cut.bus, cut.side)),
        explicit=True,
        grid_fees=str(outcome.fees),
        subsidy=str(max(0, -outcome.surplus)),
        dropped=dropped,
    )
    result.mechanism = pb.Mechanism.ValueType(mechanism)
    bids, asks = ([Trade(award.order, award.fill_mWh) for award in side] for side in (outcome.bids, outcome.asks))
    return Proposal(clearing=result, schedule_hash=schedule_hash(bids, asks), outcome=outcome)


def adopt(ctx: Context, record: pb.Slot, proposal: Proposal) -> None:
    """Make a proposal the slot's clearing, in place of an earlier one: awards, and the subsidy in escrow."""
    if record.clearing.explicit:
        awards.remove(ctx, record.slot)
    before, needed = stored(record.clearing.subsidy), stored(proposal.clearing.subsidy)
    state.move(ctx, state.ESCROW, state.SUBSIDY, max(0, before - needed))
    state.move(ctx, state.SUBSIDY, state.ESCROW, max(0, needed - before))
    if needed != before:
        record.escrow = str(stored(record.escrow) + needed - before)
    record.clearing.CopyFrom(proposal.clearing)
    record.schedule_hash = proposal.schedule_hash
    if proposal.outcome is not None:
        awards.write(ctx, record.slot, (*proposal.outcome.bids, *proposal.outcome.asks))
    if proposal.clearing.mechanism != record.params.mechanism:
        ctx.events.emit(event("mechanism_fallback", slot=record.slot, subsidy_max=record.params.subsidy_max))


def _side(ctx: Context, slot: int, side: int, without: tuple[minimum.Dropped, Reader | None]) -> Iterator[BookOrder]:
    dropped, read = without
    rows = read_side(ctx.app, slot, side) if read is None else read(side)
    if not dropped:
        return rows
    gone = frozenset(dropped)
    return (order for order in rows if order.seq not in gone)


def _terms(ctx: Context, record: pb.Slot, book: Book) -> Terms:
    table, rules = fees.find(ctx, record.slot), state.rules_of(record)
    greedy = record.params.mechanism == pb.MECHANISM_GREEDY
    sellers = dict.fromkeys(ask.cell for ask in book.asks) if greedy else {}
    return Terms(
        floor_e4=rules.floor_e4,
        cap_e4=rules.cap_e4,
        k_num=rules.k_num,
        k_den=rules.k_den,
        tariff_e4=record.params.tariff_e4,
        fees=NO_FEES if table is None else fees.table_of(table),
        scores={cell: registered.cell(ctx, cell).score_permille for cell in sellers},
        thresholds=dict(_thresholds(ctx, record.slot)) if greedy else {},
        seed=muda_seed(ctx.env.chain_id, record.slot),
    )


def _thresholds(ctx: Context, slot: int) -> Iterator[tuple[int, int]]:
    prefix = keys.book_prefix(slot, keys.BID)
    for key, raw in ctx.app.iterate(prefix):
        _, seq = keys.price_seq_of(key[len(prefix) :], keys.BID)
        yield seq, pb.BookEntry.FromString(raw).min_score_permille


def muda_seed(chain_id: str, slot: int) -> bytes:
    """What splits the cells of a slot into halves: known beforehand, moved by nobody.

    SHA-256 of `bsmg/muda-seed/1`, length u16 and text of the chain id, slot u64. Truthfulness needs a split that no bid
    moves, not one that is secret.
    """
    name = chain_id.encode()
    return sha256(SEED_DOMAIN + u16(len(name)) + name + u64(slot)).digest()


def _outcome(ctx: Context, record: pb.Slot, book: Book, terms: Terms) -> tuple[int, Outcome]:
    mechanism = record.params.mechanism
    outcome = CATALOGUE[NAMES[mechanism]].rule(book, terms)
    held = state.held(ctx, state.SUBSIDY) + stored(record.clearing.subsidy)
    limit = min(held, stored(record.params.subsidy_max))
    if mechanism in SUBSIDISED and -outcome.surplus > limit:
        return pb.MECHANISM_UNIFORM_K, uniform(book, terms)
    return mechanism, outcome


def open_with(ctx: Context, record: pb.Slot) -> None:
    """A slot whose subsidy isn't funded opens with the uniform auction, so that its bidders know."""
    if funded(ctx, record.params):
        return
    ctx.events.emit(
        event(
            "subsidy_not_funded",
            slot=record.slot,
            subsidy_max=record.params.subsidy_max,
            held=state.held(ctx, state.SUBSIDY),
        )
    )
    record.params.mechanism = pb.MECHANISM_UNIFORM_K
