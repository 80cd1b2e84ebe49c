"""Two chains in one process with a mock of IBC between them: receipts, acknowledgements, timeouts, frozen clients.

What a chain has sent, received and acknowledged lies in its `ibc` store, so that a transaction that fails undoes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import REGISTRY, ChainError, declare
from cosmos_wire.protos import channel, trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import Trade, keys, packets, pay, records
from energy.trade.module import VERSION
from ibc_core import bank
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, MemoryStore
from ibc_core.router import Handshake, Outgoing

MockInactive = REGISTRY.get(("mock", 2)) or declare("mock", 2, "MockInactive", "client is not active")


def account(label: str) -> str:
    """A test account's address."""
    return to_bech32(sha256(label.encode()).digest()[:20])


@dataclass
class Gate:
    """A slot gate that a test sets."""

    verdict: bool | None = True

    def passed(self, *_: object) -> bool | None:
        return self.verdict


@dataclass
class Around:
    """What a test says of the rest of the chain: who is behind the channel, which slots were voided."""

    behind: str = ""
    void: frozenset[int] = frozenset()

    def peer(self, *_: object) -> str:
        return self.behind

    def voided(self, _: Context, slot: int) -> bool:
        return slot in self.void


class MockSender:
    """ICS-04 sending: a commitment with its data and timeout; refused while the client is frozen."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def send_packet(self, ctx: Context, packet: Outgoing) -> int:
        if self.chain.frozen:
            raise MockInactive(f"the client on {self.chain.chain_id} is frozen")
        sequence = int(ctx.ibc.get(b"next") or b"1")
        ctx.ibc.set(b"next", str(sequence + 1).encode())
        kept = packet.timeout_ns.to_bytes(8, "big") + packet.channel_id.encode().rjust(32) + packet.data
        ctx.ibc.set(b"out/" + sequence.to_bytes(8, "big"), kept)
        ctx.ibc.set(b"log/" + sequence.to_bytes(8, "big"), kept)
        return sequence


@dataclass
class Forwards:
    """Notes what would be forwarded."""

    orders: list[object] = field(default_factory=list)
    broken: bool = False

    def forward(self, _: Context, order: object) -> None:
        if self.broken:
            raise MockInactive("no transfer channel")
        self.orders.append(order)


@dataclass(frozen=True)
class Sent:
    """A packet as its sender keeps it."""

    sequence: int
    timeout_ns: int
    channel_id: str
    data: bytes

    @property
    def body(self) -> pk.TradePacketData:
        return packets.decode(self.data)

    @property
    def kind(self) -> str:
        return self.body.WhichOneof("packet") or ""


class Chain:
    """One chain with the real trade module on memory stores."""

    def __init__(self, chain_id: str, denom: str) -> None:
        self.chain_id, self.denom = chain_id, denom
        self.app, self.ibc = MemoryStore(), MemoryStore()
        self.gate, self.forwards = Gate(), Forwards()
        self.around = Around()
        self.trade = Trade(MockSender(self), self.gate, self.forwards, self.around)
        self.time_ms, self.height, self.frozen = 1, 1, False
        self.utility = account(f"{chain_id}/utility")
        self.events: list[Event] = []
        self.channel_id = "channel-1"
        self.counterparty = "channel-1"

    def context(self) -> Context:
        env = BlockEnv(chain_id=self.chain_id, height=self.height, time_ns=self.time_ms * 1_000_000)
        return Context(env=env, app=self.app, ibc=self.ibc, events=EventLog(), gas=FreeGas())

    def run(self, work: Callable[[Context], object]) -> object:
        """As a transaction: all or nothing."""
        ctx = self.context()
        with ctx.branch() as branch:
            answer = work(branch)
        self.events += ctx.events.events
        return answer

    def start(self, params: trade.Params, funds: dict[str, int]) -> None:
        doc = {"params": as_json(params)}
        self.run(lambda ctx: self.trade.init_genesis(ctx, doc))
        for holder, amount in funds.items():
            self.run(lambda ctx, h=holder, a=amount: bank.mint(ctx, raw(h), (self.denom, a)))
        self.open_channel(self.channel_id)

    def open_channel(self, channel_id: str) -> None:
        shake = Handshake(
            port_id="trade",
            channel_id=channel_id,
            ordering=channel.ORDER_UNORDERED,
            connection_hops=("connection-0",),
            counterparty_port_id="trade",
            counterparty_channel_id="",
            version=VERSION,
        )
        self.run(lambda ctx: self.trade.on_chan_open_init(ctx, shake))
        self.run(lambda ctx: self.trade.on_chan_open_ack(ctx, shake))

    def block(self, time_ms: int, heights: int = 1) -> None:
        """A new block: the sweeps run."""
        assert time_ms >= self.time_ms
        self.time_ms, self.height = time_ms, self.height + heights
        self.run(self.trade.begin_block)

    def deliver(self, msg: object) -> object:
        """Execute a message through its route, as the host does."""
        route = self.trade.messages()[f"/{msg.DESCRIPTOR.full_name}"]
        return self.run(lambda ctx: route.handle(ctx, msg))

    def query(self, request: object) -> object:
        """Answer a query through its route."""
        name = request.DESCRIPTOR.name.removeprefix("Query").removesuffix("Request")
        return self.trade.queries()[f"/bsmg.trade.v1.Query/{name}"].handle(self.context(), request)

    def balance(self, holder: str | bytes) -> int:
        return bank.balance(self.context(), raw(holder), self.denom)

    def module_balance(self, name: str) -> int:
        return self.balance(bank.module_address(name))

    def escrow(self) -> int:
        return self.balance(pay.escrow_address(self.channel_id))

    def sold(self, contract_id: bytes) -> trade.SellerContract | None:
        return records.load(self.context(), keys.seller(self.channel_id, contract_id), trade.SellerContract)

    def bought(self, contract_id: bytes) -> trade.BuyerContract | None:
        return records.load(self.context(), keys.buyer(self.channel_id, contract_id), trade.BuyerContract)

    def logged(self) -> list[Sent]:
        """Everything that was ever sent."""
        return [parse_sent(key[4:], value) for key, value in self.ibc.iterate(b"log/")]

    def pending(self) -> list[Sent]:
        """What is committed and neither acknowledged nor timed out."""
        return [parse_sent(key[4:], value) for key, value in self.ibc.iterate(b"out/")]

    def ack_of(self, sequence: int) -> bytes | None:
        """The acknowledgement written for a received sequence."""
        return self.ibc.get(b"ack/" + sequence.to_bytes(8, "big"))

    def last(self, kind: str) -> Sent:
        return [sent for sent in self.logged() if sent.kind == kind][-1]

    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    def snapshot(self) -> tuple[dict[bytes, bytes], dict[bytes, bytes], tuple[object, ...]]:
        return dict(self.app.data), dict(self.ibc.data), (self.time_ms, self.height, self.frozen, self.gate.verdict)

    def restore(self, kept: tuple[dict[bytes, bytes], dict[bytes, bytes], tuple[object, ...]]) -> None:
        for store, data in ((self.app, kept[0]), (self.ibc, kept[1])):
            store.data, store.keys = dict(data), sorted(data)
        self.time_ms, self.height, self.frozen, self.gate.verdict = kept[2]  # type: ignore[assignment]  # a tuple of four


def parse_sent(key: bytes, value: bytes) -> Sent:
    return Sent(
        sequence=int.from_bytes(key, "big"),
        timeout_ns=int.from_bytes(value[:8], "big"),
        channel_id=value[8:40].decode().strip(),
        data=value[40:],
    )


def raw(holder: str | bytes) -> bytes:
    from cosmos_wire.address import from_bech32

    return from_bech32(holder) if isinstance(holder, str) else holder


def as_json(params: trade.Params) -> dict[str, object]:
    from google.protobuf import json_format

    return json_format.MessageToDict(params, preserving_proto_field_name=True)


def packet_of(sender: Chain, sent: Sent) -> channel.Packet:
    return channel.Packet(
        sequence=sent.sequence,
        source_port="trade",
        source_channel=sent.channel_id,
        destination_port="trade",
        destination_channel=sender.counterparty,
        data=sent.data,
        timeout_timestamp=sent.timeout_ns,
    )


@dataclass
class Net:
    """The relayer's moves, with the checks that IBC core makes; each can be switched off by name in `without`."""

    without: frozenset[str] = frozenset()

    def receive(self, sender: Chain, receiver: Chain, sent: Sent) -> bytes | None:
        """Deliver; None: refused by IBC (frozen, receipt, timeout)."""
        if receiver.frozen:
            return None
        if receiver.ack_of(sent.sequence) is not None and f"receipt {sent.kind}" not in self.without:
            return None
        if receiver.time_ms * 1_000_000 >= sent.timeout_ns and f"timeout {sent.kind}" not in self.without:
            return None
        packet = packet_of(sender, sent)
        try:
            ack = receiver.run(lambda ctx: receiver.trade.on_recv_packet(ctx, packet, ""))
        except ChainError as error:
            ack = packets.encode_ack(packets.Ack(error_code=error.code))
        assert isinstance(ack, bytes)
        receiver.ibc.set(b"ack/" + sent.sequence.to_bytes(8, "big"), ack)
        return ack

    def acknowledge(self, sender: Chain, receiver: Chain, sent: Sent) -> bool:
        """Bring the acknowledgement back; False: refused by IBC."""
        ack = receiver.ack_of(sent.sequence)
        if sender.frozen or ack is None or not self._committed(sender, sent):
            return False
        self._close(sender, sent, b"1")
        sender.run(lambda ctx: sender.trade.on_acknowledge_packet(ctx, packet_of(sender, sent), ack))
        return True

    def timeout(self, sender: Chain, receiver: Chain, sent: Sent) -> bool:
        """Prove that the packet was not received in time; False: refused by IBC."""
        if sender.frozen or not self._committed(sender, sent):
            return False
        if receiver.ack_of(sent.sequence) is not None and "absence" not in self.without:
            return False
        if receiver.time_ms * 1_000_000 < sent.timeout_ns and "time" not in self.without:
            return False
        self._close(sender, sent, b"2")
        sender.run(lambda ctx: sender.trade.on_timeout_packet(ctx, packet_of(sender, sent)))
        return True

    def _committed(self, sender: Chain, sent: Sent) -> bool:
        return sender.ibc.get(b"out/" + sent.sequence.to_bytes(8, "big")) is not None

    @staticmethod
    def _close(sender: Chain, sent: Sent, how: bytes) -> None:
        sender.ibc.delete(b"out/" + sent.sequence.to_bytes(8, "big"))
        sender.ibc.set(b"end/" + sent.sequence.to_bytes(8, "big"), how)

    def relay(self, a: Chain, b: Chain) -> int:
        """Everything that can be moved now, both ways; returns how many moves were made."""
        moves = 0
        for sender, receiver in ((a, b), (b, a)):
            for sent in sender.pending():
                received = self.receive(sender, receiver, sent) is not None
                answered = self.acknowledge(sender, receiver, sent) or self.timeout(sender, receiver, sent)
                moves += received + answered
        return moves


