"""Protobuf messages as values of the `app` store, and integers as big-endian key parts (byte order is number order)."""

from __future__ import annotations

from typing import TypeVar

from cosmos_wire.protos import Message
from ibc_core.host import Context, Store

M = TypeVar("M", bound=Message)


def u8(value: int) -> bytes:
    """One byte of a key."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Two bytes of a key."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Four bytes of a key."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Eight bytes of a key."""
    return value.to_bytes(8, "big")


def load(ctx: Context, key: bytes, kind: type[M]) -> M | None:
    """The message under a key, None when absent."""
    raw = ctx.app.get(key)
    return None if raw is None else kind.FromString(raw)


def load_or_new(ctx: Context, key: bytes, kind: type[M]) -> M:
    """The message under a key, an empty one when absent."""
    raw = ctx.app.get(key)
    return kind() if raw is None else kind.FromString(raw)


def save(ctx: Context, key: bytes, value: Message) -> None:
    """Write a message; one without any field set takes its key away (a store keeps no empty value)."""
    raw = value.SerializeToString(deterministic=True)
    if raw:
        ctx.app.set(key, raw)
    else:
        ctx.app.delete(key)


def load_int(ctx: Context, key: bytes) -> int:
    """A decimal number, 0 when absent."""
    raw = ctx.app.get(key)
    return 0 if raw is None else int(raw)


def save_int(ctx: Context, key: bytes, value: int) -> None:
    """Write a number as decimal text; zero is no key."""
    if value == 0:
        ctx.app.delete(key)
    else:
        ctx.app.set(key, str(value).encode())


def keys_of(store: Store, prefix: bytes, limit: int) -> list[bytes]:
    """The first keys below a prefix, at most `limit`; read before they are removed."""
    found: list[bytes] = []
    for key, _ in store.iterate(prefix):
        if len(found) == limit:
            break
        found.append(key)
    return found
