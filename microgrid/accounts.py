"""Accounts: number, sequence and public key of an address.

Keys: `ac/a/` address -> BaseAccount; `ac/m/` address -> name of a module account; `ac/n` -> next number, decimal.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from cosmos_wire import public_keys
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import auth
from cosmos_wire.public_keys import Key
from ibc_core.host import Context, Store

ACCOUNT, MODULE, NEXT_NUMBER = b"ac/a/", b"ac/m/", b"ac/n"
BALANCE = b"bk/b/"  # u8 length, address, denom: the coin ledger's
ADDRESS_AT = len(BALANCE) + 1
BLOCKED = b"bk/x/"  # address -> name of a module account that can't be paid: the coin ledger's


def find(ctx: Context, address: bytes) -> auth.BaseAccount | None:
    """The account of an address, None when nobody has ever paid it anything."""
    raw = ctx.app.get(ACCOUNT + address)
    return auth.BaseAccount.FromString(raw) if raw is not None else None


def save(ctx: Context, address: bytes, account: auth.BaseAccount) -> None:
    """Write it back."""
    ctx.app.set(ACCOUNT + address, account.SerializeToString(deterministic=True))


def key_of(account: auth.BaseAccount) -> Key | None:
    """Its key, None before its first transaction."""
    return public_keys.from_any(account.pub_key) if account.HasField("pub_key") else None


def has_key(account: auth.BaseAccount) -> bool:
    """Whether it has one."""
    return account.HasField("pub_key")


def set_key(account: auth.BaseAccount, key: Key) -> None:
    """Keep the key that signed first."""
    account.pub_key.CopyFrom(public_keys.to_any(key))


def create(ctx: Context, address: bytes) -> auth.BaseAccount:
    """The account of an address, made with the next number when there is none."""
    found = find(ctx, address)
    if found is not None:
        return found
    number = int(ctx.app.get(NEXT_NUMBER) or b"0")
    ctx.app.set(NEXT_NUMBER, str(number + 1).encode())
    made = auth.BaseAccount(address=to_bech32(address), account_number=number)
    save(ctx, address, made)
    return made


def create_module(ctx: Context, address: bytes, name: str) -> None:
    """An account that no key can sign for."""
    create(ctx, address)
    ctx.app.set(MODULE + address, name.encode())


def module_name(ctx: Context, address: bytes) -> str | None:
    """Name of a module account, None for any other address."""
    raw = ctx.app.get(MODULE + address)
    return raw.decode() if raw is not None else None


def create_for_balances(ctx: Context, written: Sequence[bytes]) -> None:
    """Make the missing accounts of everyone whose balance is among the written keys (ascending).

    Whoever receives coins first, by whichever module, has an account afterwards, as the SDK's bank does it.
    """
    create_each(ctx, without_account(ctx.app, written))


def create_each(ctx: Context, addresses: Iterable[bytes]) -> None:
    """Make accounts where there are none."""
    for address in addresses:
        name = ctx.app.get(BLOCKED + address)
        if name is None:
            create(ctx, address)
        else:
            create_module(ctx, address, name.decode())


def without_account(app: Store, written: Sequence[bytes]) -> list[bytes]:
    """Whose balance is among the written keys (ascending) and who has no account, each once."""
    found: list[bytes] = []
    last = b""
    for key in written[bisect_left(written, BALANCE) :]:
        if not key.startswith(BALANCE):
            break
        address = key[ADDRESS_AT : ADDRESS_AT + key[ADDRESS_AT - 1]]
        if address != last and app.get(ACCOUNT + address) is None:
            found.append(address)
        last = address
    return found
