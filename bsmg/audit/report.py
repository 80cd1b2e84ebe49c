"""The audit's result as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any as Json

from rich.console import Console
from rich.table import Table

from bsmg.audit.findings import SUBJECTS, Findings

PIPE_COLUMNS = 200  # width of tables that go to a file or another program
SHOWN_MAX = 200  # differences printed; the JSON file has all of them


def console() -> Console:
    """Standard output; wide enough for whole numbers when nobody looks at it through a terminal."""
    made = Console()
    return made if made.is_terminal else Console(width=PIPE_COLUMNS)


def tables(found: Sequence[Findings]) -> Iterator[Table]:
    """One table a chain: what was checked, how much of it, how many differences."""
    for findings in found:
        made = Table(title=f"Audit of {findings.chain_id}", title_justify="left")
        for name, justify in (("what", "left"), ("checked", "right"), ("differences", "right"), ("", "left")):
            made.add_column(name, justify="right" if justify == "right" else "left")
        for subject, text in SUBJECTS.items():
            wrong = len(findings.of(subject))
            if findings.checked.get(subject) or wrong:
                style = "bold red" if wrong else ""
                made.add_row(subject, str(findings.checked.get(subject, 0)), str(wrong), text, style=style)
        yield made


def lines(found: Sequence[Findings]) -> list[str]:
    """Every difference, expected and got; the first ones only when there are very many."""
    every = [str(difference) for findings in found for difference in findings.differences]
    more = [f"... and {len(every) - SHOWN_MAX} more; --json has them all"] if len(every) > SHOWN_MAX else []
    return every[:SHOWN_MAX] + more


def not_checked(found: Sequence[Findings]) -> list[str]:
    """What the audit takes on trust, a line each."""
    return [f"{findings.chain_id}: not checked: {note}" for findings in found for note in findings.notes]


def document(found: Sequence[Findings], heights: Sequence[int]) -> dict[str, Json]:
    """For programs."""
    return {
        "agrees": not any(findings.differences for findings in found),
        "chains": [
            {
                "chain_id": findings.chain_id,
                "height": height,
                "not_checked": list(findings.notes),
                "checked": {name: findings.checked[name] for name in SUBJECTS if name in findings.checked},
                "differences": [
                    {"subject": item.subject, "place": item.place, "expected": item.expected, "got": item.got}
                    for item in findings.differences
                ],
            }
            for findings, height in zip(found, heights, strict=True)
        ],
    }
