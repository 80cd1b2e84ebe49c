"""The real handlers of two chains, driven by the labels of the model and read back as a state of the model."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import buyer, delivery_book, keys, offers, outcome, records

from . import model as m
from .pair import Chain, Net, Sent, account, lock_msg, offer_msg, reading_msg, small_params

TICK_MS, SLOT = 100_000, 299
LATE = 10**6  # finality of the walks: EQUIVALENCE goes when a walk says so, not in the next block
ENDS = {"trade_settled", "trade_refunded", "trade_lapsed"}
ARBITER = account("arbiter")


def world_params(utility: str, denom: str, close_ms: int = 4 * TICK_MS) -> trade.Params:
    """The model's ticks and numbers: price 3, rate 2/3, tolerance 1, half the price as penalty, no fee."""
    clock = trade.LevelClock(lock_permille=199, gate_permille=199, act_permille=99)
    clock.meter_ms, clock.disp_ms, clock.close_ms = TICK_MS, 2 * TICK_MS, close_ms
    return small_params(
        utility,
        denom,
        level2=clock,
        level3=clock,
        finality_blocks=LATE,
        max_skew_s=TICK_MS // 1000,
        tol_ppm=0,
        tol_mwh=m.TOL,
        pen_tol_ppm=334_000,
        penalty_ppm=500_000,
        line_max_mwh=100,
        slot_ms=1000,
        window_ms=1_000_000,
        floor_e4=0,
        arbiters=[trade.ArbiterEntry(channel_id="channel-1", account=ARBITER)],
    )


class BlockFailed(Exception):  # noqa: N818  (a finding, not an error of the test)
    """A sweep raised: on a chain no block would follow."""


@dataclass
class Extras:
    """What a state has beside the stores."""

    truth: int
    clients: tuple[int, int] = (0, 0)
    gates: tuple[int, int] = (0, 0)
    released: tuple[int, ...] = (0, 0)


