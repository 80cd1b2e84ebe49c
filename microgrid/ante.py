"""What a transaction has to pass before its messages run: the SDK's ante handlers, in their order.

Everything here reads first; fee, key and sequence are written as each step passes, into a store that the caller drops
when a later step refuses. Codes, code spaces and logs are those of the SDK 0.50 and 0.53; where it panics (a signer
info without a mode, a key of a wrong length) ours refuses with the nearest code.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from cosmos_wire import multisig, public_keys, secp256k1
from cosmos_wire.address import PREFIX, from_bech32, to_bech32
from cosmos_wire.amino_json import utc_texts
from cosmos_wire.errors import (
    ChainError,
    InternalLogic,
    InvalidAddress,
    InvalidPubKey,
    NoSignatures,
    NotSupported,
    PlainError,
    TxTimeout,
    TxTimeoutHeight,
    Unauthorized,
    UnknownAddress,
    WrongSequence,
)
from cosmos_wire.multisig import OneSignature, Signature
from cosmos_wire.protos import Message, auth, tx
from cosmos_wire.public_keys import Key, SimpleKey, secp256k1_key
from cosmos_wire.sign_modes import SignBytes, Signer, SignModeError
from cosmos_wire.tx import DecodedTx, check_key_count, check_memo, check_messages
from ibc_core.errors import IbcInvalidAddress
from ibc_core.host import Context, MessageRoute, event
from microgrid import accounts, coins, fees, gas, signatures
from microgrid.signatures import SignatureCache

# What a transaction gains between its simulation and its broadcast: signatures, a fee and a gas limit.
FEE_FIELD_BYTES = 100
SIMULATED_KEY = secp256k1_key(secp256k1.public_key(b"\x01" * secp256k1.SECRET_BYTES))  # as long as the one to come

RefuseRedundant = Callable[[Context, Iterable[Message], bool], None]  # true: checked once; raises a ChainError


class Mode(Enum):
    """Why a transaction is looked at."""

    CHECK = "check"  # for the mempool, first time
    RECHECK = "recheck"  # for the mempool, again after a block: its signature is known to be good
    SIMULATE = "simulate"  # for its gas: unsigned, fee not decided yet
    DELIVER = "deliver"  # in a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """One signer's part of a transaction; `account` is changed as the steps pass."""

    address: bytes
    account: auth.BaseAccount
    key: Key | None
    info: tx.SignerInfo
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Ante:
    """The pipeline and what this node wants of it."""

    routes: Mapping[str, MessageRoute]
    min_gas_prices: tuple[coins.GasPrice, ...]  # the node's own, asked in CHECK only
    signatures: SignatureCache
    refuse_redundant: RefuseRedundant | None = None  # CheckTx: packets that another relayer has brought already

    def run(self, ctx: Context, decoded: DecodedTx, mode: Mode) -> None:
        """Raise the first refusal (`sdk` codes), or charge the fee, count the sequences up and emit the events."""
        check_messages(decoded)
        self.check_basics(decoded)
        fees.check_form(decoded)
        check_there_are_signatures(decoded)
        signers = self.signers(decoded)
        check_signature_count(decoded, signers)
        check_timeout(ctx, decoded.body)
        check_memo(decoded)
        ctx.gas.consume(gas.TX_BYTE * decoded.size, "txSize")
        self.take_fee(ctx, decoded, signers, mode)
        parts = read_signatures(ctx, decoded, signers, mode)
        if mode is Mode.SIMULATE:
            charge_growth(ctx, decoded, parts)
        self.check_signers(ctx, decoded, parts, mode)
        if self.refuse_redundant is not None and mode in (Mode.CHECK, Mode.RECHECK):
            self.refuse_redundant(ctx, [message for _, message in decoded.messages], mode is Mode.RECHECK)

    def admit(self, ctx: Context, decoded: DecodedTx, key: SimpleKey) -> None:
        """What is left of it where the ledger has authenticated the one signer: no fee, sequence or signature.

        The signer's account is made when there is none, and keeps the key.
        """
        check_messages(decoded)
        self.check_basics(decoded)
        signer, named = public_keys.address(key), self.signers(decoded)
        if named != (signer,):
            texts = ", ".join(map(to_bech32, named[:4]))
            raise Unauthorized(f"signers of the messages: expected {to_bech32(signer)} alone, got {texts}")
        check_timeout(ctx, decoded.body)
        check_memo(decoded)
        if decoded.body.unordered:
            raise NotSupported("unordered transactions are not enabled")
        ctx.gas.consume(gas.TX_BYTE * decoded.size, "txSize")
        account = accounts.create(ctx, signer)
        if not accounts.has_key(account):
            accounts.set_key(account, key)
            accounts.save(ctx, signer, account)

    def check_basics(self, decoded: DecodedTx) -> None:
        """What each message refuses by itself."""
        for url, message in decoded.messages:
            basic = self.routes[url].basic
            if basic is not None:
                basic(message)

    def signers(self, decoded: DecodedTx) -> tuple[bytes, ...]:
        """Addresses that have to sign: of the messages in order, then a fee payer of its own."""
        found: dict[bytes, None] = {}
        for url, message in decoded.messages:
            for text in signer_texts(message, self.routes[url].signer):
                found[signer_address(text, url)] = None
        payer = decoded.auth_info.fee.payer
        if payer:
            found[signer_address(payer)] = None
        return tuple(found)

    def take_fee(self, ctx: Context, decoded: DecodedTx, signers: Sequence[bytes], mode: Mode) -> None:
        """Judge the price (the mempool alone) and move the fee."""
        fee = decoded.auth_info.fee
        if mode is not Mode.SIMULATE:
            fees.check_gas(fee)
        if mode is Mode.CHECK:
            fees.check_price(fee, self.min_gas_prices)
        fees.deduct(ctx, decoded, fees.payer(decoded, signers))
        if mode is Mode.SIMULATE and not fees.offered(fee):
            ctx.gas.consume(fees.SIMULATED_FEE_GAS, "fee")

    def check_signers(self, ctx: Context, decoded: DecodedTx, parts: Sequence[Signing], mode: Mode) -> None:
        """Number, cost, sequence and signature of every signer; then the sequences count up."""
        check_key_count(decoded)
        for part in parts:
            if part.key is not None:
                charge = signatures.charge_simulated if mode is Mode.SIMULATE else signatures.charge
                charge(ctx.gas, part.key, part.signature)
        if decoded.body.unordered:
            raise NotSupported("unordered transactions are not enabled")
        payer = fees.payer(decoded, [part.address for part in parts])
        for part in parts:
            if part.key is None:
                raise InvalidPubKey("pubkey on account is not set")
            check_sequence(part.account, part.info, mode)
            if mode in (Mode.CHECK, Mode.DELIVER):
                self.check_signature(ctx, decoded, part, payer)
        for part in parts:
            part.account.sequence += 1
            accounts.save(ctx, part.address, part.account)

    def check_signature(self, ctx: Context, decoded: DecodedTx, part: Signing, payer: bytes) -> None:
        """Raises Unauthorized."""
        assert part.key is not None
        signer = Signer(
            chain_id=ctx.env.chain_id,
            account_number=part.account.account_number,
            sequence=part.account.sequence,
            address=part.account.address,
            fee_payer=to_bech32(payer),
            key=part.key,
        )
        try:
            fault = multisig.fault(part.key, part.signature, SignBytes(decoded, signer), self.signatures.verify)
        except SignModeError as error:
            fault = str(error)
        if fault:
            raise Unauthorized(_failed(part, ctx.env.chain_id, fault))


