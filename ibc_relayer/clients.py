"""Light clients on a host chain: what they know, bringing them up to date, how long they live."""

from __future__ import annotations

from dataclasses import dataclass

from bsmg.client.feed import Head
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, Message, client_query, client_tx, tendermint_client
from cosmos_wire.tx import pack
from ibc_core.light_client import Height
from ibc_core.state import height_of
from ibc_relayer.chain import Chain, Party

CLIENT = "/ibc.core.client.v1.Query/"
TENDERMINT_CLIENT_URL = "/ibc.lightclients.tendermint.v1.ClientState"
TENDERMINT_CONSENSUS_URL = "/ibc.lightclients.tendermint.v1.ConsensusState"
TENDERMINT_HEADER_URL = "/ibc.lightclients.tendermint.v1.Header"
MAX_CLOCK_DRIFT_S = 30  # block time lags the wall clock by seconds, and a dry run sees the last block's time
REFRESH_NUMERATOR, REFRESH_DENOMINATOR = 2, 3  # of the trusting period
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """A client's state as the relayer uses it. `trusting_ns` 0: it does not expire."""

    chain_id: str
    latest: Height
    trusting_ns: int
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What proofs of one transaction stand on: state after `height`, proven at `proof_height`, after `updates`."""

    height: int
    proof_height: Height
    updates: tuple[Message, ...]


def read_client_state(state: Any) -> ClientInfo:
    """The parts of a client state that relaying depends on."""
    if state.type_url != TENDERMINT_CLIENT_URL:
        raise ToolError(f"client state: expected {TENDERMINT_CLIENT_URL}, got {state.type_url!r}")
    known = tendermint_client.ClientState.FromString(state.value)
    trusting = known.trusting_period
    return ClientInfo(
        chain_id=known.chain_id,
        latest=height_of(known.latest_height),
        trusting_ns=trusting.seconds * NS + trusting.nanos,
        frozen=not height_of(known.frozen_height).is_zero,
    )


async def client_info(host: Chain, client_id: str) -> ClientInfo:
    """A client's state as of now."""
    request = client_query.QueryClientStateRequest(client_id=client_id)
    answer = await host.query(CLIENT + "ClientState", request, client_query.QueryClientStateResponse)
    return read_client_state(answer.client_state)


async def consensus_time_ns(host: Chain, client_id: str, height: Height) -> int:
    """Counterparty time at a height that the client knows."""
    request = client_query.QueryConsensusStateRequest(
        client_id=client_id, revision_number=height.revision, revision_height=height.height
    )
    answer = await host.query(CLIENT + "ConsensusState", request, client_query.QueryConsensusStateResponse)
    state = tendermint_client.ConsensusState.FromString(answer.consensus_state.value)
    return state.timestamp.seconds * NS + state.timestamp.nanos


async def client_status(host: Chain, client_id: str) -> str:
    """ibc-go's word: Active, Frozen, Expired, Unknown."""
    request = client_query.QueryClientStatusRequest(client_id=client_id)
    answer = await host.query(CLIENT + "ClientStatus", request, client_query.QueryClientStatusResponse)
    return answer.status


async def ground(host: Party, subject: Party, client_id: str, least: int = 0) -> Ground:
    """What to prove the subject's present state on: the client's newest height, or a header update to the head.

    `least`: the proof height has to be at least this block of the subject. Waits for it, and for the host's clock
    where the header would be too far ahead of it.
    """
    head = await subject.chain.head()
    if head.height < least:
        head = await subject.chain.wait_above(least - 1)
    info = await client_info(host.chain, client_id)
    if info.frozen:
        raise ToolError(f"client {client_id} on {host.chain.chain_id}: expected an active client, got a frozen one")
    if info.latest.height >= head.height:
        return Ground(height=info.latest.height - 1, proof_height=info.latest, updates=())
    update = await update_message(host, subject, client_id, (head, info.latest))
    return Ground(height=head.height - 1, proof_height=subject.prover.height(head.height), updates=(update,))


async def update_message(
    host: Party, subject: Party, client_id: str, span: tuple[Head, Height]
) -> client_tx.MsgUpdateClient:
    """MsgUpdateClient from a trusted height to a head; waits until the host's time allows it."""
    head, trusted = span
    await wait_for_clock(host.chain, head.time_ns)
    header = await subject.prover.header(head.height, trusted)
    return client_tx.MsgUpdateClient(client_id=client_id, client_message=header, signer=host.chain.signer)


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
    age_ns = (await host.head()).time_ns - await consensus_time_ns(host, client_id, info.latest)
    return age_ns * REFRESH_DENOMINATOR >= info.trusting_ns * REFRESH_NUMERATOR, max(age_ns, 0)


async def create_client(host: Party, subject: Party) -> str:
    """Create a client of the subject on the host; returns its identifier."""
    head = await subject.chain.head()
    await wait_for_clock(host.chain, head.time_ns)
    state, consensus = await subject.prover.first_states(head.height)
    message = client_tx.MsgCreateClient(
        client_state=pack(state), consensus_state=pack(consensus), signer=host.chain.signer
    )
    outcome = await host.chain.submit([message])
    if not outcome.ok:
        got = f"{outcome.codespace}/{outcome.code}: {outcome.log}"
        raise ToolError(f"create client on {host.chain.chain_id}: expected code 0, got {got}")
    for item in outcome.events:
        if item.type == "create_client":
            return dict(item.attributes)["client_id"]
    raise ToolError(f"create client on {host.chain.chain_id}: expected a create_client event in {outcome.tx_hash}")
