"""CLEAR by the mechanism that the slot's parameters name.

Five mechanisms need nothing but a merge of the sorted book as long as there are no grid fees; fills follow from two
marginal orders (`clearing`). Everything else clears with `energy.mechanisms` and keeps an award an order (`awards`).

Vickrey and VCG take their deficit out of the subsidy pool, at most `subsidy_max` a slot. A slot opens with the
uniform auction when the pool doesn't hold that much, and is cleared by it when the deficit turns out above the limit
or the pool: bids are binding, so the market clears at prices that pay for themselves rather than not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from cosmos_wire.protos import market as pb
from energy.errors import MechanismLimit, SubsidyNotFunded
from energy.market import awards, fees, keys, state
from energy.market.clearing import Caps, Trade, capped, clear, read_side, schedule_hash
from energy.mechanisms.book import Book, Outcome, Terms
from energy.mechanisms.catalogue import CATALOGUE
from energy.mechanisms.fees import NO_FEES
from energy.mechanisms.uniform import uniform
from energy.mechanisms.vickrey import ORDERS_MAX
from energy.records import u16, u64
from energy.registry import state as registered
from energy.units import parse_amount, require_range, stored
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


def run(ctx: Context, record: pb.Slot, caps: Caps) -> tuple[pb.Clearing, bytes]:
    """Clear a slot's book under caps; returns the result and the hash of its schedule."""
    if fees.find(ctx, record.slot) is None and record.params.mechanism in MERGED:
        sides = read_side(ctx.app, record.slot, keys.BID), read_side(ctx.app, record.slot, keys.ASK)
        return clear(sides, state.rules_of(record), caps)
    cuts: list[pb.Cut] = []
    book = _book(ctx, record.slot, caps, cuts)
    terms = _terms(ctx, record, book)
    mechanism, outcome = _outcome(ctx, record, book, terms)
    awards.write(ctx, record.slot, (*outcome.bids, *outcome.asks))
    result = pb.Clearing(
        price_e4=outcome.price_e4,
        volume_mWh=outcome.volume_mWh,
        welfare=str(outcome.welfare),
        cuts=sorted(cuts, key=lambda cut: (cut.bus, cut.side)),
        explicit=True,
        grid_fees=str(outcome.fees),
        subsidy=str(_subsidise(ctx, record, outcome)),
    )
    result.mechanism = pb.Mechanism.ValueType(mechanism)
    hashed = ([Trade(award.order, award.fill_mWh) for award in side] for side in (outcome.bids, outcome.asks))
    return result, schedule_hash(*hashed)


def _book(ctx: Context, slot: int, caps: Caps, cuts: list[pb.Cut]) -> Book:
    bids, asks = (list(capped(read_side(ctx.app, slot, side), caps, cuts)) for side in (keys.BID, keys.ASK))
    return Book(bids=bids, asks=asks)


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
    held, limit = state.held(ctx, state.SUBSIDY), stored(record.params.subsidy_max)
    if mechanism not in SUBSIDISED or -outcome.surplus <= min(held, limit):
        return mechanism, outcome
    ctx.events.emit(
        event("mechanism_fallback", slot=record.slot, needed=-outcome.surplus, subsidy_max=limit, held=held)
    )
    return pb.MECHANISM_UNIFORM_K, uniform(book, terms)


def _subsidise(ctx: Context, record: pb.Slot, outcome: Outcome) -> int:
    """Move the deficit into the slot's escrow; what the factor leaves unused returns at settlement."""
    amount = max(0, -outcome.surplus)
    state.move(ctx, state.SUBSIDY, state.ESCROW, amount)
    record.escrow = str(stored(record.escrow) + amount)
    return amount


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