class World:
    """A pair of chains at some state."""

    def __init__(self, bounds: m.Bounds, truth: int, without: frozenset[str] = frozenset()) -> None:
        close_ms = 2 * TICK_MS if "close after outcome" in without else 4 * TICK_MS
        self.bounds, self.extras, self.net = bounds, Extras(truth=truth), Net(without=without)
        self.s, self.b = Chain("mga-1", "bmga"), Chain("mgb-1", "bmgb")
        for chain, funds in ((self.s, m.SELLER0), (self.b, m.BUYER0)):
            chain.time_ms, chain.gate.verdict = 0, None
            chain.start(world_params(chain.utility, chain.denom, close_ms), {chain.utility: funds})
        ask = {"slot": SLOT, "energy_mwh": bounds.offer, "price_e4": m.PRICE, "rate": pk.Rate(num=m.NUM, den=m.DEN)}
        self.offer_id = self.s.deliver(offer_msg(self.s, **ask)).offer_id
        self.net.receive(self.s, self.b, self.s.last("offer"))
        pairs = sorted((self._contract_id(nonce), nonce) for nonce in range(bounds.contracts))
        self.idents, self.nonces = [i for i, _ in pairs], [n for _, n in pairs]

    def _contract_id(self, nonce: int) -> bytes:
        return offers.digest(b"mgb-1", self.offer_id, self.b.utility.encode(), keys.u64(nonce))

    def snapshot(self) -> tuple[object, ...]:
        x = self.extras
        return self.s.snapshot(), self.b.snapshot(), Extras(x.truth, x.clients, x.gates, x.released)

    def restore(self, kept: tuple[object, ...]) -> None:
        self.s.restore(kept[0])
        self.b.restore(kept[1])
        x = kept[2]
        self.extras = Extras(x.truth, x.clients, x.gates, x.released)

    # Moves

    def apply(self, label: str) -> bool:
        """Do what a label says with the real handlers; False: refused, nothing changed."""
        words = label.split()
        before = len(self.b.events)
        try:
            done = getattr(self, f"_{words[0].lower()}_{words[1]}")(*words[2:])
        except ChainError as error:
            if words[1] == "block":
                raise BlockFailed(f"{label}: {error}") from error
            done = False
        self._count_releases(before)
        return done is not False

    def _count_releases(self, before: int) -> None:
        counts = list(self.extras.released)
        for event in self.b.events[before:]:
            ident = bytes.fromhex(dict(event.attributes).get("contract_id", ""))
            if event.type in ENDS and ident in self.idents:
                counts[self.idents.index(ident)] += 1
        del self.b.events[:], self.s.events[:]
        self.extras.released = tuple(counts)

    def _s_block(self, tick: str, _: str, gate: str) -> None:
        self.extras.gates = (int(gate), self.extras.gates[1])
        self._block(self.s, int(tick), int(gate))

    def _b_block(self, tick: str, _: str, gate: str) -> None:
        self.extras.gates = (self.extras.gates[0], int(gate))
        self._block(self.b, int(tick), int(gate))

    @staticmethod
    def _block(chain: Chain, tick: int, gate: int) -> None:
        chain.gate.verdict = {0: None, 1: True, 2: False}[gate]
        chain.block(tick * TICK_MS, heights=0)

    def _client_S(self, state: str) -> None:
        self.extras.clients = (int(state), self.extras.clients[1])
        self.s.frozen = int(state) == m.FROZEN

    def _client_B(self, state: str) -> None:
        self.extras.clients = (self.extras.clients[0], int(state))
        self.b.frozen = int(state) == m.FROZEN

    def sent(self, chain: Chain, kind: str, index: int = 0) -> Sent | None:
        """The packet of a kind, of a contract; the last one if there are several."""
        found = [p for p in chain.logged() if p.kind == kind and self._is_of(p, index)]
        return found[-1] if found else None

    def _is_of(self, sent: Sent, index: int) -> bool:
        body = getattr(sent.body, sent.kind)
        return sent.kind in {"offer", "meter"} or body.contract_id == self.idents[index]

    def _s_recv(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.b, kind.lower(), int(index))
        return sent is not None and self.net.receive(self.b, self.s, sent) is not None

    def _b_recv(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.s, kind.lower(), int(index))
        return sent is not None and self.net.receive(self.s, self.b, sent) is not None

    def _b_ack(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.b, kind.lower(), int(index))
        return sent is not None and self.net.acknowledge(self.b, self.s, sent)

    def _b_timeout(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.b, kind.lower(), int(index))
        return sent is not None and self.net.timeout(self.b, self.s, sent)

    def _s_ack(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.s, kind.lower(), int(index))
        return sent is not None and self.net.acknowledge(self.s, self.b, sent)

    def _s_timeout(self, kind: str, index: str = "0") -> bool:
        sent = self.sent(self.s, kind.lower(), int(index))
        return sent is not None and self.net.timeout(self.s, self.b, sent)

    def _s_remove(self, index: str) -> None:
        self.s.run(lambda ctx: self.s.trade.remove(ctx, "channel-1", self.idents[int(index)]))

    def _s_resend(self, _: str, index: str) -> None:
        ident = self.idents[int(index)]
        self.s.deliver(trade_tx.MsgResend(sender=account("x"), channel_id="channel-1", contract_id=ident, slot=SLOT))

    def _b_resend(self, _: str) -> None:
        self.b.deliver(trade_tx.MsgResend(sender=account("x"), channel_id="channel-1", slot=SLOT))

    def _s_export(self, total: str) -> None:
        self.s.deliver(reading_msg(self.s, int(total), slot=SLOT))

    def _b_import(self, total: str) -> None:
        self.b.deliver(reading_msg(self.b, int(total), slot=SLOT))

    def _s_arbiter(self) -> None:
        msg = trade_tx.MsgPostArbiterReading(arbiter=ARBITER, channel_id="channel-1", slot=SLOT)
        msg.total_mwh = self.extras.truth
        self.s.deliver(msg)

    def _b_lock(self, index: str) -> None:
        changes = {"energy_mwh": m.WANT, "energy_min_mwh": m.LEAST, "nonce": self.nonces[int(index)]}
        self.b.deliver(lock_msg(self.b, self.offer_id, **changes))

    def _b_send(self, _: str, index: str) -> bool:
        """A block in which the contract is final: its entry of the gate sweep runs."""
        due = keys.Due(
            time_ms=self.b.time_ms,
            kind=keys.DueKind.BUYER_GATE,
            channel_id="channel-1",
            slot=SLOT,
            ident=self.idents[int(index)],
        )
        if self.b.bought(due.ident) is None:
            return False
        before = len(self.b.logged())
        self.b.height += 2 * LATE
        self.b.run(lambda ctx: buyer.gate_due(ctx, self.b.trade.ports, due))
        self.b.height -= 2 * LATE
        return len(self.b.logged()) > before

    # Read back

    def read(self) -> m.State:
        """The state as the model would write it."""
        g = [0] * (m.BASE + m.WIDTH * self.bounds.contracts)
        for index in range(self.bounds.contracts):
            self._read_contract(g, index)
        self._read_chains(g)
        self._read_meters(g)
        self._read_money(g)
        return tuple(g)

    def _read_chains(self, g: list[int]) -> None:
        g[m.TS], g[m.TB] = self.s.time_ms // TICK_MS, self.b.time_ms // TICK_MS
        g[m.FS], g[m.FB] = self.extras.clients
        g[m.HS], g[m.HB] = self.extras.gates
        g[m.TRUE] = self.extras.truth

    def _read_meters(self, g: list[int]) -> None:
        delivery = delivery_book.find(self.s.context(), "channel-1", SLOT)
        own = outcome.find_reading(self.b.context(), "channel-1", SLOT)
        meter = self.sent(self.b, "meter")
        received = meter is not None and self.s.ack_of(meter.sequence) is not None
        g[m.OWN] = own.import_mwh if own else -1
        g[m.MP] = m.OK if received else m.SENT if own and own.sent else m.UNSENT
        g[m.M] = g[m.OWN] if received else -1
        g[m.X] = g[m.A] = -1
        if delivery is not None:
            g[m.DEC] = int(delivery.state == trade.DELIVERY_STATE_DECIDED)
            g[m.X] = delivery.export_mwh if delivery.HasField("export_mwh") else -1
            g[m.A] = delivery.arbiter_mwh if delivery.HasField("arbiter_mwh") else -1

    def _read_money(self, g: list[int]) -> None:
        s, b = self.s, self.b
        offer = records.load(s.context(), keys.offer(self.offer_id), trade.OfferRecord)
        g[m.OFF] = self.bounds.offer - sum(g[c + m.e_] for c in range(m.BASE, len(g), m.WIDTH))
        if offer is not None:
            g[m.OFF], g[m.OCOL] = offer.remaining_mwh, int(offer.collateral)
        g[m.COL], g[m.POOL_S] = s.module_balance("trade/collateral"), s.module_balance("trade/pool")
        g[m.SEL_S], g[m.BUY_S] = s.balance(s.utility), s.balance(account("payee on S"))
        g[m.ESC], g[m.POOL_B] = b.escrow(), b.module_balance("trade/pool")
        g[m.SEL_B], g[m.BUY_B] = b.balance(account("payee on B")), b.balance(b.utility)

    def _read_contract(self, g: list[int], index: int) -> None:
        c = m.BASE + m.WIDTH * index
        sold, bought = self.s.sold(self.idents[index]), self.b.bought(self.idents[index])
        if sold is not None:
            g[c + m.s_], g[c + m.e_] = sold.state, sold.energy_mwh
            g[c + m.col_], g[c + m.claim_] = int(sold.collateral), int(sold.claim)
            g[c + m.lo_], g[c + m.hi_] = sold.settlement.lo_mwh, sold.settlement.hi_mwh
        if bought is not None:
            g[c + m.b_], g[c + m.eb_], g[c + m.esc_] = bought.state, bought.energy_mwh, int(bought.escrow)
            g[c + m.blo_], g[c + m.bhi_] = bought.settlement.lo_mwh, bought.settlement.hi_mwh
        g[c + m.out_] = self.extras.released[index]
        g[c + m.L_], g[c + m.Ld_] = self._packet(self.b, self.s, "lock", index)
        g[c + m.Q_], g[c + m.Qd_] = self._packet(self.b, self.s, "equivalence", index)
        g[c + m.T_], _ = self._packet(self.s, self.b, "settlement", index)

    def _packet(self, sender: Chain, receiver: Chain, kind: str, index: int) -> tuple[int, int]:
        """(what its receiver knows, what its sender knows) of a packet."""
        sent = self.sent(sender, kind, index)
        if sent is None:
            return m.UNSENT, m.PENDING
        ack = receiver.ack_of(sent.sequence)
        end = int(sender.ibc.get(b"end/" + sent.sequence.to_bytes(8, "big")) or b"0")
        if ack is None:
            return m.SENT, end
        return (m.OK if ack.startswith(b'{"result"') else m.ERR), end
