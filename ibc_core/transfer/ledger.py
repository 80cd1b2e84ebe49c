"""Where the tokens of a transfer go: escrow and vouchers over the coin ledger, and what the `app` store keeps of them.

Keys: `tr/d/` hash -> Denom; `tr/e/` denom -> total in escrow, decimal; `tr/p/send`, `tr/p/receive` -> `1` or `0`.
"""

from __future__ import annotations

from hashlib import sha256

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import transfer, transfer_token
from ibc_core import bank
from ibc_core.errors import DenomNotFound
from ibc_core.host import Context, event
from ibc_core.state import encode, load
from ibc_core.transfer.denom import PREFIX, Denom, from_message, parse_hash

VERSION = "ics20-1"
PORT = "transfer"
DENOMS = b"tr/d/"
MODULE_ADDRESS = bank.module_address(PORT)  # vouchers are minted and burnt in its name

Coin = tuple[str, int]


def escrow_address(port_id: str, channel_id: str) -> bytes:
    """Account that keeps what left through a channel (ADR-028 over the version that was current first)."""
    return sha256(VERSION.encode() + b"\0" + f"{port_id}/{channel_id}".encode()).digest()[:20]


def find_denom(ctx: Context, digest: bytes) -> Denom | None:
    """Denomination behind a hash that this chain has seen."""
    found = load(ctx.app, DENOMS + digest, transfer_token.Denom)
    return None if found is None else from_message(found)


def denom_of(ctx: Context, ledger_name: str) -> Denom:
    """Denomination behind the name in the ledger; raises DenomNotFound for an unknown `ibc/HASH`."""
    if not ledger_name.startswith(PREFIX):
        return Denom(ledger_name)
    found = find_denom(ctx, parse_hash(ledger_name))
    if found is None:
        raise DenomNotFound(ledger_name)
    return found


def remember(ctx: Context, denom: Denom) -> None:
    """Keep the trace of a voucher."""
    if find_denom(ctx, denom.hash) is None:
        ctx.app.set(DENOMS + denom.hash, encode(denom.message()))


def _escrow_key(denom: str) -> bytes:
    return b"tr/e/" + denom.encode()


def total_escrow(ctx: Context, denom: str) -> int:
    """All that left this chain and may come back, over every channel."""
    raw = ctx.app.get(_escrow_key(denom))
    return int(raw) if raw is not None else 0


def _set_total_escrow(ctx: Context, denom: str, amount: int) -> None:
    if amount:
        ctx.app.set(_escrow_key(denom), str(amount).encode())
    else:
        ctx.app.delete(_escrow_key(denom))


def _moved(ctx: Context, source: bytes, target: bytes, coin: Coin) -> None:
    """The four events of the SDK's SendCoins."""
    sender = to_bech32(source)
    bank.emit_transfer(ctx, sender, to_bech32(target), coin)
    ctx.events.emit(event("message", sender=sender))


def escrow(ctx: Context, place: tuple[str, str], sender: bytes, coin: Coin) -> None:
    """Lock coins in the account of the channel end `place` = (port, channel)."""
    account = escrow_address(*place)
    bank.send(ctx, sender, account, coin)
    _moved(ctx, sender, account, coin)
    _set_total_escrow(ctx, coin[0], total_escrow(ctx, coin[0]) + coin[1])


def unescrow(ctx: Context, place: tuple[str, str], receiver: bytes, coin: Coin) -> None:
    """Give coins back; raises InsufficientFunds when more comes back than ever left through this channel."""
    account = escrow_address(*place)
    bank.send(ctx, account, receiver, coin)
    _moved(ctx, account, receiver, coin)
    _set_total_escrow(ctx, coin[0], total_escrow(ctx, coin[0]) - coin[1])


def mint(ctx: Context, receiver: bytes, coin: Coin) -> None:
    """Make vouchers."""
    bank.mint(ctx, receiver, coin)
    module, amount = to_bech32(MODULE_ADDRESS), f"{coin[1]}{coin[0]}"
    ctx.events.emit(event("coin_received", receiver=module, amount=amount))
    ctx.events.emit(event("coinbase", minter=module, amount=amount))
    _moved(ctx, MODULE_ADDRESS, receiver, coin)


def burn(ctx: Context, holder: bytes, coin: Coin) -> None:
    """Destroy vouchers."""
    bank.burn(ctx, holder, coin)
    module, amount = to_bech32(MODULE_ADDRESS), f"{coin[1]}{coin[0]}"
    _moved(ctx, holder, MODULE_ADDRESS, coin)
    ctx.events.emit(event("coin_spent", spender=module, amount=amount))
    ctx.events.emit(event("burn", burner=module, amount=amount))


def params(ctx: Context) -> transfer.Params:
    """Which directions are enabled."""
    return transfer.Params(
        send_enabled=ctx.app.get(b"tr/p/send") != b"0", receive_enabled=ctx.app.get(b"tr/p/receive") != b"0"
    )


def set_params(ctx: Context, send_enabled: int, receive_enabled: int) -> None:
    """Genesis only."""
    ctx.app.set(b"tr/p/send", b"1" if send_enabled else b"0")
    ctx.app.set(b"tr/p/receive", b"1" if receive_enabled else b"0")
