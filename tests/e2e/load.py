"""Payments without end from the faucet to a cell, so that blocks have work while a process is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bsmg.client.lane import SigningLane, TxOutcome
from cosmos_wire.protos import bank_tx, coin
from tests.e2e.net import Side

PAYERS = 6  # transactions in flight
PAYMENT = 3


class Load:
    """What was sent and what became of it."""

    def __init__(self, lane: SigningLane, message: bank_tx.MsgSend) -> None:
        self.lane, self.message = lane, message
        self.outcomes: list[TxOutcome] = []
        self.ending = False

    async def pay(self) -> None:
        """One payment after the other until the end."""
        while not self.ending:
            self.outcomes.append(await self.lane.submit([self.message]))


@asynccontextmanager
async def under_load(side: Side, recipient: str) -> AsyncIterator[Load]:
    """Payments run meanwhile; at the end all of them are in blocks."""
    amount = [coin.Coin(denom=side.denom, amount=str(PAYMENT))]
    message = bank_tx.MsgSend(from_address=side.faucet.address, to_address=recipient, amount=amount)
    load = Load(side.faucet, message)
    async with asyncio.TaskGroup() as payers:
        for _ in range(PAYERS):
            payers.create_task(load.pay())
        try:
            yield load
        finally:
            load.ending = True
