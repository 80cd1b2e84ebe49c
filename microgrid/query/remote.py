"""Query methods that ask for blocks and transactions instead of the state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cosmos_wire.protos import Message, abci

Done = Callable[[abci.Response], None]  # takes the answer to an ABCI request


@dataclass(frozen=True, slots=True)
class RemoteRoute:
    """`handle` takes the request message; it raises QueryError."""

    handle: Callable[[Any], Awaitable[Message]]
    request: type[Message]
