"""A short life of two microgrids: orders, silent meters, contracts that end in every way, transfers."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import bank_tx, channel, coin, market_tx, meter_tx, registry_tx, trade_packet, trade_tx
from energy.trade.module import VERSION
from ibc_core.transfer.denom import parse
from tests.audit.recorder import POOR, SECOND, SLOT, UTILITY, Options, RecordedChain, cell_address, network
from tests.ibc.harness import Coordinator, Path, address, packet_of

BID, ASK = 1, 2
ROOT = bytes(32)
HONEST = Options()


class Day:
    """Two chains with a transfer and a trade path on one connection."""

    def __init__(self, options: Options = HONEST) -> None:
        self.net: Coordinator = network(options)
        self.transfers = self.net.path()
        self.trades = self._second_channel()
        self.held_back: list[channel.Packet] = []
        self.a, self.b = (self._chain(name) for name in ("mga-1", "mgb-1"))

    def _chain(self, name: str) -> RecordedChain:
        found = self.net.chains[name]
        assert isinstance(found, RecordedChain)
        return found

    def _second_channel(self) -> Path:
        path = self.net.unopened("trade", VERSION)
        for own, other in ((path.a, self.transfers.a), (path.b, self.transfers.b)):
            own.client_id, own.connection_id = other.client_id, other.connection_id
        path.open_channel()
        return path

    def until(self, offset_s: float, slot: int = SLOT) -> None:
        """Go to a time relative to a slot's start; gates that wait for blocks get some."""
        self.net.pass_time(slot * 100 * SECOND + int(offset_s * SECOND) - self.net.time_ns)
        for _ in range(4):
            self.net.pass_time(0)

    # the market

    def place(self, chain: RecordedChain, number: int, order: tuple[int, int, int], slot: int = SLOT) -> int:
        """`order` is (side, price, energy)."""
        side, price, energy = order
        message = market_tx.MsgPlaceOrder(
            cell=cell_address(number), slot=slot, side=side, price_e4=price, quantity_mWh=energy
        )
        return int(chain.deliver(message)[0].seq)

    def book(self, chain: RecordedChain, slot: int = SLOT) -> None:
        """Orders of both sides, two at the same price, one cancelled."""
        self.place(chain, 1, (BID, 60_000, 500_000), slot)
        self.place(chain, 2, (BID, 50_000, 300_001), slot)
        self.place(chain, 3, (ASK, 30_000, 400_000), slot)
        self.place(chain, 4, (ASK, 50_000, 250_003), slot)
        gone = self.place(chain, 1, (BID, 70_000, 10_000), slot)
        chain.deliver(market_tx.MsgCancelOrder(cell=cell_address(1), slot=slot, seq=gone))

    def read(self, chain: RecordedChain, *readings: meter_tx.Reading) -> None:
        chain.deliver(meter_tx.MsgSubmitReadings(sender=address("anybody"), readings=readings))

    # contracts

    def offer(self, chain: RecordedChain, energy: int, nonce: int = 0, slot: int = SLOT) -> bytes:
        end = self.trades.a if chain is self.a else self.trades.b
        message = trade_tx.MsgPostOffer(
            seller=UTILITY,
            channels=[end.channel_id],
            slot=slot,
            energy_mwh=energy,
            price_e4=40_001,
            rate=trade_packet.Rate(num=3, den=2),
            level=2,
            seller_payee=address("payee"),
            forward=True,
            nonce=nonce,
        )
        return bytes(chain.deliver(message)[0].offer_id)

    def lock(self, chain: RecordedChain, offer_id: bytes, energy: int, least: int = 1) -> bytes:
        end = self.trades.a if chain is self.a else self.trades.b
        message = trade_tx.MsgLock(
            buyer=UTILITY,
            channel_id=end.channel_id,
            offer_id=offer_id,
            energy_mwh=energy,
            energy_min_mwh=least,
            buyer_payee=address("fined for"),
            nonce=energy,
        )
        return bytes(chain.deliver(message)[0].contract_id)

    def post_reading(self, chain: RecordedChain, total: int, slot: int = SLOT) -> None:
        end = self.trades.a if chain is self.a else self.trades.b
        chain.deliver(
            trade_tx.MsgPostReading(
                utility=UTILITY, channel_id=end.channel_id, slot=slot, total_mwh=total, meters_root=ROOT
            )
        )

    def sent(self, chain: RecordedChain) -> list[channel.Packet]:
        """Packets of a chain's last block."""
        return [packet_of(values) for values in chain.attributes("send_packet")]

    def relay_all(self) -> None:
        """Bring everything that was sent and waits and isn't held back, both ways, until nothing is left."""
        for _ in range(10):
            if not sum(self._relay_from(chain) for chain in (self.a, self.b)):
                return

    def _relay_from(self, chain: RecordedChain) -> int:
        pending = [
            packet_of(dict(event.attributes))
            for block in chain.blocks
            for event in (*block.hook_events, *(e for item in block.txs for e in item.events))
            if event.type == "send_packet"
        ]
        moved = 0
        for packet in pending:
            path = self.trades if packet.source_port == "trade" else self.transfers
            end = path.a if chain is self.a else path.b
            if end.sent(packet) and packet not in self.held_back:
                moved += 1
                self._relay(end, packet)
        return moved

    def committing(self, contract_id: bytes) -> channel.Packet:
        """EQUIVALENCE of a contract, which block time has just sent from b."""
        found = [
            packet_of(dict(event.attributes))
            for block in self.b.blocks
            for event in block.hook_events
            if event.type == "send_packet"
        ]
        sent = ((trade_packet.TradePacketData.FromString(packet.data), packet) for packet in found)
        return next(packet for data, packet in sent if data.equivalence.contract_id == contract_id)

    def _relay(self, end: object, packet: channel.Packet) -> None:
        if packet.timeout_timestamp <= self.net.time_ns + SECOND:
            self.net.pass_time(2 * SECOND)
            end.timeout(packet)  # type: ignore[attr-defined]  # an Endpoint
            return
        end.acknowledge(packet, end.other.receive(packet))  # type: ignore[attr-defined]  # an Endpoint


