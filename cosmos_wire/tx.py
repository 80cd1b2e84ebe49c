"""Cosmos transactions: bytes to checked messages, and messages to signed bytes (SIGN_MODE_DIRECT).

`decode` refuses what the SDK's decoder refuses: bytes that are not the one encoding of their TxRaw (ADR-027), unknown
fields (ADR-020), unknown messages. It checks shape only; accounts, fees and signatures are the host's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-not-found]  # no stubs

from cosmos_wire.errors import (
    InvalidPubKey,
    InvalidRequest,
    MemoTooLarge,
    NoSignatures,
    TooManySignatures,
    TxDecode,
    TxTooLarge,
    UnknownExtensionOptions,
)
from cosmos_wire.protos import Any, DecodeError, Message, secp256k1_keys, signing, tx

TX_BYTES_MAX = 1_048_576  # CometBFT's default max_tx_bytes: the mempool refuses more
MEMO_CHARACTERS_MAX = 256  # the SDK's default
MESSAGES_MAX = 1_000
SIGNATURES_MAX = 7  # the SDK's default
NON_CRITICAL_BIT = 1 << 10  # ADR-020: unknown fields with this bit in their number may be ignored, in the body only
SECP256K1_URL = "/cosmos.crypto.secp256k1.PubKey"

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedTx:
    """A transaction whose shape is sound. `messages` are (type URL, message) in the order of execution."""

    raw: tx.TxRaw
    body: tx.TxBody
    auth_info: tx.AuthInfo
    messages: tuple[tuple[str, Message], ...]
    size: int  # bytes of the whole TxRaw


def decode(data: bytes, types: Mapping[str, type[Message]]) -> DecodedTx:
    """Parse and check the shape; `types` gives a message class for each type URL. Raises `sdk` errors."""
    if not data:
        raise TxDecode("invalid empty tx")
    if len(data) > TX_BYTES_MAX:
        raise TxTooLarge(f"expected at most {TX_BYTES_MAX} bytes, got {len(data)}")
    raw = _parse(tx.TxRaw, data, "TxRaw")
    if raw.SerializeToString(deterministic=True) != data:
        raise TxDecode("TxRaw is not in its canonical encoding")
    body = _parse(tx.TxBody, raw.body_bytes, "TxBody", lax=True)
    auth_info = _parse(tx.AuthInfo, raw.auth_info_bytes, "AuthInfo")
    messages = tuple((item.type_url, unpack(item, types)) for item in body.messages)
    return DecodedTx(raw=raw, body=body, auth_info=auth_info, messages=messages, size=len(data))


def check_limits(decoded: DecodedTx) -> None:
    """Counts, memo and options, in the SDK's order; raises `sdk` errors."""
    if not decoded.messages:
        raise InvalidRequest("must contain at least one message")
    if len(decoded.messages) > MESSAGES_MAX:
        raise InvalidRequest(f"expected at most {MESSAGES_MAX} messages, got {len(decoded.messages)}")
    body = decoded.body
    if body.extension_options:
        raise UnknownExtensionOptions(f"expected none, got {body.extension_options[0].type_url}")
    if body.unordered or body.HasField("timeout_timestamp"):
        raise InvalidRequest("unordered transactions are not supported: expected a sequence")
    if len(body.memo) > MEMO_CHARACTERS_MAX:
        raise MemoTooLarge(
            f"maximum number of characters is {MEMO_CHARACTERS_MAX} but received {len(body.memo)} characters"
        )
    _check_signature_counts(decoded)


def _check_signature_counts(decoded: DecodedTx) -> None:
    signatures, infos = len(decoded.raw.signatures), len(decoded.auth_info.signer_infos)
    if not signatures:
        raise NoSignatures("expected at least one signature, got 0")
    if signatures > SIGNATURES_MAX:
        raise TooManySignatures(f"signatures: {signatures}, limit: {SIGNATURES_MAX}")
    if signatures != infos:
        raise InvalidRequest(f"expected one signer info a signature: {signatures} signatures, {infos} signer infos")


def unpack(item: Any, types: Mapping[str, type[Message]]) -> Message:
    """The message inside an Any; raises TxDecode for an unknown type, bad bytes or unknown fields."""
    kind = types.get(item.type_url)
    if kind is None:
        raise TxDecode(f"unable to resolve type URL {item.type_url[:200]!r}")
    return _parse(kind, item.value, item.type_url, lax=True)


def parse_strict(kind: type[M], data: bytes, what: str) -> M:
    """A message in which every field at any depth is known; `what` names it in the TxDecode that is raised else."""
    return _parse(kind, data, what)


