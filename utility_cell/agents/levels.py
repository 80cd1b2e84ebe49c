"""Trade with other chains: level 2 from the residual, level 3 with the main grid for what level 2 left.

The order local -> other microgrids -> main grid is kept by the clock: after T_lock of level 2 nothing new is locked
there, and when what was locked is decided, the rest goes to the main grid.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cosmos_wire.protos import Message, market, trade, trade_packet, trade_tx
from utility_cell.agents.lines import (
    NS_PER_MS,
    SENT_MS,
    LineAgent,
    bought_mwh,
    ends_of,
    sold_mwh,
    undecided,
)
from utility_cell.agents.view import MarketView, read_contracts, read_heard, read_scores
from utility_cell.bidding import MIN_ORDER_mWh
from utility_cell.flows import Ends

METERED_STATES = (
    market.SLOT_STATE_METERING,
    market.SLOT_STATE_ESTIMATED,
    market.SLOT_STATE_SETTLING,
    market.SLOT_STATE_SETTLED,
)
LEVEL_MICROGRID, LEVEL_GRID = 2, 3
OFFER_PRICE_PERMILLE = 330  # of the band, when the own auction made no price
STRANGER_MILLI = 500
ROOM_MS = 15_000  # the main grid's offer is on its way this long before level 3 begins
SAME = trade_packet.Rate(num=1, den=1)


@dataclass(slots=True, kw_only=True)
class LevelsAgent(LineAgent):
    """Decides for a microgrid's utility cell. `needed_mWh` is what level 2 has still to cover of a slot's shortage."""

    forward: bool = True  # let the buyer's chain send the pay of level 2 home by ICS-20
    offered: set[int] = field(default_factory=set)
    locked: set[bytes] = field(default_factory=set)
    needed_mWh: dict[int, int] = field(default_factory=dict)
    taken_mWh: dict[tuple[int, str], int] = field(default_factory=dict)  # of a line in a slot, by own locks
    left_mWh: dict[int, int] = field(default_factory=dict)  # after level 2; positive: short
    done: set[int] = field(default_factory=set)  # at level 3

    async def act(self, view: MarketView) -> AsyncIterator[Message]:
        """All that follows from one block; a query that fails costs nothing that was said before it."""
        await self.learn()
        now_ms = view.head.time_ns // NS_PER_MS
        for offer in self.offers(view, now_ms):
            yield offer
        for lock in await self.locks(view, now_ms):
            yield lock
        async for message in self.grid_trades(view, now_ms):
            yield message
        async for reading in self.readings(view, now_ms):
            yield reading
        for reputation in await self.reputations(view.head.height):
            yield reputation

    # Level 2

    def offers(self, view: MarketView, now_ms: int) -> Iterator[Message]:
        """One offer a slot: the surplus that the own auction left, or none as a sign of life."""
        for slot in view.in_state(market.SLOT_STATE_RESIDUAL):
            done = slot.slot in self.offered or not self.calendar.covers(slot.slot)
            if done or not self.lines.neighbours or now_ms + SENT_MS > self.lines.time_of(slot.slot, "T_lock"):
                continue
            self.offered.add(slot.slot)
            self.needed_mWh[slot.slot] = max(0, slot.residual_mWh)
            terms = trade_tx.MsgPostOffer(level=LEVEL_MICROGRID, price_e4=_offer_price(slot), forward=self.forward)
            terms.channels.extend(self.lines.neighbours)
            yield self._offer(slot.slot, max(0, -slot.residual_mWh), terms)

    def _offer(self, slot: int, energy_mWh: int, terms: trade_tx.MsgPostOffer) -> trade_tx.MsgPostOffer:
        message = trade_tx.MsgPostOffer(
            seller=self.lines.address,
            slot=slot,
            energy_mwh=energy_mWh,
            rate=SAME,
            bus=1,
            seller_payee=self.lines.address,
            nonce=terms.level,  # an offer's id is made of slot and nonce
        )
        message.MergeFrom(terms)
        return message

    async def locks(self, view: MarketView, now_ms: int) -> list[Message]:
        """Locks on neighbours' offers, cheapest first, among equals the most reliable, up to the own shortage."""
        slots = [
            slot
            for slot in view.in_state(market.SLOT_STATE_RESIDUAL)
            if self.needed_mWh.get(slot.slot, 0) > 0 and now_ms + SENT_MS < self.lines.time_of(slot.slot, "T_lock")
        ]
        if not slots:
            return []
        heard = [record for record in await read_heard(self.chain) if record.channel_id in self.lines.neighbours]
        scores = {score.channel_id: score for score in await read_scores(self.chain)} if heard else {}
        found = [self._lock(slot, record, scores) for slot in slots for record in ranked(heard, slot.slot, scores)]
        return [message for message in found if message is not None]

    def _lock(
        self, slot: market.Slot, record: trade.OfferRecord, scores: Mapping[str, trade.PeerScore]
    ) -> trade_tx.MsgLock | None:
        offer, need = record.offer, self.needed_mWh[slot.slot]
        affordable = slot.prices.floor_e4 <= offer.price_e4 <= slot.prices.cap_e4
        welcome = offer.reputation_milli_min <= _own_score(scores.get(record.channel_id))
        if not affordable or not welcome or not offer.energy_mwh or need <= 0 or offer.offer_id in self.locked:
            return None
        made = self._lock_of(record, need)
        self.needed_mWh[slot.slot] = need - (made.energy_mwh if made is not None else 0)
        return made

    def _lock_of(self, record: trade.OfferRecord, energy_mWh: int) -> trade_tx.MsgLock | None:
        """As much as the offer has and the line still carries."""
        self.locked.add(record.offer.offer_id)
        place = record.offer.slot, record.channel_id
        room = self.params.line_max_mwh - self.taken_mWh.get(place, 0)
        energy = min(energy_mWh, record.offer.energy_mwh, room)
        self.taken_mWh[place] = self.taken_mWh.get(place, 0) + max(0, energy)
        return lock_message(self.lines.address, record, energy) if energy > 0 else None

    # Level 3

    async def grid_trades(self, view: MarketView, now_ms: int) -> AsyncIterator[Message]:
        """What level 2 left, once it is decided: an offer at the feed-in tariff, or a lock on the grid's offer."""
        short: list[int] = []
        for slot in view.in_state(market.SLOT_STATE_RESIDUAL) if self.lines.grid else ():
            if not self._turn_of_grid(slot.slot, now_ms) or not await self._decided(slot, now_ms):
                continue
            left = self.left_mWh[slot.slot]
            if left >= MIN_ORDER_mWh:
                short.append(slot.slot)
                continue
            self.done.add(slot.slot)
            if left <= -MIN_ORDER_mWh:
                terms = trade_tx.MsgPostOffer(level=LEVEL_GRID, price_e4=slot.params.floor_e4, only_first_channel=True)
                terms.channels.append(self.lines.grid)
                yield self._offer(slot.slot, min(-left, self.params.line_max_mwh), terms)
        for lock in await self._grid_locks(short):
            yield lock

    def _turn_of_grid(self, slot: int, now_ms: int) -> bool:
        """Between the last lock of level 2 and that of level 3."""
        begun = now_ms >= self.lines.time_of(slot, "T_lock")
        over = now_ms + SENT_MS > self.lines.time_of(slot, "T_lock3")
        return begun and not over and slot not in self.done and self.calendar.covers(slot)

    async def _decided(self, slot: market.Slot, now_ms: int) -> bool:
        """Whether level 2 has come to an end in a slot; then `left_mWh` has what it left.

        What an earlier run of the agent has done at level 3 counts, too.
        """
        if slot.slot in self.left_mWh:
            return True
        found = [await read_contracts(self.chain, slot.slot, channel_id) for channel_id in self.lines.neighbours]
        if any(map(undecided, found)) and now_ms < self.lines.time_of(slot.slot, "T_act"):
            return False
        before = await read_contracts(self.chain, slot.slot, self.lines.grid)
        if before.seller or before.buyer:
            self.done.add(slot.slot)
            return False
        self.left_mWh[slot.slot] = slot.residual_mWh + sum(map(sold_mwh, found)) - sum(map(bought_mwh, found))
        return True

    async def _grid_locks(self, slots: list[int]) -> list[Message]:
        if not slots:
            return []
        heard = [record for record in await read_heard(self.chain) if record.channel_id == self.lines.grid]
        messages: list[Message] = []
        for slot in slots:
            offers = [record for record in ranked(heard, slot, {}) if record.offer.energy_mwh]
            if offers:  # else again with the next block
                self.done.add(slot)
                lock = self._lock_of(offers[0], self.left_mWh[slot])
                messages += [] if lock is None else [lock]
        return messages

    # After delivery

    async def readings(self, view: MarketView, now_ms: int) -> AsyncIterator[Message]:
        """Totals of the tie lines that have a contract in force, once the flows of the slot are known."""
        for slot in view.in_state(*METERED_STATES):
            if not self.calendar.covers(slot.slot):
                continue
            channels = [c for c in self._channels() if (slot.slot, c) not in self.read]
            await self._dispatch(slot.slot)
            for channel_id in channels if self.may_read(slot.slot, now_ms) else []:
                message = await self.channel_reading(slot.slot, channel_id, self._export(slot.slot, channel_id))
                if message is not None:
                    yield message

    def _channels(self) -> list[str]:
        return [*self.lines.neighbours, *([self.lines.grid] if self.lines.grid else [])]

    async def _dispatch(self, slot: int) -> None:
        """Say what was contracted with other microgrids, once."""
        here = self.chain.chain_id
        if here in self.flows.heard.get(slot, set()):
            return
        known: dict[Ends, int] = {}
        for channel_id, neighbour in self.lines.neighbours.items():
            known |= ends_of(here, neighbour, await read_contracts(self.chain, slot, channel_id))
        self.flows.dispatch(slot, here, known)

    def _export(self, slot: int, channel_id: str) -> int:
        """Energy that left by a line, mWh; negative: that came in."""
        here, there = self.chain.chain_id, self.lines.neighbours.get(channel_id)
        if there is None:
            return -self.flows.from_grid(slot, here)
        return self.flows.between(slot, here, there) - self.flows.between(slot, there, here)


