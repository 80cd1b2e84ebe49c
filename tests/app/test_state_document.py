"""Every key of a chain's state is of a kind that docs/state.md lists, and a scripted chain's dump is the golden one."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from microgrid.memory_state import MemoryState
from tests.app.chain import Node, send_tx

DOC = Path(__file__).resolve().parents[2] / "docs" / "state.md"
GOLDEN = "d7f8f4bc9bc6d1c693c3db5435a034483d85bbe5889d31dd73c4b21df8dc641d"


def scripted() -> dict[str, list[tuple[bytes, bytes]]]:
    """Genesis, a transfer, and empty blocks until slots are open."""
    node = Node(MemoryState())
    node.block(send_tx(0))
    for _ in range(12):
        node.block()
    return {name: list(node.state.store(name).iterate(b"")) for name in ("app", "ibc")}


def documented() -> tuple[bytes, ...]:
    """The literal beginnings of keys in the tables: what stands before a space or a brace inside backquotes."""
    rows = [line.split("|")[1] for line in DOC.read_text().splitlines() if line.startswith("| `")]
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    return tuple(sorted({re.split(r"[ {]", text)[0].encode() for text in quoted} - {b"", b"/"}))


def test_every_key_is_documented() -> None:
    known = documented()
    found = [key for pairs in scripted().values() for key, _ in pairs]
    assert [key for key in found if not key.startswith(known)] == []
    assert len(known) > 50


def test_the_dump_of_a_scripted_chain_is_the_golden_one() -> None:
    parts = [
        len(part).to_bytes(4, "big") + part
        for name, pairs in sorted(scripted().items())
        for pair in pairs
        for part in (name.encode(), *pair)
    ]
    assert sha256(b"".join(parts)).hexdigest() == GOLDEN