def lived(options: Options = HONEST) -> Day:
    """Three slots: in the first everything happens, in the others debts are paid and the silent speak again."""
    day = Day(options)
    _transfers(day)
    _trade(day)
    _meter(day)
    _later_slots(day)
    return day


def _transfers(day: Day) -> None:
    a, b = day.transfers.a, day.transfers.b
    voucher = parse(f"transfer/{b.channel_id}/{day.a.denom}").ledger_name
    day.transfers.relay(a.transfer("alice", "bob", (day.a.denom, 700)))
    day.transfers.relay(b.transfer("bob", "alice", (voucher, 300)))
    late = a.transfer("alice", "bob", (day.a.denom, 50), timeout_ns=SECOND)
    home = b.transfer("bob", "alice", (voucher, 7), timeout_ns=SECOND)
    day.net.pass_time(2 * SECOND)
    a.timeout(late)
    b.timeout(home)
    day.transfers.relay(a.transfer("alice", "no address", (day.a.denom, 13)))  # refused over there: comes back
    coins = [coin.Coin(denom=day.a.denom, amount="5")]
    day.a.deliver(bank_tx.MsgSend(from_address=address("alice"), to_address=address("carol"), amount=coins))
    several = bank_tx.MsgMultiSend()
    several.inputs.add(address=address("alice")).coins.add(denom=day.a.denom, amount="9")
    for name, amount in (("carol", "4"), ("dave", "5")):
        several.outputs.add(address=address(name)).coins.add(denom=day.a.denom, amount=amount)
    day.a.deliver(several)
    with pytest.raises(ChainError):
        day.a.deliver(bank_tx.MsgSend(from_address=address("nobody"), to_address=address("bob"), amount=coins))
    with pytest.raises(ChainError):  # the fee is kept
        day.b.deliver(bank_tx.MsgSend(from_address=address("alice"), to_address=address("bob"), amount=coins))


def _trade(day: Day) -> None:
    day.until(-95)
    day.a.deliver(market_tx.MsgPostForecast(utility=UTILITY, slot=SLOT, floor_e4=25_000, cap_e4=75_000))
    first = day.offer(day.a, 1_000_000)
    second = day.offer(day.a, 50_000, nonce=1)
    third = day.offer(day.a, 70_000, nonce=2)
    gone = day.offer(day.a, 30_000, nonce=3)
    day.relay_all()
    day.a.deliver(trade_tx.MsgCloseOffer(seller=UTILITY, offer_id=gone))
    day.until(-85)
    for chain in (day.a, day.b):
        day.book(chain)
    day.lock(day.b, first, 1_200_000)  # gets less than it asked
    second = day.lock(day.b, second, 50_000, 50_000)
    day.relay_all()
    day.lock(day.b, first, 10)  # nothing is left: an error acknowledgement
    day.relay_all()
    day.lock(day.b, third, 30_000)
    late = day.sent(day.b)[0]
    answer = day.trades.a.receive(late)  # it comes too late: both sides end by their clocks
    day.held_back = [late]
    day.until(-28)
    day.held_back.append(day.committing(second))  # this one times out
    day.relay_all()
    day.until(-14)
    day.trades.b.acknowledge(late, answer)
    day.held_back = []
    day.relay_all()
    day.until(0)


def _meter(day: Day) -> None:
    day.until(100.5)
    day.post_reading(day.a, 900_000)
    day.post_reading(day.b, 700_000)  # too far apart: a dispute that nobody judges
    day.relay_all()
    for chain in (day.a, day.b):
        day.read(chain, chain.reading(1, 480_000, 0), chain.reading(2, 0, 10_000), chain.reading(3, 0, 390_000))
        day.read(chain, chain.reading(5, 1_000, 0))
    estimate = meter_tx.Estimate(device="meter4@mg", net_mWh=-100_000)
    day.a.deliver(meter_tx.MsgPostEstimate(utility=UTILITY, slot=SLOT, estimates=[estimate]))
    day.a.deliver(registry_tx.MsgSetStatus(utility=UTILITY, id="meter2@mg", status=2))
    new = registry_tx.MsgRegisterCell(
        utility=UTILITY, cell=address("late"), id="late@mg", bus=9, max_import_W=1_000, max_export_W=1_000
    )
    day.a.deliver(new)
    day.until(142)  # T_disp
    day.relay_all()


def _later_slots(day: Day) -> None:
    for chain in (day.a, day.b):
        for number in (1, POOR):
            chain.deliver(market_tx.MsgDeposit(cell=cell_address(number), amount="100000000"))
        chain.deliver(market_tx.MsgWithdraw(cell=cell_address(2), amount="12345"))
        chain.deliver(market_tx.MsgDeposit(cell=UTILITY, amount="1000000000000"))
    for slot, missed in ((SLOT + 1, {}), (SLOT + 2, {1: 1_000, 5: 90_000})):
        day.until(101, slot)
        speaking = (3, 4, *missed)
        for chain in (day.a, day.b):
            rows = [(number, 5_000 * number, 77, missed.get(number, 0)) for number in speaking]
            day.read(chain, *(chain.reading(n, bought, sold, missed=late, slot=slot) for n, bought, sold, late in rows))
        day.until(141, slot)
    day.until(150, SLOT + 2)