@dataclass(slots=True, kw_only=True)
class GridAgent(LineAgent):
    """Decides for the main grid's operator: sells at LMP to everybody, buys what is offered at the feed-in tariff.

    `lines.neighbours` are the microgrids.
    """

    offered: set[int] = field(default_factory=set)
    locked: set[bytes] = field(default_factory=set)

    async def act(self, view: MarketView) -> AsyncIterator[Message]:
        """All that follows from one block."""
        await self.learn()
        now_ms = view.head.time_ns // NS_PER_MS
        for offer in self.offers(now_ms):
            yield offer
        for lock in await self.locks(now_ms):
            yield lock
        async for reading in self.readings(now_ms):
            yield reading
        for reputation in await self.reputations(view.head.height):
            yield reputation

    def offers(self, now_ms: int) -> Iterator[Message]:
        """One offer a slot to all microgrids, in time for the end of level 2."""
        first_ms = now_ms + SENT_MS - self.lines.gates_ms["T_lock3"]
        last_ms = now_ms + ROOM_MS - self.lines.gates_ms["T_lock"]
        for slot in range(-(-first_ms // self.lines.slot_ms), last_ms // self.lines.slot_ms + 1):
            if slot in self.offered or not self.calendar.covers(slot) or not self.lines.neighbours:
                continue
            self.offered.add(slot)
            yield trade_tx.MsgPostOffer(
                seller=self.lines.address,
                channels=list(self.lines.neighbours),
                slot=slot,
                energy_mwh=self.params.line_max_mwh * len(self.lines.neighbours),
                price_e4=self.params.cap_e4,
                rate=SAME,
                level=LEVEL_GRID,
                bus=1,
                seller_payee=self.lines.address,
            )

    async def locks(self, now_ms: int) -> list[Message]:
        """Every offer of a microgrid at the feed-in tariff, whole."""
        found: list[Message] = []
        for record in await read_heard(self.chain):
            offer = record.offer
            wanted = offer.energy_mwh and offer.price_e4 <= self.params.floor_e4
            in_time = now_ms + SENT_MS < self.lines.time_of(offer.slot, "T_lock3")
            if wanted and in_time and offer.offer_id not in self.locked:
                self.locked.add(offer.offer_id)
                energy = min(offer.energy_mwh, self.params.line_max_mwh)
                found.append(lock_message(self.lines.address, record, energy))
        return found

    async def readings(self, now_ms: int) -> AsyncIterator[Message]:
        """Totals of the lines to the microgrids after delivery, while the readings are awaited."""
        over = now_ms // self.lines.slot_ms  # the slot that is being delivered
        first = (now_ms - self.lines.gates_ms["T_meter"]) // self.lines.slot_ms
        for slot in range(first, over):
            if not self.calendar.covers(slot) or not self.may_read(slot, now_ms):
                continue
            for channel_id, there in self.lines.neighbours.items():
                if (slot, channel_id) not in self.read:
                    message = await self.channel_reading(slot, channel_id, self.flows.from_grid(slot, there))
                    if message is not None:
                        yield message


def lock_message(buyer: str, record: trade.OfferRecord, energy_mWh: int) -> trade_tx.MsgLock:
    """A lock on an offer that was heard."""
    return trade_tx.MsgLock(
        buyer=buyer,
        channel_id=record.channel_id,
        offer_id=record.offer.offer_id,
        energy_mwh=energy_mWh,
        energy_min_mwh=1,
        buyer_payee=buyer,
        nonce=record.offer.slot,
    )


def ranked(
    heard: Iterable[trade.OfferRecord], slot: int, scores: Mapping[str, trade.PeerScore]
) -> list[trade.OfferRecord]:
    """Offers of a slot, cheapest first, among equals those of the more reliable chain."""

    def rank(record: trade.OfferRecord) -> tuple[int, int, bytes]:
        score = scores.get(record.channel_id)
        return record.offer.price_e4, -(score.score_milli if score else STRANGER_MILLI), record.offer.offer_id

    return sorted((record for record in heard if record.offer.slot == slot), key=rank)


def _own_score(score: trade.PeerScore | None) -> int:
    """What the chain behind a channel has last said of this one."""
    return score.heard.score_milli if score is not None and score.HasField("heard") else STRANGER_MILLI


def _offer_price(slot: market.Slot) -> int:
    """What the own auction paid; without trade, a third up the band."""
    if slot.clearing.volume_mWh:
        return slot.clearing.price_e4
    prices = slot.prices
    return prices.floor_e4 + (prices.cap_e4 - prices.floor_e4) * OFFER_PRICE_PERMILLE // 1_000
