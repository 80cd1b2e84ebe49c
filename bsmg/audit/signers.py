"""Who has to sign a transaction, and whether they did: key, sequence, signature in whatever mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any as Json

from google.protobuf import symbol_database

from bsmg.audit.stage import Stage
from cosmos_wire import multisig, public_keys
from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, bank_tx, feegrant_tx, market_tx, meter_tx, registry_tx, trade_tx, transfer_tx, tx
from cosmos_wire.public_keys import Key
from cosmos_wire.sign_modes import SignBytes, Signer, SignModeError
from cosmos_wire.tx import decode

MULTI_SEND = "/cosmos.bank.v1beta1.MsgMultiSend"
FIELDS: Mapping[str, tuple[type[Json], ...]] = {
    "from_address": (bank_tx.MsgSend,),
    "utility": (
        registry_tx.MsgRegisterCell,
        registry_tx.MsgRegisterDevice,
        registry_tx.MsgSetStatus,
        registry_tx.MsgSetFeeder,
        market_tx.MsgPostForecast,
        market_tx.MsgProposeCaps,
        market_tx.MsgRegisterStorage,
        market_tx.MsgPostOptimality,
        meter_tx.MsgPostEstimate,
        trade_tx.MsgPostReading,
        trade_tx.MsgPostReputation,
    ),
    "cell": (
        market_tx.MsgPlaceOrder,
        market_tx.MsgCancelOrder,
        market_tx.MsgAmendOrder,
        market_tx.MsgCommitOrder,
        market_tx.MsgRevealOrder,
        market_tx.MsgCancelWaiting,
        market_tx.MsgPlaceForward,
        market_tx.MsgCancelForward,
        market_tx.MsgDeposit,
        market_tx.MsgWithdraw,
    ),
    "authority": (market_tx.MsgUpdateParams, registry_tx.MsgUpdateParams),
    "sender": (meter_tx.MsgSubmitReadings, trade_tx.MsgResend, transfer_tx.MsgTransfer),
    "seller": (trade_tx.MsgPostOffer, trade_tx.MsgCloseOffer),
    "buyer": (trade_tx.MsgLock,),
    "arbiter": (trade_tx.MsgPostArbiterReading,),
    "granter": (feegrant_tx.MsgGrantAllowance, feegrant_tx.MsgRevokeAllowance),
    "pruner": (feegrant_tx.MsgPruneAllowances,),
}
SIGNERS = {f"/{kind.DESCRIPTOR.full_name}": (kind, name) for name, kinds in FIELDS.items() for kind in kinds}


def signers_of(messages: Iterable[Any], payer: str = "") -> dict[str, None]:
    """Addresses that have to sign, in order, each once; a fee payer of its own comes last."""
    found: dict[str, None] = {}
    for message in messages:
        for address in _of_message(message):
            found[address] = None
    if payer:
        found[payer] = None
    return found


def _of_message(message: Any) -> list[str]:
    if message.type_url == MULTI_SEND:
        return [item.address for item in bank_tx.MsgMultiSend.FromString(message.value).inputs]
    known = SIGNERS.get(message.type_url)
    if known is not None:
        return [str(getattr(known[0].FromString(message.value), known[1]))]
    return [str(getattr(_kind(message).FromString(message.value), "signer", ""))]  # IBC's messages all say `signer`


def _kind(message: Any) -> type[Json]:
    kind: type[Json] = symbol_database.Default().GetSymbol(message.type_url.removeprefix("/"))
    return kind


class Signers:
    """Keys and sequences of the accounts, as their transactions show them."""

    def __init__(self, stage: Stage, numbers: Mapping[str, int]) -> None:
        self.stage, self.numbers = stage, numbers
        self.keys: dict[str, Key] = {}
        self.next: dict[str, int] = {}

    def check(self, place: str, raw: tx.TxRaw, parts: tuple[tx.TxBody, tx.AuthInfo]) -> None:
        """A transaction that passed the chain's own checks; nothing to do when account numbers are not known."""
        if not self.numbers:
            return
        body, auth = parts
        required, findings = list(signers_of(body.messages, auth.fee.payer)), self.stage.findings
        findings.count("accounts")
        got = len(auth.signer_infos), len(raw.signatures)
        if not findings.equal("accounts", f"{place} signatures", (len(required),) * 2, got):
            return
        payer = auth.fee.payer or next(iter(required), "")
        for i, (address, info) in enumerate(zip(required, auth.signer_infos, strict=True)):
            expected = self.next.get(address, 0)
            findings.equal("accounts", f"{place} sequence of {address}", expected, info.sequence)
            self.next[address] = info.sequence + 1
            fault = self._fault(raw, i, address, payer)
            if fault:
                findings.add("accounts", f"{place} signature of {address}", "one that verifies", fault)

    def check_member(self, place: str, code: int, parts: tuple[tx.TxBody, tx.AuthInfo]) -> None:
        """On Fabric the key that the front shows is the one signer's; that it signed, the ledger says."""
        body, auth = parts
        self.stage.findings.count("accounts")
        keys = [to_bech32(public_keys.address(public_keys.from_any(info.public_key))) for info in auth.signer_infos]
        if code == 0:
            self.stage.findings.equal("accounts", f"{place} signers", list(signers_of(body.messages)), keys)

    def _fault(self, raw: tx.TxRaw, i: int, address: str, payer: str) -> str:
        body = tx.TxBody.FromString(raw.body_bytes)
        try:
            decoded = decode(raw.SerializeToString(deterministic=True), {m.type_url: _kind(m) for m in body.messages})
            key, info = decoded.keys[i] or self.keys.get(address), decoded.auth_info.signer_infos[i]
            if key is None:
                return "no key"
            owner = to_bech32(public_keys.address(key))
            if owner != address:
                return f"the key of {owner}"
            self.keys[address] = key
            signer = Signer(
                chain_id=self.stage.chain_id,
                account_number=self.numbers.get(address, 0),
                sequence=info.sequence,
                address=address,
                fee_payer=payer,
                key=key,
            )
            signature = multisig.read(info.mode_info, raw.signatures[i])
            return multisig.fault(key, signature, SignBytes(decoded, signer), public_keys.verify)
        except (ChainError, SignModeError) as error:
            return str(error)