def _failed(part: Signing, chain_id: str, fault: str) -> str:
    number, sequence = part.account.account_number, part.account.sequence
    if multisig.only_amino(part.signature):
        what = f"account number ({number}), sequence ({sequence}) and chain-id ({chain_id})"
    else:
        what = f"account number ({number}) and chain-id ({chain_id}): ({fault})"
    return f"signature verification failed; please verify {what}"


def signer_texts(message: object, field: str) -> list[str]:
    """The bech32 signers of a message: its field, or `address` of each part of a repeated field (MsgMultiSend)."""
    value = getattr(message, field)
    return [value] if isinstance(value, str) else [part.address for part in value]


def signer_address(text: str, url: str = "") -> bytes:
    """Of a bech32 text in a message; refusals as ibc-go's messages and the SDK's address codec word and number them."""
    try:
        return from_bech32(text)
    except InvalidAddress as error:
        raise _no_address(text, url, str(error).removesuffix(f": {InvalidAddress.reason}")) from error


def _no_address(text: str, url: str, why: str) -> ChainError:
    empty = "empty address string is not allowed"
    why = why if text.strip() else empty
    if url.startswith("/ibc."):
        return IbcInvalidAddress(f"string could not be parsed as address: {why}")
    if "prefix" in why:
        found = text.lower().rpartition("1")[0]
        return InternalLogic(f"hrp does not match bech32 prefix: expected '{PREFIX}' got '{found[:90]}'")
    return PlainError(why)


def check_there_are_signatures(decoded: DecodedTx) -> None:
    """Raises NoSignatures."""
    if not decoded.raw.signatures:
        raise NoSignatures(NoSignatures.reason)