# A pair with round numbers

SLOT = 1_000


def small_params(utility: str, denom: str, **changes: object) -> trade.Params:
    """One-second steps: slot 100 s, window 100 s; T_lock T0-30 s, T_gate T0-28 s, T_act T0-15 s."""
    windows = {"meter_ms": 20_000, "disp_ms": 40_000, "close_ms": 60_000}
    base = trade.Params(
        level2=trade.LevelClock(lock_permille=300, gate_permille=280, act_permille=150, fee_e4=1500, **windows),
        level3=trade.LevelClock(lock_permille=78, gate_permille=67, act_permille=33, fee_e4=2500, **windows),
        finality_blocks=1,
        max_skew_s=10,
        tol_ppm=20_000,
        tol_mwh=1_000,
        pen_tol_ppm=50_000,
        penalty_ppm=200_000,
        line_max_mwh=10**9,
        forward_timeout_s=600,
        utility=utility,
        denom=denom,
        slot_ms=100_000,
        window_ms=100_000,
        floor_e4=500,
        cap_e4=4_000,
        sweeps_per_block=256,
        buyer_identity=f"utility@{denom}",
    )
    return changed(base, changes)


@dataclass
class Pair:
    """S sells, B buys."""

    s: Chain
    b: Chain
    net: Net

    @property
    def t0(self) -> int:
        return SLOT * 100_000

    def time(self, time_ms: int) -> None:
        """A block on each chain at a time."""
        self.s.block(time_ms)
        self.b.block(time_ms)

    def relay(self) -> None:
        while self.net.relay(self.s, self.b):
            pass

    def offer(self, **changes: object) -> bytes:
        answer = self.s.deliver(offer_msg(self.s, **changes))
        self.net.receive(self.s, self.b, self.s.last("offer"))
        return answer.offer_id

    def lock(self, offer_id: bytes, **changes: object) -> bytes:
        return self.b.deliver(lock_msg(self.b, offer_id, **changes)).contract_id

    def reach_committed(self, **changes: object) -> bytes:
        """Offer, lock, confirm, gate: EQUIVALENCE is sent, not yet received."""
        self.time(self.t0 - 100_000)
        ident = self.lock(self.offer(**changes))
        self.relay()
        self.time(self.t0 - 28_000)
        return ident

    def reach_active(self, **changes: object) -> bytes:
        ident = self.reach_committed(**changes)
        self.relay()
        return ident

    def reach_metering(self, **changes: object) -> bytes:
        ident = self.reach_active(**changes)
        self.time(self.t0 + 100_000)
        return ident


