"""ibc-go's test chain `simd` as one stock validator: what others run, with short blocks and free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any as Json
from typing import Literal

from bsmg.client.keys import key_from_mnemonic, new_mnemonic
from processes.ports import lease, release
from tests.interop import clients
from tests.interop.net import Chain

Version = Literal["v10", "v8"]
DENOM, PREFIX = "stake", "cosmos"
FUNDS = 10**15  # of every account, base units
BONDED = 10**10
ACCOUNTS = ("faucet", "relayer", "home-01")
READY_S, PAUSE_S, STOP_S = 90, 0.1, 15
PORT_TRIES = 4  # a program that knows nothing of the leases may be faster
_BINARIES: Mapping[Version, Callable[[], Path]] = {"v10": clients.simd10, "v8": clients.simd8}


@dataclass(slots=True, kw_only=True)
class Simd:
    """A running chain. `accounts`: name to address and mnemonic, each with FUNDS."""

    home: Path
    binary: Path
    chain_id: str
    rpc: str
    grpc: str
    rest: str
    accounts: dict[str, dict[str, str]]
    prefix: str = PREFIX
    denom: str = DENOM
    process: subprocess.Popen[bytes] | None = None

    def chain(self) -> Chain:
        """As the other tests know a chain."""
        return Chain(
            id=self.chain_id,
            denom=self.denom,
            rpc=self.rpc,
            grpc=self.grpc,
            rest=self.rest,
            accounts=self.accounts,
            prefix=self.prefix,
            gas_price="0.001",
        )

    def mnemonic(self, name: str) -> str:
        """The words of an account."""
        return self.accounts[name]["mnemonic"]

    def log(self) -> str:
        """What the node wrote last."""
        return (self.home / "simd.log").read_text()[-4000:]

    def start(self) -> None:
        """Start the node, again after `stop` or `kill`; returns when it makes blocks and answers queries."""
        with (self.home / "simd.log").open("ab") as out:
            self.process = subprocess.Popen(
                [str(self.binary), "start", "--home", str(self.home)], stdout=out, stderr=out
            )
        _until(self._ready, f"{self.chain_id} ready", self._alive_or_log)

    def stop(self) -> None:
        """End the node in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the node at once."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ready(self) -> bool:
        try:
            chain = self.chain()
            blocks = int(chain.status()["latest_block_height"]) >= 1
            return blocks and "stake" in chain.balances("faucet") and _listens(self.grpc)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def _alive_or_log(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.chain_id} ended:\n{self.log()}"


@contextmanager
def simd(
    home: Path,
    *,
    version: Version,
    chain_id: str,
    block_ms: int = 500,
    accounts: Sequence[str] = ACCOUNTS,
    genesis: Mapping[str, Json] | None = None,
) -> Iterator[Simd]:
    """A chain for the length of a block: `with simd(tmp_path / "a", version="v10", chain_id="sima-1") as chain:`."""
    made = start_simd(home, version=version, chain_id=chain_id, block_ms=block_ms, accounts=accounts, genesis=genesis)
    try:
        yield made
    finally:
        made.stop()
        release(home)


def start_simd(
    home: Path,
    *,
    version: Version,
    chain_id: str,
    block_ms: int = 500,
    accounts: Sequence[str] = ACCOUNTS,
    genesis: Mapping[str, Json] | None = None,
) -> Simd:
    """Make a genesis in `home` and start the node; whoever calls it calls `stop`. `genesis`: values to be merged in."""
    made = Simd(
        home=home,
        binary=_BINARIES[version](),
        chain_id=chain_id,
        rpc="",
        grpc="",
        rest="",
        accounts={name: _account(name) for name in ("validator", *accounts)},
    )
    _make_genesis(made, genesis or {})
    _edit(home / "config" / "config.toml", {"consensus.timeout_commit": f'"{block_ms}ms"', "rpc.pprof_laddr": '""'})
    _edit(home / "config" / "app.toml", {".pruning": '"nothing"', "api.enable": "true"})
    for _ in range(PORT_TRIES):
        _listen_at(made, *lease(home, 4))
        if _started(made):
            return made
    raise AssertionError(f"{chain_id}: expected free ports, got none in {PORT_TRIES} tries\n{made.log()}")


