"""Account keys: secp256k1, secp256r1, ed25519, and multisig keys of any of them, as the Cosmos SDK has them.

Addresses: secp256k1 RIPEMD-160 of SHA-256 (20 bytes); ed25519 SHA-256 (20 bytes); secp256r1 by ADR-028 (32 bytes);
multisig SHA-256 of the key's amino encoding (20 bytes), so that it names threshold, members and their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cosmos_wire import ed25519, secp256k1, secp256r1
from cosmos_wire.errors import InvalidPubKey, TxDecode
from cosmos_wire.protos import Any, ed25519_keys, multisig_keys, secp256k1_keys, secp256r1_keys
from cosmos_wire.strict import parse

SECP256K1, SECP256R1, ED25519 = (
    f"/{kind.DESCRIPTOR.full_name}" for kind in (secp256k1_keys.PubKey, secp256r1_keys.PubKey, ed25519_keys.PubKey)
)
MULTISIG = f"/{multisig_keys.LegacyAminoPubKey.DESCRIPTOR.full_name}"
KINDS: Mapping[str, type[secp256k1_keys.PubKey | secp256r1_keys.PubKey | ed25519_keys.PubKey]] = {
    SECP256K1: secp256k1_keys.PubKey,
    SECP256R1: secp256r1_keys.PubKey,
    ED25519: ed25519_keys.PubKey,
}
DEPTH_MAX, KEYS_MAX = 10, 100  # the SDK's MaxUnpackAnyRecursionDepth and MaxUnpackAnySubCalls
ADDRESS_BYTES = 20
REMEMBERED_BYTES_MAX = 64  # of keys that are parsed once: anybody can send large ones that nobody ever signs for
# The first four bytes of SHA-256 of the amino name, leading zeros and one group of three bytes left out.
AMINO_MULTISIG = bytes.fromhex("22c1f7e2")  # tendermint/PubKeyMultisigThreshold
AMINO_PREFIXES = {  # with the length of the key
    SECP256K1: bytes.fromhex("eb5ae987"),  # tendermint/PubKeySecp256k1
    ED25519: bytes.fromhex("1624de64"),  # tendermint/PubKeyEd25519
}


@dataclass(frozen=True, slots=True)
class SimpleKey:
    """A key that signs by itself; `kind` is its type URL."""

    kind: str
    data: bytes

    @property
    def go_name(self) -> str:
        """As the SDK's messages name it."""
        return f"*{self.kind.split('.')[2]}.PubKey"


@dataclass(frozen=True, slots=True)
class MultisigKey:
    """`threshold` of `members` have to sign; members may be multisig keys themselves."""

    threshold: int
    members: tuple[Key, ...]

    go_name = "*multisig.LegacyAminoPubKey"


Key = SimpleKey | MultisigKey


def secp256k1_key(data: bytes) -> SimpleKey:
    """Of a 33-byte compressed point."""
    return SimpleKey(SECP256K1, data)


def from_any(packed: Any) -> Key:
    """The key that a signer info or an account carries; raises TxDecode."""
    if len(packed.value) > REMEMBERED_BYTES_MAX:
        return _Reader().read(packed.type_url, packed.value, DEPTH_MAX)
    return _small(packed.type_url, packed.value)


@lru_cache(maxsize=65_536)
def _small(url: str, value: bytes) -> Key:
    return _Reader().read(url, value, DEPTH_MAX)


class _Reader:
    """Bounds the work that nested keys can ask for."""

    def __init__(self) -> None:
        self._left = KEYS_MAX

    def read(self, url: str, value: bytes, depth: int) -> Key:
        """One key and what it nests."""
        if depth <= 0:
            raise TxDecode(f"max depth exceeded: expected keys nested at most {DEPTH_MAX} deep")
        if self._left <= 0:
            raise TxDecode(f"call limit exceeded: expected at most {KEYS_MAX} nested keys")
        self._left -= 1
        if url == MULTISIG:
            return self._multisig(parse(multisig_keys.LegacyAminoPubKey, value, url), depth)
        if url not in KINDS:
            raise TxDecode(f"unable to resolve type URL {url[:200]}")
        return _simple(url, parse(KINDS[url], value, url).key)

    def _multisig(self, found: multisig_keys.LegacyAminoPubKey, depth: int) -> MultisigKey:
        members = [self.read(item.type_url, item.value, depth - 1) for item in found.public_keys]
        return MultisigKey(found.threshold, tuple(members))


def _simple(url: str, data: bytes) -> SimpleKey:
    if url == SECP256R1:
        try:
            secp256r1.parsed(data)
        except InvalidPubKey as error:  # the SDK's decoder parses these and no others
            raise TxDecode(str(error)) from error
    return SimpleKey(url, data)


def to_any(key: Key) -> Any:
    """As signer infos and accounts carry it."""
    if isinstance(key, SimpleKey):
        return Any(type_url=key.kind, value=KINDS[key.kind](key=key.data).SerializeToString(deterministic=True))
    made = multisig_keys.LegacyAminoPubKey(
        threshold=key.threshold, public_keys=[to_any(member) for member in key.members]
    )
    return Any(type_url=MULTISIG, value=made.SerializeToString(deterministic=True))


def address(key: Key) -> bytes:
    """Of its account, 20 or 32 bytes; raises InvalidPubKey for a key that can't have one."""
    if isinstance(key, MultisigKey):
        return sha256(amino_bytes(key)).digest()[:ADDRESS_BYTES]
    return _simple_address(key)


@lru_cache(maxsize=65_536)  # no large key has an address, so that nobody can fill the memory with them
def _simple_address(key: SimpleKey) -> bytes:
    if key.kind == SECP256K1:
        return secp256k1.address(key.data)
    if key.kind == SECP256R1:
        return sha256(sha256(key.kind[1:].encode()).digest() + key.data).digest()
    if len(key.data) != ed25519.PUBLIC_KEY_BYTES:
        raise InvalidPubKey(f"an ed25519 public key has {ed25519.PUBLIC_KEY_BYTES} bytes, got {len(key.data)}")
    return sha256(key.data).digest()[:ADDRESS_BYTES]


def amino_bytes(key: Key) -> bytes:
    """Amino's binary form; raises InvalidPubKey for what has none or could never or always be signed for."""
    if isinstance(key, SimpleKey):
        if key.kind not in AMINO_PREFIXES:
            raise InvalidPubKey(f"a multisig key can't have {key.go_name} as a member: it has no amino encoding")
        return AMINO_PREFIXES[key.kind] + _varint(len(key.data)) + key.data
    if not 0 < key.threshold <= len(key.members):
        raise InvalidPubKey(
            f"threshold k of n multisignature: expected 0 < k <= {len(key.members)}, got {key.threshold}"
        )
    members = [amino_bytes(member) for member in key.members]
    listed = b"".join([b"\x12" + _varint(len(member)) + member for member in members])
    return AMINO_MULTISIG + b"\x08" + _varint(key.threshold) + listed


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def count(key: Key | None) -> int:
    """Keys that sign by themselves; a signer info without a key counts nothing, as in the SDK."""
    if key is None:
        return 0
    return 1 if isinstance(key, SimpleKey) else sum([count(member) for member in key.members])


def verify(key: SimpleKey, message: bytes, signature: bytes) -> bool:
    """Whether the signature over the message is this key's; a key that is no key has none."""
    try:
        if key.kind == SECP256K1:
            return secp256k1.verify(key.data, message, signature)
        if key.kind == SECP256R1:
            return secp256r1.verify(key.data, message, signature)
    except InvalidPubKey:
        return False
    return ed25519.verify(key.data, message, signature)
