"""Keys of the market on the `app` store: slot 8 bytes, cell 4, bus 2, side 1, price 4, seq 8, all big-endian.

mk/p                                       Params for slots that open from now on
mk/next                                    last opened slot, decimal
mk/live                                    Live: the live slots with their next gates
mk/s/<slot>                                Slot; a summary after CLOSE, kept for 35,136 slots
mk/o/<slot>/<side>/<pkey>/<seq>            BookEntry, in clearing order: pkey = price of an ask, 2^32-1-price of a bid
mk/oc/<slot>/<cell>/<seq>                  OrderRef: the cell's orders
mk/m/<slot>/n                              attempts of MsgProposeCaps so far, decimal
mk/c/<slot>/<i>                            Candidate of the slot's ballot, until SECURE
mk/v/<slot>/<validator address>            BallotVote: that validator's latest, until SECURE
mk/b/<slot>/<bus>                          Baseline that the utility cell forecast
mk/bd/<bus>                                Baseline of the last sealed slot with a forecast, under a checked feeder
mk/w/<slot>/<kind>                         cursor: 1 charges, 2 credits (SettleCursor); 3 prune ("1")
mk/st/<slot>/<cell>                        Statement, until the next slot closes
mk/x/<slot>/<cell>                         OrderAwards, where fills don't follow from two marginal orders
mk/f/<slot>                                FeeTable from this slot on
mk/q/<slot>/<bus>                          set-point of the inverters at a bus, mvarh, decimal
mk/l/<slot>/<bus>                          certified marginal price of a bus, price_e4, decimal
mk/lh/<slot>                               LmpHead: gap and tau of the slot's certified prices
mk/owed/<cell>                             1: the balancing account owes this cell
mk/pools                                   PoolTotals
mk/mf/<slot>/<seq>                         MinFill of an order that has one
mk/sh/<slot>/<cell>/<seq>                  Shift of a bid whose unserved part moves on
mk/sk/<cell>                               number of such bids that the cell has alive, decimal
mk/sw/<slot>                               where moving them stands: tail of the last mk/sh/<slot>/ key, "" before it
mk/sq/<slot>/<cell>/<number>               Waiting: what waits for the slot to take orders
mk/sn                                      last number given, decimal
mk/cm/<slot>/<cell>/<seq>                  Commit: a sealed order
mk/fp/<first>/<slots u16>                  ForwardProduct
mk/fb/<first>/<slots>/<side>/<pkey>/<seq>  ForwardEntry, in clearing order, until it is awarded
mk/fc/<first>/<slots>/<cell>/<seq>         ForwardOrder: an order of a product, later its position
mk/sg/<cell>                               Storage of a cell
mk/ss/<slot>/<cell>/<seq>                  StorageOrder
mk/sz/<slot>                               1: fills of the slot's storage orders are to be taken over
mk/fo/<cell>/<first>/<slots>/<seq>         1: the cell has it
"""

from __future__ import annotations

from functools import lru_cache

from energy.records import u8, u16, u32, u64
from energy.units import U32_MAX

PARAMS = b"mk/p"
LAST_OPENED = b"mk/next"
LIVE = b"mk/live"
SLOTS = b"mk/s/"
BOOK = b"mk/o/"
ORDERS = b"mk/oc/"
CUTS = b"mk/m/"
CANDIDATES = b"mk/c/"
VOTES = b"mk/v/"
BASELINES = b"mk/b/"
BASELINE_LAST = b"mk/bd/"
WORK = b"mk/w/"
STATEMENTS = b"mk/st/"
AWARDS = b"mk/x/"
FEES = b"mk/f/"
SET_POINTS = b"mk/q/"
LMPS = b"mk/l/"
LMP_HEADS = b"mk/lh/"
OWED = b"mk/owed/"
POOLS = b"mk/pools"
MINIMUMS = b"mk/mf/"
SHIFTS = b"mk/sh/"
SHIFTING = b"mk/sk/"
SHIFT_WORK = b"mk/sw/"
WAITING = b"mk/sq/"
WAITING_LAST = b"mk/sn"
COMMITS = b"mk/cm/"
PRODUCTS = b"mk/fp/"
FORWARD_BOOK = b"mk/fb/"
FORWARDS = b"mk/fc/"
FORWARDS_OF = b"mk/fo/"
STORAGES = b"mk/sg/"
STORAGE_ORDERS = b"mk/ss/"
STORAGE_WORK = b"mk/sz/"

