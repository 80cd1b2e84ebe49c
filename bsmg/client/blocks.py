"""What a block holds, whatever ledger it is on."""

from __future__ import annotations

from dataclasses import dataclass

from ibc_core.host import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TxResult:
    """What a block says of one transaction."""

    code: int
    codespace: str
    log: str
    data: bytes
    gas_wanted: int
    gas_used: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResults:
    """Results of the transactions of a block, and the events of its hooks."""

    height: int
    txs: tuple[TxResult, ...]
    hook_events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTx:
    """A transaction in a block."""

    tx_hash: str
    height: int
    index: int
    tx: bytes
    result: TxResult


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEvent:
    """An event of the past; `tx_hash` is empty for an event of a block's hooks."""

    height: int
    tx_hash: str
    event: Event
