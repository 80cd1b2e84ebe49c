"""Queries of committed states, the same for gRPC, REST and ABCI Query: no socket here.

A query at height H shows the state after block H; height 0 is the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from abci_app import system
from abci_app.errors import NotImplementedMethod
from abci_app.executor import FAULTS
from abci_app.state_api import APP, IBC, History
from cosmos_wire.errors import ChainError, InvalidRequest, ToolError
from cosmos_wire.protos import DecodeError, Message
from ibc_core.host import Context, EventLog, FreeGas, QueryRoute

HEIGHT_MAX = (1 << 63) - 1  # a header's height is an int64


class Status(Enum):
    """gRPC status codes that queries end with."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @property
    def text(self) -> str:
        """`NotFound`, as Go prints it and clients search for it."""
        return "".join(part.capitalize() for part in self.name.split("_"))


class QueryError(ToolError):
    """A query that can't be answered; the message is for the one who asked."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response and the height of the state that it was read from."""

    value: Message
    height: int


class StateQueries:
    """The query methods of all modules on any kept height. Thread-safe: each call reads its own snapshot."""

    def __init__(self, history: History, routes: Mapping[str, QueryRoute]) -> None:
        self._history = history
        self.routes = routes

    def answer(self, path: str, data: bytes, height: int) -> Answer:
        """Run one method on the state of a height; raises QueryError."""
        route = self.routes.get(path)
        if route is None:
            raise unserved(path)
        try:
            request = route.request.FromString(data)  # type: ignore[attr-defined]  # every request is a Message
        except DecodeError as error:
            raise QueryError(Status.INVALID_ARGUMENT, f"{path}: {len(data)} bytes are not its request") from error
        with refusals(path), self.context(height) as ctx:
            value = route.handle(ctx, request)
            assert isinstance(value, Message), f"{path} answered a {type(value).__name__}"
            return Answer(value=value, height=ctx.env.height)

    @contextmanager
    def context(self, height: int) -> Iterator[Context]:
        """A state to read from, 0 for the latest; raises a ChainError for a height that is not kept."""
        if height < 0:
            raise InvalidRequest(f"cannot query with height < 0: got {height}; please provide a valid height")
        if height > HEIGHT_MAX:
            raise InvalidRequest(f"cannot query with height > {HEIGHT_MAX}: got one of {height.bit_length()} bits")
        with self._history.snapshot(height or None) as snapshot:
            app = snapshot.store(APP)
            yield Context(env=system.block_env(app), app=app, ibc=snapshot.store(IBC), events=EventLog(), gas=FreeGas())


@contextmanager
def refusals(path: str) -> Iterator[None]:
    """Turn what a handler raises into a QueryError."""
    try:
        yield
    except ChainError as error:
        raise QueryError(status_of(error), str(error)) from error
    except FAULTS as fault:
        raise QueryError(Status.INTERNAL, f"{path} met a state that it can't handle: {fault!r}") from fault


def status_of(error: ChainError) -> Status:
    """Absent things are NOT_FOUND, whatever their code space; everything else is the caller's mistake."""
    if isinstance(error, NotImplementedMethod):
        return Status.UNIMPLEMENTED
    if error.codespace == "store":  # a height that is not kept, a key that can't be
        return Status.INVALID_ARGUMENT
    said = f"{type(error).__name__} {error.reason}".lower().replace("_", " ")
    absent = any(words in said for words in ("not found", "notfound", "no such", "unknown"))
    return Status.NOT_FOUND if absent and not isinstance(error, InvalidRequest) else Status.INVALID_ARGUMENT


def unserved(path: str) -> QueryError:
    """The refusal of a method that this chain has not."""
    return QueryError(Status.UNIMPLEMENTED, f"unknown method {path[:200]}: this chain does not serve it")
