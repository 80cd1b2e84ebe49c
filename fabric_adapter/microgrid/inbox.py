"""What waits on the ledger, as a Tick gets it: read by the Tick itself, or looked at just before it.

A read costs a question to each peer, and a range of keys one for every hundred; but a Tick that reads a range is
invalid as soon as one more transaction comes into it. So the writer has `Look` evaluated on every organisation's peer
first: each reads ranges of its own ledger and remembers what it found with the hash of the ledger's last tick. A Tick
right behind that tick may execute it without reading it again: keys leave the inbox by Ticks alone, and this one is
valid only while that tick is the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

from cosmos_wire.protos import fabric_microgrid
from fabric_adapter.microgrid import layout
from fabric_adapter.microgrid.errors import NotSeen
from fabric_adapter.stub import Stub
from fabric_wire import strict

InboxTx = fabric_microgrid.InboxTx
READ_TOGETHER = 100  # keys that are read alone, without a pause
GAP_NS = 1_000_000_000  # tickets further apart are looked for in ranges of their own
STRANGERS = 100  # in a range: executed transactions whose keys are there still, others that the writer does not know
SEEN_MAX = 10_000  # of one tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A transaction out of the inbox."""

    ticket: bytes
    data: InboxTx


def read(stub: Stub, tickets: Sequence[bytes]) -> Iterator[Waiting]:
    """Of the listed transactions those that are there; read in parts, because a Tick may end before the list does."""
    left = iter(tickets)
    while part := list(islice(left, READ_TOGETHER)):
        for ticket, found in zip(part, stub.get_states(list(map(layout.inbox_key, part))), strict=True):
            if found is not None:
                yield Waiting(ticket=ticket, data=strict.read(InboxTx, found))


def look(stub: Stub, tickets: Sequence[bytes]) -> dict[bytes, InboxTx]:
    """The same by ranges, for a question that is evaluated; alone what lies among too many others."""
    found: dict[bytes, InboxTx] = {}
    for part in _ranges(sorted(tickets)):
        wanted = frozenset(part)
        pairs = stub.range(layout.inbox_key(part[0]), layout.inbox_key(part[-1]) + "0")  # 0: behind the last one
        for key, value in islice(pairs, 2 * len(part) + STRANGERS):
            ticket = layout.ticket_of(key)
            if ticket in wanted:
                found[ticket] = strict.read(InboxTx, value)
    found.update((item.ticket, item.data) for item in read(stub, [each for each in tickets if each not in found]))
    return found


def _ranges(tickets: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Ascending tickets in groups whose times lie close together."""
    group: list[bytes] = []
    for ticket in tickets:
        if group and _time_ns(ticket) - _time_ns(group[-1]) > GAP_NS:
            yield group
            group = []
        group.append(ticket)
    if group:
        yield group


def _time_ns(ticket: bytes) -> int:
    return int.from_bytes(ticket[: layout.TIME_BYTES], "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class _At:
    """What was seen behind a tick."""

    state_hash: bytes = b""
    found: Mapping[bytes, InboxTx] = field(default_factory=dict)


class Seen:
    """What a chaincode object remembers of its peer's inbox. Any thread may call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = _At()

    def keep(self, state_hash: bytes, found: Mapping[bytes, InboxTx]) -> None:
        """Seen while this hash was the last tick's; what was seen behind another one is forgotten."""
        with self._lock:
            before = self._last.found if self._last.state_hash == state_hash else {}
            together = {**before, **found}
            self._last = _At(state_hash=state_hash, found=together if len(together) <= SEEN_MAX else dict(found))

    def all(self, state_hash: bytes, tickets: Iterable[bytes]) -> Iterator[Waiting]:
        """The listed transactions; raises NotSeen for one that was not seen behind this tick."""
        last = self._last
        for ticket in tickets:
            found = last.found.get(ticket) if last.state_hash == state_hash else None
            if found is None:
                raise NotSeen(f"{layout.tx_id_of(ticket)}: expected a transaction seen behind the last tick, got none")
            yield Waiting(ticket=ticket, data=found)
