"""Pieces of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Rows = Sequence[Sequence[str]]


def section(title: str, body: str) -> str:
    """A heading and what is below it."""
    return f"<h2>{escape(title)}</h2>{body}"


def table(head: Sequence[str], rows: Rows) -> str:
    """A table; everything is escaped."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"
