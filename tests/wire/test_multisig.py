"""Multisig signatures and keys under hostile input."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire import multisig, public_keys, secp256r1
from cosmos_wire.errors import ChainError, InvalidPubKey, PlainError, TxDecode
from cosmos_wire.multisig import ManySignatures, OneSignature, compact_bits
from cosmos_wire.protos import Any, bank_tx, multisig_keys, tx
from cosmos_wire.protos import multisig as multisig_proto
from cosmos_wire.public_keys import DEPTH_MAX, MULTISIG, MultisigKey, SimpleKey, address, from_any, to_any
from cosmos_wire.sign_modes import SignBytes, SignModeError
from tests.wire import keys


@settings(max_examples=200, deadline=None)
@given(bits=st.lists(st.booleans(), max_size=40).map(tuple))
def test_bit_arrays_come_back(bits: tuple[bool, ...]) -> None:
    parts = tuple(OneSignature(127, bytes([i])) for i, bit in enumerate(bits) if bit)
    signature = ManySignatures(bits, parts, True)
    assert multisig.read(*multisig.write(signature)) == signature


def sign_bytes(data: bytes, key: public_keys.Key) -> SignBytes:
    return SignBytes(keys.decoded(data), keys.signer(key))


GOOD = [(key, plan, keys.signed(key, plan)) for key, plan in keys.GOOD]
MULTI = [(key, plan, data) for key, plan, data in GOOD if isinstance(key, MultisigKey)]


def verdict(key: public_keys.Key, data: bytes) -> str:
    """Empty for a good signature, whatever else happens to a bad one."""
    try:
        decoded = keys.decoded(data)
        info = decoded.auth_info.signer_infos[0]
        signature = multisig.read(info.mode_info, decoded.raw.signatures[0])
        return multisig.fault(key, signature, sign_bytes(data, key), public_keys.verify)
    except (ChainError, SignModeError) as error:
        return str(error)


def test_good_signatures() -> None:
    assert [verdict(key, data) for key, _, data in GOOD] == [""] * len(GOOD)


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(MULTI), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_changed_bit_of_a_multisig_signature_is_refused(
    case: tuple[public_keys.Key, object, bytes], at: int, bit: int
) -> None:
    key, _, data = case
    raw = tx.TxRaw.FromString(data)
    spoiled = bytearray(raw.signatures[0])
    spoiled[at % len(spoiled)] ^= 1 << bit
    raw.signatures[0] = bytes(spoiled)
    assert verdict(key, raw.SerializeToString(deterministic=True))


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(MULTI), elems=st.binary(max_size=3), extra=st.integers(0, 9))
def test_another_bit_array_is_refused(case: tuple[public_keys.Key, object, bytes], elems: bytes, extra: int) -> None:
    key, _, data = case
    raw = tx.TxRaw.FromString(data)
    info = tx.AuthInfo.FromString(raw.auth_info_bytes)
    array = info.signer_infos[0].mode_info.multi.bitarray
    same = (array.elems, array.extra_bits_stored) == (elems, extra)
    array.elems, array.extra_bits_stored = elems, extra
    raw.auth_info_bytes = info.SerializeToString(deterministic=True)
    assert same or verdict(key, raw.SerializeToString(deterministic=True))


def test_spare_bits_of_the_array_stay_empty() -> None:
    key, _, data = MULTI[0]  # signed in amino, whose text does not hold the array
    raw = tx.TxRaw.FromString(data)
    info = tx.AuthInfo.FromString(raw.auth_info_bytes)
    array = info.signer_infos[0].mode_info.multi.bitarray
    array.elems = bytes([array.elems[0] | 1])
    raw.auth_info_bytes = info.SerializeToString(deterministic=True)
    assert verdict(key, raw.SerializeToString(deterministic=True)) == "bit array size is incorrect, expecting: 3"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            multisig_proto.CompactBitArray(extra_bits_stored=9, elems=b"\xff"),
            "extra_bits_stored 0..7 within them, got 9",
        ),
        (multisig_proto.CompactBitArray(extra_bits_stored=3), "bit array of 0 bytes"),
    ],
)
def test_arrays_that_are_none(array: multisig_proto.CompactBitArray, text: str) -> None:
    info = tx.ModeInfo()
    info.multi.bitarray.CopyFrom(array)
    with pytest.raises(PlainError, match=text):
        multisig.read(info, b"")


def test_shapes_that_are_no_signature() -> None:
    with pytest.raises(PlainError, match="empty SignatureData"):
        multisig.read(tx.ModeInfo(), bytes(64))
    info, data = multisig.write(ManySignatures((True,), (OneSignature(127, b"x"),), True))
    with pytest.raises(PlainError, match="unrecognized fields"):
        multisig.read(info, data + b"\x9a\x06\x01z")
    with pytest.raises(PlainError, match="expected 1 signatures in the MultiSignature, got 2"):
        multisig.read(info, data + data)
    assert compact_bits((True, False, True)).elems == b"\xa0"


# Keys


def test_keys_come_back() -> None:
    for key in keys.ALL:
        assert from_any(to_any(key)) == key


def nested(depth: int) -> Any:
    packed = to_any(keys.SINGLE)
    for _ in range(depth - 1):
        packed = Any(
            type_url=MULTISIG,
            value=multisig_keys.LegacyAminoPubKey(threshold=1, public_keys=[packed]).SerializeToString(),
        )
    return packed


def test_nesting_and_number_of_keys_are_bounded() -> None:
    assert public_keys.count(from_any(nested(DEPTH_MAX))) == 1
    with pytest.raises(TxDecode, match="max depth exceeded"):
        from_any(nested(DEPTH_MAX + 1))
    many = multisig_keys.LegacyAminoPubKey(threshold=1, public_keys=[to_any(keys.SINGLE)] * 100)
    with pytest.raises(TxDecode, match="call limit exceeded"):
        from_any(Any(type_url=MULTISIG, value=many.SerializeToString()))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (MultisigKey(0, (keys.SINGLE,)), "expected 0 < k <= 1, got 0"),
        (MultisigKey(0, ()), "expected 0 < k <= 0, got 0"),
        (MultisigKey(3, (keys.SINGLE, keys.SINGLE)), "expected 0 < k <= 2, got 3"),
        (MultisigKey(1, (keys.r1_key(0),)), "secp256r1.PubKey as a member"),
        (MultisigKey(1, (MultisigKey(0, ()),)), "got 0"),
        (SimpleKey(public_keys.ED25519, b"x"), "ed25519 public key has 32 bytes"),
    ],
)
def test_keys_without_an_address(key: public_keys.Key, text: str) -> None:
    with pytest.raises(InvalidPubKey, match=text):
        address(key)


@pytest.mark.parametrize(
    "packed",
    [
        Any(),
        Any(type_url="/x.Y"),
        Any(type_url="/cosmos.bank.v1beta1.MsgSend", value=bank_tx.MsgSend().SerializeToString()),
        Any(type_url=public_keys.SECP256K1, value=b"\xff"),
        Any(type_url=public_keys.SECP256K1, value=b"\x9a\x06\x01z"),
        Any(type_url=public_keys.SECP256R1, value=b"\x0a\x21" + b"\x05" * 33),
        Any(type_url=public_keys.SECP256R1, value=b""),
    ],
)
def test_what_is_no_key(packed: Any) -> None:
    with pytest.raises(TxDecode):
        from_any(packed)


def test_high_s_of_p256_is_refused() -> None:
    good = keys.sign_r1(1, b"message")
    high = good[:32] + (secp256r1.ORDER - int.from_bytes(good[32:], "big")).to_bytes(32, "big")
    key = keys.r1_key(1)
    assert public_keys.verify(key, b"message", good)
    assert not public_keys.verify(key, b"message", high)
    assert not public_keys.verify(key, b"message", bytes(64))
    assert not public_keys.verify(key, b"message", good[:63])
    assert not public_keys.verify(SimpleKey(public_keys.SECP256K1, b"short"), b"message", good)


def test_large_keys_are_not_remembered() -> None:
    before = public_keys._small.cache_info().currsize, public_keys._simple_address.cache_info().currsize
    for size in (65, 1_000, 100_000):
        key = SimpleKey(public_keys.SECP256K1, bytes([7]) * size)
        assert from_any(to_any(key)) == key
        with pytest.raises(InvalidPubKey):
            address(key)
    assert from_any(to_any(keys.NESTED)) == keys.NESTED
    address(keys.NESTED)
    assert before == (public_keys._small.cache_info().currsize, public_keys._simple_address.cache_info().currsize)
