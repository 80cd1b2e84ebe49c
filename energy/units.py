"""Checked integers: energy mWh, power W, price 1e-4 token per kWh (`price_e4`), money in base units of 1e-10 token.

    amount = price_e4 * energy_mWh        exact, no rounding anywhere
    energy_mWh = power_W * 250            a slot stands for 900 s of energy, whatever its length on the chain

Money is a decimal string in messages and state, for it may exceed 64 bits.
"""

from __future__ import annotations

from cosmos_wire.errors import ChainError, InvalidRequest
from ibc_core.bank import AMOUNT_MAX

PRICE_MAX_E4 = 10**7
QUANTITY_MAX_MWH = 10**12
MWH_PER_W = 250
PERMILLE = 1000
U16_MAX = 2**16 - 1
U32_MAX = 2**32 - 1
RATING_MAX_W = QUANTITY_MAX_MWH // MWH_PER_W
AMOUNT_DIGITS = len(str(AMOUNT_MAX))


def amount_of(price_e4: int, energy_mWh: int) -> int:
    """Base units that an energy costs at a price."""
    return price_e4 * energy_mWh


def slot_energy_mWh(power_W: int) -> int:
    """Energy of a power held over one slot."""
    return power_W * MWH_PER_W


def parse_amount(text: str, what: str = "amount") -> int:
    """Read base units: ASCII digits, no sign, no leading zero, at most 2^256-1; raises InvalidRequest."""
    plain = text.isascii() and text.isdecimal() and len(text) <= AMOUNT_DIGITS
    if not plain or (text[0] == "0" and len(text) > 1) or int(text) > AMOUNT_MAX:
        raise InvalidRequest(
            f"{what} has to be a decimal number 0..2^256-1 without sign or leading zero, got {text[:90]!r}"
        )
    return int(text)


def stored(text: str) -> int:
    """Read base units (or signed ones) that this chain wrote itself; an empty string is zero."""
    return int(text) if text else 0


def require_range(value: int, bounds: tuple[int, int], what: str, error: type[ChainError] = InvalidRequest) -> None:
    """Refuse a value outside `bounds`, both ends allowed."""
    low, high = bounds
    if not low <= value <= high:
        raise error(f"{what} has to be {low}..{high}, got {value}")
