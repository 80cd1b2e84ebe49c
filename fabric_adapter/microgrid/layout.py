"""How the microgrid lies on the ledger, and the hash that chains its states.

| key | value |
|---|---|
| `ibc/<hex>` | state of the IBC module, which light clients have attested; hex keeps the order of the keys |
| `app/delta/<height>`, `app/base/<bucket>` | state of the other modules (`app_log`) |
| `inbox/<time>/<transaction id>` | InboxTx that waits for a Tick, or that one has executed (`executed`); time of the
  proposal in ns, 16 hex digits, so that those that came together lie together (`inbox`) |
| `tick` | TickRecord of the last one |
| `membership/<version, 16 hex digits>` | Membership |
| `approval/<version>/<MSP id>` | an organisation's yes to the next Membership |
| `genesis` | JSON: chain id, SHA-256 of the document |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

from fabric_adapter.microgrid.errors import InvalidCall, NotFounded
from fabric_wire import strict
from ibc_core.fabric.records import TickRecord
from microgrid.state_api import IBC, STORES, Changes

GENESIS, INBOX, EVENT = "genesis", "inbox", "tick"
KEY_BYTES_MAX = 240  # of a state key: in hex and with its prefix it stays below LMDB's 511
FIRST_HASH = bytes(32)  # before the first state
TX_ID = re.compile(r"[0-9a-f]{64}")
TIME_BYTES, TICKET_BYTES = 8, 40


def state_key(store: str, key: bytes) -> str:
    """A state key with its store; the ledger key of one that lies alone."""
    return f"{store}/{key.hex()}"


def bounds(store: str) -> tuple[str, str]:
    """First ledger key of a store, and the first one behind it."""
    return f"{store}/", f"{store}0"  # 0 follows the slash


def ticket(time_ns: int, tx_id: str) -> bytes:
    """Of a transaction in the inbox: time of its proposal and identifier; raises InvalidCall for what is none."""
    if not TX_ID.fullmatch(tx_id):
        raise InvalidCall(f"transaction id: expected 64 hex digits, got {tx_id[:80]!r}")
    if not 0 <= time_ns < 1 << 63:
        raise InvalidCall(f"time of the proposal: expected 0 to 2^63 - 1 ns, got {time_ns}")
    return time_ns.to_bytes(TIME_BYTES, "big") + bytes.fromhex(tx_id)


def tx_id_of(ticket: bytes) -> str:
    """The transaction's identifier."""
    return ticket[TIME_BYTES:].hex()


def inbox_key(ticket: bytes) -> str:
    """Ledger key of a transaction that waits; raises InvalidCall for what is no ticket."""
    if len(ticket) != TICKET_BYTES:
        raise InvalidCall(f"ticket: expected {TICKET_BYTES} bytes, got {len(ticket)}")
    return f"{INBOX}/{ticket[:TIME_BYTES].hex()}/{ticket[TIME_BYTES:].hex()}"


def ticket_of(key: str) -> bytes:
    """Out of a ledger key of the inbox."""
    _, time, tx_id = key.split("/")
    return bytes.fromhex(time + tx_id)


def read_tick(data: bytes | None) -> TickRecord:
    """The tick record; raises NotFounded."""
    if data is None:
        raise NotFounded("expected a tick record on the ledger, got none")
    return strict.read(TickRecord, data)


def genesis_record(chain_id: str, document: bytes) -> bytes:
    """Value under `genesis`."""
    doc = {"chain_id": chain_id, "sha256": sha256(document).hexdigest()}
    return json.dumps(doc, sort_keys=True, separators=(",", ":")).encode()


def chain_id_of(data: bytes | None) -> str:
    """Out of the value under `genesis`; raises NotFounded."""
    if data is None:
        raise NotFounded("expected a genesis record on the ledger, got none")
    return str(json.loads(data)["chain_id"])


def changed(changes: Changes) -> Iterator[tuple[str, bytes | None]]:
    """What the state's hash is of: changed keys with their store, in hex, and values, ascending; None removes."""
    for store in STORES:
        for key, value in sorted(changes[store].items()):
            yield state_key(store, key), value


def single_keys(changes: Changes) -> Iterator[tuple[str, bytes | None]]:
    """What lies under a ledger key of its own, because it is attested."""
    return ((state_key(IBC, key), value) for key, value in sorted(changes[IBC].items()))


def chained_hash(before: bytes, record: TickRecord, changed: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Hash of the state after a tick: of the hash before, of the record without its hash, of every change."""
    head = TickRecord(height=record.height, time_ns=record.time_ns, membership_version=record.membership_version)
    total = sha256(before + _sized(strict.write(head)))
    for key, value in changed:
        total.update(_sized(key.encode()) + _sized(value or b""))  # values are never empty
    return total.digest()


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part
