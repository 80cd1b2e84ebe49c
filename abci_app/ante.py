"""What a transaction has to pass before its messages run: the SDK's ante handlers, in their order.

Everything here reads first; fee, key and sequence are written as each step passes, into a store that the caller drops
when a later step refuses.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from abci_app import accounts, coins, gas
from abci_app.signatures import SignatureCache
from cosmos_wire import secp256k1
from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import (
    InsufficientFee,
    InvalidPubKey,
    InvalidRequest,
    NotSupported,
    TxTimeoutHeight,
    Unauthorized,
    UnknownAddress,
    WrongSequence,
)
from cosmos_wire.protos import Message, auth, signing, tx
from cosmos_wire.tx import DecodedTx, check_limits, public_key_of, sign_doc
from ibc_core import bank
from ibc_core.host import Context, MessageRoute, event

FEE_COLLECTOR = "fee_collector"
FEE_COLLECTOR_ADDRESS = bank.module_address(FEE_COLLECTOR)
FEE_COLLECTOR_TEXT = to_bech32(FEE_COLLECTOR_ADDRESS)
# What a transaction gains between its simulation and its broadcast: a signature, a fee and a gas limit.
FEE_FIELD_BYTES = 100
SIMULATED_KEY = secp256k1.public_key(b"\x01" * secp256k1.SECRET_BYTES)  # as long as the one that will come
BALANCE_BYTES = 100  # key and value of a balance, one of a voucher among them
SIMULATED_FEE_GAS = 2 * (gas.READ_FLAT + gas.WRITE_FLAT + (gas.READ_BYTE + gas.WRITE_BYTE) * BALANCE_BYTES)

RefuseRedundant = Callable[[Context, Iterable[Message]], None]  # raises a ChainError


class Mode(Enum):
    """Why a transaction is looked at."""

    CHECK = "check"  # for the mempool, first time
    RECHECK = "recheck"  # for the mempool, again after a block: its signature is known to be good
    SIMULATE = "simulate"  # for its gas: unsigned, fee not decided yet
    DELIVER = "deliver"  # in a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Ante:
    """The pipeline and what this node wants of it."""

    routes: Mapping[str, MessageRoute]
    min_gas_prices: tuple[coins.GasPrice, ...]  # the node's own, asked in CHECK only
    signatures: SignatureCache
    refuse_redundant: RefuseRedundant | None = None  # CheckTx: packets that another relayer has brought already

    def run(self, ctx: Context, decoded: DecodedTx, mode: Mode) -> None:
        """Raise the first refusal (`sdk` codes), or charge the fee, count the sequence up and emit the events."""
        check_limits(decoded)
        check_fee_form(decoded)
        check_timeout_height(ctx, decoded.body.timeout_height)
        charge_size(ctx, decoded, mode)
        signers = self.signers(decoded)
        fee = coins.parse_fee(decoded.auth_info.fee.amount)
        if mode is Mode.CHECK:
            self.check_gas_price(decoded.auth_info.fee.gas_limit, fee)
        deduct_fee(ctx, fee_payer(decoded, signers), fee, mode)
        self.check_signers(ctx, decoded, signers, mode)
        if self.refuse_redundant is not None and mode is not Mode.DELIVER:
            self.refuse_redundant(ctx, [message for _, message in decoded.messages])

    def signers(self, decoded: DecodedTx) -> tuple[bytes, ...]:
        """Addresses that have to sign: of the messages in order, then a fee payer of its own."""
        found: dict[bytes, None] = {}
        for url, message in decoded.messages:
            for text in signer_texts(message, self.routes[url].signer):
                found[from_bech32(text)] = None
        payer = decoded.auth_info.fee.payer
        if payer:
            found[from_bech32(payer)] = None
        return tuple(found)

    def check_gas_price(self, gas_limit: int, fee: tuple[coins.Coin, ...]) -> None:
        """A node without a minimum takes everything; else one denomination has to reach its price."""
        if not self.min_gas_prices:
            return
        required = tuple(price.fee(gas_limit) for price in self.min_gas_prices)
        offered = dict(fee)
        if not any(offered.get(denom, -1) >= amount for denom, amount in required):
            raise InsufficientFee(f"insufficient fees; got: {coins.text(fee)} required: {coins.text(required)}")

    def check_signers(self, ctx: Context, decoded: DecodedTx, signers: Sequence[bytes], mode: Mode) -> None:
        """Key, sequence and signature of each signer, in order; then its sequence counts up."""
        infos = decoded.auth_info.signer_infos
        if len(infos) != len(signers):
            raise Unauthorized(f"invalid number of signer;  expected: {len(signers)}, got {len(infos)}")
        for i, (address, info) in enumerate(zip(signers, infos, strict=True)):
            account = accounts.find(ctx, address)
            if account is None:
                raise UnknownAddress(f"account {to_bech32(address)} does not exist")
            key = check_key(account, address, info, mode)
            ctx.gas.consume(gas.SECP256K1_CHECK, "ante verify: secp256k1")
            check_sequence(account, info, mode)
            if mode in (Mode.CHECK, Mode.DELIVER):
                self._check_signature(ctx, decoded, i, (key, account))
            account.sequence += 1
            accounts.save(ctx, address, account)
            _emit_signed(ctx, account, info, decoded.raw.signatures[i])

    def _check_signature(
        self, ctx: Context, decoded: DecodedTx, i: int, signer: tuple[bytes, auth.BaseAccount]
    ) -> None:
        key, account = signer
        raw = decoded.raw
        doc = sign_doc(raw.body_bytes, raw.auth_info_bytes, ctx.env.chain_id, account.account_number)
        if not self.signatures.verify(key, doc, raw.signatures[i]):
            raise Unauthorized(
                "signature verification failed; please verify account number "
                f"({account.account_number}), sequence ({account.sequence}) and chain-id ({ctx.env.chain_id})"
            )


def signer_texts(message: object, field: str) -> list[str]:
    """The bech32 signers of a message: its field, or `address` of each part of a repeated field (MsgMultiSend)."""
    value = getattr(message, field)
    return [value] if isinstance(value, str) else [part.address for part in value]


def check_fee_form(decoded: DecodedTx) -> None:
    """No granter, no tip, a gas limit that an int64 holds."""
    fee = decoded.auth_info.fee
    if fee.gas_limit > gas.GAS_LIMIT_MAX:
        raise InvalidRequest(f"invalid gas supplied; {fee.gas_limit} > {gas.GAS_LIMIT_MAX}")
    if fee.granter:
        raise InvalidRequest("fee grants are not enabled: expected no granter")
    if decoded.auth_info.HasField("tip"):
        raise NotSupported("tips are not enabled: expected none")


def check_timeout_height(ctx: Context, timeout_height: int) -> None:
    """0 means none."""
    if timeout_height and ctx.env.height > timeout_height:
        raise TxTimeoutHeight(f"block height: {ctx.env.height}, timeout height: {timeout_height}")


def charge_size(ctx: Context, decoded: DecodedTx, mode: Mode) -> None:
    """Gas a byte of the transaction; a simulated one is charged for what it will have grown to."""
    size = decoded.size
    if mode is Mode.SIMULATE:
        size += sum(secp256k1.SIGNATURE_BYTES for signature in decoded.raw.signatures if not signature)
        size += 0 if coins.parse_fee(decoded.auth_info.fee.amount) else FEE_FIELD_BYTES
    ctx.gas.consume(gas.TX_BYTE * size, "txSize")


def fee_payer(decoded: DecodedTx, signers: Sequence[bytes]) -> bytes:
    """Who pays: the payer that the fee names, else the first signer of the messages."""
    named = decoded.auth_info.fee.payer
    return from_bech32(named) if named else next(iter(signers), b"")


def deduct_fee(ctx: Context, payer: bytes, fee: tuple[coins.Coin, ...], mode: Mode) -> None:
    """Move the fee to the fee collector."""
    if accounts.find(ctx, payer) is None:
        raise UnknownAddress(f"fee payer address: {to_bech32(payer) if payer else 'none'} does not exist")
    payer_text = to_bech32(payer)
    for coin in fee:
        bank.send(ctx, payer, FEE_COLLECTOR_ADDRESS, coin)
        bank.emit_transfer(ctx, payer_text, FEE_COLLECTOR_TEXT, coin)
    if mode is Mode.SIMULATE and not fee:
        ctx.gas.consume(SIMULATED_FEE_GAS, "fee")
    ctx.events.emit(event("message", sender=payer_text))
    ctx.events.emit(event("tx", fee=coins.text(fee), fee_payer=payer_text))


def check_key(account: auth.BaseAccount, address: bytes, info: tx.SignerInfo, mode: Mode) -> bytes:
    """The signer's key: the account's, or the one that came, which the account keeps from now on.

    A simulation has nothing signed yet: wallets name no mode (CosmJS), and some send a stand-in for the key.
    """
    direct = info.mode_info.WhichOneof("sum") == "single" and info.mode_info.single.mode == signing.SIGN_MODE_DIRECT
    if not direct and mode is not Mode.SIMULATE:
        raise NotSupported(f"expected SIGN_MODE_DIRECT of one key, got {str(info.mode_info)[:100]!r}")
    sent, known = public_key_of(info), accounts.key_of(account)
    if mode is Mode.SIMULATE and sent is None and known is None:
        accounts.set_key(account, SIMULATED_KEY)
        return SIMULATED_KEY
    key = sent if sent is not None else known
    if key is None:
        raise InvalidPubKey("pubkey on account is not set: the first transaction has to carry it")
    if secp256k1.address(key) != address and mode is not Mode.SIMULATE:
        raise InvalidPubKey(f"pubKey does not match signer address {account.address}")
    if known is None:
        accounts.set_key(account, key)
    return key


def check_sequence(account: auth.BaseAccount, info: tx.SignerInfo, mode: Mode) -> None:
    """Exactly the account's next one; a simulation may run ahead, for what is in the mempool it can't see."""
    expected, got = account.sequence, info.sequence
    if got == expected or (mode is Mode.SIMULATE and got > expected):
        return
    raise WrongSequence(f"account sequence mismatch, expected {expected}, got {got}")


def _emit_signed(ctx: Context, account: auth.BaseAccount, info: tx.SignerInfo, signature: bytes) -> None:
    ctx.events.emit(event("tx", acc_seq=f"{account.address}/{info.sequence}"))
    ctx.events.emit(event("tx", signature=b64encode(signature).decode()))


def tx_hash(data: bytes) -> bytes:
    """SHA-256 of the transaction's bytes, as CometBFT names it."""
    return sha256(data).digest()
