"""Validator sets as CometBFT reads them from the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cosmos_wire import canonical, ed25519, secp256k1
from cosmos_wire.errors import InvalidPubKey
from cosmos_wire.protos import cmt_keys, cmt_validator
from ibc_core.tendermint.errors import InvalidValidatorSet

TOTAL_POWER_MAX = (2**63 - 1) // 8  # CometBFT's cap: priorities are computed without overflow below it


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """One signer: address (20 bytes), key, weight."""

    address: bytes
    pub_key: cmt_keys.PublicKey
    voting_power: int

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature over the message is this validator's."""
        if self.pub_key.WhichOneof("sum") == "secp256k1":
            return secp256k1.verify(self.pub_key.secp256k1, message, signature)
        return ed25519.verify(self.pub_key.ed25519, message, signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSet:
    """Validators in the set's order, no address twice, with the set's hash and total power."""

    validators: tuple[Validator, ...]
    by_address: Mapping[bytes, Validator]
    total_power: int
    hash: bytes


def read_validator_set(wire: cmt_validator.ValidatorSet) -> ValidatorSet:
    """Check and convert; raises InvalidValidatorSet.

    The total in the message is not covered by any hash, so it is computed anew. A proposer has to be named and a
    member, as in `ValidatorSetFromProto`. An address twice, which no chain can produce, would count twice: refused.
    """
    members = tuple(_read_validator(each) for each in wire.validators)
    by_address = {each.address: each for each in members}
    total = sum(each.voting_power for each in members)
    if not members:
        raise InvalidValidatorSet("validator set is nil or empty")
    if len(by_address) != len(members):
        raise InvalidValidatorSet(f"{len(members)} validators with {len(by_address)} different addresses")
    if total > TOTAL_POWER_MAX:
        raise InvalidValidatorSet(f"total voting power {total} exceeds maximum {TOTAL_POWER_MAX}")
    _require_proposer(wire, by_address)
    return ValidatorSet(
        validators=members, by_address=by_address, total_power=total, hash=canonical.validator_set_hash(members)
    )


def _require_proposer(wire: cmt_validator.ValidatorSet, members: Mapping[bytes, Validator]) -> None:
    if not wire.HasField("proposer"):
        raise InvalidValidatorSet("expected a proposer, got none")
    proposer = _read_validator(wire.proposer)
    if proposer.address not in members:
        raise InvalidValidatorSet(f"proposer {proposer.address.hex()} is not among the validators")


def _read_validator(wire: cmt_validator.Validator) -> Validator:
    expected = key_address(wire.pub_key)
    if wire.voting_power < 0:
        raise InvalidValidatorSet(f"validator {expected.hex()} has negative voting power {wire.voting_power}")
    if wire.address != expected:
        raise InvalidValidatorSet(
            f"validator address: expected {expected.hex()} from its key, got {wire.address.hex()}"
        )
    return Validator(address=expected, pub_key=wire.pub_key, voting_power=wire.voting_power)


def key_address(key: cmt_keys.PublicKey) -> bytes:
    """Address (20 bytes) of a validator key; raises InvalidValidatorSet for a kind or size that CometBFT lacks."""
    kind = key.WhichOneof("sum")
    if kind == "ed25519" and len(key.ed25519) == ed25519.PUBLIC_KEY_BYTES:
        return canonical.validator_address(key.ed25519)
    if kind == "secp256k1":
        try:
            return secp256k1.address(key.secp256k1)
        except InvalidPubKey as error:
            raise InvalidValidatorSet(str(error)) from error
    raise InvalidValidatorSet(f"expected an ed25519 key of 32 bytes or a secp256k1 key, got {kind or 'no key'}")
