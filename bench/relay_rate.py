"""`python -m bench.relay_rate`: pending transfers between two simd v10 chains, our relayer against the Go relayer.

Each leg has fresh chains with blocks of half a second, a path that our relayer made, and the same packets pending
before the relayer's process is started. Counted are packets until they are acknowledged on the sender's chain, from the
start of the process until none is pending or the time is over. Gas price and gas adjustment are the same; the Go
relayer has the configuration that its own commands write.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any as Json

from rich.console import Console
from rich.table import Table

from bench.measure import machine
from tests.interop.go_relayer import go_relayer
from tests.interop.relay import Ours, Transfers, transfer
from tests.interop.simd import simd

FILE = Path("build/relay_rate.json")
RATIO_REQUIRED = 10
ASK_S = 0.25  # between looks at what is pending
BLOCK_MS = 500
OURS, GO = "bsmg", "rly"
CHAINS = ("ratea-1", "rateb-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`packets` pending at the start of each leg; a leg ends after `limit_s` at the latest."""

    packets: int = 300
    limit_s: float = 120.0
    rounds: int = 2
    go_flags: tuple[str, ...] = ()  # of `rly start`


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One relayer's run."""

    relayer: str
    packets: int
    acknowledged: int
    seconds: float
    load_average: float

    @property
    def a_second(self) -> float:
        """Packets acknowledged a second."""
        return self.acknowledged / self.seconds


def order(rounds: int) -> list[str]:
    """Who comes when: each round the other way about."""
    return [name for at in range(rounds) for name in ((OURS, GO) if at % 2 == 0 else (GO, OURS))]


def ratio(legs: Sequence[Leg]) -> float:
    """Our slowest leg over the Go relayer's fastest; infinite when that one carried nothing."""
    ours = min(leg.a_second for leg in legs if leg.relayer == OURS)
    other = max(leg.a_second for leg in legs if leg.relayer == GO)
    return ours / other if other else float("inf")


def measure(options: Options) -> dict[str, Json]:
    """All legs one after the other."""
    legs: list[Leg] = []
    for name in order(options.rounds):
        with tempfile.TemporaryDirectory(prefix="relay-rate-") as folder:
            legs.append(run_leg(name, options, Path(folder)))
        print(f"{name}: {legs[-1].acknowledged} of {options.packets} in {legs[-1].seconds} s", file=sys.stderr)
    return {
        "options": asdict(options),
        "legs": [{**asdict(leg), "a_second": round(leg.a_second, 2)} for leg in legs],
        "ratio": round(ratio(legs), 1),
        "machine": machine(),
    }


def run_leg(name: str, options: Options, folder: Path) -> Leg:
    """Fresh chains, a path, packets, then the relayer."""
    with ExitStack() as stack:
        chains = tuple(
            stack.enter_context(simd(folder / one, version="v10", chain_id=one, block_ms=BLOCK_MS)).chain()
            for one in CHAINS
        )
        pair = (chains[0], chains[1])
        ours = Ours(home=folder / "ours", chains=pair).create()
        go = go_relayer(folder / "go", pair).adopt(ours.clients, ours.connections, ours.channels)
        what = Transfers(count=options.packets).over(ours.channels[0], pair[1].address("home-01"))
        transfer(pair[0], "faucet", what)
        pending = ours.pending()
        if pending != options.packets:
            raise RuntimeError(f"pending packets: expected {options.packets}, got {pending}")
        began = time.monotonic()
        stack.enter_context(ours.started() if name == OURS else go.started(*options.go_flags))
        return finished(name, options, ours.pending, began)


def finished(name: str, options: Options, pending: Callable[[], int], began: float) -> Leg:
    """Wait until nothing is pending or the time is over."""
    pause = threading.Event()
    left = options.packets
    while left and time.monotonic() - began < options.limit_s:
        pause.wait(ASK_S)
        left = pending()
    seconds = round(time.monotonic() - began, 2)
    load = machine()["load_average"][0]
    done = options.packets - left
    return Leg(relayer=name, packets=options.packets, acknowledged=done, seconds=seconds, load_average=load)


def show(found: Mapping[str, Json]) -> None:
    """The table."""
    where = found["machine"]
    table = Table(*HEAD, title=f"{where['processor']}, {where['cores']} cores, commit {where['commit']}")
    for leg in found["legs"]:
        acknowledged = f"{leg['acknowledged']} of {leg['packets']}"
        table.add_row(
            leg["relayer"], acknowledged, *(str(leg[name]) for name in ("seconds", "a_second", "load_average"))
        )
    means = {
        name: statistics.mean(leg["a_second"] for leg in found["legs"] if leg["relayer"] == name) for name in (OURS, GO)
    }
    console = Console(width=120)
    console.print(table)
    console.print(f"mean: {OURS} {means[OURS]:.1f}, {GO} {means[GO]:.2f} packets a second")
    console.print(f"slowest {OURS} / fastest {GO}: {found['ratio']}, required {RATIO_REQUIRED}; all figures in {FILE}")


HEAD = ("relayer", "acknowledged", "seconds", "packets a second", "load average")


def options_of(arguments: Sequence[str]) -> Options:
    """The command line."""
    default = Options()
    parser = argparse.ArgumentParser(prog="python -m bench.relay_rate", description=__doc__)
    parser.add_argument("--packets", type=int, default=default.packets)
    parser.add_argument("--limit-s", type=float, default=default.limit_s, help="a leg ends then at the latest")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--go-max-msgs", type=int, default=0, help="`--max-msgs` of the Go relayer; else its default")
    given = parser.parse_args(arguments)
    flags = ("--max-msgs", str(given.go_max_msgs)) if given.go_max_msgs else ()
    return Options(packets=given.packets, limit_s=given.limit_s, rounds=given.rounds, go_flags=flags)


def main(arguments: Sequence[str]) -> int:
    """0 when ours is as much faster as required."""
    found = measure(options_of(arguments))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")
    show(found)
    print(json.dumps(found))
    return 0 if found["ratio"] >= RATIO_REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
