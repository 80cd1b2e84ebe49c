"""Fees: their form, the price that a node asks, and who is charged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import (
    InsufficientFee,
    InsufficientFunds,
    InvalidAddress,
    InvalidCoins,
    InvalidGasLimit,
    InvalidRequest,
    NotSupported,
    TxDecode,
    UnknownAddress,
)
from cosmos_wire.protos import coin, tx
from cosmos_wire.tx import DecodedTx
from ibc_core import bank
from ibc_core.bank import AMOUNT_MAX
from ibc_core.host import Context, event
from microgrid import accounts, coins, feegrant_module, gas

FEE_COLLECTOR = "fee_collector"
FEE_COLLECTOR_ADDRESS = bank.module_address(FEE_COLLECTOR)
FEE_COLLECTOR_TEXT = to_bech32(FEE_COLLECTOR_ADDRESS)
AMOUNT = re.compile(r"-?[0-9]{1,78}")
BALANCE_BYTES = 100  # key and value of a balance, one of a voucher among them
SIMULATED_FEE_GAS = 2 * (gas.READ_FLAT + gas.WRITE_FLAT + (gas.READ_BYTE + gas.WRITE_BYTE) * BALANCE_BYTES)


def check_form(decoded: DecodedTx) -> None:
    """A gas limit that an int64 holds, amounts of zero or more, a payer's address, no tip."""
    fee = decoded.auth_info.fee
    if fee.gas_limit > gas.GAS_LIMIT_MAX:
        raise InvalidRequest(f"invalid gas supplied; {fee.gas_limit} > {gas.GAS_LIMIT_MAX}")
    for item in fee.amount:
        _check_amount(item, fee)
    if fee.payer:
        try:
            from_bech32(fee.payer)
        except InvalidAddress as error:
            raise InvalidAddress(f"Invalid fee payer address ({error})") from error
    if decoded.auth_info.HasField("tip"):
        raise NotSupported("tips are not enabled: expected none")


def _check_amount(item: coin.Coin, fee: tx.Fee) -> None:
    if not item.amount:
        raise InsufficientFee("invalid fee provided: null")
    if AMOUNT.fullmatch(item.amount) is None or abs(int(item.amount)) > AMOUNT_MAX:
        raise TxDecode(f"amount of {item.denom[:128]}: expected an integer of 256 bits, got {item.amount[:80]!r}")
    if item.amount.startswith("-"):
        raise InsufficientFee(f"invalid fee provided: {as_text(fee)}")


def as_text(fee: tx.Fee) -> str:
    """`10bmga,5x`, whatever stands there."""
    return ",".join(f"{item.amount}{item.denom}" for item in fee.amount)[:1_000]


def offered(fee: tx.Fee) -> tuple[coins.Coin, ...]:
    """Coins that may be charged; none when all are zero. Raises InsufficientFee for what is no set of coins."""
    try:
        return coins.parse_fee(fee.amount)
    except InvalidCoins as error:
        raise InsufficientFee(f"invalid fee amount: {as_text(fee)}") from error


def check_price(fee: tx.Fee, prices: Sequence[coins.GasPrice]) -> None:
    """A node without a minimum takes everything; else one denomination has to reach its price."""
    if not prices:
        return
    required = tuple(price.fee(fee.gas_limit) for price in prices)
    given = {item.denom: int(item.amount) for item in fee.amount}
    if not any(given.get(denom, -1) >= amount for denom, amount in required):
        raise InsufficientFee(f"insufficient fees; got: {as_text(fee)} required: {coins.text(required)}")


def check_gas(fee: tx.Fee) -> None:
    """Raises InvalidGasLimit for none."""
    if not fee.gas_limit:
        raise InvalidGasLimit("must provide positive gas")


def payer(decoded: DecodedTx, signers: Sequence[bytes]) -> bytes:
    """Who pays: the payer that the fee names, else the first signer of the messages."""
    named = decoded.auth_info.fee.payer
    return from_bech32(named) if named else next(iter(signers), b"")


def deduct(ctx: Context, decoded: DecodedTx, named: bytes) -> None:
    """Move the fee to the fee collector: from who has to pay, or from who grants it and is charged in its place."""
    fee = decoded.auth_info.fee
    source = _source(ctx, decoded, named)
    text = to_bech32(source) if source else "none"
    if accounts.find(ctx, source) is None:
        raise UnknownAddress(f"fee payer address: {text} does not exist")
    charged = offered(fee)
    for item in charged:
        try:
            bank.send(ctx, source, FEE_COLLECTOR_ADDRESS, item)
        except InsufficientFunds as error:
            raise InsufficientFunds(str(error)) from error  # the SDK says it twice
        bank.emit_transfer(ctx, text, FEE_COLLECTOR_TEXT, item)
    ctx.events.emit(event("message", sender=text))
    ctx.events.emit(event("tx", fee=coins.text(charged), fee_payer=text))


def _source(ctx: Context, decoded: DecodedTx, named: bytes) -> bytes:
    fee = decoded.auth_info.fee
    if not fee.granter:
        return named
    granter = from_bech32(fee.granter)
    if granter != named:
        feegrant_module.use(ctx, (granter, named), offered(fee), [url for url, _ in decoded.messages])
    return granter
