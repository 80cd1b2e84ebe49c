"""The story of one contract between two chains: its packets with their proofs, its steps, its ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bsmg.audit.packets import PacketKey, key_of, packet_of, written_ack
from bsmg.audit.record import BlockRecord, ChainRecord, EventLike, values_of
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, Message, base_abci, channel, channel_tx, trade, trade_packet, tx

TRADE = "trade"
MATTERS = ("trade_", "claim_mismatch")
DONE = channel_tx.RESPONSE_RESULT_TYPE_SUCCESS
PLAIN = frozenset({"contract_id", "slot", "channel_id", "state", "msg_index", "mode"})
RELAYED = {
    f"/{kind.DESCRIPTOR.full_name}": (kind, station)
    for kind, station in (
        (channel_tx.MsgRecvPacket, "received"),
        (channel_tx.MsgAcknowledgement, "acknowledged"),
        (channel_tx.MsgTimeout, "timed out"),
        (channel_tx.MsgTimeoutOnClose, "timed out"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Where a packet was; `proof_height` is the other chain's header against which it was proven."""

    chain_id: str
    height: int
    time_ms: int
    proof_height: int = 0


@dataclass(slots=True, kw_only=True)
class PacketStory:
    """A packet's stations."""

    kind: str
    source: str
    packet: channel.Packet
    stations: dict[str, Station] = field(default_factory=dict)
    ack: bytes = b""

    def latency_ms(self, station: str) -> int | None:
        """Block time since it was sent, None when it never got there."""
        if "sent" not in self.stations or station not in self.stations:
            return None
        return self.stations[station].time_ms - self.stations["sent"].time_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of state with its money and energy."""

    chain_id: str
    height: int
    time_ms: int
    kind: str
    state: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything about a contract."""

    contract_id: bytes
    seller_chain: str
    buyer_chain: str
    sold: trade.SellerContract | None
    bought: trade.BuyerContract | None
    packets: tuple[PacketStory, ...]
    steps: tuple[Step, ...]

    @property
    def lock(self) -> trade_packet.Lock:
        """What was locked for."""
        known = self.bought or self.sold
        assert known is not None
        return known.lock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Events that belong together: those of one message, or of a block's hooks; with the message, if any."""

    block: BlockRecord
    events: list[EventLike]
    message: Any | None = None
    answer: Any | None = None


def trace(records: Sequence[ChainRecord], prefix: str) -> Story:
    """The contract whose id begins with `prefix` (hexadecimal); raises ToolError unless there is exactly one."""
    wanted = _find(records, prefix.lower().removeprefix("0x"))
    sold = {r.chain_id: item for r in records for item in r.final.sold if item.lock.contract_id == wanted}
    bought = {r.chain_id: item for r in records for item in r.final.bought if item.lock.contract_id == wanted}
    seller, buyer = next(iter(sold.items()), ("", None)), next(iter(bought.items()), ("", None))
    known = buyer[1] if buyer[1] is not None else seller[1]
    assert known is not None
    lock = known.lock
    channels = {name: item.channel_id for name, item in (seller, buyer) if item is not None}
    stories: dict[tuple[str, PacketKey], PacketStory] = {}
    tracers = [_Tracer(record.chain_id, lock, channels.get(record.chain_id, ""), stories) for record in records]
    groups = [[group for block in record.blocks for group in _groups(block)] for record in records]
    steps = [step for tracer, own in zip(tracers, groups, strict=True) for group in own for step in tracer.look(group)]
    for tracer, own in zip(tracers, groups, strict=True):  # once all that was sent is known
        for group in own:
            tracer.relayed(group)
    return Story(
        contract_id=wanted,
        seller_chain=seller[0],
        buyer_chain=buyer[0],
        sold=seller[1],
        bought=buyer[1],
        packets=tuple(sorted(stories.values(), key=_first_time)),
        steps=tuple(sorted(steps, key=lambda step: (step.time_ms, step.chain_id, step.height))),
    )


def _first_time(story: PacketStory) -> int:
    return min((station.time_ms for station in story.stations.values()), default=0)


def _find(records: Iterable[ChainRecord], prefix: str) -> bytes:
    sold = {bytes(item.lock.contract_id) for record in records for item in record.final.sold}
    every = sold | {bytes(item.lock.contract_id) for record in records for item in record.final.bought}
    found = sorted(ident for ident in every if ident.hex().startswith(prefix))
    if len(found) != 1:
        shown = ", ".join(ident.hex()[:12] for ident in (found or sorted(every))[:12]) or "none at all"
        raise ToolError(
            f"contract {prefix!r}: expected one of {len(every)} contracts, got {len(found)}; there are {shown}"
        )
    return found[0]


