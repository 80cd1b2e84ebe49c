"""What the style tests look at: every Python file that a person wrote, parsed once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "abci_app", "bench", "bsmg", "cosmos_wire", "energy", "fabric_adapter", "fabric_wire", "ibc_core", "ibc_relayer",
    "microgrid", "physics", "processes", "testnet", "tools", "utility_cell",
)  # fmt: skip
PURE = ("cosmos_wire", "energy", "fabric_wire", "ibc_core")

GENERATED = ("_pb2.py", "_pb2_grpc.py")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file: its path from the root of the checkout, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The top folder; within `bsmg` also the next name, because the client is a room of its own."""
        parts = Path(self.path).with_suffix("").parts
        return ".".join(parts[:2]) if parts[0] == "bsmg" and len(parts) > 2 else parts[0]

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def at(self, node: ast.AST) -> str:
        """`file:line` of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


@cache
def sources() -> tuple[Source, ...]:
    """All files that are committed or about to be, without generated ones."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    paths = sorted(n for n in set(names) if not n.endswith(GENERATED) and (ROOT / n).is_file())
    return tuple(parse(name) for name in paths)


def parse(name: str) -> Source:
    """Read and parse one file."""
    text = (ROOT / name).read_text()
    return Source(path=name, text=text, tree=ast.parse(text, name))


def product() -> tuple[Source, ...]:
    """The rooms' files, without tests and the protobuf generator."""
    return tuple(s for s in sources() if s.path.split("/")[0] in ROOMS)


def pure() -> tuple[Source, ...]:
    """Files that run inside a state change."""
    return tuple(s for s in sources() if s.path.split("/")[0] in PURE)


def files_of_tests() -> tuple[Source, ...]:
    """Test files."""
    return tuple(s for s in sources() if s.path.startswith("tests/"))


def imports(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Every absolute module name that a file imports, wherever in the file."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
