"""Write docs/errors.md: one table of every (code space, code) that the chain answers with.

python tools/errors_doc.py            after an error class was declared; numbers never change
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cosmos_wire.errors import REGISTRY, ChainError  # noqa: E402  (the checkout has to be on the path first)

ROOMS = ("cosmos_wire", "fabric_wire", "ibc_core", "energy", "microgrid", "fabric_adapter", "abci_app")
HEAD = """# Errors

Every refusal of the chain carries a code space and a code. `sdk`, `client`, `connection`, `channel`, `transfer` and
`07-tendermint` have the numbers of the Cosmos SDK and ibc-go; the others are ours. Numbers never change.
`bsmg explain TXHASH` says what a transaction's code means. Written by `python tools/errors_doc.py`.
"""


def declared() -> list[type[ChainError]]:
    """Every error class, after importing each module that declares some."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "declare(" in path.read_text():
                importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return [REGISTRY[ident] for ident in sorted(REGISTRY)]


def render() -> str:
    """Text of docs/errors.md."""
    lines, space = [HEAD], ""
    for error in declared():
        if error.codespace != space:
            space = error.codespace
            lines.append(f"\n## `{space}`\n\n| code | class | meaning |\n|---|---|---|\n")
        lines.append(f"| {error.code} | {error.__name__} | {error.reason} |\n")
    return "".join(lines)


def main() -> None:
    """Write the file."""
    (ROOT / "docs" / "errors.md").write_text(render())


if __name__ == "__main__":
    main()
