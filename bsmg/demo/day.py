"""What a trading day left behind: the content of `report.json`, typed.

Everything is taken from public interfaces of the chains (block results, queries). Energy in mWh, price in 1e-4 token
per kWh, money in base units (1e-10 token), time in ms of block time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any as Json

from bsmg.demo.feeder_day import FeederDay, share_of_best

VERSION = 1
MAIN_GRID_LEVEL = 3  # of trade with it; 2 is between microgrids
MAIN_GRID = "grid"  # role of the chain that the main grid's operator runs


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """One slot of one chain."""

    slot: int
    quarter: int  # of the day, 0..95
    price_e4: int
    volume_mWh: int
    import_mWh: int
    export_mWh: int
    balance_mWh: int
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """A cell's day, with and without trading (alone it buys at `up` and sells at `down`)."""

    cell: str
    bought_mWh: int
    sold_mWh: int
    import_mWh: int
    export_mWh: int
    cost: int
    cost_without: int
    grid_bought_mWh: int = 0  # with the main grid, as scheduled
    grid_sold_mWh: int = 0
    score_permille: int = 0  # after its last statement
    off_mWh: int = 0  # sum over slots of |metered - position|
    penalty: int = 0  # paid, base units
    loss: int = 0  # paid for the feeder's losses
    estimated: int = 0  # slots settled on an estimate, for want of a reading

    @property
    def off_share(self) -> float:
        """Energy off its position, of the energy that it metered."""
        metered = self.import_mWh + self.export_mWh
        return self.off_mWh / metered if metered else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyRow:
    """The supply equation of one denomination on one chain: genesis + minted - burnt = supply = sum of balances."""

    denom: str
    genesis: int
    minted: int
    burnt: int
    supply: int
    balances: int

    @property
    def conserved(self) -> bool:
        """All three agree to the unit."""
        return self.genesis + self.minted - self.burnt == self.supply == self.balances


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRow:
    """What a chain thinks of another by their contracts."""

    chain_id: str
    score_milli: int
    contracts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRow:
    """One chain's day."""

    chain_id: str
    denom: str
    kind: str
    fleet: str
    nodes: int
    blocks: int
    block_interval_ms: int
    slots: tuple[SlotRow, ...]
    cells: tuple[CellRow, ...]
    supply: tuple[SupplyRow, ...]
    role: str = "microgrid"
    feeder: FeederDay | None = None
    peers: tuple[PeerRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractRow:
    """One contract between chains, as seller's and buyer's chain ended it."""

    contract_id: str
    slot: int
    quarter: int
    seller_chain: str
    buyer_chain: str
    energy_mWh: int
    lo_mWh: int
    hi_mWh: int
    price_e4: int
    seller_state: str
    buyer_state: str
    basis: str
    paid_seller: int
    level: int = 2
    buyer_lo_mWh: int = 0  # what the buyer's chain settled on
    buyer_hi_mWh: int = 0

    @property
    def agreed(self) -> bool:
        """Whether both chains settled on the same energy, or neither on any."""
        settled = self.seller_state == "SETTLED", self.buyer_state == "SETTLED"
        same = (self.lo_mWh, self.hi_mWh) == (self.buyer_lo_mWh, self.buyer_hi_mWh)
        return same if all(settled) else not any(settled)

    @property
    def delivered_mWh(self) -> int:
        """What both chains counted as delivered."""
        return self.lo_mWh if self.seller_state == "SETTLED" else 0

    @property
    def short(self) -> bool:
        """Settled on less energy than agreed."""
        return self.seller_state == "SETTLED" and self.lo_mWh < self.energy_mWh


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketRow:
    """Packets of one direction and port, and the time from sending to the sender's acknowledgement."""

    source: str
    destination: str
    port: str
    sent: int
    received: int
    acknowledged: int
    timed_out: int
    latency_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The time without a relayer, and what came of the transfer that ran into it."""

    from_ms: int
    to_ms: int
    transfers_sent: int
    timeouts_refunded: int
    refunded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the target said to the packet of the source whose proof was tampered with."""

    source: str
    target: str
    code: int
    codespace: str
    log: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """What the audit recomputed from public RPC, by subject over all chains, and where it differed."""

    checked: dict[str, int]
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """The whole day."""

    day: str
    seed: int
    slot_s: int
    slots: int
    wall_s: int
    chains: tuple[ChainRow, ...]
    contracts: tuple[ContractRow, ...]
    packets: tuple[PacketRow, ...]
    tokens_moved: dict[str, int]  # base units that arrived as vouchers or came home, by denomination
    outage: Outage | None
    refusals: tuple[Refusal, ...]
    audited: Audited | None

    @property
    def level1_mWh(self) -> int:
        """Energy cleared inside the microgrids."""
        return sum(row.volume_mWh for chain in self.chains for row in chain.slots)

    def delivered_mWh(self, level: int) -> int:
        """Energy delivered between chains: 2 between microgrids, 3 with the main grid."""
        return sum(c.delivered_mWh for c in self.contracts if c.level == level)

    def slots_with(self, level: int) -> int:
        """Slots in which energy was delivered at a level."""
        return len({c.slot for c in self.contracts if c.level == level and c.delivered_mWh})

    @property
    def microgrids(self) -> tuple[ChainRow, ...]:
        """The chains that have cells and a market, not the main grid's."""
        return tuple(chain for chain in self.chains if chain.role != MAIN_GRID)

    @property
    def latencies_ms(self) -> tuple[int, ...]:
        """All packets' latencies, ascending."""
        return tuple(sorted(ms for row in self.packets for ms in row.latency_ms))

    @property
    def conserved(self) -> bool:
        """Every denomination on every chain."""
        return all(row.conserved for chain in self.chains for row in chain.supply)

    @property
    def energy_conserved(self) -> bool:
        """Each slot's balance is what its cells' meters add up to; both ends of a contract count the same energy."""
        slots = [row for chain in self.chains for row in chain.slots if row.closed]
        balanced = all(row.import_mWh - row.export_mWh == row.balance_mWh for row in slots)
        return balanced and all(contract.agreed for contract in self.contracts)

    def document(self) -> dict[str, Json]:
        """The JSON form: the rows, and a summary of what a reader looks for first; `refusal` is the first of them."""
        rows = asdict(self)
        return {"version": VERSION, "summary": self.summary(), **rows, "refusal": next(iter(rows["refusals"]), None)}

    def text(self) -> str:
        """The JSON form as text: the summary to be read, everything else a line a key."""
        lines = [
            f"{json.dumps(name)}: {json.dumps(value, indent=1 if name == 'summary' else None)}"
            for name, value in self.document().items()
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def summary(self) -> dict[str, Json]:
        """Totals, by the names that README explains."""
        latencies = self.latencies_ms
        return {
            "level1_mWh": self.level1_mWh,
            "level2_mWh": self.delivered_mWh(2),
            "level2_slots": self.slots_with(2),
            "level3_mWh": self.delivered_mWh(3),
            "level3_slots": self.slots_with(3),
            **self._physics(),
            "contracts": len(self.contracts),
            "contracts_settled": sum(c.seller_state == "SETTLED" for c in self.contracts),
            "contracts_short": sum(c.short for c in self.contracts),
            "packets_sent": sum(p.sent for p in self.packets),
            "packets_received": sum(p.received for p in self.packets),
            "packets_acknowledged": sum(p.acknowledged for p in self.packets),
            "packets_timed_out": sum(p.timed_out for p in self.packets),
            "latency_p50_ms": percentile(latencies, 50),
            "latency_p95_ms": percentile(latencies, 95),
            "timeouts_refunded": self.outage.timeouts_refunded if self.outage else 0,
            "supply_conserved": self.conserved,
            "energy_conserved": self.energy_conserved,
            "audit_checked": sum(self.audited.checked.values()) if self.audited else 0,
            "audit_differences": len(self.audited.differences) if self.audited else None,
            "estimated_statements": sum(c.estimated for chain in self.chains for c in chain.cells),
            "cost": sum(c.cost for chain in self.chains for c in chain.cells),
            "cost_without_trading": sum(c.cost_without for chain in self.chains for c in chain.cells),
        }

    def _physics(self) -> dict[str, Json]:
        feeders = [chain.feeder for chain in self.chains if chain.feeder is not None]
        return {
            "violations": sum(feeder.violations for feeder in feeders),
            "unconstrained_violations_slots": sum(len(feeder.broken_free) for feeder in feeders),
            "repaired_slots": sum(row.repaired for feeder in feeders for row in feeder.slots),
            "curtailed_mWh": sum(feeder.curtailed_mWh for feeder in feeders),
            "curtailed_slots": sum(len(feeder.export_limited) for feeder in feeders),
            "loss_mWh": sum(row.loss_mWh for feeder in feeders for row in feeder.slots),
            "welfare_permille": share_of_best(feeders),
        }


def percentile(ascending: tuple[int, ...], percent: int) -> int | None:
    """Nearest-rank percentile; None of nothing."""
    if not ascending:
        return None
    return ascending[max(0, -(-len(ascending) * percent // 100) - 1)]
