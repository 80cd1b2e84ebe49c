"""Follows one peer's blocks into the replica, for ever: a peer that goes away is waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from cosmos_wire.errors import ChainError
from fabric_adapter.deliver import Deliver, DeliverError, ForgedBlockError
from fabric_adapter.errors import FabricError
from fabric_adapter.gateway import Gateway
from fabric_adapter.node.ledger_block import read_block
from fabric_adapter.node.replica import Replica
from fabric_adapter.node.trouble import Trouble
from fabric_wire.blocks import Ordering
from fabric_wire.protos import common
from microgrid.query.blocks import Bell

LOG = logging.getLogger("fabric_adapter.node")
PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)
Verdicts = Callable[[Mapping[str, int]], None]


class Follower:
    """`run` it. `bell` rings after each block is durable; `verdicts` gets each block's."""

    def __init__(
        self, replica: Replica, deliver: Deliver, gateway: Gateway, chaincode: str, ordering: Ordering
    ) -> None:
        self.replica, self.bell = replica, Bell()
        self.verdicts: Verdicts = lambda _: None
        self._deliver, self._gateway, self._chaincode, self._ordering = deliver, gateway, chaincode, ordering
        self._trouble = Trouble(LOG, "following the peer's blocks")
        self._target = 0  # the peer's number of blocks when we last asked
        self.caught_up = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="follow")  # searches don't keep it waiting

    def close(self) -> None:
        """End the thread, when `run` has ended: a block that it is at is finished."""
        self._thread.shutdown()

    async def run(self) -> None:
        """Follow until cancelled; raises WrongBlockError, DamagedBlockError when there is nothing to follow.

        ForgedBlockError, when the channel's orderers did not sign a block.
        """
        tries = 0
        while True:
            before = self.replica.link
            try:
                self._target = await self._gateway.height()
                self._look()
                async with aclosing(self._deliver.blocks(self.replica.link.number)) as blocks:
                    async for block in blocks:
                        await self._take(block)
            except (DeliverError, FabricError) as error:
                self._trouble.met(error)
            tries = 0 if self.replica.link != before else tries + 1
            await asyncio.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])

    async def _take(self, block: common.Block) -> None:
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._apply, block)
        self._trouble.over()
        self._look()
        self.verdicts(found)
        self.bell.ring()

    def _apply(self, block: common.Block) -> Mapping[str, int]:
        made = read_block(block, self.replica.link, self._chaincode)
        try:
            self._ordering.require(block)
        except ChainError as error:
            raise ForgedBlockError(f"{error}: this peer's ledger is followed no further") from error
        self.replica.apply(made)
        return made.verdicts

    def _look(self) -> None:
        if self.replica.link.number >= self._target:
            self.caught_up.set()
        else:
            self.caught_up.clear()
