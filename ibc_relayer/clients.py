"""Light clients on a host chain: what they know, bringing them up to date, how long they live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, Message, client_query, client_tx
from ibc_core.light_client import Height
from ibc_relayer.chain import Chain, Need, Party, Proof
from ibc_relayer.client_types import NS, ClientInfo, consensus_time_ns, read_client_state

CLIENT = "/ibc.core.client.v1.Query/"
MAX_CLOCK_DRIFT_S = 30  # block time lags the wall clock by seconds, and a dry run sees the last block's time
REFRESH_NUMERATOR, REFRESH_DENOMINATOR = 2, 3  # of the trusting period


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the messages of one transaction stand on: proofs checked at `proof_height`, after `updates`."""

    proof_height: Height
    updates: tuple[Message, ...] = ()
    proofs: Mapping[bytes, Proof] = field(default_factory=dict)

    def proof(self, path: bytes) -> bytes:
        """Proof bytes of a path that was asked for."""
        return self.proofs[path].data

    def value(self, path: bytes) -> bytes:
        """What is at a path that was asked for."""
        return self.proofs[path].value


async def client_info(host: Chain, client_id: str) -> ClientInfo:
    """A client's state as of now."""
    request = client_query.QueryClientStateRequest(client_id=client_id)
    answer = await host.query(CLIENT + "ClientState", request, client_query.QueryClientStateResponse)
    return read_client_state(client_id, answer.client_state)


async def consensus_state(host: Chain, client_id: str, height: Height) -> Any:
    """What the client knows of a height of its chain."""
    request = client_query.QueryConsensusStateRequest(
        client_id=client_id, revision_number=height.revision, revision_height=height.height
    )
    answer = await host.query(CLIENT + "ConsensusState", request, client_query.QueryConsensusStateResponse)
    return answer.consensus_state


async def client_status(host: Chain, client_id: str) -> str:
    """ibc-go's word: Active, Frozen, Expired, Unknown."""
    request = client_query.QueryClientStatusRequest(client_id=client_id)
    answer = await host.query(CLIENT + "ClientStatus", request, client_query.QueryClientStatusResponse)
    return answer.status


async def ground(host: Party, subject: Party, client_id: str, least: int = 0, paths: Sequence[bytes] = ()) -> Ground:
    """Proofs of the subject's present state for its client on the host, with the updates that they need.

    `least`: the proof height has to be at least this block of the subject. Waits for it, and for the host's clock
    where the header would be too far ahead of it.
    """
    head = await subject.chain.head()
    if head.height < least:
        await subject.chain.wait_above(least - 1)
    info = await client_info(host.chain, client_id)
    if info.frozen:
        raise ToolError(f"client {client_id} on {host.chain.chain_id}: expected an active client, got a frozen one")
    found = await subject.prover.prove(Need(client=info, paths=tuple(paths), least=least))
    if found.headers:
        await wait_for_clock(host.chain, found.time_ns)
    updates = tuple(
        client_tx.MsgUpdateClient(client_id=client_id, client_message=header, signer=host.chain.signer)
        for header in found.headers
    )
    return Ground(proof_height=found.height, updates=updates, proofs=found.proofs)


async def wait_for_clock(host: Chain, time_ns: int) -> None:
    """Until a header of that time lies within the clock drift of the host's block time."""
    head = await host.head()
    while head.time_ns + MAX_CLOCK_DRIFT_S * NS <= time_ns:
        head = await host.wait_above(head.height)


async def refresh_due(host: Chain, client_id: str) -> tuple[bool, int]:
    """Whether the client has to be updated to stay alive, and its age in ns by the host's block time."""
    info = await client_info(host, client_id)
    if not info.trusting_ns or info.frozen:
        return False, 0
    newest = await consensus_state(host, client_id, info.latest)
    age_ns = (await host.head()).time_ns - consensus_time_ns(newest)
    return age_ns * REFRESH_DENOMINATOR >= info.trusting_ns * REFRESH_NUMERATOR, max(age_ns, 0)


async def create_client(host: Party, subject: Party) -> str:
    """Create a client of the subject on the host; returns its identifier."""
    first = await subject.prover.first_states()
    await wait_for_clock(host.chain, first.time_ns)
    message = client_tx.MsgCreateClient(
        client_state=first.client, consensus_state=first.consensus, signer=host.chain.signer
    )
    outcome = await host.chain.submit([message])
    if not outcome.ok:
        got = f"{outcome.codespace}/{outcome.code}: {outcome.log}"
        raise ToolError(f"create client on {host.chain.chain_id}: expected code 0, got {got}")
    for item in outcome.events:
        if item.type == "create_client":
            return dict(item.attributes)["client_id"]
    raise ToolError(f"create client on {host.chain.chain_id}: expected a create_client event in {outcome.tx_hash}")
