"""One validator of real processes: CometBFT, app and query, each in a process group of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.app.chain import CHAIN, genesis
from tests.app.waiting import until

ROOT = Path(__file__).parents[2]
COMETBFT = ROOT / ".tools" / "bin" / "cometbft"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    opened = [socket.socket() for _ in range(count)]
    for each in opened:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports


@dataclass(slots=True)
class RealNode:
    home: Path
    rpc_port: int
    p2p_port: int
    grpc_port: int
    rest_port: int
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def prepare(self) -> None:
        subprocess.run([COMETBFT, "init", "--home", self.home], check=True, capture_output=True)
        path = self.home / "config" / "genesis.json"
        doc = json.loads(path.read_text())
        doc["chain_id"] = CHAIN
        doc["consensus_params"]["abci"] = {"vote_extensions_enable_height": "1"}
        doc["app_state"] = json.loads(genesis())
        path.write_text(json.dumps(doc))
        config = self.home / "config" / "config.toml"
        text = config.read_text()
        for key, value in {
            "proxy_app": f"unix://{self.home}/abci.sock",
            "timeout_commit": "200ms",
            "pprof_laddr": "",
        }.items():
            text = re.sub(rf"(?m)^{key} = .*$", f'{key} = "{value}"', text)
        text = text.replace("tcp://127.0.0.1:26657", f"tcp://127.0.0.1:{self.rpc_port}")
        config.write_text(text.replace("tcp://0.0.0.0:26656", f"tcp://127.0.0.1:{self.p2p_port}"))

    def start(self, *roles: str) -> None:
        python = [sys.executable, "-m", "abci_app.node", "--home", str(self.home), "--role"]
        rest = f"127.0.0.1:{self.rest_port}"
        commands = {
            "app": [*python, "app"],
            "query": [*python, "query", "--grpc", self.grpc, "--rest", rest, "--rpc", self.url],
            "cometbft": [str(COMETBFT), "start", "--home", str(self.home)],
        }
        for role in roles:
            with (self.home / f"{role}.log").open("ab") as log:
                self.running[role] = subprocess.Popen(
                    commands[role], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
                )

    def end(self, role: str, how: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(role)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        return process.wait(30)

    def stop(self) -> None:
        for role in ("cometbft", "query", "app"):
            if role in self.running:
                self.end(role, signal.SIGKILL)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rpc_port}"

    def call(self, method: str, **params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rpc_port}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  (the literal scheme is above)
            return json.load(answer)["result"]

    def height(self) -> int:
        try:
            return int(self.call("status")["sync_info"]["latest_block_height"])
        except OSError:
            return 0

    def wait_height(self, height: int) -> None:
        until(lambda: self.height() >= height, f"block {height}", self.logs)

    def logs(self) -> str:
        """The last lines of each process, for a failure's message."""
        files = sorted(self.home.glob("*.log"))
        return "\n".join(f"--- {each.name}\n" + "\n".join(each.read_text().splitlines()[-15:]) for each in files)


@contextmanager
def real_node(home: Path) -> Iterator[RealNode]:
    node = RealNode(home, *free_ports(4))
    node.prepare()
    try:
        yield node
    finally:
        node.stop()
