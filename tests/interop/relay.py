"""Our relayer as a process between any two chains of a test, and transfers to give it something to do."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.keys import key_from_mnemonic, write_key_file
from bsmg.client.lane import FeePolicy, TxOutcome, parse_gas_price
from cosmos_wire.protos import Message, client, coin, transfer_tx
from tests.interop.net import Chain, until

TIMEOUT_NS = 10**9 * 3_600
MSGS_PER_TX = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """`bsmg relayer` with its folder. `channels`: of each side, when they are known."""

    home: Path
    chains: tuple[Chain, Chain]
    grpc: bool = True
    channels: tuple[str, str] = ("", "")
    clients: tuple[str, str] = ("", "")
    connections: tuple[str, str] = ("", "")
    key: str = "relayer"

    def config(self) -> Path:
        """Written anew."""
        self.home.mkdir(parents=True, exist_ok=True)
        file = self.home / "relayer.toml"
        file.write_text('[relayer]\nmetrics = ""\n' + "".join(map(self._chain, self.chains)) + self._path())
        return file

    def _chain(self, chain: Chain) -> str:
        key = self.home / f"{chain.id}.key"
        if not key.exists():
            write_key_file(key, chain.accounts[self.key]["mnemonic"])
        grpc = f'grpc = "{chain.grpc}"\n' if self.grpc else ""
        return (
            f'[[chain]]\nid = "{chain.id}"\nrpc = "{chain.rpc}"\n{grpc}key = "{key.name}"\n'
            f'bech32_prefix = "{chain.prefix}"\ngas_price = "{chain.gas_price}{chain.denom}"\n'
        )

    def _path(self) -> str:
        a, b = self.chains
        ids = f'a_channel = "{self.channels[0]}", b_channel = "{self.channels[1]}"'
        channel = f'[{{port = "transfer", {ids}}}]' if all(self.channels) else '["transfer"]'
        clients = f'a_client = "{self.clients[0]}"\nb_client = "{self.clients[1]}"\n' if all(self.clients) else ""
        return f'[[path]]\na = "{a.id}"\nb = "{b.id}"\n{clients}create = true\nchannels = {channel}\n'

    def run(self, *arguments: str, timeout_s: float = 180) -> str:
        """One command of the group; fails with what it said."""
        command = [sys.executable, "-m", "bsmg.cli.main", "relayer", *arguments, "--config", str(self.config())]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        return done.stdout

    def create(self) -> Ours:
        """`path create`; the same relayer with what it found or made."""
        link = json.loads(self.run("path", "create"))
        sides = [(link[0] if isinstance(link, list) else link)[side] for side in ("a", "b")]
        channels = (sides[0]["channels"]["transfer"], sides[1]["channels"]["transfer"])
        clients, connections = ((str(sides[0][name]), str(sides[1][name])) for name in ("client_id", "connection_id"))
        return replace(self, channels=channels, clients=clients, connections=connections)

    @contextmanager
    def started(self) -> Iterator[Process]:
        """Relaying until the block ends."""
        process = Process(self)
        process.start()
        try:
            yield process
        finally:
            process.end(signal.SIGKILL)

    def pending(self) -> int:
        """Packets of both directions that are not acknowledged."""
        return sum(chain.pending(channel) for chain, channel in zip(self.chains, self.channels, strict=True))


class Process:
    """A running relayer."""

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.file = ours.home / "relayer.log"
        self.process: subprocess.Popen[bytes] | None = None

    def said(self, text: str) -> bool:
        """Whether its log has a text."""
        return text in self.file.read_text()

    def start(self) -> None:
        command = [sys.executable, "-m", "bsmg.cli.main", "relayer", "start", "--config", str(self.ours.config())]
        with self.file.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        return self.file.read_text()[-6000:]

    def complaints(self) -> list[str]:
        """Warnings and errors of its log."""
        return [line for line in self.log().splitlines() if " WARNING " in line or " ERROR " in line]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """Equal ICS-20 transfers. `timeout_ns` counts from the sender's newest block; `timeout_height` is absolute."""

    channel: str = ""
    receiver: str = ""
    count: int = 1
    amount: int = 1
    denom: str = ""
    timeout_ns: int = TIMEOUT_NS
    timeout_height: tuple[int, int] = (0, 0)
    memo: str = ""

    def over(self, channel: str, receiver: str) -> Transfers:
        """The same over a channel to a receiver."""
        return replace(self, channel=channel, receiver=receiver)


class Carried(Protocol):
    """A path: its chains, and the channel of each."""

    @property
    def chains(self) -> tuple[Chain, Chain]: ...

    @property
    def channels(self) -> tuple[str, str]: ...


def voucher(path: Carried, side: int) -> str:
    """Denomination on the other side of the token of a side."""
    trace = f"transfer/{path.channels[1 - side]}/{path.chains[side].denom}"
    return "ibc/" + sha256(trace.encode()).hexdigest().upper()


def transfer(chain: Chain, account: str, what: Transfers) -> list[TxOutcome]:
    """Sign and send from an account; every transaction has to succeed."""
    outcomes = asyncio.run(_transfer(chain, account, what))
    bad = [f"{item.codespace}/{item.code} {item.log}" for item in outcomes if not item.ok]
    assert not bad, bad[:3]
    return outcomes


async def _transfer(chain: Chain, account: str, what: Transfers) -> list[TxOutcome]:
    key = key_from_mnemonic(chain.accounts[account]["mnemonic"])
    price, denom = parse_gas_price(chain.gas_price + chain.denom)
    async with CometClient(chain.id, Endpoints(rpc=chain.rpc, grpc=chain.grpc, prefix=chain.prefix)) as node:
        lane = node.lane(key, FeePolicy(price=price, denom=denom))
        now_ns = (await node.head()).time_ns
        messages = [_message(chain, lane.address, what, now_ns) for _ in range(what.count)]
        parts = [messages[at : at + MSGS_PER_TX] for at in range(0, len(messages), MSGS_PER_TX)]
        return list(await asyncio.gather(*(lane.submit(part) for part in parts)))


def _message(chain: Chain, sender: str, what: Transfers, now_ns: int) -> Message:
    revision, height = what.timeout_height
    return transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=what.channel,
        token=coin.Coin(denom=what.denom or chain.denom, amount=str(what.amount)),
        sender=sender,
        receiver=what.receiver,
        timeout_height=client.Height(revision_number=revision, revision_height=height),
        timeout_timestamp=now_ns + what.timeout_ns if what.timeout_ns else 0,
        memo=what.memo,
    )


def escrow(chain: Chain, channel: str) -> int:
    """What the channel holds of the chain's own token."""
    path = f"/ibc/apps/transfer/v1/channels/{channel}/ports/transfer/escrow_address"
    found = chain.get(f"/cosmos/bank/v1beta1/balances/{chain.get(path)['escrow_address']}")["balances"]
    return sum(int(item["amount"]) for item in found if item["denom"] == chain.denom)


def height_above(chain: Chain, height: int) -> None:
    """Wait until the chain is above a height."""
    until(lambda: int(chain.status()["latest_block_height"]) > height, f"{chain.id} above {height}")


def drained(process: Process, ours: Ours) -> None:
    """Wait until nothing is pending."""
    until(lambda: ours.pending() == 0, "every acknowledgement", process.log)
