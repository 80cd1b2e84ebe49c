"""The bytes that a signer signs, by sign mode, as the SDK's default handlers make them.

SIGN_MODE_DIRECT             body and auth info as they are sent
SIGN_MODE_DIRECT_AUX         body alone: for a signer who does not pay the fee
SIGN_MODE_LEGACY_AMINO_JSON  a text of everything, sorted, for hardware wallets and members of a multisig
"""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_wire.amino_json import AminoJsonError, encode, encode_value, json_text
from cosmos_wire.errors import BsmgError
from cosmos_wire.protos import signing, tx
from cosmos_wire.public_keys import Key, to_any
from cosmos_wire.tx import DecodedTx, sign_doc

AMINO_NAME = "SIGN_MODE_LEGACY_AMINO_JSON"


class SignModeError(BsmgError):
    """There are no bytes to sign in this mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """What a signature is bound to beside the transaction."""

    chain_id: str
    account_number: int
    sequence: int
    address: str
    fee_payer: str  # address of who pays
    key: Key


class SignBytes:
    """Of one signer and transaction; every mode is computed once, however many members sign in it."""

    def __init__(self, decoded: DecodedTx, signer: Signer) -> None:
        self._decoded, self._signer = decoded, signer
        self._made: dict[int, bytes] = {}

    def __call__(self, mode: int) -> bytes:
        """Raises SignModeError."""
        if mode not in self._made:
            self._made[mode] = self._make(mode)
        return self._made[mode]

    def _make(self, mode: int) -> bytes:
        decoded, signer = self._decoded, self._signer
        if mode == signing.SIGN_MODE_DIRECT:
            raw = decoded.raw
            return sign_doc(raw.body_bytes, raw.auth_info_bytes, signer.chain_id, signer.account_number)
        if mode == signing.SIGN_MODE_LEGACY_AMINO_JSON:
            return amino_sign_bytes(decoded, signer)
        if mode == signing.SIGN_MODE_DIRECT_AUX:
            return aux_sign_bytes(decoded, signer)
        names = signing.SignMode.items()
        name = next((name for name, number in names if number == mode), str(mode))
        raise SignModeError(f"unsupported sign mode {name}")


def aux_sign_bytes(decoded: DecodedTx, signer: Signer) -> bytes:
    """SignDocDirectAux; raises SignModeError for the fee payer, who has to sign the fee too."""
    if signer.address == signer.fee_payer:
        raise SignModeError(f"fee payer {signer.fee_payer} cannot sign with SIGN_MODE_DIRECT_AUX: unauthorized")
    doc = tx.SignDocDirectAux(
        body_bytes=decoded.raw.body_bytes,
        public_key=to_any(signer.key),
        chain_id=signer.chain_id,
        account_number=signer.account_number,
        sequence=signer.sequence,
    )
    return doc.SerializeToString(deterministic=True)


def amino_sign_bytes(decoded: DecodedTx, signer: Signer) -> bytes:
    """The sign document in amino JSON. Raises SignModeError for what the text could not show."""
    body = decoded.body
    if decoded.unknown_fields:
        raise SignModeError(f"{AMINO_NAME} does not support unknown fields: invalid request")
    if body.extension_options or body.non_critical_extension_options:
        raise SignModeError(f"{AMINO_NAME} does not support protobuf extension options: invalid request")
    if not decoded.auth_info.HasField("fee"):
        raise SignModeError("fee cannot be nil when tipper is not signer")
    try:
        return _amino_doc(decoded, signer).encode()
    except AminoJsonError as error:
        raise SignModeError(str(error)) from error


def _amino_doc(decoded: DecodedTx, signer: Signer) -> str:
    body = decoded.body
    messages = ",".join([encode(message) for _, message in decoded.messages])
    members = [
        f'"account_number":"{signer.account_number}"',
        f'"chain_id":{json_text(signer.chain_id)}',
        f'"fee":{_amino_fee(decoded.auth_info.fee)}',
        f'"memo":{json_text(body.memo)}',
        f'"msgs":[{messages}]',
        f'"sequence":"{signer.sequence}"',
    ]
    if body.timeout_height:
        members.append(f'"timeout_height":"{body.timeout_height}"')
    if body.HasField("timeout_timestamp"):
        members.append(f'"timeout_timestamp":{encode_value(body.timeout_timestamp)}')
    if body.unordered:
        members.append('"unordered":true')
    return "{" + ",".join(members) + "}"


def _amino_fee(fee: tx.Fee) -> str:
    coins = ",".join([encode_value(coin) for coin in fee.amount])
    members = [f'"amount":[{coins}]', f'"gas":"{fee.gas_limit}"']
    if fee.granter:
        members.append(f'"granter":{json_text(fee.granter)}')
    if fee.payer:
        members.append(f'"payer":{json_text(fee.payer)}')
    return "{" + ",".join(members) + "}"
