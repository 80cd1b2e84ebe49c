"""The coin ledger: balances and supply on the `app` store. ICS-20, the market and the trade application use it.

Keys: `bk/b/` u8 length, address, denom -> decimal amount; `bk/s/` denom -> decimal supply; `bk/x/` address -> reason a
module account is blocked as recipient of MsgSend. A balance or supply of zero is no key.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

from cosmos_wire.errors import InsufficientFunds, InvalidCoins, Unauthorized
from ibc_core.host import Context, event

AMOUNT_MAX = 2**256 - 1  # as the SDK's Int


def module_address(name: str) -> bytes:
    """Address of a module account: first 20 bytes of SHA-256 of its name (the SDK's `NewModuleAddress`)."""
    return sha256(name.encode()).digest()[:20]


@lru_cache(maxsize=16_384)
def _balance_prefix(address: bytes) -> bytes:
    return b"bk/b/" + bytes([len(address)]) + address


def _balance_key(address: bytes, denom: str) -> bytes:
    return _balance_prefix(address) + denom.encode()


def _supply_key(denom: str) -> bytes:
    return b"bk/s/" + denom.encode()


def _read(ctx: Context, key: bytes) -> int:
    raw = ctx.app.get(key)
    return int(raw) if raw is not None else 0


def _write(ctx: Context, key: bytes, amount: int) -> None:
    if amount == 0:
        ctx.app.delete(key)
    else:
        ctx.app.set(key, str(amount).encode())


def balance(ctx: Context, address: bytes, denom: str) -> int:
    """What an account holds of a denomination, base units."""
    return _read(ctx, _balance_key(address, denom))


def balances(ctx: Context, address: bytes, start: str = "") -> Iterator[tuple[str, int]]:
    """(denom, amount) of an account, ascending by denom, from `start` on."""
    prefix = _balance_prefix(address)
    for key, value in ctx.app.iterate(prefix, prefix + start.encode()):
        yield key[len(prefix) :].decode(), int(value)


def supply(ctx: Context, denom: str) -> int:
    """All there is of a denomination on this chain."""
    return _read(ctx, _supply_key(denom))


def supplies(ctx: Context, start: str = "") -> Iterator[tuple[str, int]]:
    """(denom, supply), ascending by denom, from `start` on."""
    for key, value in ctx.app.iterate(b"bk/s/", _supply_key(start)):
        yield key[len(b"bk/s/") :].decode(), int(value)


def holders(ctx: Context, denom: str) -> Iterator[tuple[bytes, int]]:
    """(address, amount) of every account that holds the denomination; walks all balances."""
    prefix = b"bk/b/"
    for key, value in ctx.app.iterate(prefix):
        size = key[len(prefix)]
        address, held = key[len(prefix) + 1 : len(prefix) + 1 + size], key[len(prefix) + 1 + size :]
        if held.decode() == denom:
            yield address, int(value)


def block_recipient(ctx: Context, address: bytes, name: str) -> None:
    """Keep an address (a module account's) from receiving MsgSend and ICS-20 transfers."""
    ctx.app.set(b"bk/x/" + address, name.encode())


def is_blocked(ctx: Context, address: bytes) -> bool:
    """Whether an address is kept from receiving."""
    return ctx.app.get(b"bk/x/" + address) is not None


def require_recipient(ctx: Context, address: bytes) -> None:
    """Refuse a blocked recipient."""
    name = ctx.app.get(b"bk/x/" + address)
    if name is not None:
        raise Unauthorized(f"{name.decode()} is not allowed to receive funds")


def send(ctx: Context, sender: bytes, recipient: bytes, coin: tuple[str, int]) -> None:
    """Move (denom, amount); amount > 0. Emits nothing: callers say what the move was for."""
    denom, amount = coin
    _require_positive(denom, amount)
    key = _balance_key(sender, denom)
    held = _read(ctx, key)
    if held < amount:
        raise InsufficientFunds(f"spendable balance {held}{denom} is smaller than {amount}{denom}")
    _write(ctx, key, held - amount)
    _add(ctx, recipient, coin)


def mint(ctx: Context, recipient: bytes, coin: tuple[str, int]) -> None:
    """Create coins: ICS-20 vouchers and genesis only."""
    denom, amount = coin
    _require_positive(denom, amount)
    total = supply(ctx, denom) + amount
    if total > AMOUNT_MAX:
        raise InvalidCoins(f"supply of {denom} would be {total}, at most {AMOUNT_MAX}")
    _write(ctx, _supply_key(denom), total)
    _add(ctx, recipient, coin)


def burn(ctx: Context, holder: bytes, coin: tuple[str, int]) -> None:
    """Destroy coins: ICS-20 vouchers only."""
    denom, amount = coin
    _require_positive(denom, amount)
    held = balance(ctx, holder, denom)
    if held < amount:
        raise InsufficientFunds(f"balance {held}{denom} is smaller than {amount}{denom}")
    _write(ctx, _balance_key(holder, denom), held - amount)
    _write(ctx, _supply_key(denom), supply(ctx, denom) - amount)


def emit_transfer(ctx: Context, sender: str, recipient: str, coin: tuple[str, int]) -> None:
    """The SDK's three events of a coin movement (bech32 addresses)."""
    amount = f"{coin[1]}{coin[0]}"
    ctx.events.emit(event("coin_spent", spender=sender, amount=amount))
    ctx.events.emit(event("coin_received", receiver=recipient, amount=amount))
    ctx.events.emit(event("transfer", recipient=recipient, sender=sender, amount=amount))


def _add(ctx: Context, recipient: bytes, coin: tuple[str, int]) -> None:
    denom, amount = coin
    key = _balance_key(recipient, denom)
    _write(ctx, key, _read(ctx, key) + amount)


def _require_positive(denom: str, amount: int) -> None:
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidCoins(f"amount of {denom} has to be 1..2^256-1, got {amount}")
