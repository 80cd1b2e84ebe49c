import stat

import bech32
import pytest

from bsmg.client import keys
from bsmg.client.errors import KeyFault
from cosmos_wire import secp256k1

ABANDON = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

# Published BIP-39 vectors (passphrase TREZOR) and BIP-32 test vector 1.
BIP39 = [
    (
        ABANDON,
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6fa457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607",
    ),
    (
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
        "ac27495480225222079d7be181583751e86f571027b0497b5b5d11218e0a8a13332572917f0f8e5a589620c6f15b11c61dee327651a14c34e18231052e48c069",
    ),
]


@pytest.mark.parametrize(("words", "seed"), BIP39)
def test_seed_vectors(words, seed):
    assert seed == keys.seed_of(words, "TREZOR").hex()


def test_bip32_vector_1():
    seed = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    key = keys.key_from_seed(seed, "m/0'/1/2'/2/1000000000")
    assert key.secret.hex() == "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8"


def test_cosmos_address_vector():
    key = keys.key_from_mnemonic(ABANDON)
    assert key.address("cosmos") == "cosmos19rl4cm2hmr8afy4kldpxz3fka4jguq0auqdal4"
    assert bech32.bech32_decode(key.address())[1] == bech32.bech32_decode(key.address("cosmos"))[1]


def test_extra_space_between_words_changes_nothing():
    assert keys.key_from_mnemonic(f"  {ABANDON.replace(' ', '   ')}\n") == keys.key_from_mnemonic(ABANDON)


@pytest.mark.parametrize("words", ["", "abandon", ABANDON.replace("about", "abandon"), "x" * 100])
def test_bad_words_are_refused(words):
    with pytest.raises(KeyFault, match="expected 12 to 24"):
        keys.key_from_mnemonic(words)


@pytest.mark.parametrize("path", ["", "44'/118'", "m/x", "m/44'/118'/0'/0/99999999999"])
def test_bad_paths_are_refused(path):
    with pytest.raises(KeyFault, match="derivation path"):
        keys.key_from_seed(b"\x01" * 64, path)


def test_signature_verifies_and_secret_stays_out_of_repr():
    key = keys.key_from_name("alice")
    signature = key.sign(b"message")
    assert secp256k1.verify(key.public, b"message", signature)
    assert not secp256k1.verify(key.public, b"other", signature)
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)


def test_key_file_round_trip(tmp_path):
    words, path = keys.new_mnemonic(), tmp_path / "relayer.key"
    keys.write_key_file(path, words)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.read_key_file(path) == keys.key_from_mnemonic(words)
    with pytest.raises(KeyFault, match="expected to create it"):
        keys.write_key_file(path, words)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not a mnemonic", b"a" * 5000])
def test_bad_key_files_are_refused(tmp_path, content):
    path = tmp_path / "bad.key"
    path.write_bytes(content)
    with pytest.raises(KeyFault, match=r"bad\.key"):
        keys.read_key_file(path)


def test_missing_key_file(tmp_path):
    with pytest.raises(KeyFault, match="expected a readable file"):
        keys.read_key_file(tmp_path / "none")


def test_bech32_vectors():
    """BIP-173: the valid strings decode, the invalid do not."""
    for text in ("A12UEL5L", "a12uel5l", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "?1ezyfcl"):
        assert bech32.bech32_decode(text) != (None, None)
    for text in ("pzry9x0s0muk", "1pzry9x0s0muk", "x1b4n0q5v", "li1dgmt3", "A1G7SGD8", "10a06t8", "1qzzfhee"):
        assert bech32.bech32_decode(text) == (None, None)
