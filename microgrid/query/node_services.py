"""bsmg.node: how clients follow a chain, whatever ledger it runs on. Height and time are those of the durable state,
so that whoever is told of a block can query the state after it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import abci
from cosmos_wire.protos import node_service as q
from ibc_core.host import BlockEnv
from microgrid import system
from microgrid.query.blocks import Blocks, Emitted
from microgrid.query.query_core import QueryError, Status
from microgrid.query.remote import RemoteRoute
from microgrid.state_api import APP, History

PATH = "/bsmg.node.v1.Service/"
STATUS = PATH + "Status"
WAIT_S = 10.0
RECHECK_S = 2.0  # while the ledger's wake-up calls don't come
NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,200}")
VALUE_CHARACTERS_MAX = 4_096


class NodeServices:
    """Handlers by method path."""

    def __init__(self, history: History, blocks: Blocks) -> None:
        self._history, self._blocks = history, blocks

    def routes(self) -> Mapping[str, RemoteRoute]:
        """The whole service."""
        return {
            STATUS: RemoteRoute(self.status, q.StatusRequest),
            PATH + "Block": RemoteRoute(self.block, q.BlockRequest),
            PATH + "Events": RemoteRoute(self.events, q.EventsRequest),
        }

    def routes_in_order(self) -> Mapping[str, RemoteRoute]:
        """For ABCI Query, whose answers come one after the other: there nobody may wait for a block."""
        return {**self.routes(), STATUS: RemoteRoute(self.status_now, q.StatusRequest)}

    async def status(self, request: q.StatusRequest) -> q.StatusResponse:
        """The newest block, as soon as it is above `above` or after `WAIT_S`."""
        end = asyncio.get_running_loop().time() + WAIT_S
        while True:
            seen, head = self._blocks.bell.rung, self._head()
            left = end - asyncio.get_running_loop().time()
            if not request.above or head.height > request.above or left <= 0:
                return await self._shown(head)
            await self._blocks.bell.wait(seen, min(left, RECHECK_S))

    async def status_now(self, _request: q.StatusRequest) -> q.StatusResponse:
        """The newest block."""
        return await self._shown(self._head())

    async def block(self, request: q.BlockRequest) -> q.BlockResponse:
        """One block with its results; NOT_FOUND for one that is not there yet or not kept."""
        if not request.height:
            raise QueryError(Status.INVALID_ARGUMENT, "height: expected above 0, got 0")
        head = self._head().height
        if request.height > head:
            raise QueryError(Status.NOT_FOUND, f"block {request.height} not found: the newest is {head}")
        return await self._blocks.record(request.height)

    async def events(self, request: q.EventsRequest) -> q.EventsResponse:
        """Past events that have all the attributes, first to last."""
        check(request)
        emitted = sorted(await self._blocks.emitted(request), key=lambda item: (item.height, item.index))
        return q.EventsResponse(found=[found for item in emitted for found in matching(item, request)])

    def _head(self) -> BlockEnv:
        try:
            with self._history.snapshot(None) as snapshot:
                return system.block_env(snapshot.store(APP))
        except ChainError:  # before the first block
            return BlockEnv(chain_id="", height=0, time_ns=0)

    async def _shown(self, head: BlockEnv) -> q.StatusResponse:
        return q.StatusResponse(
            chain_id=head.chain_id,
            kind=self._blocks.kind,
            height=head.height,
            time_ns=head.time_ns,
            earliest_height=await self._blocks.earliest(head.height),
        )


def check(wanted: q.EventsRequest) -> None:
    """Raise INVALID_ARGUMENT for a search that no index can take."""
    names = [wanted.type, *(item.key for item in wanted.attributes), *([wanted.range_key] if wanted.range_key else [])]
    for name in names:
        if not NAME.fullmatch(name):
            raise QueryError(Status.INVALID_ARGUMENT, f"event or attribute: expected a name, got {name[:80]!r}")
    for item in wanted.attributes:
        if "'" in item.value or len(item.value) > VALUE_CHARACTERS_MAX:
            said = f"expected no quotation mark and at most {VALUE_CHARACTERS_MAX} characters, got {item.value[:80]!r}"
            raise QueryError(Status.INVALID_ARGUMENT, f"value of {item.key}: {said}")
    if len(names) < 2:
        raise QueryError(Status.INVALID_ARGUMENT, f"events {wanted.type}: expected attributes or a range, got neither")


def matching(item: Emitted, wanted: q.EventsRequest) -> Iterator[q.FoundEvent]:
    """Those of the events that are what was asked for."""
    asked = {(each.key, each.value) for each in wanted.attributes}
    for event in item.events:
        is_kind = event.type == wanted.type and asked <= {(each.key, each.value) for each in event.attributes}
        if is_kind and (not wanted.range_key or in_range(event.attributes, wanted)):
            yield q.FoundEvent(height=item.height, tx_hash=item.tx_hash, event=event)


def in_range(attributes: Sequence[abci.EventAttribute], wanted: q.EventsRequest) -> bool:
    """Whether the attribute that is asked for is a whole number within the limits."""
    values = [each.value for each in attributes if each.key == wanted.range_key]
    numbers = [int(value) for value in values if value.isascii() and value.isdigit()]
    return any(wanted.first <= number <= wanted.last for number in numbers)
