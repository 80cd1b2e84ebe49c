"""Kinds of light clients that the relayer can read, by the type URLs of their states. The only list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, DecodeError, fabric_client, tendermint_client
from ibc_core.light_client import Height
from ibc_core.state import height_of
from ibc_core.tendermint.times import duration_ns

TENDERMINT_CLIENT_URL = "/ibc.lightclients.tendermint.v1.ClientState"
TENDERMINT_CONSENSUS_URL = "/ibc.lightclients.tendermint.v1.ConsensusState"
TENDERMINT_HEADER_URL = "/ibc.lightclients.tendermint.v1.Header"
FABRIC_CLIENT_URL = "/bsmg.fabric.v1.ClientState"
FABRIC_CONSENSUS_URL = "/bsmg.fabric.v1.ConsensusState"
FABRIC_HEADER_URL = "/bsmg.fabric.v1.Header"
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """A client's state as the relayer uses it; `state` whole. `trusting_ns` 0: it does not expire."""

    client_id: str
    state: Any
    chain_id: str
    latest: Height
    trusting_ns: int
    frozen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientType:
    """How to read one kind. `info` gets (client id, state); `time_ns` the bytes of a consensus state."""

    consensus_url: str
    info: Callable[[str, Any], ClientInfo]
    time_ns: Callable[[bytes], int]


def _tendermint_info(client_id: str, state: Any) -> ClientInfo:
    return _info(client_id, state, tendermint_client.ClientState.FromString(state.value))


def _fabric_info(client_id: str, state: Any) -> ClientInfo:
    return _info(client_id, state, fabric_client.ClientState.FromString(state.value))


def _info(client_id: str, state: Any, known: tendermint_client.ClientState | fabric_client.ClientState) -> ClientInfo:
    """Both kinds name these fields alike."""
    return ClientInfo(
        client_id=client_id,
        state=state,
        chain_id=known.chain_id,
        latest=height_of(known.latest_height),
        trusting_ns=duration_ns(known.trusting_period),
        frozen=not height_of(known.frozen_height).is_zero,
    )


def _tendermint_time_ns(data: bytes) -> int:
    time = tendermint_client.ConsensusState.FromString(data).timestamp
    return time.seconds * NS + time.nanos


def _fabric_time_ns(data: bytes) -> int:
    return fabric_client.ConsensusState.FromString(data).timestamp_ns


CLIENT_TYPES = {
    TENDERMINT_CLIENT_URL: ClientType(
        consensus_url=TENDERMINT_CONSENSUS_URL, info=_tendermint_info, time_ns=_tendermint_time_ns
    ),
    FABRIC_CLIENT_URL: ClientType(consensus_url=FABRIC_CONSENSUS_URL, info=_fabric_info, time_ns=_fabric_time_ns),
}


def read_client_state(client_id: str, state: Any) -> ClientInfo:
    """The parts of a client state that relaying depends on; raises ToolError for a kind that is not known."""
    kind = CLIENT_TYPES.get(state.type_url)
    if kind is None:
        raise ToolError(f"client state: expected one of {', '.join(CLIENT_TYPES)}, got {state.type_url!r}")
    try:
        return kind.info(client_id, state)
    except DecodeError as error:
        raise ToolError(f"client state of {client_id}: expected {state.type_url}, got other bytes") from error


def consensus_time_ns(consensus: Any) -> int:
    """Time in a consensus state of a known kind; raises ToolError."""
    for kind in CLIENT_TYPES.values():
        if kind.consensus_url == consensus.type_url:
            return kind.time_ns(consensus.value)
    known = ", ".join(kind.consensus_url for kind in CLIENT_TYPES.values())
    raise ToolError(f"consensus state: expected one of {known}, got {consensus.type_url!r}")
