"""Coins as they stand in messages and fees: checked, sorted, positive."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cosmos_wire.errors import InvalidCoins, ToolError
from cosmos_wire.protos import coin
from ibc_core.bank import AMOUNT_MAX

DENOM = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}")  # the SDK's types/coin.go
AMOUNT = re.compile(r"0|[1-9][0-9]{0,77}")
PRICE = re.compile(r"([0-9]+)(?:\.([0-9]{1,18}))?([a-zA-Z][a-zA-Z0-9/:._-]{2,127})?")

Coin = tuple[str, int]  # (denom, amount in base units)


def parse(coins: Sequence[coin.Coin]) -> tuple[Coin, ...]:
    """Coins of a message: valid denoms, strictly ascending, amounts 1..2^256-1; raises InvalidCoins."""
    parsed = tuple((item.denom, amount_of(item)) for item in coins)
    for (denom, amount), (before, _) in zip(parsed, (("", 0), *parsed), strict=False):
        if denom <= before:
            raise InvalidCoins(f"denominations have to ascend: {before!r} comes before {denom!r}")
        if amount == 0:
            raise InvalidCoins(f"amount of {denom} has to be positive, got 0")
    return parsed


def parse_fee(coins: Sequence[coin.Coin]) -> tuple[Coin, ...]:
    """Coins of a fee; nothing but zeros is no fee, as the SDK has it and the Go relayer's simulations send it."""
    return () if all(amount_of(item) == 0 for item in coins) else parse(coins)


def amount_of(item: coin.Coin) -> int:
    """Amount of one coin >= 0 in base units; raises InvalidCoins for a bad denom or number."""
    if DENOM.fullmatch(item.denom) is None:
        raise InvalidCoins(f"invalid denom: {item.denom[:128]!r}")
    if AMOUNT.fullmatch(item.amount) is None or int(item.amount) > AMOUNT_MAX:
        raise InvalidCoins(f"amount of {item.denom} has to be a decimal 0..2^256-1, got {item.amount[:80]!r}")
    return int(item.amount)


def text(coins: Iterable[Coin]) -> str:
    """`10bmga,5ibc/AB..`, as events write coins."""
    return ",".join(f"{amount}{denom}" for denom, amount in coins)


def proto(pairs: Iterable[Coin]) -> list[coin.Coin]:
    """The same as messages."""
    return [coin.Coin(denom=denom, amount=str(amount)) for denom, amount in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPrice:
    """Base units a unit of gas: numerator / denominator."""

    denom: str
    numerator: int
    denominator: int

    def fee(self, gas: int) -> Coin:
        """Smallest fee for this much gas, rounded up."""
        return self.denom, -(-self.numerator * gas // self.denominator)


def parse_gas_prices(written: str) -> tuple[GasPrice, ...]:
    """`0.025bmga,1ibc/AB..`; an empty text or `0` means none. Raises ToolError."""
    return tuple(price for part in written.split(",") if (price := _gas_price(part.strip())) is not None)


def _gas_price(part: str) -> GasPrice | None:
    if part in ("", "0"):
        return None
    found = PRICE.fullmatch(part)
    if found is None or found[3] is None:
        raise ToolError(f"min_gas_price: expected a decimal and a denom like 0.025bmga, got {part!r}")
    decimals = found[2] or ""
    price = GasPrice(denom=found[3], numerator=int(found[1] + decimals), denominator=10 ** len(decimals))
    return price if price.numerator else None
