"""The client's messages: unpacking from Any, and what each has to satisfy by itself."""

from __future__ import annotations

import re
from typing import TypeAlias, TypeVar

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, Message, fabric_client
from fabric_wire import strict
from ibc_core import errors
from ibc_core.fabric.errors import InvalidTerms
from ibc_core.fabric.membership import check_membership
from ibc_core.fabric.records import Scope
from ibc_core.state import height_of, revision_of
from ibc_core.tendermint.times import duration_ns, is_duration

M = TypeVar("M", bound=Message)
ClientState: TypeAlias = fabric_client.ClientState
ConsensusState: TypeAlias = fabric_client.ConsensusState
Header: TypeAlias = fabric_client.Header
Misbehaviour: TypeAlias = fabric_client.Misbehaviour
EndorsedPayload: TypeAlias = fabric_client.EndorsedPayload

CHAIN_ID_BYTES_MAX = 50
CHANNEL_BYTES_MAX, NAMESPACE_BYTES_MAX = 249, 128
_CHANNEL = re.compile(r"[a-z][a-z0-9.-]*")  # Fabric's own rule (common/configtx/validator.go)
_NAMESPACE = re.compile(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*")  # a chaincode's name (core/chaincode/lifecycle)
TIME_MAX_NS = 2**63 - 1


def type_url(kind: type[Message]) -> str:
    """`/bsmg.fabric.v1.Header`."""
    return f"/{kind.DESCRIPTOR.full_name}"


def pack(message: Message) -> Any:
    """In an Any."""
    return Any(type_url=type_url(type(message)), value=strict.write(message))


def unpack(packed: Any, kind: type[M], refusal: type[ChainError]) -> M:
    """Message of an Any; raises `refusal` for another type, IbcUnpackAny for bytes that are not its one form."""
    if packed.type_url != type_url(kind):
        raise refusal(f"expected {type_url(kind)}, got {packed.type_url[:80]!r}")
    return strict.read(kind, packed.value, errors.IbcUnpackAny)


def scope_of(client: ClientState) -> Scope:
    """Who speaks to this client."""
    return Scope(chain_id=client.chain_id, channel_id=client.channel_id, namespace=client.namespace)


def check_client_state(client: ClientState) -> None:
    """A client that can begin: names, periods, heights, membership; raises InvalidTerms, InvalidMembership."""
    _check_chain(client)
    _check_name("channel id", client.channel_id, _CHANNEL, CHANNEL_BYTES_MAX)
    _check_name("chaincode name", client.namespace, _NAMESPACE, NAMESPACE_BYTES_MAX)
    for what, span in (("trusting period", client.trusting_period), ("max clock drift", client.max_clock_drift)):
        if not is_duration(span) or duration_ns(span) <= 0:
            raise InvalidTerms(f"{what}: expected more than zero, got {span.seconds} s {span.nanos} ns")
    if not height_of(client.frozen_height).is_zero:
        raise InvalidTerms(f"frozen height: expected 0-0, got {height_of(client.frozen_height)}")
    check_membership(client.membership)


def _check_chain(client: ClientState) -> None:
    size, latest = len(client.chain_id.encode()), height_of(client.latest_height)
    if not client.chain_id.strip() or size > CHAIN_ID_BYTES_MAX:
        raise InvalidTerms(f"chain id: expected 1..{CHAIN_ID_BYTES_MAX} bytes, got {client.chain_id[:80]!r}")
    if latest.revision != revision_of(client.chain_id) or latest.height == 0:
        raise InvalidTerms(
            f"latest height: expected one of revision {revision_of(client.chain_id)} above 0, got {latest}"
        )


def _check_name(what: str, text: str, pattern: re.Pattern[str], size_max: int) -> None:
    if len(text) > size_max or not pattern.fullmatch(text):
        raise InvalidTerms(f"{what}: expected {pattern.pattern} of at most {size_max} characters, got {text[:80]!r}")


def check_consensus_state(consensus: ConsensusState, client: ClientState) -> None:
    """A first consensus state that belongs to the client; raises InvalidConsensus."""
    if not 0 < consensus.timestamp_ns <= TIME_MAX_NS:
        raise errors.InvalidConsensus(f"timestamp: expected 1..{TIME_MAX_NS} ns, got {consensus.timestamp_ns}")
    if consensus.membership_version != client.membership.version:
        raise errors.InvalidConsensus(
            f"membership version: expected {client.membership.version}, got {consensus.membership_version}"
        )
