"""A cell's statements as the chain published them, and what they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from bsmg.client.chain import ChainClient, EventQuery
from cosmos_wire.protos import market

SLOTS_PER_DAY = 96
TOKEN_DIGITS = 10  # a base unit is 1e-10 token


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Statements of one cell, oldest first, with the tariff of the chain."""

    statements: tuple[market.Statement, ...]
    up_e4: int
    down_e4: int
    denom: str

    def total(self, name: str) -> int:
        """Sum of an amount or energy over all statements."""
        return sum(int(getattr(item, name) or 0) for item in self.statements)

    @property
    def net(self) -> int:
        """What the market brought the cell, base units; negative: it paid."""
        return self.total("net")

    @property
    def energy_mWh(self) -> tuple[int, int]:
        """Import and export, with what counters showed late."""
        late = [item.catch_up_mWh for item in self.statements]
        bought = self.total("import_mWh") + sum(max(0, part) for part in late)
        return bought, self.total("export_mWh") - sum(min(0, part) for part in late)

    @property
    def alone(self) -> int:
        """The same energy without the market: bought at `up`, sold at `down`."""
        bought, sold = self.energy_mWh
        return self.down_e4 * sold - self.up_e4 * bought


def lines_of(item: market.Statement) -> Iterator[tuple[str, str, int]]:
    """(what, how it came about, base units) of one statement; the amounts add up to its `net`."""
    position = item.bought_mWh + item.grid_bought_mWh - item.sold_mWh - item.grid_sold_mWh
    off = item.import_mWh - item.export_mWh - position
    traded = f"bought {item.bought_mWh} mWh, sold {item.sold_mWh} mWh, price {item.price_e4}e-4"
    yield "trade", traded, int(item.trade)
    if item.grid_bought_mWh or item.grid_sold_mWh:
        left = f"bought {item.grid_bought_mWh} mWh at the cap, sold {item.grid_sold_mWh} mWh at the floor"
        yield "main grid", left, int(item.grid)
    more = "more" if off > 0 else "less"
    metered = f"metered {item.import_mWh} in, {item.export_mWh} out, {abs(off)} mWh {more} than scheduled"
    yield "imbalance", metered + (" (estimated)" if item.estimated else ""), int(item.imbalance)
    yield "penalty", "beyond the tolerance", int(item.penalty)
    yield "network fee", f"on {item.bought_mWh + item.sold_mWh} mWh", int(item.fee)
    if item.loss:
        yield "losses", "the cell's share of the feeder's", int(item.loss)
    if item.catch_up_mWh or int(item.catch_up):
        yield "catch-up", f"{item.catch_up_mWh} mWh of slots without a reading", int(item.catch_up)


def tokens(amount: int) -> str:
    """Base units as tokens, exactly: `-0.0001500000`."""
    whole, part = divmod(abs(amount), 10**TOKEN_DIGITS)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{TOKEN_DIGITS}d}"


def slots_of_day(params: market.Params, day: str, settled: Iterable[int]) -> set[int]:
    """Slots of `all`, of a trading day's number (96 slots, 0 first), or of a date (UTC, by the slot's start)."""
    if day == "all":
        return set(settled)
    if day.isdecimal():
        first = params.first_slot + int(day) * SLOTS_PER_DAY
        return {slot for slot in settled if first <= slot < first + SLOTS_PER_DAY}
    wanted = date.fromisoformat(day)
    return {slot for slot in settled if _date(params, slot) == wanted}


def _date(params: market.Params, slot: int) -> date:
    return datetime.fromtimestamp(slot * params.slot_ms // 1000, UTC).date()


async def read_statements(chain: ChainClient, address: str) -> list[market.Statement]:
    """All statements of a cell, oldest first, by the node's index of events."""
    found = await chain.find_events(EventQuery(type="cell_settled", attributes={"cell": address}))
    texts = (dict(item.event.attributes)["statement"] for item in found)
    return sorted((market.Statement.FromString(bytes.fromhex(text)) for text in texts), key=lambda item: item.slot)
