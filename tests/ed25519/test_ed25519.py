"""ZIP-215's answer to the vectors of others: dalek-derived edge cases, speccheck, RFC 8032, Wycheproof."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire import ed25519
from tests.tendermint.fetch import go_module

MODULE, VERSION = "github.com/oasisprotocol/curve25519-voi", "v0.0.0-20220708102147-0a8a51822cae"  # as CometBFT 0.38.26
SEEDS = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def testdata() -> Path:
    return go_module(MODULE, VERSION) / "primitives" / "ed25519" / "testdata"


def read_json(path: Path) -> Any:
    with gzip.open(path) as stream:
        return json.load(stream)


def test_all_196_vectors_of_zip215_are_accepted(testdata: Path) -> None:
    vectors = read_json(testdata / "zip215.json.gz")
    assert len(vectors) == 196
    refused = [v for v in vectors if not ed25519.verify(bytes.fromhex(v[0]), b"Zcash", bytes.fromhex(v[1]))]
    assert refused == []


def test_vectors_with_odd_points_are_all_accepted(testdata: Path) -> None:
    vectors = read_json(testdata / "ed25519vectors.json.gz")
    assert len(vectors) == 768
    refused = [
        v for v in vectors if not ed25519.verify(bytes.fromhex(v["A"]), v["M"].encode(), bytes.fromhex(v["R"] + v["S"]))
    ]
    assert refused == []


def test_speccheck_answers_are_those_of_zip215(testdata: Path) -> None:
    vectors = read_json(testdata / "speccheck_cases.json.gz")
    answers = [
        ed25519.verify(bytes.fromhex(v["pub_key"]), bytes.fromhex(v["message"]), bytes.fromhex(v["signature"]))
        for v in vectors
    ]
    assert answers == [True] * 6 + [False] * 3 + [True] * 3  # 6-8: S >= L and friends, refused by everyone


def test_wycheproof(testdata: Path) -> None:
    cases = [
        (group["key"]["pk"], case)
        for group in read_json(testdata / "eddsa_test.json.gz")["testGroups"]
        for case in group["tests"]
    ]
    assert len(cases) == 145
    wrong = [
        case["tcId"]
        for key, case in cases
        if ed25519.verify(bytes.fromhex(key), bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
        != (case["result"] == "valid")
    ]
    assert wrong == []


def rfc8032(testdata: Path) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """(seed, public key, message, signature); the file is the reference implementation's."""
    with gzip.open(testdata / "sign.input.gz", "rt") as lines:
        for line in lines:
            secret, key, message, signed, _ = line.strip().split(":")
            yield bytes.fromhex(secret[:64]), bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signed[:128])


def test_rfc8032_signatures_are_made_and_accepted(testdata: Path) -> None:
    count = 0
    for seed, key, message, signature in rfc8032(testdata):
        assert ed25519.public_key(seed) == key
        assert ed25519.sign(seed, message) == signature
        assert ed25519.verify(key, message, signature)
        count += 1
    assert count == 128


def test_slow_check_agrees_with_the_reference_vectors(testdata: Path) -> None:
    for _, key, message, signature in list(rfc8032(testdata))[::8]:
        assert ed25519.verify_cofactored(key, message, signature)
        assert not ed25519.verify_cofactored(key, message + b"\x00", signature)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, message=st.binary(max_size=80), at=st.integers(0, 511))
def test_one_flipped_bit_is_refused(seed: bytes, message: bytes, at: int) -> None:
    key, signature = ed25519.public_key(seed), bytearray(ed25519.sign(seed, message))
    signature[at // 8] ^= 1 << at % 8
    assert not ed25519.verify(key, message, bytes(signature))


@pytest.mark.parametrize(("key_size", "signature_size"), [(0, 64), (31, 64), (33, 64), (32, 0), (32, 63), (32, 65)])
def test_wrong_sizes_are_refused_without_an_exception(key_size: int, signature_size: int) -> None:
    assert not ed25519.verify(bytes(key_size), b"", bytes(signature_size))


def test_scalar_that_is_not_reduced_is_refused() -> None:
    seed = bytes(32)
    key, signature = ed25519.public_key(seed), ed25519.sign(seed, b"m")
    scalar = int.from_bytes(signature[32:], "little") + ed25519.L
    assert not ed25519.verify(key, b"m", signature[:32] + scalar.to_bytes(32, "little"))


def test_key_off_the_curve_is_refused() -> None:
    off_curve = next(y for y in range(2, 50) if ed25519.decode_point(y.to_bytes(32, "little")) is None)
    assert not ed25519.verify(off_curve.to_bytes(32, "little"), b"", bytes(64))
