"""A trade between this microgrid and one on CometBFT, from the offer to the payment, each as the seller once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from types import SimpleNamespace
from typing import Any as Whatever

import pytest

from cosmos_wire.protos import channel, trade, trade_query
from energy.trade.module import VERSION
from ibc_core import bank
from tests.app import pair as app_pair
from tests.app.chain import UTILITY
from tests.fabric_chaincode import chain
from tests.fabric_chaincode.chain import CometChain, GridChain
from tests.fabric_chaincode.world import DENOM, SECOND_NS, SLOT_MS, Cast
from tests.ibc.harness import Coordinator, Endpoint, Path, packet_of
from tests.trade.pair import account, lock_msg, offer_msg, raw, reading_msg

ENERGY = 100_000


@pytest.fixture
def path(cast: Cast, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(app_pair, "BLOCK_NS", SECOND_NS // 50)
    monkeypatch.setattr(chain, "PAUSE_NS", SECOND_NS // 50)
    net = chain.pair(cast, tmp_path)
    yield net.path("trade", VERSION)
    chain.close(net)


class Side:
    """One end of the trade: its utility signs."""

    def __init__(self, end: Endpoint) -> None:
        self.end, self.chain = end, end.chain
        text = UTILITY.text if isinstance(end.chain, CometChain) else end.chain.grid.cast.utility.text
        self.names = SimpleNamespace(utility=text, channel_id=end.channel_id, chain_id=end.chain.chain_id)

    def send(self, message: Whatever) -> Whatever:
        if isinstance(self.chain, CometChain):
            return self.chain.send(message, key=UTILITY)[0]
        return self.chain.send(self.chain.grid.cast.utility, message)[0]

    def packets(self) -> list[channel.Packet]:
        return [packet_of(found) for found in self.chain.attributes("send_packet")]

    def contract(self, ident: bytes) -> trade_query.QueryContractResponse:
        request = trade_query.QueryContractRequest(contract_id=ident)
        if isinstance(self.chain, GridChain):
            return self.chain.grid.ask("/bsmg.trade.v1.Query/Contract", request, trade_query.QueryContractResponse)
        return self.chain.server.state.answer("/bsmg.trade.v1.Query/Contract", request.SerializeToString(), 0).value

    def held(self, name: str, denom: str) -> int:
        return bank.balance(self.chain.view(), raw(account(name)), denom)


def until(net: Coordinator, *sides: Side, time_ns: int) -> None:
    """A block on each side at a time."""
    for side in sides:
        side.chain.pass_to(time_ns)
    assert net.time_ns >= time_ns


@pytest.mark.parametrize("seller", ["a", "b"])
def test_offer_to_payment(path, seller):
    s, b = (Side(getattr(path, end)) for end in (seller, "b" if seller == "a" else "a"))
    net = s.chain.net
    slot = net.time_ns // (SLOT_MS * 10**6) + 20
    start_ns = slot * SLOT_MS * 10**6
    offer = s.send(offer_msg(s.names, slot=slot, energy_mwh=ENERGY, price_e4=3_000)).offer_id
    path.relay(s.packets()[0])
    ident = b.send(lock_msg(b.names, offer, energy_mwh=ENERGY)).contract_id
    path.relay(b.packets()[0])
    assert s.contract(ident).seller.state == trade.SELLER_STATE_RESERVED
    until(net, b, s, time_ns=start_ns - 280 * 12 * 10**6)
    path.relay(b.packets()[0])
    assert s.contract(ident).seller.state == trade.SELLER_STATE_ACTIVE
    until(net, s, b, time_ns=start_ns + SLOT_MS * 10**6)
    b.send(reading_msg(b.names, ENERGY, slot=slot))
    meter = b.packets()[0]
    s.send(reading_msg(s.names, ENERGY, slot=slot))
    s.end.receive(meter)
    path.relay(s.packets()[0])
    assert s.contract(ident).seller.state == trade.SELLER_STATE_SETTLED
    assert b.contract(ident).buyer.state == trade.BUYER_STATE_SETTLED
    assert b.held("payee on B", DENOM if seller == "b" else "bmga") == 3_000 * ENERGY * 3 // 2
