"""One chain as a client sees it, whatever ledger it runs on: queries, block feed, signing lanes, past events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self

from bsmg.client.blocks import FoundEvent, FoundTx
from bsmg.client.credential import Credential, credential_of
from bsmg.client.feed import Feed, Head
from bsmg.client.grpc import QueryClient, R
from bsmg.client.lane import FeePolicy, Lane
from bsmg.client.testnet_file import AccountInfo, ChainInfo
from cosmos_wire.protos import Message, bank_query
from ibc_core.light_client import Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A value of the `ibc` store (empty: absent) with its proof, to be checked against `proof_height`."""

    value: bytes
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events of the past: type, attributes (all of them), and a whole number in a range of both ends."""

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    range_key: str = ""  # empty: no range
    first: int = 0
    last: int = 0

    def matches(self, found: FoundEvent) -> bool:
        """Whether an event is one of these."""
        known = dict(found.event.attributes)
        if found.event.type != self.type or any(known.get(key) != value for key, value in self.attributes.items()):
            return False
        return not self.range_key or self.first <= int(known.get(self.range_key, "-1")) <= self.last


def revision_of(chain_id: str) -> int:
    """IBC revision: the number after the last dash, 0 when there is none."""
    name, dash, number = chain_id.rpartition("-")
    well_formed = name and dash and number.isascii() and number.isdigit() and not number.startswith("0")
    return int(number) if well_formed else 0


class ChainClient(ABC):
    """Use as `async with ChainClient.of(...) as chain`; or `await connect()` and `await close()`."""

    kinds: ClassVar[tuple[str, ...]]  # that testnet.json names and this class speaks to

    def __init__(self, chain_id: str, prefix: str, queries: QueryClient, feed: Feed) -> None:
        self.chain_id, self.prefix = chain_id, prefix
        self.queries, self.feed = queries, feed
        self.kind, self.revision = self.kinds[0], revision_of(chain_id)

    @classmethod
    def of(cls, info: ChainInfo, node: int = 0) -> ChainClient:
        """The client of a chain of testnet.json, through one of its nodes, by the chain's kind."""
        from bsmg.client.kinds import client_of

        return client_of(info, node)

    async def connect(self) -> Self:
        """Check the chain id and follow its blocks."""
        await self.feed.start()
        return self

    async def close(self) -> None:
        """Stop following and close every connection."""
        await self.feed.close()
        await self.queries.close()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Typed query of any service."""
        return await self.queries.query(path, request, response, height)

    @abstractmethod
    def lane(self, credential: Credential, policy: FeePolicy | None = None) -> Lane:
        """The one lane of a key or certificate; the first call fixes its policy. Raises KeyFault for the wrong sort."""

    def lane_of(self, account: AccountInfo, policy: FeePolicy | None = None) -> Lane:
        """The lane of an account of testnet.json."""
        return self.lane(credential_of(account), policy)

    async def head(self) -> Head:
        """The newest block that the feed knows."""
        return self.feed.head or await self.feed.start()

    def height(self, number: int) -> Height:
        """IBC height of a block of this chain."""
        return Height(self.revision, number)

    async def balance(self, address: str, denom: str, height: int | None = None) -> int:
        """Amount in base units."""
        path = "/cosmos.bank.v1beta1.Query/Balance"
        request = bank_query.QueryBalanceRequest(address=address, denom=denom)
        answer = await self.query(path, request, bank_query.QueryBalanceResponse, height)
        return int(answer.balance.amount or 0)

    @abstractmethod
    async def find_tx(self, tx_hash: str) -> FoundTx | None:
        """A transaction of the past by its hash (hex), None when no indexed block holds it."""

    @abstractmethod
    async def find_events(self, wanted: EventQuery) -> tuple[FoundEvent, ...]:
        """Indexed events of successful transactions and of hooks, by height, first to last."""
