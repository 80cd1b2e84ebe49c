"""Signatures that have been checked already: CheckTx checks, FinalizeBlock remembers."""

from __future__ import annotations

from cosmos_wire import secp256k1

REMEMBERED_MAX = 50_000  # ten full mempools; about 15 MB


class SignatureCache:
    """Remembers good checks only, so that a forgotten one costs time and never changes an answer."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._good: dict[tuple[bytes, bytes, bytes], None] = {}
        self._limit = remembered_max

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """As `secp256k1.verify`; the second time in the life of a transaction it is a look-up."""
        what = (key, message, signature)
        if self._good.pop(what, what) is None:  # a block asks once: the entry is not needed any more
            return True
        if not secp256k1.verify(key, message, signature):
            return False
        if len(self._good) >= self._limit:
            del self._good[next(iter(self._good))]
        self._good[what] = None
        return True
