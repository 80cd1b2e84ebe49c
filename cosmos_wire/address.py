"""Bech32 addresses (BIP-173), as accounts, module accounts and escrow accounts write them."""

from __future__ import annotations

from functools import lru_cache

import bech32

from cosmos_wire.errors import InvalidAddress

PREFIX = "bsmg"  # of every microgrid chain; relayers and clients pass the prefix of a foreign chain
ADDRESS_BYTES_MAX = 255


@lru_cache(maxsize=65_536)
def to_bech32(raw: bytes, prefix: str = PREFIX) -> str:
    """Text form of 1..255 address bytes."""
    if not 0 < len(raw) <= ADDRESS_BYTES_MAX:
        raise InvalidAddress(f"address length has to be 1..{ADDRESS_BYTES_MAX} bytes, got {len(raw)}")
    words = bech32.convertbits(raw, 8, 5)
    assert words is not None
    return str(bech32.bech32_encode(prefix, words))


@lru_cache(maxsize=65_536)
def from_bech32(text: str, prefix: str = PREFIX) -> bytes:
    """Address bytes of a text form; raises InvalidAddress with what is wrong."""
    found, words = bech32.bech32_decode(text)
    if found is None or words is None:
        raise InvalidAddress(f"decoding bech32 failed: {text[:100]!r}")
    if found != prefix:
        raise InvalidAddress(f"invalid Bech32 prefix; expected {prefix}, got {found}")
    raw = bech32.convertbits(words, 5, 8, False)
    if not raw or len(raw) > ADDRESS_BYTES_MAX:
        raise InvalidAddress(f"address length has to be 1..{ADDRESS_BYTES_MAX} bytes, got {len(raw or b'')}")
    return bytes(raw)
