"""Transactions and blocks: envelopes that clients submit, and the hashes that link blocks (protoutil/blockutils.go)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from fabric_wire import der, p256
from fabric_wire.fields import data, message
from fabric_wire.proposals import Parts
from fabric_wire.protos import common
from fabric_wire.responses import Endorsement


def transaction_payload(parts: Parts, response_payload: bytes, endorsements: Sequence[Endorsement]) -> bytes:
    """Payload of an endorsed transaction, which the proposal's creator signs: headers, and one TransactionAction."""
    signed = b"".join([message(2, data(1, e.endorser) + data(2, e.signature)) for e in endorsements])
    action = data(1, parts.payload) + message(2, data(1, response_payload) + signed)  # ChaincodeActionPayload
    item = data(1, parts.signature_header) + data(2, action)  # TransactionAction
    header = data(1, parts.channel_header) + data(2, parts.signature_header)
    return message(1, header) + data(2, message(1, item))


def sign_envelope(secret: p256.PrivateKey, payload: bytes) -> common.Envelope:
    """Envelope with the creator's signature."""
    return common.Envelope(payload=payload, signature=p256.sign(secret, payload))


def block_header_bytes(number: int, previous_hash: bytes, data_hash: bytes) -> bytes:
    """ASN.1 of a block header: what the next block's `previous_hash` is the hash of."""
    return der.encode(
        der.SEQUENCE,
        der.encode_integer(number),
        der.encode(der.OCTET_STRING, previous_hash),
        der.encode(der.OCTET_STRING, data_hash),
    )


def block_header_hash(number: int, previous_hash: bytes, data_hash: bytes) -> bytes:
    """SHA-256 of it."""
    return sha256(block_header_bytes(number, previous_hash, data_hash)).digest()


def block_data_hash(envelopes: Sequence[bytes]) -> bytes:
    """SHA-256 of a block's envelopes, joined."""
    return sha256(b"".join(envelopes)).digest()
