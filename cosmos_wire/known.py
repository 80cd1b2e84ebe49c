"""What may stand in an Any within the messages of a transaction.

The SDK's decoder unpacks them, so that what does not fit is no transaction (sdk/2) and costs its sender no fee. A new
light client or allowance adds its types here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any as Value

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from cosmos_wire.errors import TxDecode
from cosmos_wire.protos import (
    Any,
    Message,
    ed25519_keys,
    fabric_client,
    feegrant,
    multisig_keys,
    secp256k1_keys,
    secp256r1_keys,
    tendermint_client,
)
from cosmos_wire.strict import parse_lax

CLIENT_STATES: tuple[type[Message], ...] = (tendermint_client.ClientState, fabric_client.ClientState)
CONSENSUS_STATES: tuple[type[Message], ...] = (
    tendermint_client.ConsensusState,
    fabric_client.ConsensusState,
)
CLIENT_MESSAGES: tuple[type[Message], ...] = (
    tendermint_client.Header,
    tendermint_client.Misbehaviour,
    fabric_client.Header,
    fabric_client.Misbehaviour,
)
ALLOWANCES: tuple[type[Message], ...] = (
    feegrant.BasicAllowance,
    feegrant.PeriodicAllowance,
    feegrant.AllowedMsgAllowance,
)
KEYS: tuple[type[Message], ...] = (
    secp256k1_keys.PubKey,
    secp256r1_keys.PubKey,
    ed25519_keys.PubKey,
    multisig_keys.LegacyAminoPubKey,
)
CLIENT = "ibc.core.client.v1."
UNPACKED: Mapping[str, tuple[type[Message], ...]] = {  # field -> what it holds
    CLIENT + "MsgCreateClient.client_state": CLIENT_STATES,
    CLIENT + "MsgCreateClient.consensus_state": CONSENSUS_STATES,
    CLIENT + "MsgUpdateClient.client_message": CLIENT_MESSAGES,
    CLIENT + "MsgUpgradeClient.client_state": CLIENT_STATES,
    CLIENT + "MsgUpgradeClient.consensus_state": CONSENSUS_STATES,
    CLIENT + "MsgSubmitMisbehaviour.misbehaviour": CLIENT_MESSAGES,
    CLIENT + "MsgIBCSoftwareUpgrade.upgraded_client_state": CLIENT_STATES,
    "cosmos.feegrant.v1beta1.MsgGrantAllowance.allowance": ALLOWANCES,
    "cosmos.feegrant.v1beta1.AllowedMsgAllowance.allowance": ALLOWANCES,
}
WITHIN_ANY: Mapping[str, type[Message]] = {
    f"/{kind.DESCRIPTOR.full_name}": kind
    for kinds in (CLIENT_STATES, CONSENSUS_STATES, CLIENT_MESSAGES, ALLOWANCES, KEYS)
    for kind in kinds
}
ANY_DEPTH_MAX = 10  # the SDK's MaxUnpackAnyRecursionDepth


@dataclass(frozen=True, slots=True)
class Step:
    """A field that holds an Any, or a message with one somewhere below."""

    field: FieldDescriptor
    listed: bool


def check_within(message: Message, *, lax: bool, depth: int = ANY_DEPTH_MAX) -> bool:
    """Judge every Any below a message; whether there were unknown non-critical fields. Raises TxDecode."""
    found = False
    for step in _steps(message.DESCRIPTOR):
        value: Value = getattr(message, step.field.name)
        if step.listed:
            for item in value:
                found |= _check_message(item, step.field, lax=lax, depth=depth)
        elif message.HasField(step.field.name):
            found |= _check_message(value, step.field, lax=lax, depth=depth)
    return found


def _check_message(value: Message, field: FieldDescriptor, *, lax: bool, depth: int) -> bool:
    if not isinstance(value, Any):
        return check_within(value, lax=lax, depth=depth)
    kind, url = WITHIN_ANY.get(value.type_url), value.type_url[:200]
    if kind is None:
        raise TxDecode(f"unable to resolve type URL {url}")
    if depth <= 0:
        raise TxDecode(f"max depth exceeded: expected at most {ANY_DEPTH_MAX} Any in each other")
    wanted = UNPACKED.get(field.full_name)
    if wanted is not None and kind not in wanted:
        raise TxDecode(f"no concrete type registered for type URL {url} against the interface of {field.full_name}")
    inner, unknown = parse_lax(kind, value.value, url, lax=lax)
    return check_within(inner, lax=lax, depth=depth - 1) or unknown


@lru_cache(maxsize=1_024)
def _steps(descriptor: Descriptor) -> tuple[Step, ...]:
    return tuple(
        Step(field, field.label == FieldDescriptor.LABEL_REPEATED)
        for field in descriptor.fields
        if _holds(field, (descriptor.full_name,))
    )


def _holds(field: FieldDescriptor, above: tuple[str, ...]) -> bool:
    if field.type != FieldDescriptor.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
        return False
    inner = field.message_type
    if inner.full_name == Any.DESCRIPTOR.full_name:
        return True
    if inner.full_name in above:
        return False
    return any(_holds(below, (*above, inner.full_name)) for below in inner.fields)
