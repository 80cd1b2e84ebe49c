"""A client's part of the `ibc` store, key for key as ibc-go keeps it.

clients/{id}/clientState                                Any
clients/{id}/consensusStates/{R-H}                      Any
clients/{id}/consensusStates/{R-H}/processedTime        8 bytes, own block time in ns
clients/{id}/consensusStates/{R-H}/processedHeight      own height as text
clients/{id}/iterateConsensusStates{R 8 bytes}{H 8 bytes}   `consensusStates/{R-H}`: heights in order
"""

from __future__ import annotations

from cosmos_wire.protos import Any
from ibc_core import errors, paths
from ibc_core.host import Context, Store
from ibc_core.light_client import Height
from ibc_core.state import encode, self_height
from ibc_core.tendermint.errors import ProcessedHeightNotFound, ProcessedTimeNotFound
from ibc_core.tendermint.wire import (
    ClientState,
    ConsensusState,
    M,
    complete_client_state,
    complete_consensus_state,
    pack,
)

ITERATION = b"iterateConsensusStates"
WORD_BITS = 64


class ClientStates:
    """One client's states in one store."""

    def __init__(self, store: Store, client_id: str) -> None:
        self.store = store
        self.client_id = client_id
        self.iteration = paths.client(client_id) + ITERATION

    def find_client(self) -> ClientState | None:
        """Client state, None when there is no such client."""
        return self._load(paths.client_state(self.client_id), ClientState())

    def client(self) -> ClientState:
        """Client state; raises ClientNotFound."""
        found = self.find_client()
        if found is None:
            raise errors.ClientNotFound(self.client_id)
        return found

    def set_client(self, state: ClientState) -> None:
        """Write."""
        self.store.set(paths.client_state(self.client_id), encode(pack(complete_client_state(state))))

    def find_consensus(self, height: Height) -> ConsensusState | None:
        """Consensus state, None when the client has none at that height."""
        return self._load(paths.consensus_state(self.client_id, height), ConsensusState())

    def consensus(self, height: Height) -> ConsensusState:
        """Consensus state; raises ConsensusStateNotFound."""
        found = self.find_consensus(height)
        if found is None:
            raise errors.ConsensusStateNotFound(f"client {self.client_id} has none at height {height}")
        return found

    def add_consensus(self, ctx: Context, height: Height, state: ConsensusState) -> None:
        """Write with the metadata: when and where this chain learned it, and its place in the order."""
        key = paths.consensus_state(self.client_id, height)
        self.store.set(key, encode(pack(complete_consensus_state(state))))
        self.store.set(key + b"/processedTime", ctx.env.time_ns.to_bytes(8, "big"))
        self.store.set(key + b"/processedHeight", str(self_height(ctx)).encode())
        self.store.set(self.iteration + _ordered(height), b"consensusStates/" + str(height).encode())

    def copy_consensus(self, other: ClientStates, height: Height) -> None:
        """Take over one consensus state of another client with its metadata; raises UpdateClientFailed without them."""
        own, theirs = paths.consensus_state(self.client_id, height), paths.consensus_state(other.client_id, height)
        for suffix in (b"", b"/processedHeight", b"/processedTime"):
            value = self.store.get(theirs + suffix)
            if value is None:
                raise errors.UpdateClientFailed(
                    f"unable to retrieve {suffix.decode()[1:]} for substitute client latest height {height}"
                )
            self.store.set(own + suffix, value)
        self.store.set(self.iteration + _ordered(height), b"consensusStates/" + str(height).encode())

    def delete_consensus(self, height: Height) -> None:
        """Remove with the metadata."""
        key = paths.consensus_state(self.client_id, height)
        for suffix in (b"", b"/processedTime", b"/processedHeight"):
            self.store.delete(key + suffix)
        self.store.delete(self.iteration + _ordered(height))

    def processed(self, height: Height) -> tuple[int, int]:
        """Own block time (ns) and height at which the consensus state came; raises when unknown."""
        key = paths.consensus_state(self.client_id, height)
        time = self.store.get(key + b"/processedTime")
        if time is None:
            raise ProcessedTimeNotFound(f"processed time not found for height: {height}")
        at = self.store.get(key + b"/processedHeight")
        if at is None:
            raise ProcessedHeightNotFound(f"processed height not found for height: {height}")
        return int.from_bytes(time, "big"), paths.parse_height(at.decode()).height

    def oldest(self) -> Height | None:
        """Lowest height with a consensus state."""
        return self._at_or_after(0)

    def following(self, height: Height) -> Height | None:
        """Lowest one above `height`."""
        return self._at_or_after(_number(height) + 1)

    def preceding(self, height: Height) -> Height | None:
        """Highest one below `height`.

        The store iterates upwards only: steps back that double find some lower one, halving finds the nearest.
        """
        end = _number(height)
        reach, floor = 1, end
        while floor > 0:
            floor = max(end - reach, 0)
            if (found := self._below(floor, end)) is not None:
                return self._nearest(found, end)
            reach *= 2
        return None

    def _nearest(self, found: Height, end: int) -> Height:
        low, high = _number(found), end  # there is one at `low`, none at or after `high` and below `end`
        while high - low > 1:
            middle = (low + high) // 2
            nearer = self._below(middle, end)
            if nearer is None:
                high = middle
            else:
                low, found = _number(nearer), nearer
        return found

    def _below(self, start: int, end: int) -> Height | None:
        found = self._at_or_after(start)
        return found if found is not None and _number(found) < end else None

    def _at_or_after(self, number: int) -> Height | None:
        start = self.iteration + number.to_bytes(16, "big")
        for key, _ in self.store.iterate(self.iteration, start):
            packed = key[len(self.iteration) :]
            return Height(int.from_bytes(packed[:8], "big"), int.from_bytes(packed[8:], "big"))
        return None

    def _load(self, key: bytes, into: M) -> M | None:
        raw = self.store.get(key)
        if raw is None:
            return None
        packed = Any()
        packed.ParseFromString(raw)
        into.ParseFromString(packed.value)
        return into


def _ordered(height: Height) -> bytes:
    return _number(height).to_bytes(16, "big")


def _number(height: Height) -> int:
    return height.revision << WORD_BITS | height.height
