"""A testnet for other people's clients: two chains of one validator with a fee, and no relayer of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json

GAS_PRICE = "0.01"
TOPOLOGY = "".join(
    f'[[chain]]\nid = "{name}-1"\nkind = "cometbft"\nvalidators = 1\nmin_gas_price = "{GAS_PRICE}"\n'
    for name in ("ina", "inb")
)
PAUSE_S, TRIES_MAX = 0.25, 480
ANSWER_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain, as `testnet.json` shows it."""

    id: str
    denom: str
    rpc: str
    grpc: str
    rest: str
    accounts: dict[str, dict[str, str]]
    prefix: str = "bsmg"
    gas_price: str = GAS_PRICE

    def get(self, path: str) -> Json:
        """A GET of the REST gateway."""
        with urllib.request.urlopen(self.rest + path, timeout=ANSWER_S) as answer:  # noqa: S310  (our own node)
            return json.load(answer)

    def status(self) -> Json:
        """CometBFT's `sync_info`."""
        with urllib.request.urlopen(self.rpc + "/status", timeout=ANSWER_S) as answer:  # noqa: S310  (our own node)
            return json.load(answer)["result"]["sync_info"]

    def address(self, name: str) -> str:
        """Of an account of the testnet."""
        return self.accounts[name]["address"]

    def balances(self, name: str) -> dict[str, int]:
        """Base units by denomination."""
        found = self.get(f"/cosmos/bank/v1beta1/balances/{self.address(name)}")["balances"]
        return {coin["denom"]: int(coin["amount"]) for coin in found}

    def pending(self, channel: str) -> int:
        """Packets of the channel that are sent and not acknowledged."""
        path = f"/ibc/core/channel/v1/channels/{channel}/ports/transfer/packet_commitments?pagination.limit=10000"
        return len(self.get(path)["commitments"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """The testnet in its folder."""

    home: Path
    a: Chain
    b: Chain


def up(home: Path) -> Net:
    """Start it; both chains make blocks."""
    topology = home.parent / "interop.toml"
    topology.write_text(TOPOLOGY + "[relayer]\ncount = 0\n")
    bsmg("testnet", "up", "--detach", "--home", str(home), "--topology", str(topology))
    doc = json.loads((home / "testnet.json").read_text())
    a, b = (_chain(item) for item in doc["chains"])
    return Net(home=home, a=a, b=b)


def down(home: Path) -> None:
    """Stop it and remove the folder."""
    if home.exists():
        bsmg("testnet", "down", "--purge", "--home", str(home))


def bsmg(*arguments: str) -> str:
    """The command line; fails with what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "bsmg.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def until(holds: Callable[[], bool], what: str, details: Callable[[], str] = str) -> None:
    """Ask until it holds; fails with the details after two minutes."""
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        if holds():
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{what} did not come\n{details()}")


def _chain(doc: Json) -> Chain:
    node = doc["nodes"][0]
    return Chain(
        id=doc["chain_id"],
        denom=doc["denom"],
        rpc=node["rpc"],
        grpc=node["grpc"],
        rest=node["rest"],
        accounts={item["name"]: item for item in doc["accounts"]},
    )
