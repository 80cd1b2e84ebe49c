"""Keys of every kind and multisig signatures by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any as Json

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cosmos_wire import ed25519, secp256k1, secp256r1
from cosmos_wire.address import to_bech32
from cosmos_wire.multisig import ManySignatures, OneSignature, Signature, write
from cosmos_wire.protos import bank_tx, signing, tx
from cosmos_wire.public_keys import ED25519, Key, MultisigKey, SimpleKey, address, secp256k1_key, to_any
from cosmos_wire.public_keys import SECP256R1 as R1
from cosmos_wire.sign_modes import SignBytes, Signer
from cosmos_wire.tx import DecodedTx, body_of, decode

AMINO, DIRECT = signing.SIGN_MODE_LEGACY_AMINO_JSON, signing.SIGN_MODE_DIRECT
SECRETS = [sha256(f"member {i}".encode()).digest() for i in range(9)]
K1 = [secp256k1_key(secp256k1.public_key(secret)) for secret in SECRETS]
SINGLE = K1[0]
TEXT = to_bech32(address(SINGLE))


def r1_secret(i: int) -> Json:
    return derive_private_key(int.from_bytes(SECRETS[i], "big") % (secp256r1.ORDER - 1) + 1, SECP256R1())


def r1_key(i: int) -> SimpleKey:
    point = r1_secret(i).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return SimpleKey(R1, point)


def sign_r1(i: int, message: bytes) -> bytes:
    r, s = decode_dss_signature(r1_secret(i).sign(message, ECDSA(SHA256())))
    return bytes(r.to_bytes(32, "big") + min(s, secp256r1.ORDER - s).to_bytes(32, "big"))


ED = [SimpleKey(ED25519, ed25519.public_key(secret)) for secret in SECRETS]
TWO_OF_THREE = MultisigKey(2, tuple(K1[:3]))
NESTED = MultisigKey(2, (K1[3], TWO_OF_THREE, MultisigKey(1, (K1[4], K1[5]))))
ALL: list[Key] = [
    *K1[:2],
    *ED[:2],
    r1_key(0),
    r1_key(1),
    TWO_OF_THREE,
    NESTED,
    MultisigKey(1, (K1[0],)),
    MultisigKey(3, (K1[0], K1[0], K1[1])),
    MultisigKey(1, (ED[0], K1[1])),
    MultisigKey(7, tuple(K1[:7])),
    MultisigKey(90, tuple(K1[i % 9] for i in range(95))),
]


def transaction(key: Key, info: tx.ModeInfo, signature: bytes) -> bytes:
    """A transfer by the key's account."""
    text = to_bech32(address(key))
    body = body_of([bank_tx.MsgSend(from_address=text, to_address=TEXT)], memo="<multi>")
    auth = tx.AuthInfo()
    auth.fee.gas_limit = 200_000
    auth.signer_infos.add(public_key=to_any(key), mode_info=info, sequence=7)
    raw = tx.TxRaw(body_bytes=body, auth_info_bytes=auth.SerializeToString(deterministic=True), signatures=[signature])
    return raw.SerializeToString(deterministic=True)


def decoded(data: bytes) -> DecodedTx:
    return decode(data, {"/cosmos.bank.v1beta1.MsgSend": bank_tx.MsgSend})


def signer(key: Key) -> Signer:
    return Signer(
        chain_id="mga-1",
        account_number=12,
        sequence=7,
        address=to_bech32(address(key)),
        fee_payer=to_bech32(address(key)),
        key=key,
    )


Plan = int | tuple["Plan | None", ...]  # a sign mode, or a plan for each member, None for who does not sign


def shaped(key: Key, plan: Plan, sign: Callable[[SimpleKey, int], bytes]) -> Signature:
    if isinstance(plan, int):
        assert isinstance(key, SimpleKey)
        return OneSignature(plan, sign(key, plan))
    assert isinstance(key, MultisigKey)
    parts = [shaped(member, part, sign) for member, part in zip(key.members, plan, strict=True) if part is not None]
    return ManySignatures(tuple(part is not None for part in plan), tuple(parts), True)


def signed(key: Key, plan: Plan) -> bytes:
    """TxRaw signed as planned. The mode infos are part of what direct members sign, so they come first."""
    info, empty = write(shaped(key, plan, lambda _key, _mode: b""))
    sign_bytes = SignBytes(decoded(transaction(key, info, empty)), signer(key))
    return transaction(key, *write(shaped(key, plan, lambda one, mode: sign_with(one, sign_bytes(mode)))))


def sign_with(key: SimpleKey, message: bytes) -> bytes:
    for i, secret in enumerate(SECRETS):
        if key == K1[i]:
            return secp256k1.sign(secret, message)
        if key == ED[i]:
            return ed25519.sign(secret, message)
        if key == r1_key(i):
            return sign_r1(i, message)
    raise ValueError(f"nobody here has {key}")


GOOD: list[tuple[Key, Plan]] = [
    (SINGLE, DIRECT),
    (SINGLE, AMINO),
    (r1_key(2), DIRECT),
    (r1_key(2), AMINO),
    (ED[1], AMINO),
    (TWO_OF_THREE, (AMINO, AMINO, None)),
    (TWO_OF_THREE, (None, AMINO, DIRECT)),
    (TWO_OF_THREE, (DIRECT, AMINO, AMINO)),
    (NESTED, (AMINO, (AMINO, None, AMINO), None)),
    (NESTED, (None, (AMINO, DIRECT, None), (None, AMINO))),
    (MultisigKey(7, tuple(K1[:7])), (AMINO,) * 7),
    (MultisigKey(2, (K1[0], K1[0])), (AMINO, AMINO)),
]


def bad_signatures() -> Iterator[tuple[Key, bytes]]:
    """Signed transactions with something of the signature changed."""
    source = Random(5)
    for key, plan in GOOD:
        data = signed(key, plan)
        raw = tx.TxRaw.FromString(data)
        spoiled = bytearray(raw.signatures[0])
        spoiled[source.randrange(len(spoiled))] ^= 1 << source.randrange(8)
        raw.signatures[0] = bytes(spoiled)
        yield key, raw.SerializeToString(deterministic=True)
    yield TWO_OF_THREE, signed(TWO_OF_THREE, (AMINO, None, None))
    yield TWO_OF_THREE, _in_other_order()


def _in_other_order() -> bytes:
    from cosmos_wire.protos import multisig

    raw = tx.TxRaw.FromString(signed(TWO_OF_THREE, (AMINO, AMINO, None)))
    parts = multisig.MultiSignature.FromString(raw.signatures[0])
    parts.signatures.append(parts.signatures.pop(0))
    raw.signatures[0] = parts.SerializeToString(deterministic=True)
    return raw.SerializeToString(deterministic=True)


def signature_questions(question: Callable[[str, bytes], dict[str, Json]]) -> Iterator[dict[str, Json]]:
    """Good ones and bad ones, each with the key of its account."""
    from base64 import b64encode

    for key, data in [*((key, signed(key, plan)) for key, plan in GOOD), *bad_signatures()]:
        packed = to_any(key).SerializeToString(deterministic=True)
        yield question("verify", data) | {
            "address": to_bech32(address(key)),
            "key": b64encode(packed).decode(),
        }
