"""What a machine and its processes tell: CPU seconds, load average, memory; and order statistics."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any as Json

import aiohttp

from bsmg.client.testnet_file import NodeInfo

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
UTIME, STIME = 11, 12  # of /proc/PID/stat, counted behind the command's closing parenthesis
NS = 1_000_000_000
TIMING = "cometbft_abci_connection_method_timing_seconds"


def cpu_s(pid: int) -> float:
    """User and system time of a process and its children so far, 0 when it is gone."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        children = [int(child) for task in (PROC / str(pid) / "task").iterdir() for child in _children(task)]
    except OSError:
        return 0.0
    return (int(fields[UTIME]) + int(fields[STIME])) / TICKS_A_SECOND + sum(map(cpu_s, children))


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []  # the thread has ended


def node_cpu_s(nodes: Sequence[NodeInfo]) -> dict[str, float]:
    """CPU seconds by role, summed over nodes."""
    roles = sorted({role for node in nodes for role in node.pids})
    return {role: sum(cpu_s(node.pids[role]) for node in nodes if role in node.pids) for role in roles}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds between two readings, by role."""
    return {role: round(after[role] - before[role], 2) for role in after}


def percentile(values: Sequence[float], share: int) -> float:
    """Nearest-rank percentile (share 1..100), 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * share / 100) - 1)]


def summary(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Count, median, p95 and greatest."""
    return {
        "count": len(values),
        "p50": round(percentile(values, 50), digits),
        "p95": round(percentile(values, 95), digits),
        "max": round(max(values, default=0.0), digits),
    }


def machine() -> dict[str, Json]:
    """Where and when: cores, processor, load averages, commit of the checkout."""
    model = [line for line in (PROC / "cpuinfo").read_text().splitlines() if line.startswith("model name")]
    root = Path(__file__).resolve().parents[1]
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return {
        "cores": os.cpu_count(),
        "processor": model[0].partition(":")[2].strip() if model else "unknown",
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "commit": described.stdout.strip() or "unknown",
    }


async def abci_times(metrics_url: str) -> dict[str, tuple[float, float]]:
    """Seconds and number of calls so far of each ABCI method, as CometBFT's own metrics have them."""
    async with aiohttp.ClientSession() as session, session.get(metrics_url) as answer:
        text = await answer.text()
    found: dict[str, dict[str, float]] = {}
    for kind in ("sum", "count"):
        for method, value in re.findall(rf'{TIMING}_{kind}{{.*?method="(\w+)".*?}} (\S+)', text):
            found.setdefault(method, {})[kind] = float(value)
    return {method: (item["sum"], item["count"]) for method, item in found.items()}


def mean_ms(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Mean milliseconds of a call between two readings, by method."""
    gone = {
        method: (total - before.get(method, (0, 0))[0], count - before.get(method, (0, 0))[1])
        for method, (total, count) in after.items()
    }
    return {method: round(1000 * total / count, 2) for method, (total, count) in sorted(gone.items()) if count}
