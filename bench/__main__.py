"""`make bench`: both measurements one after the other, and a table."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any as Json

from rich.console import Console
from rich.table import Table

from bench import query_load, throughput

FILE = Path("build/bench.json")


def rows(transfers: dict[str, Json], questions: dict[str, Json]) -> list[tuple[str, str, str, bool]]:
    """(what, required, measured, met)."""
    ratio, errors = questions["p95_ratio"], questions["query_errors"]
    return [
        (
            "transfers a second, one validator, 60 s",
            f">= {throughput.REQUIRED_A_SECOND}",
            f"{transfers['committed_per_s']}",
            transfers["committed_per_s"] >= throughput.REQUIRED_A_SECOND,
        ),
        ("gRPC errors meanwhile", "0", str(len(transfers["grpc_errors"])), not transfers["grpc_errors"]),
        (
            "block interval p95, 64 clients / idle, 4 validators",
            f"<= {query_load.RATIO_MAX}",
            f"{ratio} ({questions['loaded_interval_s']['p95']} s / {questions['idle_interval_s']['p95']} s)",
            ratio <= query_load.RATIO_MAX,
        ),
        ("query errors", "0", str(errors), not errors),
        ("answers a second", "", str(questions["answers_per_s"]), True),
    ]


def show(transfers: dict[str, Json], questions: dict[str, Json]) -> bool:
    """Print the table; whether all is met."""
    where = questions["machine"]
    title = f"{where['processor']}, {where['cores']} cores, commit {where['commit']}"
    table = Table("measured", "required", "found", "", title=title)
    found = rows(transfers, questions)
    for what, required, value, met in found:
        table.add_row(what, required, value, "yes" if met else "NO")
    console = Console(width=120)
    console.print(table)
    averages = f"{transfers['machine']['load_average']}, {questions['machine']['load_average']}"
    console.print(f"load average (1, 5, 15 min) at the end of each: {averages}; all figures in {FILE}")
    return all(met for *_, met in found)


def main() -> int:
    """0 when every requirement is met."""
    transfers = asyncio.run(throughput.measure(throughput.Options()))
    questions = asyncio.run(query_load.measure(query_load.Options()))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps({"throughput": transfers, "query_load": questions}, indent=1) + "\n")
    return 0 if show(transfers, questions) else 1


if __name__ == "__main__":
    sys.exit(main())
