"""Queries of committed states, the same for gRPC, REST and ABCI Query: no socket here.

A query at height H shows the state after block H; height 0 is the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from cosmos_wire.errors import ChainError, InvalidHeight, InvalidRequest, ToolError
from cosmos_wire.protos import DecodeError, Message
from ibc_core.host import Context, EventLog, FreeGas, QueryRoute
from microgrid import system
from microgrid.errors import NotImplementedMethod
from microgrid.executor import FAULTS
from microgrid.state_api import APP, IBC, History, Snapshot
from microgrid.store.errors import VersionPruned, VersionUnknown

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
    """A query that can't be answered; the message is for the one who asked.

    `refusal` is set where ABCI Query has a code of its own for it: heights.
    """

    def __init__(self, status: Status, message: str, refusal: ChainError | None = None) -> None:
        super().__init__(message)
        self.status, self.refusal = status, refusal


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
        with snapshot_at(self._history, height) as snapshot:
            app = snapshot.store(APP)
            yield Context(env=system.block_env(app), app=app, ibc=snapshot.store(IBC), events=EventLog(), gas=FreeGas())


@contextmanager
def snapshot_at(history: History, height: int) -> Iterator[Snapshot]:
    """The state of a height, 0 for the latest; raises what the SDK does for a height that is not there."""
    if height < 0:
        raise InvalidRequest(f"cannot query with height < 0: got {height}; please provide a valid height")
    if height > HEIGHT_MAX:
        raise InvalidRequest(f"cannot query with height > {HEIGHT_MAX}: got one of {height.bit_length()} bits")
    try:
        found = history.snapshot(height or None)
    except VersionUnknown as error:
        raise InvalidHeight(
            f"cannot query with height in the future; please provide a valid height: {error}"
        ) from error
    except VersionPruned as error:
        raise InvalidRequest(f"failed to load state at height {height}; {error}") from error
    with found as snapshot:
        yield snapshot


@contextmanager
def refusals(path: str) -> Iterator[None]:
    """Turn what a handler raises into a QueryError."""
    try:
        yield
    except ChainError as error:
        raise QueryError(status_of(error), str(error), error if isinstance(error, InvalidHeight) else None) from error
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


ABSENT = {  # package -> what a client that asks for it should know
    "/cosmos.authz.": "accounts here can't act for each other",
    "/cosmos.distribution.": "it has no staking rewards: fees go to the fee collector",
    "/cosmos.evidence.": "validators are genesis's and nobody is slashed",
    "/cosmos.gov.": "it has no governance: its parameters are genesis's",
    "/cosmos.group.": "it has no groups",
    "/cosmos.mint.": "it mints no coins but IBC vouchers: there is no inflation",
    "/cosmos.nft.": "it has no NFTs",
    "/cosmos.slashing.": "validators are genesis's and nobody is slashed",
    "/cosmos.vesting.": "it has no vesting accounts: every balance is spendable",
    "/cosmwasm.": "it runs no contracts",
    "/ibc.applications.interchain_accounts.": "it has no interchain accounts",
}


def unserved(path: str) -> QueryError:
    """The refusal of a method that this chain has not, with the reason where there is one."""
    said = f"unknown method {path[:200]}: this chain does not serve it"
    return QueryError(Status.UNIMPLEMENTED, said + why_absent(path))


def why_absent(path: str) -> str:
    """What to add to a refusal of a path; empty when there is nothing to say."""
    reasons = [reason for package, reason in ABSENT.items() if path.startswith(package)]
    return f"; a microgrid's chain: {reasons[0]}" if reasons else ""
