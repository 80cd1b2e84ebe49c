"""The Go relayer with a folder of its own, between any two chains of a test."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any as Json

from tests.interop import clients
from tests.interop.net import Chain

PATH = "path"
GAS_ADJUSTMENT = 1.3  # as our relayer's default
# Where one chain's blocks are slower, its 20 blocks of history hold a handshake message whose answer lies further back
# on the other chain: it is sent again, refused, and takes the packets of its transaction with it.
QUICK = ("--max-msgs", "50", "--block-history", "2")
OF_ITSELF = (
    "Flush not complete",  # it counts again before the blocks are there
    "Error assembling packet message",  # it started amid blocks whose packets are done: no commitment any more
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoRelayer:
    """`rly --home HOME`. `channels`: its transfer channel on each side, once `link` has made it."""

    binary: Path
    home: Path
    chains: tuple[Chain, Chain]
    channels: tuple[str, str] = ("", "")

    def run(self, *arguments: str, timeout_s: float = 300) -> str:
        """One command; fails with what it said."""
        command = [str(self.binary), "--home", str(self.home), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
        return done.stdout + done.stderr

    def link(self) -> GoRelayer:
        """`tx link`: clients, a connection and a channel of its own; the same relayer with the channel's names."""
        before = [set(_channels(chain)) for chain in self.chains]
        self.run("tx", "link", PATH)
        made = [set(_channels(chain)) - known for chain, known in zip(self.chains, before, strict=True)]
        assert [len(one) for one in made] == [1, 1], made
        return replace(self, channels=(made[0].pop(), made[1].pop()))

    def adopt(self, clients: tuple[str, str], connections: tuple[str, str], channels: tuple[str, str]) -> GoRelayer:
        """The same relayer on a path that somebody else made."""
        names = ("--src-client-id", "--dst-client-id", "--src-connection-id", "--dst-connection-id")
        flags = [part for pair in zip(names, (*clients, *connections), strict=True) for part in pair]
        self.run("paths", "update", PATH, *flags)
        return replace(self, channels=channels)

    @contextmanager
    def started(self, *flags: str) -> Iterator[Path]:
        """Relaying until the block ends; gives its log."""
        log = self.home / "start.log"
        command = [str(self.binary), "--home", str(self.home), "start", PATH, "--log-format", "json", *flags]
        with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
            try:
                yield log
            finally:
                process.send_signal(signal.SIGKILL)

    def pending(self) -> int:
        """Packets of both directions that are not acknowledged."""
        return sum(chain.pending(channel) for chain, channel in zip(self.chains, self.channels, strict=True))


def go_relayer(home: Path, chains: tuple[Chain, Chain], channels: tuple[str, str] = ("", "")) -> GoRelayer:
    """Configured as its own commands do it, with an empty path; only its fixed API port is left out."""
    made = GoRelayer(binary=clients.rly(), home=home, chains=chains, channels=channels)
    made.run("config", "init")
    config = home / "config" / "config.yaml"
    config.write_text(config.read_text().replace("api-listen-addr: :5183", 'api-listen-addr: ""'))
    for chain in chains:
        file = home / f"{chain.id}.json"
        file.write_text(json.dumps({"type": "cosmos", "value": chain_config(chain)}))
        made.run("chains", "add", "--file", str(file), chain.id)
        restored = made.run("keys", "restore", chain.id, "key", chain.accounts["relayer"]["mnemonic"])
        assert chain.address("relayer") in restored
    made.run("paths", "new", chains[0].id, chains[1].id, PATH)
    return made


def chain_config(chain: Chain) -> dict[str, Json]:
    """As the documentation's example has it."""
    return {
        "key": "key",
        "chain-id": chain.id,
        "rpc-addr": chain.rpc,
        "account-prefix": chain.prefix,
        "keyring-backend": "test",
        "gas-adjustment": GAS_ADJUSTMENT,
        "gas-prices": chain.gas_price + chain.denom,
        "timeout": "20s",
        "output-format": "json",
        "sign-mode": "direct",
    }


def complaints(log: Path) -> list[str]:
    """Lines of its log that say that a chain refused something."""
    return [line for line in log.read_text().splitlines() if _complains(line)]


def _complains(line: str) -> bool:
    said = any(mark in line for mark in ('"lvl":"error"', '"lvl":"warn"', '"error":')) or not line.startswith("{")
    return said and not any(f'"msg":"{text}"' in line for text in OF_ITSELF)


def _channels(chain: Chain) -> Sequence[str]:
    return [item["channel_id"] for item in chain.get("/ibc/core/channel/v1/channels")["channels"]]
