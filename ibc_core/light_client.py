"""ICS-02: what every light client offers to the handlers, whatever consensus it follows.

A client's state lives in the `ibc` store under `clients/{id}/`; an implementation gets the context and the client's
identifier, reads and writes only below that prefix, and takes the time from `ctx.env`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from cosmos_wire.protos import Any
from ibc_core.host import Context


class Status(Enum):
    """ibc-go's words, as `ClientStatus` answers them."""

    ACTIVE = "Active"
    FROZEN = "Frozen"
    EXPIRED = "Expired"
    UNKNOWN = "Unknown"
    UNAUTHORIZED = "Unauthorized"  # of a type that is not allowed, or of none


@dataclass(frozen=True, slots=True, order=True)
class Height:
    """IBC height: the revision comes from the `-N` suffix of a chain id."""

    revision: int
    height: int

    def __str__(self) -> str:
        return f"{self.revision}-{self.height}"

    @property
    def is_zero(self) -> bool:
        """`0-0`: none."""
        return self.revision == 0 and self.height == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Bytes of a MerkleProof, and the counterparty height whose root it is to be checked against.

    `prefix` is the counterparty's commitment prefix (ICS-23): the name of the store whose tree holds the path; empty
    for a counterparty that has one tree and no stores.
    """

    height: Height
    data: bytes
    prefix: bytes = b"ibc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What a counterparty commits to before it halts for an upgrade, with MerkleProofs of both."""

    client_state: Any
    consensus_state: Any
    proof_client: bytes
    proof_consensus_state: bytes


class LightClient(Protocol):
    """One client type, e.g. `07-tendermint`. Methods raise `ibc_core.errors` on refusal; checks never write."""

    client_type: str
    message_urls: tuple[str, ...]  # type URLs of client messages: headers, misbehaviours

    def check_states(self, client_state: Any, consensus_state: Any) -> None:
        """Refuse first states that can't be right whatever the chain holds."""

    def check_message(self, message: Any) -> None:
        """Refuse a client message that can't be right whatever the client holds."""

    def initialise(self, ctx: Context, client_id: str, client_state: Any, consensus_state: Any) -> None:
        """Check and store the first states of a new client."""

    def verify_client_message(self, ctx: Context, client_id: str, message: Any) -> None:
        """Check a header or a misbehaviour against the stored states."""

    def check_for_misbehaviour(self, ctx: Context, client_id: str, message: Any) -> bool:
        """Whether a verified message proves that the counterparty's consensus broke its rules."""

    def update_state(self, ctx: Context, client_id: str, message: Any) -> tuple[Height, ...]:
        """Store the consensus state of a verified header; prune expired ones; return the heights it has now."""

    def freeze(self, ctx: Context, client_id: str) -> None:
        """Stop the client after misbehaviour."""

    def status(self, ctx: Context, client_id: str) -> Status:
        """Active, frozen or expired as of the block time."""

    def latest_height(self, ctx: Context, client_id: str) -> Height:
        """Newest height with a consensus state."""

    def timestamp_ns(self, ctx: Context, client_id: str, height: Height) -> int:
        """Counterparty block time at a height that the client knows."""

    def processed(self, ctx: Context, client_id: str, height: Height) -> tuple[int, int]:
        """Time (ns) and height of the own block that stored the consensus state: where delay periods begin."""

    def verify_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes, value: bytes) -> None:
        """Check that the counterparty's `ibc` store (under its commitment prefix) holds `value` at `path`."""

    def verify_non_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes) -> None:
        """Check that it holds nothing at `path`."""

    def upgrade(self, ctx: Context, client_id: str, upgrade: Upgrade) -> None:
        """Check that the counterparty committed to the new states and put them in place."""

    def recover(self, ctx: Context, client_id: str, substitute_id: str) -> None:
        """Take over the newest state of another client with the same terms; the caller knows that it is active."""


ClientTypes = Mapping[str, LightClient]  # by the type URL of the client state
