"""What the messages of IBC v2 have to be before anybody looks at state: ibc-go's ValidateBasic, check for check."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import ChainError, InvalidRequest
from cosmos_wire.protos import channel_v2_tx, client_v2_tx
from ibc_core import paths
from ibc_core.errors import InvalidCounterparty, InvalidIdentifier, InvalidPayload, InvalidProof, InvalidTimeoutV2
from ibc_core.v2.packet import PAYLOADS, require_valid, require_valid_ack, require_valid_payload

RELAYERS_MAX = 20  # ibc-go's MaxAllowedRelayersLength


def check_send(msg: channel_v2_tx.MsgSendPacket) -> None:
    """`MsgSendPacket.ValidateBasic`."""
    paths.require_client_id(msg.source_client)
    if msg.timeout_timestamp == 0:
        raise InvalidTimeoutV2("timeout must not be 0")
    if len(msg.payloads) != PAYLOADS:
        raise InvalidPayload(f"payloads must be of length {PAYLOADS}, got {len(msg.payloads)} instead")
    for payload in msg.payloads:
        require_valid_payload(payload)


def check_receive(msg: channel_v2_tx.MsgRecvPacket) -> None:
    """`MsgRecvPacket.ValidateBasic`."""
    _require_proof(msg.proof_commitment)
    require_valid(msg.packet)


def check_acknowledge(msg: channel_v2_tx.MsgAcknowledgement) -> None:
    """`MsgAcknowledgement.ValidateBasic`."""
    _require_proof(msg.proof_acked)
    require_valid_ack(msg.acknowledgement)
    require_valid(msg.packet)


def check_timeout(msg: channel_v2_tx.MsgTimeout) -> None:
    """`MsgTimeout.ValidateBasic`."""
    _require_proof(msg.proof_unreceived)
    require_valid(msg.packet)


def check_register(msg: client_v2_tx.MsgRegisterCounterparty) -> None:
    """`MsgRegisterCounterparty.ValidateBasic`."""
    if not msg.counterparty_merkle_prefix:
        raise InvalidCounterparty("counterparty messaging key cannot be empty")
    _require_client_ids(msg.client_id, msg.counterparty_client_id)


def check_config(msg: client_v2_tx.MsgUpdateClientConfig) -> None:
    """`MsgUpdateClientConfig.ValidateBasic`; what ibc-go refuses there without a code is `sdk/18` here."""
    _require_client_ids(msg.client_id)
    _require_addresses(msg.config.allowed_relayers)


def _require_proof(data: bytes) -> None:
    if not data:
        raise InvalidProof("cannot submit an empty proof")


def _require_client_ids(*client_ids: str) -> None:
    """ICS-20 tells hops from bases by this form, so that no other name may ever become a hop."""
    for client_id in client_ids:
        paths.require_client_id(client_id)
    for client_id in client_ids:
        if paths.client_type(client_id) is None:
            raise InvalidIdentifier(f"{client_id} must be in valid format: {{string}}-{{number}}")


def _require_addresses(relayers: Sequence[str]) -> None:
    if len(relayers) > RELAYERS_MAX:
        raise InvalidRequest(f"allowed relayers length must not exceed {RELAYERS_MAX} items, got {len(relayers)}")
    for relayer in relayers:
        try:
            from_bech32(relayer)
        except ChainError as error:
            raise InvalidRequest(f"invalid relayer address: {relayer[:100]}") from error
