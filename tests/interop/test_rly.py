"""The Go relayer 2.5.2 between two of our chains: path, backlog, both ways, home again, timeout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any as Json

import pytest

from tests.interop import clients
from tests.interop.net import GAS_PRICE, Chain, Net, until

pytestmark = pytest.mark.interop
PATH = "path"
RECEIVER = "home-01"
BACKLOG = 6
OF_ITSELF = (
    "Flush not complete",  # it counts again before the blocks are there
    "Error assembling packet message",  # it started amid blocks whose packets are done: no commitment any more
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rly:
    """The relayer with its folder."""

    binary: Path
    home: Path
    channel: str  # its transfer channel, of one name on both chains

    def voucher(self, denom: str) -> str:
        """A denomination of the other chain's that came over the channel."""
        return "ibc/" + sha256(f"transfer/{self.channel}/{denom}".encode()).hexdigest().upper()

    def escrow(self, chain: Chain) -> int:
        """What the channel holds of the chain's own token."""
        path = f"/ibc/apps/transfer/v1/channels/{self.channel}/ports/transfer/escrow_address"
        found = chain.get(f"/cosmos/bank/v1beta1/balances/{chain.get(path)['escrow_address']}")["balances"]
        return sum(int(coin["amount"]) for coin in found if coin["denom"] == chain.denom)

    def run(self, *arguments: str) -> str:
        command = [str(self.binary), "--home", str(self.home), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
        return done.stdout + done.stderr

    def add(self, chain: Chain) -> None:
        file = self.home / f"{chain.id}.json"
        file.write_text(json.dumps({"type": "cosmos", "value": chain_config(chain)}))
        self.run("chains", "add", "--file", str(file), chain.id)
        restored = self.run("keys", "restore", chain.id, "key", chain.accounts["relayer"]["mnemonic"])
        assert chain.address("relayer") in restored

    def transfer(self, source: Chain, target: Chain, coin: str, *flags: str) -> None:
        self.run(
            *(
                "tx",
                "transfer",
                source.id,
                target.id,
                coin,
                target.address(RECEIVER),
                self.channel,
                "--path",
                PATH,
                *flags,
            )
        )

    @contextmanager
    def started(self) -> Iterator[Path]:
        """Relaying until the block ends; gives its log."""
        log = self.home / "start.log"
        command = [str(self.binary), "--home", str(self.home), "start", PATH]
        command += ["--log-format", "json", "--max-msgs", "50"]
        with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
            try:
                yield log
            finally:
                os.kill(process.pid, signal.SIGKILL)
        complaints = [line for line in log.read_text().splitlines() if complains(line)]
        assert not complaints, complaints[:5]


def complains(line: str) -> bool:
    """Whether a line of the log says that a chain of ours refused something."""
    said = any(mark in line for mark in ('"lvl":"error"', '"lvl":"warn"', '"error":')) or not line.startswith("{")
    return said and not any(f'"msg":"{text}"' in line for text in OF_ITSELF)


def chain_config(chain: Chain) -> dict[str, Json]:
    return {
        "key": "key",
        "chain-id": chain.id,
        "rpc-addr": chain.rpc,
        "account-prefix": "bsmg",
        "keyring-backend": "test",
        "gas-adjustment": 1.2,
        "gas-prices": GAS_PRICE + chain.denom,
        "timeout": "20s",
        "output-format": "json",
        "sign-mode": "direct",
    }


@pytest.fixture(scope="module")
def rly(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Rly:
    """Configured, with an open transfer channel made by it."""
    before = len(net.a.get("/ibc/core/channel/v1/channels")["channels"])
    made = Rly(binary=clients.rly(), home=tmp_path_factory.mktemp("rly"), channel=f"channel-{before}")
    made.run("config", "init")
    config = made.home / "config" / "config.yaml"
    config.write_text(config.read_text().replace("api-listen-addr: :5183", 'api-listen-addr: ""'))
    for chain in (net.a, net.b):
        made.add(chain)
    made.run("paths", "new", net.a.id, net.b.id, PATH)
    made.run("tx", "link", PATH)
    return made


def test_the_path_is_open_on_both_chains(rly: Rly, net: Net) -> None:
    for chain in (net.a, net.b):
        end = chain.get(f"/ibc/core/channel/v1/channels/{rly.channel}/ports/transfer")["channel"]
        assert (end["state"], end["version"]) == ("STATE_OPEN", "ics20-1")
    assert net.a.id in rly.run("query", "channels", net.a.id)


def test_a_backlog_both_ways_and_home_again(rly: Rly, net: Net) -> None:
    before = {chain.id: chain.balances(RECEIVER) for chain in (net.a, net.b)}
    for i in range(BACKLOG):
        rly.transfer(net.a, net.b, f"{100 + i}{net.a.denom}")
        rly.transfer(net.b, net.a, f"{200 + i}{net.b.denom}")
    until(lambda: (net.a.pending(rly.channel), net.b.pending(rly.channel)) == (BACKLOG, BACKLOG), "the backlog")
    with rly.started() as log:
        until(
            lambda: net.a.pending(rly.channel) + net.b.pending(rly.channel) == 0, "every acknowledgement", log.read_text
        )
    for chain, denom, least in ((net.b, net.a.denom, 100), (net.a, net.b.denom, 200)):
        gained = chain.balances(RECEIVER)[rly.voucher(denom)] - before[chain.id].get(rly.voucher(denom), 0)
        assert gained == sum(least + i for i in range(BACKLOG))


def test_a_voucher_goes_home(rly: Rly, net: Net) -> None:
    with rly.started() as log:
        rly.run(
            *("tx", "transfer", net.a.id, net.b.id, f"50{net.a.denom}", net.b.address("relayer"), rly.channel),
            *("--path", PATH),
        )
        until(lambda: net.b.balances("relayer").get(rly.voucher(net.a.denom), 0) == 50, "the voucher", log.read_text)
        before = net.a.balances(RECEIVER)[net.a.denom]
        rly.transfer(net.b, net.a, f"50transfer/{rly.channel}/{net.a.denom}")
        until(lambda: net.a.balances(RECEIVER)[net.a.denom] == before + 50, "the tokens", log.read_text)
        until(lambda: net.b.pending(rly.channel) == 0, "the acknowledgement", log.read_text)
    assert net.b.balances("relayer").get(rly.voucher(net.a.denom), 0) == 0


def test_a_timeout_is_refunded(rly: Rly, net: Net) -> None:
    before = net.b.balances(RECEIVER).get(rly.voucher(net.a.denom), 0)
    escrowed = rly.escrow(net.a)
    rly.transfer(net.a, net.b, f"77{net.a.denom}", "--timeout-time-offset", "3s")
    assert (net.a.pending(rly.channel), rly.escrow(net.a)) == (1, escrowed + 77)
    deadline = int(net.b.status()["latest_block_height"]) + 8
    until(lambda: int(net.b.status()["latest_block_height"]) > deadline, "the other chain's time")
    with rly.started() as log:
        until(lambda: net.a.pending(rly.channel) == 0, "the timeout", log.read_text)
    assert rly.escrow(net.a) == escrowed
    assert net.b.balances(RECEIVER).get(rly.voucher(net.a.denom), 0) == before
