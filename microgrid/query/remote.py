"""Query methods that ask for blocks and transactions instead of the state, and whom they ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cosmos_wire.protos import Message, abci
from microgrid.query.blocks import Bell

Done = Callable[[abci.Response], None]  # takes the answer to an ABCI request


@dataclass(frozen=True, slots=True)
class RemoteRoute:
    """`handle` takes the request message; it raises QueryError."""

    handle: Callable[[Any], Awaitable[Message]]
    request: type[Message]


class BlockSource(Protocol):
    """What the state doesn't hold, in the documents of CometBFT's JSON-RPC: blocks, transactions, validators."""

    @property
    def bell(self) -> Bell:
        """Rings when there is a new block, and whenever one may have been missed."""

    async def call(self, method: str, **params: str | bool) -> Mapping[str, Any]:
        """The result of one of its methods; raises QueryError: UNAVAILABLE, NOT_FOUND or UNKNOWN."""
