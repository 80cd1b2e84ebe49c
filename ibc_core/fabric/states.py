"""A client's part of the `ibc` store: the keys of ibc-go's clients (`ibc_core.tendermint.states`), other values."""

from __future__ import annotations

from typing import TypeVar

from cosmos_wire.protos import Any, Message
from ibc_core import errors, paths
from ibc_core.fabric.wire import ClientState, ConsensusState, pack
from ibc_core.host import Context, Store
from ibc_core.light_client import Height
from ibc_core.state import encode, load, self_height
from ibc_core.tendermint.states import ClientStates as Heights

M = TypeVar("M", bound=Message)
WORD = 8


class ClientStates:
    """One client's states in one store. `heights` finds neighbours and metadata, which all clients keep alike."""

    def __init__(self, store: Store, client_id: str) -> None:
        self.store = store
        self.client_id = client_id
        self.heights = Heights(store, client_id)

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
        self.store.set(paths.client_state(self.client_id), encode(pack(state)))

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
        self.store.set(key, encode(pack(state)))
        self.store.set(key + b"/processedTime", ctx.env.time_ns.to_bytes(WORD, "big"))
        self.store.set(key + b"/processedHeight", str(self_height(ctx)).encode())
        ordered = height.revision.to_bytes(WORD, "big") + height.height.to_bytes(WORD, "big")
        self.store.set(self.heights.iteration + ordered, b"consensusStates/" + str(height).encode())

    def _load(self, key: bytes, into: M) -> M | None:
        packed = load(self.store, key, Any)
        if packed is None:
            return None
        into.ParseFromString(packed.value)
        return into
