"""Signatures of a transaction: what they cost, whether they are good, and which were found good before."""

from __future__ import annotations

from collections.abc import Sequence

from abci_app import gas
from cosmos_wire import public_keys
from cosmos_wire.errors import InvalidPubKey, PlainError
from cosmos_wire.multisig import OneSignature, Signature, signing_members
from cosmos_wire.public_keys import ED25519, SECP256R1, Key, MultisigKey, SimpleKey
from ibc_core.host import GasMeter

REMEMBERED_MAX = 50_000  # ten full mempools; about 15 MB
SIGNATURE_BYTES = 64
MEMBER_BYTES = 8  # of a part of a multisig signature beside the signature itself: lengths and its mode
BIT_ARRAY_BYTES = 8


class SignatureCache:
    """CheckTx checks, FinalizeBlock remembers: good checks only, so that a forgotten one never changes an answer."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._good: dict[tuple[SimpleKey, bytes, bytes], None] = {}
        self._limit = remembered_max

    def verify(self, key: SimpleKey, message: bytes, signature: bytes) -> bool:
        """As `public_keys.verify`; the second time in the life of a transaction it is a look-up."""
        what = (key, message, signature)
        if self._good.pop(what, what) is None:  # a block asks once: the entry is not needed any more
            return True
        if not public_keys.verify(key, message, signature):
            return False
        if len(self._good) >= self._limit:
            del self._good[next(iter(self._good))]
        self._good[what] = None
        return True


def charge(meter: GasMeter, key: Key, signature: Signature) -> None:
    """Gas of checking; raises PlainError for one signature where a multisig key has to have many."""
    if isinstance(key, SimpleKey):
        _charge_simple(meter, key)
        return
    if isinstance(signature, OneSignature):
        raise PlainError("expected *signing.MultiSignatureData, got, *signing.SingleSignatureData")
    for _, member, part in signing_members(key, signature):
        charge(meter, member, part)


def _charge_simple(meter: GasMeter, key: SimpleKey) -> None:
    if key.kind == ED25519:
        meter.consume(gas.ED25519_CHECK, "ante verify: ed25519")
        raise InvalidPubKey("ED25519 public keys are unsupported")
    name = "secp256r1" if key.kind == SECP256R1 else "secp256k1"
    meter.consume(gas.SECP256R1_CHECK if name == "secp256r1" else gas.SECP256K1_CHECK, f"ante verify: {name}")


def charge_simulated(meter: GasMeter, key: Key, signature: Signature) -> None:
    """The same for a signature that is not there yet: of as many members as have to sign, the dearest."""
    if isinstance(key, SimpleKey) or not is_incomplete(signature):
        charge(meter, key, signature)
        return
    for member in _dearest(key):
        charge_simulated(meter, member, signature)


def is_incomplete(signature: Signature) -> bool:
    """Whether it, or a part of it, is still to be made."""
    if isinstance(signature, OneSignature):
        return not signature.data
    return not signature.parts or any(is_incomplete(part) for part in signature.parts)


def bytes_to_come(key: Key) -> int:
    """Size that the transaction gains by the signature."""
    if isinstance(key, SimpleKey):
        return SIGNATURE_BYTES
    return BIT_ARRAY_BYTES + sum(MEMBER_BYTES + bytes_to_come(member) for member in _dearest(key))


def _dearest(key: MultisigKey) -> Sequence[Key]:
    return sorted(key.members, key=public_keys.count, reverse=True)[: key.threshold]
