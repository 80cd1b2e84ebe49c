"""Amounts that the SDK could not decode make a transaction unreadable, before anybody looks at it."""

from __future__ import annotations

import pytest

from cosmos_wire import amounts
from cosmos_wire.errors import TxDecode
from cosmos_wire.protos import Message, bank_tx, channel_tx, coin, transfer_tx


def send(amount: str) -> bank_tx.MsgSend:
    return bank_tx.MsgSend(amount=[coin.Coin(denom="a", amount="1"), coin.Coin(denom="b", amount=amount)])


@pytest.mark.parametrize("amount", ["1.5", "x", "1 ", "٥", "--1", str(2**256), "-" + str(2**256), "9" * 5_000])
def test_unreadable(amount: str) -> None:
    for message in (send(amount), transfer_tx.MsgTransfer(token=coin.Coin(amount=amount))):
        with pytest.raises(TxDecode):
            amounts.require_readable(message)


@pytest.mark.parametrize("amount", ["", "0", "-1", "007", str(2**256 - 1)])
def test_readable(amount: str) -> None:
    messages: tuple[Message, ...] = (send(amount), channel_tx.MsgRecvPacket(), bank_tx.MsgMultiSend())
    for message in messages:
        before = message.SerializeToString()
        amounts.require_readable(message)
        assert message.SerializeToString() == before
