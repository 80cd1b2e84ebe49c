"""The replay of contracts between chains: messages and packets move them, block time ends them.

What packets and messages do is worked out and then compared with the events. What block time does (refund, cancel,
commit, decide, lapse) is announced by an event of the block's hooks; its moment is checked against the clock of the
slot and its amounts are worked out. Deadlines that passed without an end are found when the replay is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as Json

from google.protobuf import json_format

from bsmg.audit import contract
from bsmg.audit.contract import Pledge, Price, Verdict
from bsmg.audit.ledger import module_address
from bsmg.audit.stage import Stage
from bsmg.audit.tradetime import Clock, clock_of
from bsmg.audit.transfer import Tokens
from cosmos_wire.protos import trade, trade_packet, trade_tx

PORT = "trade"
COLLATERAL, POOL, FEES = (module_address(f"trade/{name}") for name in ("collateral", "pool", "fees"))
LEVEL_MICROGRID = 2
RESERVED, ACTIVE, CANCELLED = "RESERVED", "ACTIVE", "CANCELLED"
LOCKED, CONFIRMED, COMMITTED, REFUNDED, LAPSED = "LOCKED", "CONFIRMED", "COMMITTED", "REFUNDED", "LAPSED"
SETTLED = "SETTLED"
ENDS = frozenset({SETTLED, CANCELLED, REFUNDED, LAPSED})
Place = tuple[str, bytes]  # channel, contract id


@dataclass(slots=True, kw_only=True)
class Offer:
    """An offer of this chain."""

    offer: trade_packet.Offer
    seller: str
    remaining_mwh: int
    collateral: int


@dataclass(slots=True, kw_only=True)
class Contract:
    """One side of a contract; `held` is escrow on B, collateral on S."""

    lock: trade_packet.Lock
    level: int
    owner: str  # buyer on B, seller on S
    energy_mwh: int
    held: int
    state: str
    payee: str = ""  # on B: the seller's account
    forward: bool = False
    claim: int = 0
    verdict: Verdict | None = None
    paid: dict[str, int] | None = None

    @property
    def price(self) -> Price:
        """Price and rate."""
        return Price(price_e4=self.lock.price_e4, num=self.lock.rate.num, den=self.lock.rate.den)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """A tie line's slot on S."""

    state: str = "METERING"
    export_mwh: int | None = None
    import_mwh: int | None = None
    arbiter_mwh: int | None = None


