"""Signatures by one key or by many: `ModeInfo` and signature bytes read into a tree, and the tree checked.

The shapes are stricter than the SDK's: a bit array has the one length that its keys ask for and no bit beyond them,
and there is a signature for each bit that is set and no other. What the SDK lets pass there, nobody has signed, so
that anyone on the way could change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cosmos_wire.errors import PlainError, TxDecode
from cosmos_wire.protos import multisig, signing, tx
from cosmos_wire.public_keys import Key, MultisigKey, SimpleKey
from cosmos_wire.strict import parse


@dataclass(frozen=True, slots=True)
class OneSignature:
    """Of a key that signs by itself."""

    mode: int  # cosmos.tx.signing.v1beta1.SignMode
    data: bytes


@dataclass(frozen=True, slots=True)
class ManySignatures:
    """Of a multisig key: one part for each member whose bit is set."""

    bits: tuple[bool, ...]
    parts: tuple[Signature, ...]
    canonical: bool  # whether the bit array is the one encoding of these bits


Signature = OneSignature | ManySignatures
SignBytes = Callable[[int], bytes]  # of a sign mode; raises SignModeError
Verify = Callable[[SimpleKey, bytes, bytes], bool]  # key, message, signature


def read(info: tx.ModeInfo, data: bytes) -> Signature:
    """The signature that a signer info describes; raises PlainError."""
    shape = info.WhichOneof("sum")
    if shape == "single":
        return OneSignature(info.single.mode, data)
    if shape is None:
        raise PlainError("got empty SignatureData")
    parts = _split(data)
    if len(parts) != len(info.multi.mode_infos):
        raise PlainError(f"expected {len(info.multi.mode_infos)} signatures in the MultiSignature, got {len(parts)}")
    bits, canonical = _bits(info.multi.bitarray)
    members = [read(item, part) for item, part in zip(info.multi.mode_infos, parts, strict=True)]
    return ManySignatures(bits, tuple(members), canonical)


def _split(data: bytes) -> tuple[bytes, ...]:
    try:
        return tuple(parse(multisig.MultiSignature, data, "MultiSignature").signatures)
    except TxDecode as error:
        raise PlainError(f"rejecting unrecognized fields found in MultiSignature: {error}") from error


def _bits(array: multisig.CompactBitArray) -> tuple[tuple[bool, ...], bool]:
    """Bits from the high end of each byte; `extra_bits_stored` counts those of the last byte, 0 means all eight."""
    size, extra = len(array.elems), array.extra_bits_stored
    if extra >= 8 or (extra and not size):
        raise PlainError(f"bit array of {size} bytes: expected extra_bits_stored 0..7 within them, got {extra}")
    length = size * 8 if not extra else size * 8 - 8 + extra
    number = int.from_bytes(array.elems, "big")
    bits = tuple([bool(number >> (size * 8 - 1 - i) & 1) for i in range(length)])
    return bits, not number & ((1 << (size * 8 - length)) - 1)


def compact_bits(bits: tuple[bool, ...]) -> multisig.CompactBitArray:
    """The encoding of some bits."""
    size = -(-len(bits) // 8)
    number = sum([1 << (size * 8 - 1 - i) for i, bit in enumerate(bits) if bit])
    return multisig.CompactBitArray(extra_bits_stored=len(bits) % 8, elems=number.to_bytes(size, "big"))


def write(signature: Signature) -> tuple[tx.ModeInfo, bytes]:
    """Mode info and signature bytes, the way back from `read`."""
    info = tx.ModeInfo()
    if isinstance(signature, OneSignature):
        info.single.mode = signing.SignMode.ValueType(signature.mode)
        return info, signature.data
    written = [write(part) for part in signature.parts]
    info.multi.bitarray.CopyFrom(compact_bits(signature.bits))
    info.multi.mode_infos.extend([mode for mode, _ in written])
    made = multisig.MultiSignature(signatures=[data for _, data in written])
    return info, made.SerializeToString(deterministic=True)


def only_amino(signature: Signature) -> bool:
    """Whether every part is signed in amino JSON, whose text holds the sequence."""
    if isinstance(signature, OneSignature):
        return signature.mode == signing.SIGN_MODE_LEGACY_AMINO_JSON
    return all(only_amino(part) for part in signature.parts)


def flat(signature: Signature) -> list[bytes]:
    """What the `tx.signature` events show: each part, and behind the parts of a multisig all of them together."""
    if isinstance(signature, OneSignature):
        return [signature.data]
    parts = [data for part in signature.parts for data in flat(part)]
    return [*parts, multisig.MultiSignature(signatures=parts).SerializeToString(deterministic=True)]


def signing_members(key: MultisigKey, signature: ManySignatures) -> Iterator[tuple[int, Key, Signature]]:
    """Number, key and signature of each member whose bit is set, as far as there are any."""
    numbered = [(i, member) for i, (member, bit) in enumerate(zip(key.members, signature.bits, strict=False)) if bit]
    for (i, member), part in zip(numbered, signature.parts, strict=False):
        yield i, member, part


def fault(key: Key, signature: Signature, sign_bytes: SignBytes, verify: Verify) -> str:
    """Why the signature is not the key's, empty when it is. Raises SignModeError."""
    if isinstance(signature, OneSignature):
        if isinstance(key, MultisigKey):
            return f"expected signatures of members, got one of {key.go_name}"
        message = sign_bytes(signature.mode)
        return "" if verify(key, message, signature.data) else "unable to verify single signer signature"
    if isinstance(key, SimpleKey):
        return f"expected <nil>, got {key.go_name}"
    return _shape_fault(key, signature) or _members_fault(key, signature, sign_bytes, verify)


def _shape_fault(key: MultisigKey, signature: ManySignatures) -> str:
    if len(signature.bits) != len(key.members) or not signature.canonical:
        return f"bit array size is incorrect, expecting: {len(key.members)}"
    if len(signature.parts) < key.threshold or len(signature.parts) > len(key.members):
        return f"signature size is incorrect {len(signature.parts)}"
    have = sum(signature.bits)
    if have < key.threshold:
        return f"not enough signatures set, have {have}, expected {key.threshold}"
    return "" if have == len(signature.parts) else f"signature size is incorrect {len(signature.parts)}"


def _members_fault(key: MultisigKey, signature: ManySignatures, sign_bytes: SignBytes, verify: Verify) -> str:
    for i, member, part in signing_members(key, signature):
        found = fault(member, part, sign_bytes, verify)
        if found:
            nested = isinstance(member, MultisigKey) and isinstance(part, ManySignatures)
            return found if nested else f"unable to verify signature at index {i}"
    return ""