def _started(chain: Simd) -> bool:
    """False when another program was faster at one of the ports."""
    try:
        chain.start()
    except AssertionError:
        chain.kill()
        if "address already in use" not in chain.log():
            raise
        return False
    return True


def _listen_at(chain: Simd, rpc: int, grpc: int, rest: int, p2p: int) -> None:
    chain.rpc, chain.grpc, chain.rest = f"http://127.0.0.1:{rpc}", f"127.0.0.1:{grpc}", f"http://127.0.0.1:{rest}"
    (chain.home / "simd.log").unlink(missing_ok=True)
    _edit(
        chain.home / "config" / "config.toml",
        {"rpc.laddr": f'"tcp://127.0.0.1:{rpc}"', "p2p.laddr": f'"tcp://127.0.0.1:{p2p}"'},
    )
    _edit(
        chain.home / "config" / "app.toml",
        {"api.address": f'"tcp://127.0.0.1:{rest}"', "grpc.address": f'"{chain.grpc}"'},
    )


def _make_genesis(chain: Simd, own: Mapping[str, Json]) -> None:
    """One validator, all accounts funded; the rest as `simd init` writes it, but for `own`."""
    _simd(chain, "init", "node", "--chain-id", chain.chain_id)
    file = chain.home / "config" / "genesis.json"
    doc = json.loads(file.read_text())
    addresses = [item["address"] for item in chain.accounts.values()]
    doc["app_state"]["auth"]["accounts"] = [
        {"@type": "/cosmos.auth.v1beta1.BaseAccount", "address": address, "account_number": str(at), "sequence": "0"}
        for at, address in enumerate(addresses)
    ]
    doc["app_state"]["bank"]["balances"] = [
        {"address": address, "coins": [{"denom": DENOM, "amount": str(FUNDS)}]} for address in addresses
    ]
    _merge(doc, own)
    file.write_text(json.dumps(doc))
    words = chain.mnemonic("validator") + "\n"
    _simd(chain, "keys", "add", "validator", "--recover", "--keyring-backend", "test", said=words)
    bond = ("validator", f"{BONDED}{DENOM}", "--chain-id", chain.chain_id, "--keyring-backend", "test")
    _simd(chain, "genesis", "gentx", *bond, "--ip", "127.0.0.1")
    _simd(chain, "genesis", "collect-gentxs")


def _merge(doc: Json, own: Mapping[str, Json]) -> None:
    for key, value in own.items():
        if isinstance(value, Mapping):
            _merge(doc[key], value)
        else:
            doc[key] = value


def _simd(chain: Simd, *arguments: str, said: str = "") -> None:
    command = [str(chain.binary), *arguments, "--home", str(chain.home)]
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}{done.stdout[-500:]}"


def _account(name: str) -> dict[str, str]:
    words = new_mnemonic()
    return {"name": name, "mnemonic": words, "address": key_from_mnemonic(words).address(PREFIX)}


def _edit(file: Path, values: Mapping[str, str]) -> None:
    """Set `section.key` values of a TOML file in place, as a person would; each has to be there."""
    left, section, lines = dict(values), "", []
    for line in file.read_text().splitlines():
        header = re.fullmatch(r"\[([\w.-]+)\]\s*", line)
        section = header[1] if header else section
        key = f"{section}.{line.partition('=')[0].strip()}"
        lines.append(f"{key.rpartition('.')[2]} = {left.pop(key)}" if key in left else line)
    assert not left, f"{file}: expected {sorted(left)}"
    file.write_text("\n".join(lines) + "\n")


def _listens(target: str) -> bool:
    host, _, port = target.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _until(holds: Callable[[], bool], what: str, each: Callable[[], None]) -> None:
    pause = threading.Event()
    for _ in range(int(READY_S / PAUSE_S)):
        each()
        if holds():
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{what}: expected within {READY_S} s")
