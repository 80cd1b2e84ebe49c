"""Gas as the SDK counts it: a meter with a limit and a store that charges for each access."""

from __future__ import annotations

from collections.abc import Iterator

from cosmos_wire.errors import OutOfGas
from ibc_core.host import GasMeter, Store

# store/types/gas.go, KVGasConfig
READ_FLAT, READ_BYTE = 1_000, 3
WRITE_FLAT, WRITE_BYTE = 2_000, 30
HAS, DELETE, NEXT = 1_000, 1_000, 30
# x/auth/types/params.go
TX_BYTE, SECP256K1_CHECK, SECP256R1_CHECK, ED25519_CHECK = 10, 1_000, 500, 590
HASH = 50
GAS_LIMIT_MAX = 2**63 - 1  # gas_wanted is an int64 on the ABCI wire


class LimitedGas:
    """Counts gas; past the limit `consume` raises OutOfGas and the excess stays counted, as in the SDK."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def consume(self, amount: int, what: str) -> None:
        """Add `amount`; raises OutOfGas beyond the limit."""
        self.used = used = self.used + amount
        if used > self.limit:
            raise OutOfGas(f"out of gas in location: {what}; gasWanted: {self.limit}, gasUsed: {self.used}")


class MeteredStore:
    """A store that charges gas for every access before it happens (a write) or for what it found (a read).

    A transaction comes here some thirty times: what is looked up once is kept.
    """

    __slots__ = ("_below", "_consume", "_read")

    def __init__(self, below: Store, gas: GasMeter) -> None:
        self._below = below
        self._read, self._consume = below.get, gas.consume

    def get(self, key: bytes) -> bytes | None:
        """Charge READ_FLAT and READ_BYTE a byte of key and value."""
        value = self._read(key)
        size = len(key) if value is None else len(key) + len(value)
        self._consume(READ_FLAT + READ_BYTE * size, "ReadPerByte")
        return value

    def set(self, key: bytes, value: bytes) -> None:
        """Charge WRITE_FLAT and WRITE_BYTE a byte of key and value."""
        self._consume(WRITE_FLAT + WRITE_BYTE * (len(key) + len(value)), "WritePerByte")
        self._below.set(key, value)

    def delete(self, key: bytes) -> None:
        """Charge DELETE."""
        self._consume(DELETE, "Delete")
        self._below.delete(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Charge NEXT and READ_BYTE a byte for each pair."""
        for key, value in self._below.iterate(prefix, start):
            self._consume(NEXT + READ_BYTE * (len(key) + len(value)), "IterNextCostFlat")
            yield key, value
