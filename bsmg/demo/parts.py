"""Pieces of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


def section(title: str, body: str) -> str:
    """A heading and what is below it."""
    return f"<h2>{escape(title)}</h2>{body}"


def table(head: Sequence[str], rows: Rows, *, tight: bool = False) -> str:
    """A table; everything is escaped. `tight`: small, each row on one line."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    kind = ' class="tight"' if tight else ""
    return f"<table{kind}><tr>{cells}</tr>{body}</table>"