def offer_msg(chain: Chain, **changes: object) -> trade_tx.MsgPostOffer:
    msg = trade_tx.MsgPostOffer(
        seller=chain.utility,
        channels=[chain.channel_id],
        slot=SLOT,
        energy_mwh=1_000_000,
        price_e4=2_000,
        rate=pk.Rate(num=2, den=3),
        level=2,
        seller_payee=account("payee on B"),
    )
    return changed(msg, changes)


def lock_msg(chain: Chain, offer_id: bytes, **changes: object) -> trade_tx.MsgLock:
    msg = trade_tx.MsgLock(
        buyer=chain.utility,
        channel_id=chain.channel_id,
        offer_id=offer_id,
        energy_mwh=1_000_000,
        energy_min_mwh=1,
        buyer_payee=account("payee on S"),
    )
    return changed(msg, changes)


def reading_msg(chain: Chain, total_mwh: int, **changes: object) -> trade_tx.MsgPostReading:
    msg = trade_tx.MsgPostReading(
        utility=chain.utility, channel_id=chain.channel_id, slot=SLOT, total_mwh=total_mwh, meters_root=bytes(32)
    )
    return changed(msg, changes)


def changed(msg, changes):  # type: ignore[no-untyped-def]  # any message
    for name, value in changes.items():
        if name in {"rate", "level2", "level3"}:
            getattr(msg, name).CopyFrom(value)
        elif name in {"channels", "arbiters"}:
            del getattr(msg, name)[:]
            getattr(msg, name).extend(value)
        else:
            setattr(msg, name, value)
    return msg


FUNDS = 10**15


def new_pair(**changes: object) -> Pair:
    s, b = Chain("mga-1", "bmga"), Chain("mgb-1", "bmgb")
    for chain in (s, b):
        chain.start(small_params(chain.utility, chain.denom, **changes), {chain.utility: FUNDS})
    s.around.behind, b.around.behind = b.chain_id, s.chain_id
    return Pair(s=s, b=b, net=Net())
