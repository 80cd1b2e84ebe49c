"""The ledger as one object on an event loop: order, commit, and tell who waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from fabric_adapter.embedded.committer import Committer
from fabric_adapter.embedded.disk import Disk, Place
from fabric_adapter.embedded.endorser import Endorsers
from fabric_adapter.embedded.network import Network, OnTheWay
from fabric_adapter.embedded.orderer import BatchRules, Orderer
from fabric_adapter.stub import Chaincode
from fabric_wire import strict
from fabric_wire.protos import common


class Ledger:
    """One channel. `start` it, `close` it."""

    def __init__(
        self,
        network: Network,
        disk: Disk,
        chaincodes: Mapping[str, Mapping[str, Chaincode]],
        rules: BatchRules | None = None,
    ) -> None:
        self.network = network
        self.way = OnTheWay()
        self.endorsers = Endorsers(network, disk, chaincodes)
        self._disk = disk
        self._committer = Committer(network, disk, self.way)
        self._orderer = Orderer(self._commit, rules or BatchRules())
        self._grown = asyncio.Condition()
        self._waiting: dict[str, list[asyncio.Future[Place]]] = {}  # by transaction, until it is in a block
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def start(self) -> None:
        """Write block 0 when there is none, and begin to order."""
        if self.height() == 0:
            await self._commit([genesis_envelope(self.network)])
        self._task = asyncio.create_task(self._orderer.run(), name="orderer")
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop ordering; what is in blocks stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._disk.close()

    async def ended(self) -> None:
        """Return when the orderer has ended, which it only does when something broke."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def failed(self) -> BaseException | None:
        """What ended the orderer, None while it works."""
        return self._failure

    def height(self) -> int:
        """Number of blocks."""
        with self._disk.view() as view:
            return view.height

    def last_hash(self) -> bytes:
        """Hash of the last block's header."""
        with self._disk.view() as view:
            return view.last_hash

    def block(self, number: int) -> common.Block | None:
        """A block, None when it is not there yet."""
        data = self.raw_block(number)
        return None if data is None else common.Block.FromString(data)

    def raw_block(self, number: int) -> bytes | None:
        """The same as it is written."""
        with self._disk.view() as view:
            return view.block(number)

    def place(self, tx_id: str) -> Place | None:
        """Where a transaction stands."""
        return self._disk.place(tx_id)

    def submit(self, envelope: bytes) -> None:
        """Hand a signed transaction to the orderer; raises OrdererFullError."""
        self._orderer.submit(envelope)

    async def wait_place(self, tx_id: str) -> Place:
        """Where a transaction stands, as soon as it is in a block."""
        if (found := self.place(tx_id)) is not None:
            return found
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        together = self._waiting.setdefault(tx_id, [])
        together.append(waiting)
        try:
            return await waiting
        finally:
            together.remove(waiting)
            if not together and self._waiting.get(tx_id) is together:
                del self._waiting[tx_id]

    async def blocks(self, start: int) -> AsyncIterator[common.Block]:
        """Blocks from a number on, for ever."""
        async for data in self.raw_blocks(start):
            yield common.Block.FromString(data)

    async def raw_blocks(self, start: int) -> AsyncIterator[bytes]:
        """The same as they are written."""
        number = start
        while True:
            found = self.raw_block(number)
            if found is None:
                await self._wait_above(number)
                continue
            yield found
            number += 1

    async def _wait_above(self, number: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self.height() > number)

    async def _commit(self, envelopes: Sequence[bytes]) -> None:
        done = await asyncio.to_thread(self._committer.commit, envelopes)
        for tx_id, place in done.places.items():
            for waiting in self._waiting.get(tx_id, ()):
                if not waiting.done():
                    waiting.set_result(place)
        async with self._grown:
            self._grown.notify_all()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._failure = None if task.cancelled() else task.exception()


def genesis_envelope(network: Network) -> bytes:
    """Block 0's one envelope: the channel's name in a CONFIG header, signed by nobody, as in Fabric."""
    header = common.ChannelHeader(type=common.CONFIG, channel_id=network.channel_id)
    payload = common.Payload(header=common.Header(channel_header=strict.write(header)))
    return strict.write(common.Envelope(payload=strict.write(payload)))