class Trade:
    """The trade application's part of a replay."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.params = trade.Params()
        self.offers: dict[bytes, Offer] = {}
        self.heard: dict[tuple[str, bytes], trade_packet.Offer] = {}
        self.sold: dict[Place, Contract] = {}
        self.bought: dict[Place, Contract] = {}
        self.deliveries: dict[tuple[str, int], Delivery] = {}
        self.readings: dict[tuple[str, int], int] = {}
        self.voided: set[int] = set()  # slots that the market sealed without a schedule
        self.forwards: dict[Tokens, tuple[Place, int]] = {}  # pay that may go home -> contract, slot

    def load(self, doc: Mapping[str, Json]) -> None:
        """Parameters of genesis."""
        self.params = json_format.ParseDict(doc["params"], trade.Params())

    def pay(self, sender: str, recipient: str, amount: int) -> None:
        """Move the chain's token."""
        self.stage.ledger.move(sender, recipient, self.params.denom, amount)

    def clock(self, level: int, slot: int) -> Clock:
        """Deadlines of a slot."""
        return clock_of(self.params, level, slot)

    def fee_e4(self, level: int) -> int:
        """The buyer's fee."""
        return (self.params.level2 if level == LEVEL_MICROGRID else self.params.level3).fee_e4

    def penalty_ppm(self, level: int) -> int:
        """The seller's highest penalty."""
        return self.params.penalty_ppm if level == LEVEL_MICROGRID else self.params.grid_penalty_ppm

    def require_line(self, place: Place, contracts: Mapping[Place, Contract]) -> None:
        """A new contract and the others of its channel and slot fit on the tie line."""
        slot = contracts[place].lock.slot
        there = [made for (channel, _), made in contracts.items() if channel == place[0] and made.lock.slot == slot]
        taken = sum(made.energy_mwh for made in there if made.state not in (CANCELLED, REFUNDED))
        self.require(place, f"at most {self.params.line_max_mwh} mWh on a line", taken <= self.params.line_max_mwh)

    def expect(self, kind: str, place: Place, slot: int, **fields: object) -> None:
        """Expect an event of a contract (or of a delivery, with an empty id)."""
        self.stage.findings.count("contracts")
        self.stage.expect.event(kind, (place[0], place[1].hex(), slot), **fields)

    def require(self, place: Place, what: str, holds: bool) -> None:  # noqa: FBT001  (a condition is all it takes)
        """A guard of the state tables: note a difference when the chain went past it."""
        if not holds:
            name = f"{self.stage.place}: contract {place[1].hex()[:12]} of {place[0]}"
            self.stage.findings.add("contracts", name, what, "it happened all the same")

    # --- messages ----------------------------------------------------------------------------------------------------

    def post_offer(self, msg: trade_tx.MsgPostOffer, answer: trade_tx.MsgPostOfferResponse) -> None:
        """Collateral for the whole energy."""
        deposit = contract.collateral(self.penalty_ppm(msg.level), msg.price_e4, msg.energy_mwh)
        name = f"{self.stage.place}: offer {answer.offer_id.hex()[:12]} collateral"
        self.stage.findings.count("contracts")
        self.stage.findings.equal("contracts", name, str(deposit), answer.collateral)
        if not msg.energy_mwh:
            return
        offer = trade_packet.Offer(
            offer_id=answer.offer_id,
            slot=msg.slot,
            energy_mwh=msg.energy_mwh,
            price_e4=msg.price_e4,
            rate=msg.rate,
            level=msg.level,
        )
        self.offers[answer.offer_id] = Offer(
            offer=offer, seller=msg.seller, remaining_mwh=msg.energy_mwh, collateral=deposit
        )
        self.pay(msg.seller, COLLATERAL, deposit)

    def close_offer(self, msg: trade_tx.MsgCloseOffer, answer: trade_tx.MsgCloseOfferResponse) -> None:
        """The rest of the collateral returns."""
        found = self.offers.pop(msg.offer_id)
        name = f"{self.stage.place}: closed offer {msg.offer_id.hex()[:12]} refund"
        self.stage.findings.equal("contracts", name, str(found.collateral), answer.refund)
        self.pay(COLLATERAL, found.seller, found.collateral)

    def lock(self, msg: trade_tx.MsgLock, answer: trade_tx.MsgLockResponse, lock: trade_packet.Lock) -> None:
        """Cost and fee go into escrow; `lock` is the packet that went."""
        offer, place = self.heard[msg.channel_id, msg.offer_id], (msg.channel_id, answer.contract_id)
        made = Contract(
            lock=lock,
            level=offer.level,
            owner=msg.buyer,
            energy_mwh=msg.energy_mwh,
            held=0,
            state=LOCKED,
            payee=offer.seller_payee,
            forward=offer.forward,
        )
        self.bought[place] = made
        made.held = self.escrow_for(made, msg.energy_mwh)
        self.pay(msg.buyer, escrow_of(msg.channel_id), made.held)
        findings, name = self.stage.findings, f"{self.stage.place}: lock {answer.contract_id.hex()[:12]}"
        findings.equal("contracts", f"{name} escrow", str(made.held), answer.escrow)
        findings.equal("contracts", f"{name} locked", str(made.price.cost(msg.energy_mwh)), lock.locked)
        findings.equal("contracts", f"{name} price", offer.price_e4, lock.price_e4)
        findings.equal("contracts", f"{name} rate", offer.rate, lock.rate)
        findings.equal("contracts", f"{name} energy", msg.energy_mwh, lock.energy_mwh)
        self.require_line(place, self.bought)
        self.require(place, "a lock before T_lock", self.stage.time_ms < self.clock(offer.level, offer.slot).lock_ms)
        self.expect("trade_locked", place, offer.slot, escrow=made.held)

    def escrow_for(self, made: Contract, energy_mwh: int) -> int:
        """Cost and fee of an energy, B units."""
        return made.price.cost(energy_mwh) + self.fee_e4(made.level) * energy_mwh

    def post_reading(self, msg: trade_tx.MsgPostReading) -> None:
        """Export where this chain sells in the slot, import where it buys."""
        delivery = self.deliveries.get((msg.channel_id, msg.slot))
        place = msg.channel_id, b""
        if delivery is not None:
            delivery.export_mwh = msg.total_mwh
            self._metered(msg.channel_id, msg.slot, "export", msg.total_mwh)
        else:
            self.readings[msg.channel_id, msg.slot] = msg.total_mwh
            self.expect("trade_metered", place, msg.slot, side="import", total_mwh=msg.total_mwh)

    def arbiter_reading(self, msg: trade_tx.MsgPostArbiterReading) -> None:
        """Ends a dispute."""
        delivery = self.deliveries[msg.channel_id, msg.slot]
        delivery.arbiter_mwh = msg.total_mwh
        self.decide(msg.channel_id, msg.slot)

    # --- packets that arrive -----------------------------------------------------------------------------------------

    def recv(self, here: str, data: trade_packet.TradePacketData, result: bytes) -> None:
        """An accepted packet; `result` is what the acknowledgement says."""
        match data.WhichOneof("packet"):
            case "offer":
                self.heard[here, data.offer.offer_id] = data.offer
            case "lock":
                self._reserve(here, data.lock, trade_packet.LockResult.FromString(result))
            case "equivalence":
                self._activate(here, data.equivalence, trade_packet.EquivalenceResult.FromString(result))
            case "meter":
                self.deliveries[here, data.meter.slot].import_mwh = data.meter.import_mwh
                self._metered(here, data.meter.slot, "import", data.meter.import_mwh)
            case "settlement":
                self._settlement(here, data.settlement)

    def _reserve(self, here: str, lock: trade_packet.Lock, result: trade_packet.LockResult) -> None:
        offer, place = self.offers[lock.offer_id], (here, lock.contract_id)
        energy = min(lock.energy_mwh, offer.remaining_mwh)
        pledged = contract.collateral(self.penalty_ppm(offer.offer.level), lock.price_e4, energy)
        offer.remaining_mwh -= energy
        offer.collateral -= pledged
        made = Contract(
            lock=lock,
            level=offer.offer.level,
            owner=offer.seller,
            energy_mwh=energy,
            held=pledged,
            state=RESERVED,
        )
        self.sold[place] = made
        name = f"{self.stage.place}: reservation {lock.contract_id.hex()[:12]} energy"
        self.stage.findings.equal("contracts", name, energy, result.energy_mwh)
        self.require_line(place, self.sold)
        self.require(place, "energy within lock and offer", 0 < lock.energy_min_mwh <= energy)
        self.require(place, "price and rate of the offer", same_price(lock, offer.offer))
        self.require(place, "LOCK before T_lock", self.stage.time_ms < self.clock(made.level, lock.slot).lock_ms)
        self.expect("trade_reserved", place, lock.slot, energy_mwh=energy, collateral=pledged)

    def _activate(self, here: str, sent: trade_packet.Equivalence, result: trade_packet.EquivalenceResult) -> None:
        place = here, sent.contract_id
        made = self.sold[place]
        cost = made.price.cost(made.energy_mwh)
        made.claim = made.price.claim(cost)
        findings, name = self.stage.findings, f"{self.stage.place}: equivalence {sent.contract_id.hex()[:12]}"
        findings.equal("contracts", f"{name} locked", str(cost), sent.locked)
        findings.equal("contracts", f"{name} claim", str(made.claim), result.claim)
        self.require(place, "RESERVED before", made.state == RESERVED)
        self.require(place, "before T_act", self.stage.time_ms < self.clock(made.level, made.lock.slot).act_ms)
        made.state = ACTIVE
        self.deliveries.setdefault((here, made.lock.slot), Delivery())
        self.expect("trade_active", place, made.lock.slot, claim=made.claim)

    def _settlement(self, here: str, sent: trade_packet.Settlement) -> None:
        place = here, sent.contract_id
        made = self.bought[place]
        self.require(place, "COMMITTED before", made.state == COMMITTED)
        self.require(place, "before T_close", self.stage.time_ms < self.clock(made.level, made.lock.slot).close_ms)
        if sent.outcome == trade_packet.OUTCOME_CANCELLED:
            self._refund(place, made, "cancelled")
            return
        own = self.readings.get((here, made.lock.slot))
        fits = sent.lo_mwh <= sent.hi_mwh <= made.energy_mwh
        self.require(place, "lo <= hi <= energy", fits)
        self.require(place, "the own import reading", not sent.HasField("import_mwh") or sent.import_mwh == own)
        self._release(place, made, Verdict(lo=sent.lo_mwh, hi=sent.hi_mwh, basis=sent.basis), SETTLED)

    # --- outcomes of own packets -------------------------------------------------------------------------------------

    def acknowledged(self, here: str, data: trade_packet.TradePacketData, result: bytes | None) -> None:
        """The other chain's answer; `result` is None for a refusal."""
        kind = data.WhichOneof("packet")
        if kind == "lock":
            self._lock_answer(here, data.lock, result)
        elif kind == "equivalence":
            place = here, data.equivalence.contract_id
            made = self.bought[place]
            if self.stage.time_ms >= self.clock(made.level, made.lock.slot).close_ms or made.state != COMMITTED:
                return
            if result is None:
                self._refund(place, made, "error")
                return
            claim = int(trade_packet.EquivalenceResult.FromString(result).claim)
            covered = claim * made.lock.rate.den <= int(data.equivalence.locked) * made.lock.rate.num
            made.claim = claim
            self.expect("trade_active" if covered else "claim_mismatch", place, made.lock.slot, claim=claim)

    def _lock_answer(self, here: str, lock: trade_packet.Lock, result: bytes | None) -> None:
        place = here, lock.contract_id
        made = self.bought[place]
        if self.stage.time_ms >= self.clock(made.level, lock.slot).act_ms or made.state != LOCKED:
            return
        if result is None:
            self._refund(place, made, "error")
            return
        energy = trade_packet.LockResult.FromString(result).energy_mwh
        if not lock.energy_min_mwh <= energy <= lock.energy_mwh:
            return
        kept = self.escrow_for(made, energy)
        self.pay(escrow_of(here), made.owner, made.held - kept)
        made.held, made.energy_mwh, made.state = kept, energy, CONFIRMED
        self.expect("trade_confirmed", place, lock.slot, energy_mwh=energy, escrow=kept)

    def timed_out(self, here: str, data: trade_packet.TradePacketData) -> None:
        """An own packet never arrived."""
        kind = data.WhichOneof("packet")
        if kind not in ("lock", "equivalence"):
            return
        ident = data.lock.contract_id if kind == "lock" else data.equivalence.contract_id
        place = here, ident
        made = self.bought[place]
        clock, now = self.clock(made.level, made.lock.slot), self.stage.time_ms
        counts = (LOCKED, clock.act_ms) if kind == "lock" else (COMMITTED, clock.close_ms)
        if made.state == counts[0] and now < counts[1]:
            self._refund(place, made, "timeout")

    def sent(self, here: str, data: trade_packet.TradePacketData) -> None:
        """An own packet: EQUIVALENCE and SETTLEMENT have to say what this chain's books say."""
        findings = self.stage.findings
        kind = data.WhichOneof("packet")
        if kind == "settlement":
            said, made = data.settlement, self.sold.get((here, data.settlement.contract_id))
            name = f"{self.stage.place}: SETTLEMENT of {said.contract_id.hex()[:12]}"
            verdict = (made.verdict if made else None) or Verdict(lo=0, hi=0, basis=0)
            settled = made is not None and made.state == SETTLED
            wanted = trade_packet.OUTCOME_SETTLED if settled else trade_packet.OUTCOME_CANCELLED
            findings.equal("contracts", f"{name} outcome", wanted, said.outcome)
            got = Verdict(lo=said.lo_mwh, hi=said.hi_mwh, basis=said.basis)
            findings.equal("contracts", f"{name} energy", verdict, got)
        elif kind == "meter":
            own = self.readings.get((here, data.meter.slot))
            findings.equal(
                "contracts", f"{self.stage.place}: METER of slot {data.meter.slot}", own, data.meter.import_mwh
            )

    def forwarded(self, tokens: Tokens) -> bool:
        """Tokens left by ICS-20 without MsgTransfer: whether they are pay that a seller wants at home."""
        found = self.forwards.pop(tokens, None)
        if found is not None:
            self.expect("trade_forwarded", *found, amount=tokens.amount, account=tokens.sender)
        return found is not None

    def not_forwarded(self) -> None:
        """End of a message or of hooks: pay that did not start its way home stays on the seller's account here."""
        for place, slot in self.forwards.values():
            self.expect("trade_forwarded", place, slot, amount=0)
        self.forwards = {}

    # --- what block time does, as hook events announce it -----------------------------------------------------------

    def hook(self, kind: str, values: Mapping[str, str]) -> None:
        """One event of the hooks."""
        if kind == "slot_sealed" and values["voided"] == "true":
            self.voided.add(int(values["slot"]))
        place = values.get("channel_id", ""), bytes.fromhex(values.get("contract_id", ""))
        steps = {
            "trade_refunded": self._clock_refund,
            "trade_committed": self._clock_commit,
            "trade_lapsed": self._clock_lapse,
            "trade_cancelled": self._clock_cancel,
        }
        if kind == "trade_offer" and values.get("state") == "CLOSED":
            self._offer_ends(bytes.fromhex(values["offer_id"]))
        elif kind == "trade_decided":
            self._clock_decide(place[0], int(values["slot"]))
        elif kind in steps:
            contracts = self.sold if kind == "trade_cancelled" else self.bought
            if place in contracts:
                steps[kind](place, contracts[place])

    def _offer_ends(self, offer_id: bytes) -> None:
        found = self.offers.pop(offer_id, None)
        if found is None:
            return
        due = self.clock(found.offer.level, found.offer.slot).act_ms
        self.require(("offer", offer_id), "an offer's end at T_act", self.stage.time_ms >= due)
        self.pay(COLLATERAL, found.seller, found.collateral)

    def _clock_refund(self, place: Place, made: Contract) -> None:
        due = self.clock(made.level, made.lock.slot).act_ms
        self.require(place, "LOCKED or CONFIRMED at T_act", made.state in (LOCKED, CONFIRMED))
        self.require(place, "a refund by the clock from T_act on", self.stage.time_ms >= due)
        self._refund(place, made, "clock")

    def _clock_commit(self, place: Place, made: Contract) -> None:
        clock = self.clock(made.level, made.lock.slot)
        self.require(place, "CONFIRMED before", made.state == CONFIRMED)
        self.require(place, "T_gate <= t < T_act", clock.gate_ms <= self.stage.time_ms < clock.act_ms)
        made.state = COMMITTED
        self.expect("trade_committed", place, made.lock.slot, locked=made.price.cost(made.energy_mwh))

    def _clock_cancel(self, place: Place, made: Contract) -> None:
        clock = self.clock(made.level, made.lock.slot)
        if made.state == ACTIVE:
            ahead = self.stage.time_ms < clock.start_ms and made.lock.slot in self.voided
            self.require(place, "a voided slot whose delivery is ahead", ahead)
        else:
            late = self.stage.time_ms >= clock.act_ms
            self.require(place, "RESERVED at T_act", made.state == RESERVED and late)
        self.pay(COLLATERAL, made.owner, made.held)
        made.held, made.state, made.claim = 0, CANCELLED, 0
        if not self._active(place[0], made.lock.slot):
            self.deliveries.pop((place[0], made.lock.slot), None)
        self.expect("trade_cancelled", place, made.lock.slot, energy_mwh=made.energy_mwh)

    def _clock_decide(self, here: str, slot: int) -> None:
        delivery = self.deliveries.get((here, slot))
        if delivery is None:
            return
        clock = self.clock(LEVEL_MICROGRID, slot)
        due = clock.disp_ms if delivery.state == "DISPUTED" else clock.meter_ms
        self.require((here, b""), "a decision by the clock at T_meter or T_disp", self.stage.time_ms >= due)
        self.decide(here, slot)

    def _clock_lapse(self, place: Place, made: Contract) -> None:
        due = self.clock(made.level, made.lock.slot).close_ms
        self.require(place, "COMMITTED at T_close", made.state == COMMITTED and self.stage.time_ms >= due)
        own = self.readings.get((place[0], made.lock.slot))
        bound = {
            ident: other
            for (channel, ident), other in sorted(self.bought.items())
            if channel == place[0] and other.lock.slot == made.lock.slot
            if other.state in (COMMITTED, SETTLED, LAPSED)
        }
        energies = [other.energy_mwh for other in bound.values()]
        parts = dict(zip(bound, contract.shared(own or 0, energies, energies), strict=True))
        lo = 0 if own is None else parts.get(place[1], 0)
        basis = contract.NOTHING if own is None else contract.IMPORT
        self._release(place, made, Verdict(lo=lo, hi=lo, basis=basis), LAPSED)

    # --- money -------------------------------------------------------------------------------------------------------

    def _metered(self, here: str, slot: int, side: str, total: int) -> None:
        delivery = self.deliveries[here, slot]
        self.expect("trade_metered", (here, b""), slot, side=side, total_mwh=total)
        if delivery.export_mwh is None or delivery.import_mwh is None:
            return
        if self._verdict(here, slot).basis == contract.AGREED:
            self.decide(here, slot)
            return
        delivery.state = "DISPUTED"
        arrived = contract.at_delivery(delivery.export_mwh, self.params.loss_ppm)
        self.expect("trade_disputed", (here, b""), slot, export_mwh=arrived, import_mwh=delivery.import_mwh)

    def _active(self, here: str, slot: int) -> list[tuple[Place, Contract]]:
        found = [(place, made) for place, made in self.sold.items() if place[0] == here and made.lock.slot == slot]
        return sorted((pair for pair in found if pair[1].state == ACTIVE), key=lambda pair: pair[0])

    def _verdict(self, here: str, slot: int) -> Verdict:
        delivery, params = self.deliveries[here, slot], self.params
        energy = sum(made.energy_mwh for _, made in self._active(here, slot))
        tol = contract.tolerance(params.tol_mwh, params.tol_ppm, energy)
        readings = delivery.export_mwh, delivery.import_mwh, delivery.arbiter_mwh
        return contract.judge(readings, params.loss_ppm, tol)

    def decide(self, here: str, slot: int) -> None:
        """Judge the readings and settle every active contract."""
        verdict, active = self._verdict(here, slot), self._active(here, slot)
        self.deliveries[here, slot].state = "DECIDED"
        basis = contract.BASIS_NAMES[verdict.basis]
        self.expect("trade_decided", (here, b""), slot, basis=basis, lo_mwh=verdict.lo, hi_mwh=verdict.hi)
        parts = contract.divided(verdict, [made.energy_mwh for _, made in active])
        for (place, made), part in zip(active, parts, strict=True):
            self._split(place, made, part)

    def _split(self, place: Place, made: Contract, verdict: Verdict) -> None:
        pledge = Pledge(
            price_e4=made.lock.price_e4,
            energy_mwh=made.energy_mwh,
            collateral=made.held,
            penalty_ppm=self.penalty_ppm(made.level),
            pen_tol_ppm=self.params.pen_tol_ppm,
        )
        made.paid, made.verdict = pledge.split(verdict), verdict
        self.pay(COLLATERAL, made.lock.buyer_payee, made.paid["buyer"])
        self.pay(COLLATERAL, POOL, made.paid["pool"])
        self.pay(COLLATERAL, made.owner, made.paid["seller"])
        made.held, made.claim, made.state = 0, 0, SETTLED
        self.expect("trade_settled", place, made.lock.slot, **made.paid, fee=0)

    def _refund(self, place: Place, made: Contract, reason: str) -> None:
        self.pay(escrow_of(place[0]), made.owner, made.held)
        self.expect("trade_refunded", place, made.lock.slot, reason=reason, buyer=made.held)
        made.paid = {"seller": 0, "pool": 0, "fee": 0, "buyer": made.held}
        made.held, made.state = 0, REFUNDED

    def _release(self, place: Place, made: Contract, verdict: Verdict, state: str) -> None:
        parts = contract.payout(made.price, made.held, verdict, self.fee_e4(made.level))
        escrow = escrow_of(place[0])
        accounts = {"seller": made.payee, "pool": POOL, "fee": FEES, "buyer": made.owner}
        for name, amount in parts.items():
            self.pay(escrow, accounts[name], amount)
        made.paid, made.verdict, made.held, made.state = parts, verdict, 0, state
        if made.forward and parts["seller"]:
            pay = Tokens(path=self.params.denom, amount=parts["seller"], sender=made.payee, receiver=made.payee)
            self.forwards[pay] = place, made.lock.slot
        self.expect("trade_lapsed" if state == LAPSED else "trade_settled", place, made.lock.slot, **parts)


def escrow_of(channel: str) -> str:
    """Account that holds a channel's escrows on B."""
    return module_address(f"trade/escrow/{channel}")


def same_price(lock: trade_packet.Lock, offer: trade_packet.Offer) -> bool:
    """Whether a lock repeats its offer's terms."""
    return (lock.slot, lock.price_e4, lock.rate) == (offer.slot, offer.price_e4, offer.rate)
