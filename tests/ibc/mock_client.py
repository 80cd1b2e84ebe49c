"""A light client that looks straight into the counterparty's stored versions, and can be told to lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cosmos_wire.protos import Any
from ibc_core import paths
from ibc_core.errors import (
    ConsensusStateNotFound,
    FailedMembershipVerification,
    FailedNonMembershipVerification,
    InvalidHeader,
    InvalidHeight,
    InvalidUpgradeClient,
)
from ibc_core.host import Context
from ibc_core.light_client import Height, Proof, Status, Upgrade

STATE_URL, HEADER_URL, MISBEHAVIOUR_URL = "/bsmg.mock.State", "/bsmg.mock.Header", "/bsmg.mock.Misbehaviour"
GOOD_PROOF = b"good"


class Watched(Protocol):
    """What the mock needs of a chain that it follows."""

    versions: dict[int, tuple[int, dict[bytes, bytes]]]  # height -> (time_ns, ibc store)


def number(text: bytes) -> int:
    if not text.isdigit():
        raise InvalidHeader(f"expected a height, got {text!r}")
    return int(text)


class MockClient:
    """`header` messages carry a height in decimal; anything else is refused."""

    client_type = "00-mock"
    message_urls: tuple[str, ...] = (HEADER_URL, MISBEHAVIOUR_URL, "")

    def check_states(self, _client_state: Any, _consensus_state: Any) -> None:
        """The chain that it follows tells."""

    def check_message(self, _message: Any) -> None:
        """Later."""

    def __init__(self, network: Mapping[str, Watched]) -> None:
        self.network = network
        self.gullible = False  # lies: takes every proof
        self.expired = False

    def initialise(self, ctx: Context, client_id: str, client_state: Any, consensus_state: Any) -> None:
        ctx.ibc.set(paths.client_state(client_id), client_state.SerializeToString())
        self._store(ctx, client_id, number(consensus_state.value))

    def _store(self, ctx: Context, client_id: str, height: int) -> Height:
        chain_id = self._followed(ctx, client_id)
        if chain_id not in self.network or height not in self.network[chain_id].versions:
            raise InvalidHeader(f"{chain_id} has no block {height}")
        known = Height(int(chain_id.rpartition("-")[2]), height)
        key = paths.consensus_state(client_id, known)
        ctx.ibc.set(key, Any(type_url=HEADER_URL, value=str(height).encode()).SerializeToString())
        ctx.ibc.set(key + b"/processed", f"{ctx.env.time_ns} {ctx.env.height}".encode())
        ctx.ibc.set(paths.client(client_id) + b"latest", str(max(height, self._latest(ctx, client_id))).encode())
        return known

    def _followed(self, ctx: Context, client_id: str) -> str:
        raw = ctx.ibc.get(paths.client_state(client_id))
        assert raw is not None
        return Any.FromString(raw).value.decode()

    def _latest(self, ctx: Context, client_id: str) -> int:
        return int(ctx.ibc.get(paths.client(client_id) + b"latest") or 0)

    def verify_client_message(self, _ctx: Context, _client_id: str, message: Any) -> None:
        if message.type_url not in {HEADER_URL, MISBEHAVIOUR_URL}:
            raise InvalidHeader(f"expected a mock header, got {message.type_url}")

    def check_for_misbehaviour(self, _ctx: Context, _client_id: str, message: Any) -> bool:
        return message.type_url == MISBEHAVIOUR_URL

    def update_state(self, ctx: Context, client_id: str, message: Any) -> tuple[Height, ...]:
        return (self._store(ctx, client_id, number(message.value)),)

    def freeze(self, ctx: Context, client_id: str) -> None:
        ctx.ibc.set(paths.client(client_id) + b"frozen", b"1")

    def status(self, ctx: Context, client_id: str) -> Status:
        if ctx.ibc.get(paths.client(client_id) + b"frozen") is not None:
            return Status.FROZEN
        return Status.EXPIRED if self.expired else Status.ACTIVE

    def latest_height(self, ctx: Context, client_id: str) -> Height:
        return Height(int(self._followed(ctx, client_id).rpartition("-")[2]), self._latest(ctx, client_id))

    def timestamp_ns(self, ctx: Context, client_id: str, height: Height) -> int:
        return self._version(ctx, client_id, height)[0]

    def processed(self, ctx: Context, client_id: str, height: Height) -> tuple[int, int]:
        raw = ctx.ibc.get(paths.consensus_state(client_id, height) + b"/processed")
        if raw is None:
            raise ConsensusStateNotFound(f"{client_id} at {height}")
        time_ns, own_height = raw.split()
        return int(time_ns), int(own_height)

    def _version(self, ctx: Context, client_id: str, height: Height) -> tuple[int, dict[bytes, bytes]]:
        if ctx.ibc.get(paths.consensus_state(client_id, height)) is None:
            raise ConsensusStateNotFound(f"{client_id} at {height}")
        return self.network[self._followed(ctx, client_id)].versions[height.height]

    def _open(self, ctx: Context, client_id: str, proof: Proof) -> dict[bytes, bytes]:
        latest = self.latest_height(ctx, client_id)
        if latest < proof.height:
            raise InvalidHeight(f"client state height < proof height ({latest} < {proof.height})")
        return self._version(ctx, client_id, proof.height)[1]

    def verify_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes, value: bytes) -> None:
        if self.gullible:
            return
        stored = self._open(ctx, client_id, proof).get(path)
        if (proof.data, proof.prefix, stored) != (GOOD_PROOF, b"ibc", value):
            raise FailedMembershipVerification(f"{path!r}: stored {stored!r}, claimed {value!r}, {proof.prefix!r}")

    def verify_non_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes) -> None:
        if self.gullible:
            return
        stored = self._open(ctx, client_id, proof).get(path)
        if (proof.data, proof.prefix, stored) != (GOOD_PROOF, b"ibc", None):
            raise FailedNonMembershipVerification(f"{path!r}: stored {stored!r}, {proof.prefix!r}")

    def upgrade(self, ctx: Context, client_id: str, upgrade: Upgrade) -> None:
        if upgrade.proof_client != GOOD_PROOF:
            raise InvalidUpgradeClient(f"expected a good proof, got {upgrade.proof_client!r}")
        self._store(ctx, client_id, number(upgrade.consensus_state.value))

    def recover(self, ctx: Context, client_id: str, substitute_id: str) -> None:
        self._store(ctx, client_id, self._latest(ctx, substitute_id))
        ctx.ibc.delete(paths.client(client_id) + b"frozen")
