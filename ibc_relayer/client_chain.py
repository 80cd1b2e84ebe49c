"""`Chain` over `bsmg.client`, for any ledger that it speaks to: one client and one lane."""

from __future__ import annotations

from collections.abc import Sequence

from bsmg.client.blocks import FoundEvent
from bsmg.client.chain import ChainClient, EventQuery
from bsmg.client.errors import SimulationFailed
from bsmg.client.feed import Head
from bsmg.client.grpc import R
from bsmg.client.lane import Lane, TxOutcome
from cosmos_wire.protos import Message
from ibc_core.host import Event
from ibc_core.light_client import Height
from ibc_relayer.headers import HEADER, UPDATE_EVENT, with_headers
from ibc_relayer.plan import End
from ibc_relayer.v2.packet import DESTINATION_CLIENT, SOURCE_CLIENT

_SEARCH = {
    "send_packet": ("packet_src_port", "packet_src_channel"),
    "write_acknowledgement": ("packet_dst_port", "packet_dst_channel"),
}
_SEARCH_V2 = {"send_packet": SOURCE_CLIENT, "write_acknowledgement": DESTINATION_CLIENT}


class ClientChain:
    """Reads and submits through one node and one lane."""

    def __init__(self, client: ChainClient, lane: Lane) -> None:
        self.client, self.lane = client, lane
        self.chain_id, self.signer = client.chain_id, lane.address

    async def head(self) -> Head:
        """The newest block."""
        return await self.client.head()

    async def wait_above(self, height: int) -> Head:
        """The head, as soon as it is above `height`."""
        return await self.client.feed.wait_above(height)

    async def events(self, height: int) -> tuple[Event, ...]:
        """Events of successful transactions in order, then of the hooks."""
        record = await self.client.feed.record(height)
        both = zip(record.txs, record.results.txs, strict=False)
        of_txs = (item for raw, result in both if result.code == 0 for item in with_headers(raw, result.events))
        return (*of_txs, *record.results.hook_events)

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Typed query."""
        return await self.client.query(path, request, response, height)

    async def search(self, kind: str, end: End, sequences: tuple[int, int]) -> tuple[Event, ...]:
        """Past events by the node's index."""
        first, last = sequences
        place = _place(kind, end)
        wanted = EventQuery(type=kind, attributes=place, range_key="packet_sequence", first=first, last=last)
        return tuple(found.event for found in await self.client.find_events(wanted))

    async def updates(self, client_id: str, height: Height) -> tuple[Event, ...]:
        """Past updates of a client by the node's index, with the headers of their messages."""
        wanted = EventQuery(type=UPDATE_EVENT, attributes={"client_id": client_id, "consensus_height": str(height)})
        return tuple([await self._with_header(found) for found in await self.client.find_events(wanted)])

    async def _with_header(self, found: FoundEvent) -> Event:
        if dict(found.event.attributes).get(HEADER) or not found.tx_hash:
            return found.event
        tx = await self.client.find_tx(found.tx_hash)
        return found.event if tx is None else with_headers(tx.tx, [found.event])[0]

    async def submit(self, messages: Sequence[Message]) -> TxOutcome:
        """One transaction through the lane; a dry run that fails is a refusal like any other."""
        try:
            return await self.lane.submit(messages)
        except SimulationFailed as error:
            return TxOutcome(height=0, code=1, codespace="simulation", log=error.detail, events=(), tx_hash="")

    def queued(self) -> int:
        """Callers of the lane."""
        return self.lane.waiting

    async def spendable(self) -> int:
        """Balance for fees."""
        denom = self.lane.policy.denom
        return await self.client.balance(self.signer, denom) if denom else 0


def _place(kind: str, end: End) -> dict[str, str]:
    """Attributes by which an event of that kind names the end."""
    if end.v2:
        return {_SEARCH_V2[kind]: end.channel}
    port_key, channel_key = _SEARCH[kind]
    return {port_key: end.port, channel_key: end.channel}
