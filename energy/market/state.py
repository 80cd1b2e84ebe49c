"""The market's records on the store, and the pools of money that it keeps in module accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from cosmos_wire.protos import market as pb
from energy.errors import UnknownSlot
from energy.market import keys
from energy.market.clearing import BookOrder, Rules, fill_mWh
from energy.records import load, load_or_new, save
from energy.units import PERMILLE, amount_of, stored
from ibc_core import bank
from ibc_core.host import Context

ESCROW_NAME = "market/escrow"
BALANCING_NAME = "market/balancing"
INCENTIVE_NAME = "market/incentive"
FEES_NAME = "market/fees"
COLLATERAL_NAME = "market/collateral"
SUBSIDY_NAME = "market/subsidy"  # exists where parameters allow subsidies
WAITING_NAME = "market/waiting"  # exists once something waits for a slot to open
POOL_NAMES = (ESCROW_NAME, BALANCING_NAME, INCENTIVE_NAME, FEES_NAME, COLLATERAL_NAME)

ESCROW = bank.module_address(ESCROW_NAME)
BALANCING = bank.module_address(BALANCING_NAME)
INCENTIVE = bank.module_address(INCENTIVE_NAME)
FEES = bank.module_address(FEES_NAME)
SUBSIDY = bank.module_address(SUBSIDY_NAME)
WAITING = bank.module_address(WAITING_NAME)
COLLATERAL = bank.module_address(COLLATERAL_NAME)

REMEMBERED = 16_384  # orders: what cells add to within seconds
FIXED_K: Mapping[int, tuple[int, int]] = {pb.MECHANISM_LAO: (0, 1), pb.MECHANISM_FRO: (1, 1)}


def params(ctx: Context) -> pb.Params:
    """Parameters of slots that open from now on."""
    return load_or_new(ctx, keys.PARAMS, pb.Params)


def denom(ctx: Context) -> str:
    """Of the microgrid's token."""
    raw = ctx.app.get(keys.PARAMS)
    return "" if raw is None else _denom(raw)


@lru_cache(maxsize=64)
def _denom(raw: bytes) -> str:
    return pb.Params.FromString(raw).denom


def frozen_prices(params: pb.Params) -> pb.FrozenPrices:
    """Prices that a slot, or a product of the forward market, keeps from its beginning."""
    return pb.FrozenPrices(
        floor_e4=params.floor_e4,
        cap_e4=params.cap_e4,
        up_e4=params.up_e4,
        down_e4=params.down_e4,
        fee_e4=params.fee_e4,
        pen_e4=params.penalty_permille * params.cap_e4 // PERMILLE,
    )


def find_slot(ctx: Context, slot: int) -> pb.Slot | None:
    """A slot's record or summary, None when there is none."""
    return load(ctx, keys.slot_key(slot), pb.Slot) if slot < 2**64 else None


def slot_record(ctx: Context, slot: int) -> pb.Slot:
    """A slot's record or summary; raises UnknownSlot."""
    found = find_slot(ctx, slot)
    if found is None:
        raise UnknownSlot(f"slot {slot} isn't open and isn't kept; last opened is {last_opened(ctx)}")
    return found


def save_slot(ctx: Context, record: pb.Slot) -> None:
    """Write a slot's record back."""
    save(ctx, keys.slot_key(record.slot), record)


def last_opened(ctx: Context) -> int:
    """The last slot that opened; before the first one, the slot before `first_slot` (so -1 is possible)."""
    raw = ctx.app.get(keys.LAST_OPENED)
    return params(ctx).first_slot - 1 if raw is None else int(raw)


def live(ctx: Context) -> pb.Live:
    """The live slots with their next gates, ascending."""
    return load_or_new(ctx, keys.LIVE, pb.Live)


def save_live(ctx: Context, value: pb.Live) -> None:
    """Write the live slots back."""
    save(ctx, keys.LIVE, value)


def pool_totals(ctx: Context) -> pb.PoolTotals:
    """Sums over cells of what is owed, in arrears, and held as collateral."""
    return load_or_new(ctx, keys.POOLS, pb.PoolTotals)


def add_totals(ctx: Context, *, owed: int = 0, arrears: int = 0, collateral: int = 0, waiting: int = 0) -> None:
    """Change the sums; base units, negative to lower them."""
    totals = pool_totals(ctx)
    if waiting:
        totals.waiting = str(stored(totals.waiting) + waiting)
    totals.owed = str(stored(totals.owed) + owed)
    totals.arrears = str(stored(totals.arrears) + arrears)
    totals.collateral = str(stored(totals.collateral) + collateral)
    save(ctx, keys.POOLS, totals)


