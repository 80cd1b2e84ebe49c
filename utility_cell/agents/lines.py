"""A utility cell's lines to other chains: when each level trades, and what is read after delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from bsmg.client.chain import ChainClient
from cosmos_wire.protos import trade, trade_query, trade_tx
from utility_cell.agents.view import read_contract, read_contracts, read_scores, read_trade_params
from utility_cell.flows import Ends, TieLines
from utility_cell.world import Calendar

NS_PER_MS = 1_000_000
TOLD_STEP_MILLI = 50  # a score is told again when it has moved by this much
SCORES_EVERY_BLOCKS = 8
SENT_MS = 1_500  # a message that goes now is in a block this much later
SOLD_STATES = (trade.SELLER_STATE_ACTIVE, trade.SELLER_STATE_SETTLED)
BOUGHT_STATES = (trade.BUYER_STATE_COMMITTED, trade.BUYER_STATE_SETTLED, trade.BUYER_STATE_LAPSED)
OPEN_SOLD = (trade.SELLER_STATE_RESERVED,)
OPEN_BOUGHT = (trade.BUYER_STATE_LOCKED, trade.BUYER_STATE_CONFIRMED)
Contracts = trade_query.QueryContractsResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Who the utility cell is, and by which trade channels it reaches whom; gates in ms around a slot's delivery."""

    address: str
    slot_ms: int
    gates_ms: Mapping[str, int]
    neighbours: Mapping[str, str]  # channel -> chain behind it, but for the main grid's
    grid: str = ""  # channel to the main grid

    def time_of(self, slot: int, gate: str) -> int:
        """Block time of a gate before delivery, ms."""
        return slot * self.slot_ms + self.gates_ms[gate]

    def end_of(self, slot: int) -> int:
        """Block time at which delivery ends, ms."""
        return (slot + 1) * self.slot_ms


@dataclass(slots=True, kw_only=True)
class LineAgent:
    """What both kinds of utility cell do: read the lines after delivery, and say what they think of each other."""

    chain: ChainClient
    lines: Lines
    calendar: Calendar
    flows: TieLines
    params: trade.Params = field(default_factory=trade.Params)  # of the chain; empty until they were read
    read: set[tuple[int, str]] = field(default_factory=set)

    async def learn(self) -> None:
        """The chain's parameters, once."""
        if not self.params.slot_ms:
            self.params = await read_trade_params(self.chain)

    def may_read(self, slot: int, now_ms: int) -> bool:
        """Once all microgrids have said what they contracted; one that is silent is not waited for to the end."""
        patience_ms = self.lines.gates_ms["T_meter"] // 2
        return self.flows.settled(slot) or now_ms > self.lines.end_of(slot) + patience_ms

    async def channel_reading(self, slot: int, channel_id: str, export_mWh: int) -> trade_tx.MsgPostReading | None:
        """A line's total in the direction of the contracts in force there, once; None without such contracts."""
        contracts = await read_contracts(self.chain, slot, channel_id)
        self.read.add((slot, channel_id))
        sold, bought = sold_mwh(contracts, active_only=True), bought_mwh(contracts, active_only=True)
        if not sold and not bought:
            return None
        total_mwh = min(self.params.line_max_mwh, max(0, export_mWh if sold else -export_mWh))
        root = sha256(f"{channel_id}/{slot}/{total_mwh}".encode()).digest()
        return trade_tx.MsgPostReading(
            utility=self.lines.address, channel_id=channel_id, slot=slot, total_mwh=total_mwh, meters_root=root
        )

    async def reputations(self, height: int) -> list[trade_tx.MsgPostReputation]:
        """A score that has moved since it was told, about the last contract it rests on."""
        if height % SCORES_EVERY_BLOCKS:
            return []
        moved = [score for score in await read_scores(self.chain) if _worth_telling(score)]
        return [self._reputation(score) for score in moved if await self._both_know(score)]

    async def _both_know(self, score: trade.PeerScore) -> bool:
        """The other chain has the settlement, too: the buyer's has it from there, the seller's when it is confirmed."""
        found = await read_contract(self.chain, score.channel_id, score.contract_id)
        if found.HasField("seller"):
            return found.seller.confirmation == trade.CONFIRMATION_CONFIRMED
        return found.buyer.state == trade.BUYER_STATE_SETTLED

    def _reputation(self, score: trade.PeerScore) -> trade_tx.MsgPostReputation:
        return trade_tx.MsgPostReputation(
            utility=self.lines.address, channel_id=score.channel_id, contract_id=score.contract_id
        )


def _worth_telling(score: trade.PeerScore) -> bool:
    new = score.contract_id != score.told_contract_id
    return new and (not score.told_contract_id or abs(score.score_milli - score.told_milli) >= TOLD_STEP_MILLI)


def sold_mwh(contracts: Contracts, *, active_only: bool = False) -> int:
    """Energy that is sold for certain, mWh."""
    states = SOLD_STATES[:1] if active_only else SOLD_STATES
    return sum(contract.energy_mwh for contract in contracts.seller if contract.state in states)


def bought_mwh(contracts: Contracts, *, active_only: bool = False) -> int:
    """Energy that is bought for certain, mWh."""
    states = BOUGHT_STATES[:1] if active_only else BOUGHT_STATES
    return sum(contract.energy_mwh for contract in contracts.buyer if contract.state in states)


def undecided(contracts: Contracts) -> bool:
    """Whether a contract may still come into force, or not."""
    waits = any(c.state == trade.BUYER_STATE_COMMITTED and not c.active for c in contracts.buyer)
    return (
        waits
        or any(contract.state in OPEN_SOLD for contract in contracts.seller)
        or any(contract.state in OPEN_BOUGHT for contract in contracts.buyer)
    )


def ends_of(chain_id: str, neighbour: str, contracts: Contracts) -> dict[Ends, int]:
    """A channel's contracts as the tie lines take them."""
    found = {(chain_id, neighbour): sold_mwh(contracts), (neighbour, chain_id): bought_mwh(contracts)}
    return {ends: energy for ends, energy in found.items() if energy}
