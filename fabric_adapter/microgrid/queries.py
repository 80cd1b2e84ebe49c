"""Answers the modules' query methods from a state of the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cosmos_wire.errors import InvalidHeight, ToolError
from fabric_adapter.microgrid.image import State
from ibc_core.host import Store
from microgrid.modules import Modules
from microgrid.query.query_core import QueryError, StateQueries


class RefusedQueryError(ToolError):
    """A query's refusal: `grpc/code: text`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One state as `microgrid.state_api.Snapshot` and `History`."""

    state: State

    @property
    def height(self) -> int:
        """Of the tick."""
        return self.state.record.height

    def store(self, name: str) -> Store:
        """One of the stores."""
        return self.state.stores[name]

    def prove(self, name: str, key: bytes) -> tuple[bytes | None, list[tuple[str, bytes, bytes]]]:
        """The value: proofs are attestations, which are asked for by `Attest`."""
        return self.store(name).get(key), []

    @contextmanager
    def snapshot(self, height: int | None = None) -> Iterator[View]:
        """The one state; raises InvalidHeight for another height."""
        if height not in (None, self.height):
            raise InvalidHeight(f"expected the last height {self.height}, got {height}")
        yield self


def answer(modules: Modules, state: State, path: bytes, request: bytes) -> bytes:
    """Response bytes; raises RefusedQueryError with the gRPC status."""
    try:
        found = StateQueries(View(state=state), modules.queries).answer(path.decode("utf-8", "replace"), request, 0)
    except QueryError as error:
        raise RefusedQueryError(f"grpc/{error.status.value}: {error}") from error
    return found.value.SerializeToString(deterministic=True)