BID, ASK = 1, 2
CHARGES, CREDITS, PRUNE = 1, 2, 3


def slot_key(slot: int) -> bytes:
    """The slot's record."""
    return SLOTS + u64(slot)


@lru_cache(maxsize=256)
def book_prefix(slot: int, side: int) -> bytes:
    """One side of a slot's book."""
    return BOOK + u64(slot) + b"/" + u8(side) + b"/"


def book_key(slot: int, side: int, price_e4: int, seq: int) -> bytes:
    """An order in clearing order: bids from the highest price, asks from the lowest, then by sequence."""
    rank = U32_MAX - price_e4 if side == BID else price_e4
    return book_prefix(slot, side) + u32(rank) + b"/" + u64(seq)


def price_seq_of(key_tail: bytes, side: int) -> tuple[int, int]:
    """Price and sequence from what follows `book_prefix`."""
    rank, seq = int.from_bytes(key_tail[:4], "big"), int.from_bytes(key_tail[5:13], "big")
    return (U32_MAX - rank if side == BID else rank), seq


def orders_prefix(slot: int, cell: int | None = None) -> bytes:
    """Orders of a slot by cell, or those of one cell."""
    prefix = _slot_orders(slot)
    return prefix if cell is None else prefix + u32(cell) + b"/"


@lru_cache(maxsize=256)
def _slot_orders(slot: int) -> bytes:
    return ORDERS + u64(slot) + b"/"


def order_key(slot: int, cell: int, seq: int) -> bytes:
    """A cell's order."""
    return orders_prefix(slot, cell) + u64(seq)


def seq_of(order_key: bytes) -> int:
    """Sequence of an order, with which its key ends."""
    return int.from_bytes(order_key[-8:], "big")


def cuts_prefix(slot: int) -> bytes:
    """Cuts of a slot."""
    return CUTS + u64(slot) + b"/"


def attempts_key(slot: int) -> bytes:
    """Number of proposals of caps that a slot has had."""
    return cuts_prefix(slot) + b"n"


def candidates_prefix(slot: int) -> bytes:
    """Candidates of a slot's ballot."""
    return CANDIDATES + u64(slot) + b"/"


def candidate_key(slot: int, number: int) -> bytes:
    """A candidate."""
    return candidates_prefix(slot) + u8(number)


def votes_prefix(slot: int) -> bytes:
    """Votes of a slot's ballot."""
    return VOTES + u64(slot) + b"/"


def vote_key(slot: int, validator: bytes) -> bytes:
    """A validator's latest vote."""
    return votes_prefix(slot) + validator


def baseline_prefix(slot: int) -> bytes:
    """Baselines of a slot."""
    return BASELINES + u64(slot) + b"/"


def baseline_key(slot: int, bus: int) -> bytes:
    """Baseline of a bus."""
    return baseline_prefix(slot) + u16(bus)


def work_key(slot: int, kind: int) -> bytes:
    """A cursor of the work queue."""
    return WORK + u64(slot) + b"/" + u8(kind)


def statements_prefix(slot: int) -> bytes:
    """Statements of a slot."""
    return STATEMENTS + u64(slot) + b"/"


def statement_key(slot: int, cell: int) -> bytes:
    """A cell's statement."""
    return statements_prefix(slot) + u32(cell)


def awards_prefix(slot: int) -> bytes:
    """Awards of a slot."""
    return AWARDS + u64(slot) + b"/"


def award_key(slot: int, cell: int) -> bytes:
    """A cell's awards."""
    return awards_prefix(slot) + u32(cell)


def fees_key(slot: int) -> bytes:
    """Grid fees from a slot on."""
    return FEES + u64(slot)


