"""Signatures of a transaction: what they cost, whether they are good, and which were found good before."""

from __future__ import annotations

from cosmos_wire import public_keys
from cosmos_wire.errors import InvalidPubKey, PlainError
from cosmos_wire.multisig import ManySignatures, OneSignature, Signature, signing_members
from cosmos_wire.public_keys import ED25519, SECP256K1, SECP256R1, Key, MultisigKey, SimpleKey
from ibc_core.host import GasMeter
from microgrid import gas

REMEMBERED_MAX = 50_000  # ten full mempools; about 15 MB
SIGNATURE_BYTES = 64
MEMBER_BYTES = 8  # of a part of a multisig signature beside the signature itself: lengths and its mode
BIT_ARRAY_BYTES = 8
NOTHING = OneSignature(0, b"")  # yet
COSTS = {
    SECP256K1: (gas.SECP256K1_CHECK, "secp256k1"),
    SECP256R1: (gas.SECP256R1_CHECK, "secp256r1"),
    ED25519: (gas.ED25519_CHECK, "ed25519"),
}


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
        if key.kind == ED25519:  # as SDK 0.50 has it: such keys are validators'
            raise InvalidPubKey("ED25519 public keys are unsupported")
        return
    if isinstance(signature, OneSignature):
        raise PlainError("expected *signing.MultiSignatureData, got, *signing.SingleSignatureData")
    for _, member, part in signing_members(key, signature):
        charge(meter, member, part)


def _charge_simple(meter: GasMeter, key: SimpleKey) -> None:
    cost, name = COSTS[key.kind]
    meter.consume(cost, f"ante verify: {name}")


def charge_simulated(meter: GasMeter, key: Key, signature: Signature) -> None:
    """The same for a signature that may still be to come: nobody knows who will sign, so that all members count."""
    if isinstance(key, SimpleKey):
        _charge_simple(meter, key)
        return
    for member, part in _expected(key, signature):
        charge_simulated(meter, member, part)


def bytes_to_come(key: Key, signature: Signature) -> int:
    """Size that the transaction gains by what is missing of the signature."""
    if isinstance(key, SimpleKey):
        return SIGNATURE_BYTES if isinstance(signature, OneSignature) and not signature.data else 0
    parts = [bytes_to_come(member, part) for member, part in _expected(key, signature)]
    return BIT_ARRAY_BYTES + sum(MEMBER_BYTES + size for size in parts) if any(parts) else 0


def _expected(key: MultisigKey, signature: Signature) -> list[tuple[Key, Signature]]:
    """Who signs, if the signature says so, else everybody."""
    if isinstance(signature, ManySignatures) and any(signature.bits):
        return [(member, part) for _, member, part in signing_members(key, signature)]
    return [(member, NOTHING) for member in key.members]
