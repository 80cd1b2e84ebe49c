"""Keys of accounts: BIP-39 words, BIP-32 derivation along BIP-44, addresses with any prefix, key files.

A key file holds the words alone on one line and is written with mode 0600.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bip32 import BIP32, BIP32DerivationError, InvalidInputError
from mnemonic import Mnemonic

from bsmg.client.errors import KeyFault
from cosmos_wire import secp256k1
from cosmos_wire.address import PREFIX, to_bech32

HD_PATH = "m/44'/118'/0'/0/0"  # coin type 118 is Cosmos's (SLIP-44)
WORDS_BITS = 256  # 24 words
KEY_FILE_MODE = 0o600
KEY_FILE_BYTES_MAX = 4096


@dataclass(frozen=True, kw_only=True)
class Key:
    """A secp256k1 key pair that signs SHA-256 digests with 64-byte low-S signatures."""

    secret: bytes = field(repr=False)

    @cached_property
    def public(self) -> bytes:
        """Compressed public key, 33 bytes."""
        return secp256k1.public_key(self.secret)

    @cached_property
    def raw_address(self) -> bytes:
        """RIPEMD-160 of SHA-256 of the public key, 20 bytes."""
        return secp256k1.address(self.public)

    def address(self, prefix: str = PREFIX) -> str:
        """Bech32 text form with the chain's prefix."""
        return to_bech32(self.raw_address, prefix)

    def sign(self, message: bytes) -> bytes:
        """Signature r||s (RFC 6979) over SHA-256 of the message, 64 bytes."""
        return secp256k1.sign(self.secret, message)


def new_mnemonic(bits: int = WORDS_BITS) -> str:
    """Fresh words from the system's randomness."""
    return Mnemonic("english").generate(bits)


def seed_of(words: str, passphrase: str = "") -> bytes:
    """BIP-39 seed, 64 bytes; refuses words with a bad checksum."""
    clean = " ".join(words.split())
    if not Mnemonic("english").check(clean):
        count = len(clean.split())
        raise KeyFault(f"mnemonic: expected 12 to 24 English BIP-39 words with a right checksum, got {count} words")
    return Mnemonic.to_seed(clean, passphrase)


def key_from_seed(seed: bytes, path: str = HD_PATH) -> Key:
    """Private key at a derivation path, `m/44'/118'/0'/0/0` by default."""
    try:
        secret = BIP32.from_seed(seed).get_privkey_from_path(path)  # type: ignore[no-untyped-call]  # no stubs
    except (ValueError, OverflowError, BIP32DerivationError, InvalidInputError) as error:
        raise KeyFault(f"derivation path: expected the form {HD_PATH}, got {path!r}: {error}") from error
    return Key(secret=bytes(secret))


def key_from_mnemonic(words: str, path: str = HD_PATH, passphrase: str = "") -> Key:
    """The key that every Cosmos wallet derives from these words."""
    return key_from_seed(seed_of(words, passphrase), path)


def key_from_name(name: str) -> Key:
    """A key that anyone can compute from a name: tests and simulations only, it keeps nothing safe."""
    return Key(secret=hashlib.sha256(b"bsmg test key " + name.encode()).digest())


def write_key_file(path: Path, words: str) -> None:
    """Write the words so that only the owner can read them; an existing file is never overwritten."""
    key_from_mnemonic(words)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
    except OSError as error:
        raise KeyFault(f"key file {path}: expected to create it, got {error.strerror}") from error
    with os.fdopen(handle, "w") as out:
        out.write(words + "\n")


def read_key_file(path: Path) -> Key:
    """The key of a file that holds a mnemonic."""
    try:
        if path.stat().st_size > KEY_FILE_BYTES_MAX:
            raise KeyFault(f"key file {path}: expected at most {KEY_FILE_BYTES_MAX} bytes, got {path.stat().st_size}")
        words = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KeyFault(f"key file {path}: expected a readable file, got {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFault(f"key file {path}: expected a mnemonic in UTF-8, got other bytes") from error
    try:
        return key_from_mnemonic(words)
    except KeyFault as error:
        raise KeyFault(f"key file {path}: {error}") from error