def set_points_prefix(slot: int) -> bytes:
    """Set-points of a slot's inverters."""
    return SET_POINTS + u64(slot) + b"/"


def set_point_key(slot: int, bus: int) -> bytes:
    """Set-point of the inverters at a bus."""
    return set_points_prefix(slot) + u16(bus)


def lmps_prefix(slot: int) -> bytes:
    """Certified marginal prices of a slot."""
    return LMPS + u64(slot) + b"/"


def lmp_key(slot: int, bus: int) -> bytes:
    """Certified marginal price of a bus."""
    return lmps_prefix(slot) + u16(bus)


def lmp_head_key(slot: int) -> bytes:
    """What a slot's certified prices have in common."""
    return LMP_HEADS + u64(slot)


def owed_key(cell: int) -> bytes:
    """Marks a cell that is owed money."""
    return OWED + u32(cell)


def minimums_prefix(slot: int) -> bytes:
    """Least fills of a slot's orders."""
    return MINIMUMS + u64(slot) + b"/"


def minimum_key(slot: int, seq: int) -> bytes:
    """Least fill of an order."""
    return minimums_prefix(slot) + u64(seq)


def shifts_prefix(slot: int) -> bytes:
    """Bids of a slot whose unserved part moves on."""
    return SHIFTS + u64(slot) + b"/"


def shift_key(slot: int, cell: int, seq: int) -> bytes:
    """How an order's unserved part moves on."""
    return shifts_prefix(slot) + u32(cell) + b"/" + u64(seq)


def shifting_key(cell: int) -> bytes:
    """How many bids of a cell move on."""
    return SHIFTING + u32(cell)


def shift_work_key(slot: int) -> bytes:
    """Where moving a slot's bids stands."""
    return SHIFT_WORK + u64(slot)


def waiting_key(slot: int, cell: int, number: int) -> bytes:
    """What waits for a slot."""
    return WAITING + u64(slot) + b"/" + u32(cell) + b"/" + u64(number)


def commits_prefix(slot: int, cell: int) -> bytes:
    """Sealed orders of a cell in a slot."""
    return COMMITS + u64(slot) + b"/" + u32(cell) + b"/"


def commit_key(slot: int, cell: int, seq: int) -> bytes:
    """A sealed order."""
    return commits_prefix(slot, cell) + u64(seq)


def slot_cell_number(tail: bytes) -> tuple[int, int, int]:
    """Slot, cell and last number of a key's tail `<slot>/<cell>/<number>`."""
    return int.from_bytes(tail[:8], "big"), int.from_bytes(tail[9:13], "big"), int.from_bytes(tail[14:22], "big")


def product_part(first: int, slots: int) -> bytes:
    """How keys name a product of the forward market."""
    return u64(first) + b"/" + u16(slots)


def forward_book_key(product: bytes, side: int, price_e4: int, seq: int) -> bytes:
    """An order of a product in clearing order."""
    rank = U32_MAX - price_e4 if side == BID else price_e4
    return FORWARD_BOOK + product + b"/" + u8(side) + b"/" + u32(rank) + b"/" + u64(seq)


def forward_key(product: bytes, cell: int, seq: int) -> bytes:
    """A cell's order or position of a product."""
    return FORWARDS + product + b"/" + u32(cell) + b"/" + u64(seq)


def forward_of_key(cell: int, product: bytes, seq: int) -> bytes:
    """Marks a cell's order or position."""
    return FORWARDS_OF + u32(cell) + b"/" + product + b"/" + u64(seq)


def storage_key(cell: int) -> bytes:
    """A cell's storage."""
    return STORAGES + u32(cell)


def storage_orders_prefix(slot: int) -> bytes:
    """Storage orders of a slot whose fills the storages don't know yet."""
    return STORAGE_ORDERS + u64(slot) + b"/"


def storage_order_key(slot: int, cell: int, seq: int) -> bytes:
    """A storage order."""
    return storage_orders_prefix(slot) + u32(cell) + b"/" + u64(seq)


def storage_work_key(slot: int) -> bytes:
    """Fills to take over."""
    return STORAGE_WORK + u64(slot)
