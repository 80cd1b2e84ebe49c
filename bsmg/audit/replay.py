"""Runs a recorded chain again: every block's hooks and transactions move the audit's own books."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any as Json

from bsmg.audit.attestations import of_answer, of_receipt, of_timeout
from bsmg.audit.ballot import SUBJECT as BALLOTS
from bsmg.audit.cells import Cells
from bsmg.audit.fabric.check import Follower
from bsmg.audit.ledger import FEE_COLLECTOR
from bsmg.audit.market import Market
from bsmg.audit.packets import Arrival, PacketBook, key_of, packet_of, result_of, written_ack
from bsmg.audit.record import BlockRecord, ChainRecord, EventLike, TxRecord, of_kind, values_of
from bsmg.audit.signers import Signers, signers_of
from bsmg.audit.stage import stage_of
from bsmg.audit.trade import PORT as TRADE
from bsmg.audit.trade import Trade
from bsmg.audit.transfer import PORT as TRANSFER
from bsmg.audit.transfer import Tokens, Transfers
from bsmg.audit.votes import FIRST_BYTE, enabled_from, heard
from cosmos_wire.protos import (
    Any,
    DecodeError,
    bank_tx,
    base_abci,
    channel,
    channel_tx,
    client_tx,
    market_tx,
    meter_tx,
    registry_tx,
    trade_packet,
    trade_tx,
    transfer_tx,
    tx,
)

Events = list[EventLike]

BEGIN, END = "BeginBlock", "EndBlock"
DONE = channel_tx.RESPONSE_RESULT_TYPE_SUCCESS
# Messages that move no coins and that the replay needs not to follow.
SILENT = (
    "/cosmos.feegrant.v1beta1.",
    "/ibc.core.client.v1.",
    "/ibc.core.connection.v1.",
    "/ibc.core.channel.v1.MsgChannel",
    "/bsmg.registry.v1.MsgUpdateParams",
    "/bsmg.market.v1.MsgPostOptimality",
    "/bsmg.trade.v1.MsgResend",
    "/bsmg.trade.v1.MsgPostReputation",
)


class Replay:
    """One chain's books, from genesis to the last block of its record."""

    def __init__(self, record: ChainRecord) -> None:
        self.record = record
        self.stage = stage_of(record.chain_id)
        self.cells = Cells(self.stage)
        self.market = Market(self.stage, self.cells)
        self.trade = Trade(self.stage)
        self.transfers = Transfers(self.stage)
        self.packets = PacketBook()
        self.signers = Signers(self.stage, record.final.accounts)
        self.follower: Follower | None = None  # of the ledger below, on Fabric
        self._transferring = False
        self._before: BlockRecord | None = None
        self._extended_from = enabled_from(record)
        self._handlers = self._table()

    def run(self) -> Replay:
        """Genesis, then every block."""
        state = self.record.app_state
        self.stage.ledger.load(state)
        self.cells.load(state.get("registry", {}))
        self.market.load(state["market"])
        self.trade.load(state["trade"])
        for block in self.record.blocks:
            self._block(block)
        return self

    def _block(self, block: BlockRecord) -> None:
        self.stage.at(block.height, block.time_ns)
        hooks: dict[str, Events] = defaultdict(list)
        for event in block.hook_events:
            hooks[values_of(event).get("mode", "")].append(event)
        if not self.record.on_fabric:
            self._votes(block)
        self.market.begin_block()
        for event in hooks[BEGIN]:
            with self.stage.findings.surviving("transactions", f"{self.stage.place}: {event.type}"):
                self._hook(event)
        self.trade.not_forwarded()
        self.stage.expect.compare(self.stage.place, hooks[BEGIN])
        for index, item in enumerate(block.txs):
            place = f"{self.stage.place} transaction {index}"
            with self.stage.findings.surviving("transactions", place):
                self._transaction(place, item)
            self.stage.expect.waiting = []  # of a message that ended early
        self.market.end_block()
        self.stage.expect.compare(self.stage.place, hooks[END])

    def _votes(self, block: BlockRecord) -> None:
        """The bundle of the validators' votes comes first, and only where a ballot waits for it."""
        places = [at for at, item in enumerate(block.txs) if item.raw[:1] == FIRST_BYTE]
        due = 0 < self._extended_from < block.height and self.market.ballots.due(block.height)
        findings, place = self.stage.findings, f"{self.stage.place}: bundles of votes"
        if not findings.equal(BALLOTS, place, [0] if due else [], places):
            places = places[:due]
        if due and places == [0]:
            self._count(block, place)
        self._before = block

    def _count(self, block: BlockRecord, place: str) -> None:
        assert self._before is not None  # a ballot was open before
        item, findings = block.txs[0], self.stage.findings
        findings.equal(BALLOTS, f"{place} code", 0, item.code)
        with findings.surviving(BALLOTS, place):
            self.market.ballots.cast(heard(self.record, self._before, block))
        self.stage.expect.compare(place, item.events)

    def _hook(self, event: EventLike) -> None:
        values = values_of(event)
        if event.type == "send_packet":
            self._send(values)
        elif event.type.startswith("trade_") or event.type == "slot_sealed":
            self.trade.hook(event.type, values)

    # --- transactions ------------------------------------------------------------------------------------------------

    def _transaction(self, place: str, item: TxRecord) -> None:
        findings = self.stage.findings
        if (
            item.raw[:1] == FIRST_BYTE and not self.record.on_fabric
        ):  # votes of validators: counted before, nobody signs or pays for them
            return
        findings.count("transactions")
        try:
            raw = tx.TxRaw.FromString(item.raw)
            body, auth = tx.TxBody.FromString(raw.body_bytes), tx.AuthInfo.FromString(raw.auth_info_bytes)
        except DecodeError:
            if item.code == 0:
                findings.add("transactions", place, "a transaction", "bytes that are none, accepted")
            return
        if self.record.on_fabric:
            self.signers.check_member(place, item.code, (body, auth))
        else:
            self._fee(place, item, raw, (body, auth))
        if item.code:
            return
        answers = base_abci.TxMsgData.FromString(item.data).msg_responses
        if not findings.equal("transactions", f"{place} answers", len(body.messages), len(answers)):
            return
        by_message: dict[str, Events] = defaultdict(list)
        for event in item.events:
            by_message[values_of(event).get("msg_index", "")].append(event)
        for at, (message, answer) in enumerate(zip(body.messages, answers, strict=True)):
            self._message(f"{place} message {at}", message, answer, by_message[str(at)])

    def _fee(self, place: str, item: TxRecord, raw: tx.TxRaw, parts: tuple[tx.TxBody, tx.AuthInfo]) -> None:
        """Fees are taken when the checks before the messages pass: always on success, else as the events say."""
        body, auth = parts
        told = [values for values in of_kind(item.events, "tx") if "fee" in values]
        if item.code and not told:
            return
        self.signers.check(place, raw, (body, auth))
        payer = auth.fee.granter or auth.fee.payer or next(iter(signers_of(body.messages)), "")
        for coin in auth.fee.amount:
            self.stage.ledger.move(payer, FEE_COLLECTOR, coin.denom, int(coin.amount))
        expected = ",".join(f"{coin.amount}{coin.denom}" for coin in auth.fee.amount)
        got = told[0] if told else {}
        wanted = {"fee": expected, "fee_payer": payer}
        self.stage.findings.fields("transactions", place, wanted, got)

    def _message(self, place: str, message: Any, answer: Any, events: Events) -> None:
        known = self._handlers.get(message.type_url)
        if known is None:
            if not message.type_url.startswith(SILENT):
                self.stage.findings.add("transactions", place, "a message that the audit knows", message.type_url)
            self._sends(events)
            self.packets.handshake(events)
            self.stage.expect.compare(place, events)
            return
        kind, response, handle = known
        with self.stage.findings.surviving("transactions", f"{place} {message.type_url}"):
            handle(kind.FromString(message.value), response.FromString(answer.value), events)
        self.trade.not_forwarded()
        self.stage.expect.compare(place, events)

    def _table(self) -> Mapping[str, tuple[Json, Json, Callable[[Json, Json, Events], None]]]:
        market, meter, reg, trade, chan = market_tx, meter_tx, registry_tx, trade_tx, channel_tx
        desk, cells, book = self.market, self.cells, self.trade
        rows: tuple[tuple[Json, Json, Callable[[Json, Json, Events], None]], ...] = (
            (bank_tx.MsgSend, bank_tx.MsgSendResponse, self._bank_send),
            (bank_tx.MsgMultiSend, bank_tx.MsgMultiSendResponse, self._bank_multi_send),
            (reg.MsgRegisterCell, reg.MsgRegisterCellResponse, lambda m, a, _: cells.register_cell(m, a)),
            (reg.MsgRegisterDevice, reg.MsgRegisterDeviceResponse, lambda m, _a, _e: cells.register_device(m)),
            (reg.MsgSetStatus, reg.MsgSetStatusResponse, lambda m, _a, _e: cells.set_status(m)),
            (reg.MsgSetFeeder, reg.MsgSetFeederResponse, lambda m, _a, _e: cells.set_feeder(m)),
            (market.MsgProposeCaps, market.MsgProposeCapsResponse, lambda m, _a, _e: desk.propose_caps(m)),
            (market.MsgPostForecast, market.MsgPostForecastResponse, lambda m, _a, _e: desk.forecast(m)),
            (market.MsgPlaceOrder, market.MsgPlaceOrderResponse, lambda m, a, _: desk.place(m, a)),
            (market.MsgCancelOrder, market.MsgCancelOrderResponse, lambda m, a, _: desk.cancel(m, a)),
            (market.MsgAmendOrder, market.MsgAmendOrderResponse, lambda m, a, _: desk.special.amend(m, a)),
            (market.MsgCommitOrder, market.MsgCommitOrderResponse, lambda m, a, _: desk.special.sealed.commit(m, a)),
            (market.MsgRevealOrder, market.MsgRevealOrderResponse, lambda m, a, _: desk.special.sealed.reveal(m, a)),
            (
                market.MsgCancelWaiting,
                market.MsgCancelWaitingResponse,
                lambda m, a, _: desk.special.moving.cancel(m, a),
            ),
            (
                market.MsgRegisterStorage,
                market.MsgRegisterStorageResponse,
                lambda m, _a, _e: desk.special.storages.register(m),
            ),
            (market.MsgPlaceForward, market.MsgPlaceForwardResponse, lambda m, a, _: desk.forward.place(m, a)),
            (market.MsgCancelForward, market.MsgCancelForwardResponse, lambda m, a, _: desk.forward.cancel(m, a)),
            (market.MsgDeposit, market.MsgDepositResponse, lambda m, _a, _e: desk.deposit(m)),
            (market.MsgWithdraw, market.MsgWithdrawResponse, lambda m, _a, _e: desk.withdraw(m)),
            (market.MsgUpdateParams, market.MsgUpdateParamsResponse, lambda m, _a, _e: desk.update_params(m)),
            (meter.MsgSubmitReadings, meter.MsgSubmitReadingsResponse, lambda m, a, _: desk.readings(m, a)),
            (meter.MsgPostEstimate, meter.MsgPostEstimateResponse, lambda m, _a, _e: desk.estimates(m)),
            (trade.MsgPostOffer, trade.MsgPostOfferResponse, self._post_offer),
            (trade.MsgCloseOffer, trade.MsgCloseOfferResponse, lambda m, a, _: book.close_offer(m, a)),
            (trade.MsgLock, trade.MsgLockResponse, self._lock),
            (trade.MsgPostReading, trade.MsgPostReadingResponse, self._reading),
            (trade.MsgPostArbiterReading, trade.MsgPostArbiterReadingResponse, self._arbiter),
            (transfer_tx.MsgTransfer, transfer_tx.MsgTransferResponse, self._transfer),
            (client_tx.MsgUpdateClient, client_tx.MsgUpdateClientResponse, self._update_client),
            (client_tx.MsgCreateClient, client_tx.MsgCreateClientResponse, self._create_client),
            (chan.MsgRecvPacket, chan.MsgRecvPacketResponse, self._recv),
            (chan.MsgAcknowledgement, chan.MsgAcknowledgementResponse, self._ack),
            (chan.MsgTimeout, chan.MsgTimeoutResponse, self._timeout),
            (chan.MsgTimeoutOnClose, chan.MsgTimeoutOnCloseResponse, self._timeout),
        )
        return {f"/{kind.DESCRIPTOR.full_name}": (kind, answer, handle) for kind, answer, handle in rows}

    # --- messages ----------------------------------------------------------------------------------------------------

    def _bank_send(self, msg: bank_tx.MsgSend, _answer: object, _events: Events) -> None:
        for coin in msg.amount:
            self.stage.ledger.move(msg.from_address, msg.to_address, coin.denom, int(coin.amount))

    def _bank_multi_send(self, msg: bank_tx.MsgMultiSend, _answer: object, _events: Events) -> None:
        for output in msg.outputs:
            for coin in output.coins:
                self.stage.ledger.move(msg.inputs[0].address, output.address, coin.denom, int(coin.amount))

    def _create_client(self, msg: client_tx.MsgCreateClient, _answer: object, events: Events) -> None:
        self.packets.new_client(msg, events)

    def _update_client(self, msg: client_tx.MsgUpdateClient, _answer: object, events: Events) -> None:
        """What has frozen a client was a lie, and is no header that it took."""
        if not of_kind(events, "client_misbehaviour"):
            self.packets.headers.append((msg.client_id, self.stage.place, msg.client_message))

    def _post_offer(self, msg: trade_tx.MsgPostOffer, answer: trade_tx.MsgPostOfferResponse, events: Events) -> None:
        self.trade.post_offer(msg, answer)
        self._sends(events)

    def _lock(self, msg: trade_tx.MsgLock, answer: trade_tx.MsgLockResponse, events: Events) -> None:
        packets = self._sends(events)
        data = trade_packet.TradePacketData.FromString(packets[0].data if packets else b"")
        self.trade.lock(msg, answer, data.lock)

    def _reading(self, msg: trade_tx.MsgPostReading, _answer: object, events: Events) -> None:
        self.trade.post_reading(msg)
        self._sends(events)

    def _arbiter(self, msg: trade_tx.MsgPostArbiterReading, _answer: object, events: Events) -> None:
        self.trade.arbiter_reading(msg)
        self._sends(events)

    def _transfer(self, msg: transfer_tx.MsgTransfer, answer: transfer_tx.MsgTransferResponse, events: Events) -> None:
        held = self.stage.ledger.balance(msg.sender, msg.token.denom)
        self._transferring = True
        packets = self._sends(events)
        self._transferring = False
        place = f"{self.stage.place}: MsgTransfer of {msg.sender}"
        found = [packet.sequence for packet in packets]
        if self.stage.findings.equal("transfers", f"{place} packets", [answer.sequence], found):
            self.transfers.check_message(msg, packets[0], held)

    # --- packets -----------------------------------------------------------------------------------------------------

    def _sends(self, events: Iterable[EventLike]) -> list[channel.Packet]:
        return [self._send(values) for values in of_kind(events, "send_packet")]

    def _send(self, values: Mapping[str, str]) -> channel.Packet:
        packet = packet_of(values)
        self.packets.sent[key_of(packet)] = packet
        if packet.source_port == TRANSFER:
            self._explain(packet, self.transfers.sent(packet))
        elif packet.source_port == TRADE:
            self.trade.sent(packet.source_channel, trade_packet.TradePacketData.FromString(packet.data))
        return packet

    def _explain(self, packet: channel.Packet, tokens: Tokens) -> None:
        """Tokens leave by MsgTransfer, or as the pay of a contract that its seller wants forwarded."""
        if self._transferring:
            return
        if not self.trade.forwarded(tokens):
            place = f"{self.stage.place}: packet {packet.sequence} of {packet.source_channel}"
            self.stage.findings.add("transfers", place, f"one of {list(self.trade.forwards)}", tokens)

    def _recv(self, msg: channel_tx.MsgRecvPacket, answer: channel_tx.MsgRecvPacketResponse, events: Events) -> None:
        if answer.result != DONE:
            return
        packet, ack = msg.packet, written_ack(events, msg.packet)
        self.packets.rests.append((self.stage.place, of_receipt(msg)))
        here = packet.destination_port, packet.destination_channel
        self.packets.received[here, key_of(packet)] = Arrival(packet=packet, ack=ack, time_ns=self.stage.time_ns)
        result = result_of(ack)
        if result is not None and here[0] == TRANSFER:
            self.transfers.received(packet)
        elif result is not None and here[0] == TRADE:
            self.trade.recv(here[1], trade_packet.TradePacketData.FromString(packet.data), result)
        self._sends(events)

    def _ack(
        self, msg: channel_tx.MsgAcknowledgement, answer: channel_tx.MsgAcknowledgementResponse, events: Events
    ) -> None:
        if answer.result != DONE:
            return
        packet, result = msg.packet, result_of(msg.acknowledgement)
        self.packets.rests.append((self.stage.place, of_answer(msg)))
        self.packets.acknowledged[key_of(packet)] = msg.acknowledgement
        self.packets.answered_ns[key_of(packet)] = self.stage.time_ns
        if packet.source_port == TRANSFER and result is None:
            self.transfers.refunded(packet)
        elif packet.source_port == TRADE:
            data = trade_packet.TradePacketData.FromString(packet.data)
            self.trade.acknowledged(packet.source_channel, data, result)
        self._sends(events)

    def _timeout(
        self,
        msg: channel_tx.MsgTimeout | channel_tx.MsgTimeoutOnClose,
        answer: channel_tx.MsgTimeoutResponse | channel_tx.MsgTimeoutOnCloseResponse,
        events: Events,
    ) -> None:
        if answer.result != DONE:
            return
        packet = msg.packet
        self.packets.rests.append((self.stage.place, of_timeout(msg)))
        self.packets.timed_out[key_of(packet)] = None
        if packet.source_port == TRANSFER:
            self.transfers.refunded(packet)
        elif packet.source_port == TRADE:
            self.trade.timed_out(packet.source_channel, trade_packet.TradePacketData.FromString(packet.data))
        self._sends(events)