def check_signature_count(decoded: DecodedTx, signers: Sequence[bytes]) -> None:
    """One signature and one signer info for each signer; raises Unauthorized."""
    found, infos = len(decoded.raw.signatures), len(decoded.auth_info.signer_infos)
    if found != len(signers):
        raise Unauthorized(f"wrong number of signers; expected {len(signers)}, got {found}")
    if infos != len(signers):
        raise Unauthorized(f"invalid number of signer;  expected: {len(signers)}, got {infos}")


def check_timeout(ctx: Context, body: tx.TxBody) -> None:
    """By height and by block time; 0 means none."""
    if body.timeout_height and ctx.env.height > body.timeout_height:
        raise TxTimeoutHeight(f"block height: {ctx.env.height}, timeout height: {body.timeout_height}")
    if not body.HasField("timeout_timestamp") or not body.timeout_timestamp.seconds:
        return
    timeout_ns = body.timeout_timestamp.seconds * 10**9 + body.timeout_timestamp.nanos
    if timeout_ns < ctx.env.time_ns:
        raise TxTimeout(f"block time: {_utc(ctx.env.time_ns)}, timeout timestamp: {_utc(timeout_ns)}")


def _utc(time_ns: int) -> str:
    """As Go prints a time."""
    date, time = utc_texts(time_ns)
    return f"{date} {time} +0000 UTC"


def charge_growth(ctx: Context, decoded: DecodedTx, parts: Sequence[Signing]) -> None:
    """Gas for the bytes that a simulated transaction will have grown by: signatures, a fee."""
    size = 0 if fees.offered(decoded.auth_info.fee) else FEE_FIELD_BYTES
    for part in parts:
        size += signatures.bytes_to_come(part.key, part.signature) if part.key is not None else 0
    ctx.gas.consume(gas.TX_BYTE * size, "txSize")


def read_signatures(ctx: Context, decoded: DecodedTx, signers: Sequence[bytes], mode: Mode) -> list[Signing]:
    """Every signer's account with its key, which the account keeps from now on, and signature; emits their events."""
    parts = [_signing(ctx, decoded, i, address, mode) for i, address in enumerate(signers)]
    for part in parts:
        ctx.events.emit(event("tx", acc_seq=f"{part.account.address}/{part.info.sequence}"))
        for data in multisig.flat(part.signature):
            ctx.events.emit(event("tx", signature=b64encode(data).decode()))
    return parts


def _signing(ctx: Context, decoded: DecodedTx, i: int, address: bytes, mode: Mode) -> Signing:
    sent = decoded.keys[i]
    if sent is not None and mode is not Mode.SIMULATE and public_keys.address(sent) != address:
        raise InvalidPubKey(f"pubKey does not match signer address {to_bech32(address)} with signer index: {i}")
    account = accounts.find(ctx, address)
    if account is None:
        raise UnknownAddress(f"account {to_bech32(address)} does not exist")
    return Signing(
        address=address,
        account=account,
        key=_key_of(account, sent, mode),
        info=decoded.auth_info.signer_infos[i],
        signature=read_signature(decoded, i, mode),
    )


def _key_of(account: auth.BaseAccount, sent: Key | None, mode: Mode) -> Key | None:
    """The account's, or the one that came; wallets simulate with a stand-in or with none."""
    known = accounts.key_of(account)
    if known is not None:
        return known
    key = SIMULATED_KEY if sent is None and mode is Mode.SIMULATE else sent
    if key is not None:
        accounts.set_key(account, key)
    return key


def read_signature(decoded: DecodedTx, i: int, mode: Mode) -> Signature:
    """Of signer i; a simulation needs no mode (CosmJS names none), for nothing is signed yet."""
    info, data = decoded.auth_info.signer_infos[i], decoded.raw.signatures[i]
    if mode is Mode.SIMULATE and info.mode_info.WhichOneof("sum") is None:
        return OneSignature(0, data)
    if mode is Mode.SIMULATE and not data:
        return OneSignature(0, b"")
    return multisig.read(info.mode_info, data)


def check_sequence(account: auth.BaseAccount, info: tx.SignerInfo, mode: Mode) -> None:
    """Exactly the account's next one; a simulation may run ahead, for what is in the mempool it can't see."""
    expected, got = account.sequence, info.sequence
    if got == expected or (mode is Mode.SIMULATE and got > expected):
        return
    raise WrongSequence(f"account sequence mismatch, expected {expected}, got {got}")


def tx_hash(data: bytes) -> bytes:
    """SHA-256 of the transaction's bytes, as CometBFT names it."""
    return sha256(data).digest()