def move(ctx: Context, sender: bytes, recipient: bytes, amount: int) -> None:
    """Move base units of the microgrid's token between accounts; nothing happens for 0."""
    if amount:
        bank.send(ctx, sender, recipient, (denom(ctx), amount))


def held(ctx: Context, address: bytes) -> int:
    """Base units of the microgrid's token that an account holds."""
    return bank.balance(ctx, address, denom(ctx))


def rules_of(record: pb.Slot) -> Rules:
    """What the slot's auction follows: parameters and band frozen in its record."""
    own_k = record.params.k_num, record.params.k_den
    k_num, k_den = FIXED_K.get(record.params.mechanism, own_k)
    return Rules(
        mechanism=record.params.mechanism,
        k_num=k_num,
        k_den=k_den,
        floor_e4=record.prices.floor_e4,
        cap_e4=record.prices.cap_e4,
    )


def escrow_of(prices: pb.FrozenPrices, order: BookOrder) -> int:
    """What an order has to hold for its own worst case, base units.

    A bid is bought and not drawn, a firm one at the cap if the main grid has to sell it; an ask is let out at the floor
    and not delivered.
    """
    if order.side == keys.BID:
        price_e4 = order.price_e4 if order.kind == pb.ORDER_KIND_FLEXIBLE else prices.cap_e4
    else:
        price_e4 = prices.up_e4 - prices.floor_e4
    return amount_of(price_e4 + prices.fee_e4 + prices.pen_e4, order.quantity_mWh)


def book_order(ctx: Context, slot: int, cell: int, seq: int) -> BookOrder | None:
    """An order of a cell, None when there is none."""
    return _order_at(ctx, slot, keys.order_key(slot, cell, seq))


def _order_at(ctx: Context, slot: int, key: bytes) -> BookOrder | None:
    """By the key of its OrderRef."""
    ref = ctx.app.get(key)
    if ref is None:
        return None
    entry = ctx.app.get(_book_key(slot, key, ref))
    assert entry is not None  # the two keys of an order are written and removed together
    return _read_order(key, ref, entry)


# A cell's orders are read again with each one that it adds: what their bytes say is remembered.


@lru_cache(maxsize=REMEMBERED)
def written_ref(side: int, price_e4: int) -> bytes:
    """An OrderRef; never empty, for an order has a side."""
    return pb.OrderRef(side=pb.Side.ValueType(side), price_e4=price_e4).SerializeToString(deterministic=True)


@lru_cache(maxsize=REMEMBERED)
def _book_key(slot: int, key: bytes, ref: bytes) -> bytes:
    """Where the other half of an order lies."""
    found = pb.OrderRef.FromString(ref)
    return keys.book_key(slot, found.side, found.price_e4, keys.seq_of(key))


@lru_cache(maxsize=REMEMBERED)
def _read_order(key: bytes, ref: bytes, entry: bytes) -> BookOrder:
    first, rest = pb.OrderRef.FromString(ref), pb.BookEntry.FromString(entry)
    seq = keys.seq_of(key)
    return BookOrder(first.side, first.price_e4, seq, rest.cell, rest.bus, rest.quantity_mWh, rest.kind)


def orders_of(ctx: Context, slot: int, cell: int) -> list[BookOrder]:
    """A cell's orders in a slot, by sequence."""
    listed = [key for key, _ in ctx.app.iterate(keys.orders_prefix(slot, cell))]
    found = [_order_at(ctx, slot, key) for key in listed]
    return [order for order in found if order is not None]


def all_orders(ctx: Context, slot: int) -> Iterator[BookOrder]:
    """Every order of a slot, by cell."""
    prefix = keys.orders_prefix(slot)
    for key, _ in ctx.app.iterate(prefix):
        cell, seq = int.from_bytes(key[len(prefix) : len(prefix) + 4], "big"), int.from_bytes(key[-8:], "big")
        order = book_order(ctx, slot, cell, seq)
        assert order is not None
        yield order


def order_fill_mWh(record: pb.Slot, order: BookOrder) -> int:
    """What an order got in its slot; 0 while the slot isn't cleared."""
    return fill_mWh(order, record.clearing, record.factor_permille) if record.HasField("clearing") else 0