def _parse(kind: type[M], data: bytes, what: str, *, lax: bool = False) -> M:
    """Parse and refuse unknown fields at any depth; `lax` lets non-critical ones (ADR-020) pass and drops them."""
    try:
        made = kind.FromString(data)
    except DecodeError as error:
        raise TxDecode(f"{what} of {len(data)} bytes is not that message") from error
    size = made.ByteSize()
    made.DiscardUnknownFields()  # type: ignore[attr-defined]  # a method of every message that the stubs lack
    if made.ByteSize() != size:  # never for honest transactions: the usual case stays in C
        _judge_unknown_fields(kind.FromString(data), what, lax=lax)
    return made


def _judge_unknown_fields(message: Message, what: str, *, lax: bool) -> None:
    for number in _unknown_fields(message):
        if not (lax and number & NON_CRITICAL_BIT):
            raise TxDecode(f"errUnknownField {what}: field number {number} is not known")


def _unknown_fields(message: Message) -> list[int]:
    found = [item.field_number for item in UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.label == FieldDescriptor.LABEL_REPEATED else (value,):
            found += _unknown_fields(part)
    return found


def public_key_of(info: tx.SignerInfo) -> bytes | None:
    """The secp256k1 key that a signer info carries, None when it has none (an account that has signed before)."""
    if not info.HasField("public_key"):
        return None
    if info.public_key.type_url != SECP256K1_URL:
        raise InvalidPubKey(f"expected {SECP256K1_URL}, got {info.public_key.type_url[:200]!r}")
    return _parse(secp256k1_keys.PubKey, info.public_key.value, SECP256K1_URL).key


def public_key_any(key: bytes) -> Any:
    """A 33-byte secp256k1 key as signer infos and accounts carry it."""
    return Any(type_url=SECP256K1_URL, value=secp256k1_keys.PubKey(key=key).SerializeToString())


def sign_doc(body_bytes: bytes, auth_info_bytes: bytes, chain_id: str, account_number: int) -> bytes:
    """The bytes that SIGN_MODE_DIRECT signs (they are hashed by the signature itself)."""
    doc = tx.SignDoc(
        body_bytes=body_bytes, auth_info_bytes=auth_info_bytes, chain_id=chain_id, account_number=account_number
    )
    return doc.SerializeToString(deterministic=True)


def pack(message: Message) -> Any:
    """A message as Any, `/` before its full name as Cosmos has it."""
    return Any(type_url=f"/{message.DESCRIPTOR.full_name}", value=message.SerializeToString(deterministic=True))


def body_of(messages: Sequence[Message], *, memo: str = "", timeout_height: int = 0) -> bytes:
    """TxBody bytes; timeout_height 0 means none."""
    body = tx.TxBody(messages=[pack(item) for item in messages], memo=memo, timeout_height=timeout_height)
    return body.SerializeToString(deterministic=True)


def auth_info_of(key: bytes, sequence: int, *, gas: int, fee: Sequence[tuple[str, int]] = ()) -> bytes:
    """AuthInfo bytes of one direct-mode signer; fee as (denom, amount) pairs in base units."""
    info = tx.AuthInfo()
    signer = info.signer_infos.add(sequence=sequence, public_key=public_key_any(key))
    signer.mode_info.single.mode = signing.SIGN_MODE_DIRECT
    info.fee.gas_limit = gas
    for denom, amount in sorted(fee):
        info.fee.amount.add(denom=denom, amount=str(amount))
    return info.SerializeToString(deterministic=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerData:
    """What a signature is bound to beside the transaction itself."""

    chain_id: str
    account_number: int
    sign: Callable[[bytes], bytes]  # message -> 64 bytes


def signed(body_bytes: bytes, auth_info_bytes: bytes, signer: SignerData) -> bytes:
    """TxRaw bytes with one signature."""
    message = sign_doc(body_bytes, auth_info_bytes, signer.chain_id, signer.account_number)
    made = tx.TxRaw(body_bytes=body_bytes, auth_info_bytes=auth_info_bytes, signatures=[signer.sign(message)])
    return made.SerializeToString(deterministic=True)


def unsigned(body_bytes: bytes, auth_info_bytes: bytes) -> bytes:
    """TxRaw bytes with one empty signature, as Simulate takes them."""
    return tx.TxRaw(body_bytes=body_bytes, auth_info_bytes=auth_info_bytes, signatures=[b""]).SerializeToString()