def _groups(block: BlockRecord) -> Iterator[_Group]:
    yield _Group(block=block, events=list(block.hook_events))
    for item in block.txs:
        if item.code:
            continue
        body = tx.TxBody.FromString(tx.TxRaw.FromString(item.raw).body_bytes)
        answers = base_abci.TxMsgData.FromString(item.data).msg_responses
        for at, (message, answer) in enumerate(zip(body.messages, answers, strict=False)):
            own = [event for event in item.events if values_of(event).get("msg_index") == str(at)]
            yield _Group(block=block, events=own, message=message, answer=answer)


class _Tracer:
    """One chain's part of the story; packets' stories are shared with the other chain's."""

    def __init__(
        self,
        chain_id: str,
        lock: trade_packet.Lock,
        channel_id: str,
        stories: dict[tuple[str, PacketKey], PacketStory],
    ) -> None:
        self.chain_id, self.lock, self.channel_id, self.stories = chain_id, lock, channel_id, stories

    def look(self, group: _Group) -> Iterator[Step]:
        """Note packets, and give the steps of the contract."""
        about = any(self._names(event) for event in group.events)
        for event in group.events:
            if event.type == "send_packet":
                self._sent(group.block, packet_of(values_of(event)), about=about)
            elif event.type.startswith(MATTERS) and (self._names(event) or self._of_delivery(event)):
                yield self._step(group.block, event)

    def _names(self, event: EventLike) -> bool:
        values = values_of(event)
        mine = values.get("offer_id") == self.lock.offer_id.hex() and event.type == "trade_offer"
        return mine or values.get("contract_id") == self.lock.contract_id.hex()

    def _of_delivery(self, event: EventLike) -> bool:
        values = values_of(event)
        place = values.get("channel_id"), values.get("slot"), values.get("contract_id")
        return place == (self.channel_id, str(self.lock.slot), "") and event.type != "trade_offer"

    def _step(self, block: BlockRecord, event: EventLike) -> Step:
        values = values_of(event)
        return Step(
            chain_id=self.chain_id,
            height=block.height,
            time_ms=block.time_ms,
            kind=event.type.removeprefix("trade_"),
            state=values.get("state", ""),
            details=" ".join(f"{name}={value}" for name, value in values.items() if name not in PLAIN),
        )

    def _kind(self, packet: channel.Packet) -> str:
        """What a trade packet is to this contract; empty when nothing."""
        if packet.source_port != TRADE:
            return ""
        data = trade_packet.TradePacketData.FromString(packet.data)
        kind = data.WhichOneof("packet") or ""
        inner: Message = getattr(data, kind)
        if kind == "offer":
            return kind.upper() if data.offer.offer_id == self.lock.offer_id else ""
        if kind == "meter":
            return kind.upper() if data.meter.slot == self.lock.slot and self._end(packet) else ""
        return kind.upper() if getattr(inner, "contract_id", b"") == self.lock.contract_id else ""

    def _end(self, packet: channel.Packet) -> bool:
        return self.channel_id in (packet.source_channel, packet.destination_channel)

    def _sent(self, block: BlockRecord, packet: channel.Packet, *, about: bool) -> None:
        forwarded = "ICS-20" if about and packet.source_port == "transfer" else ""
        kind = self._kind(packet) or forwarded
        if kind:
            story = PacketStory(kind=kind, source=self.chain_id, packet=packet)
            story.stations["sent"] = self._station(block)
            self.stories[self.chain_id, key_of(packet)] = story

    def _station(self, block: BlockRecord, proof_height: int = 0) -> Station:
        return Station(chain_id=self.chain_id, height=block.height, time_ms=block.time_ms, proof_height=proof_height)

    def relayed(self, group: _Group) -> None:
        """Note what a relayer brought, on this chain, of packets that are part of the story."""
        if group.message is None or group.answer is None or group.message.type_url not in RELAYED:
            return
        kind, name = RELAYED[group.message.type_url]
        message = kind.FromString(group.message.value)
        if channel_tx.MsgRecvPacketResponse.FromString(group.answer.value).result != DONE:
            return  # all three answers have the same form
        for story in self.stories.values():
            here = story.source == self.chain_id
            if here == (name != "received") and story.packet == message.packet:
                story.stations[name] = self._station(group.block, message.proof_height.revision_height)
                story.ack = getattr(message, "acknowledgement", b"") or written_ack(group.events, message.packet)
