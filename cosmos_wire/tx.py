"""Cosmos transactions: bytes to checked messages, and messages to signed bytes (SIGN_MODE_DIRECT).

`decode` refuses what the SDK's decoder refuses: bytes that are not the one encoding of their TxRaw (ADR-027), unknown
fields (ADR-020), unknown messages, extension options and keys. It checks shape only; accounts, fees and signatures are
the host's business. Other sign modes: `cosmos_wire.sign_modes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cosmos_wire import amounts, public_keys
from cosmos_wire.amino_json import TIMESTAMP_S_MAX, TIMESTAMP_S_MIN
from cosmos_wire.errors import InvalidRequest, MemoTooLarge, TooManySignatures, TxDecode, TxTooLarge
from cosmos_wire.known import check_within
from cosmos_wire.protos import Any, Message, signing, tx
from cosmos_wire.public_keys import Key
from cosmos_wire.strict import parse, parse_lax

TX_BYTES_MAX = 1_048_576  # CometBFT's default max_tx_bytes: the mempool refuses more
MEMO_CHARACTERS_MAX = 256  # the SDK's default; it counts bytes
MESSAGES_MAX = 1_000
SIGNATURES_MAX = 7  # the SDK's default; each member of a multisig key counts


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedTx:
    """A transaction whose shape is sound. `messages` are (type URL, message) in the order of execution."""

    raw: tx.TxRaw
    body: tx.TxBody
    auth_info: tx.AuthInfo
    messages: tuple[tuple[str, Message], ...]
    keys: tuple[Key | None, ...]  # of the signer infos, None where one names none
    size: int  # bytes of the whole TxRaw
    unknown_fields: bool  # whether body or messages carry non-critical fields that nobody here knows


def decode(data: bytes, types: Mapping[str, type[Message]]) -> DecodedTx:
    """Parse and check the shape; `types` gives a message class for each type URL. Raises `sdk` errors."""
    if not data:
        raise InvalidRequest("must contain at least one message")  # no bytes are a TxRaw with nothing in it
    if len(data) > TX_BYTES_MAX:
        raise TxTooLarge(f"expected at most {TX_BYTES_MAX} bytes, got {len(data)}")
    raw = parse(tx.TxRaw, data, "TxRaw")
    if raw.SerializeToString(deterministic=True) != data:
        raise TxDecode("TxRaw must follow ADR-027: it is not in its canonical encoding")
    body, unknown = parse_lax(tx.TxBody, raw.body_bytes, "TxBody")
    auth_info = parse(tx.AuthInfo, raw.auth_info_bytes, "AuthInfo")
    amounts.require_readable(auth_info.fee)
    messages, odd = _unpack_all(body, types)
    return DecodedTx(
        raw=raw,
        body=body,
        auth_info=auth_info,
        messages=messages,
        keys=tuple([key_of(info) for info in auth_info.signer_infos]),
        size=len(data),
        unknown_fields=unknown or odd,
    )


def decode_body(data: bytes, types: Mapping[str, type[Message]]) -> DecodedTx:
    """A TxBody alone, of a ledger that names the signer itself: no fee, no signer infos. Raises `sdk` errors."""
    if not data:
        raise InvalidRequest("must contain at least one message")
    if len(data) > TX_BYTES_MAX:
        raise TxTooLarge(f"expected at most {TX_BYTES_MAX} bytes, got {len(data)}")
    body, unknown = parse_lax(tx.TxBody, data, "TxBody")
    messages, odd = _unpack_all(body, types)
    return DecodedTx(
        raw=tx.TxRaw(body_bytes=data),
        body=body,
        auth_info=tx.AuthInfo(),
        messages=messages,
        keys=(),
        size=len(data),
        unknown_fields=unknown or odd,
    )


def _unpack_all(body: tx.TxBody, types: Mapping[str, type[Message]]) -> tuple[tuple[tuple[str, Message], ...], bool]:
    """Messages by type URL, and whether any had unknown non-critical fields."""
    messages: list[tuple[str, Message]] = []
    odd = False
    for item in body.messages:
        message, unknown = unpack(item, types)
        messages.append((item.type_url, message))
        odd |= unknown
    for _, message in messages:
        amounts.require_readable(message)
    _refuse_options(body, types)
    _check_timestamp(body)
    return tuple(messages), odd


def _refuse_options(body: tx.TxBody, types: Mapping[str, type[Message]]) -> None:
    for option in (*body.extension_options, *body.non_critical_extension_options):
        url = option.type_url[:200]
        if url in types:
            raise TxDecode(f"no concrete type registered for type URL {url} against interface *tx.TxExtensionOptionI")
        raise TxDecode(f"unable to resolve type URL {url}")


def _check_timestamp(body: tx.TxBody) -> None:
    if not body.HasField("timeout_timestamp"):
        return
    moment = body.timeout_timestamp
    if not (TIMESTAMP_S_MIN <= moment.seconds <= TIMESTAMP_S_MAX and 0 <= moment.nanos < 10**9):
        raise TxDecode(f"timestamp: seconds {moment.seconds} and nanos {moment.nanos} are not in the years 1 to 9999")


def check_messages(decoded: DecodedTx) -> None:
    """That there is something to do; raises `sdk` errors."""
    if not decoded.messages:
        raise InvalidRequest("must contain at least one message")
    if len(decoded.messages) > MESSAGES_MAX:
        raise InvalidRequest(f"expected at most {MESSAGES_MAX} messages, got {len(decoded.messages)}")


def check_memo(decoded: DecodedTx) -> None:
    """Raises MemoTooLarge."""
    size = len(decoded.body.memo.encode())
    if size > MEMO_CHARACTERS_MAX:
        raise MemoTooLarge(f"maximum number of characters is {MEMO_CHARACTERS_MAX} but received {size} characters")


def check_key_count(decoded: DecodedTx) -> None:
    """Raises TooManySignatures."""
    keys = 0
    for key in decoded.keys:
        keys += public_keys.count(key)
        if keys > SIGNATURES_MAX:
            raise TooManySignatures(f"signatures: {keys}, limit: {SIGNATURES_MAX}")


def unpack(item: Any, types: Mapping[str, type[Message]]) -> tuple[Message, bool]:
    """The message inside an Any, and whether it had unknown non-critical fields; raises TxDecode."""
    url = item.type_url
    kind = types.get(url)
    if kind is None:
        raise TxDecode(f"unable to resolve type URL {url[:200]}")
    message, unknown = parse_lax(kind, item.value, url)
    return message, check_within(message, lax=True) or unknown


def key_of(info: tx.SignerInfo) -> Key | None:
    """The key that a signer info carries, None when it has none (an account that has signed before)."""
    return public_keys.from_any(info.public_key) if info.HasField("public_key") else None


def public_key_any(key: bytes) -> Any:
    """A 33-byte secp256k1 key as signer infos and accounts carry it."""
    return public_keys.to_any(public_keys.secp256k1_key(key))


def sign_doc(body_bytes: bytes, auth_info_bytes: bytes, chain_id: str, account_number: int) -> bytes:
    """The bytes that SIGN_MODE_DIRECT signs (they are hashed by the signature itself)."""
    doc = tx.SignDoc(
        body_bytes=body_bytes, auth_info_bytes=auth_info_bytes, chain_id=chain_id, account_number=account_number
    )
    return doc.SerializeToString(deterministic=True)


def pack(message: Message) -> Any:
    """A message as Any, `/` before its full name as Cosmos has it."""
    made = Any()
    pack_into(made, message)
    return made


def pack_into(packed: Any, message: Message) -> None:
    """Set an empty Any to a message."""
    packed.type_url = f"/{message.DESCRIPTOR.full_name}"
    packed.value = message.SerializeToString(deterministic=True)


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
