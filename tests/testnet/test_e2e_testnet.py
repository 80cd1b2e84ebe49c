"""Real nodes: up, what testnet.json promises, kill and restart, down."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any as Json

import pytest

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.testnet_file import load_testnet
from processes import ports, procfs, watch

pytestmark = pytest.mark.e2e
ONE = '[[chain]]\nid = "solo-1"\nkind = "cometbft"\nvalidators = 1\n'
BLOCKS_TIMEOUT_S = 60


def bsmg(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bsmg.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def up(folder: Path, *flags: str) -> dict[str, Json]:
    bsmg("testnet", "up", "--detach", "--home", str(folder), *flags)
    return dict(json.loads((folder / "testnet.json").read_text()))


def all_ports(doc: dict[str, Json]) -> list[int]:
    listeners = [
        node[name]
        for chain in doc["chains"]
        for node in chain["nodes"]
        for name in ("rpc", "grpc", "rest", "p2p", "metrics")
    ]
    listeners += [relayer["metrics"] for relayer in doc["relayers"]]
    return [int(re.findall(r":(\d+)", text)[-1]) for text in listeners]


def processes_of(folder: Path) -> list[procfs.Identity]:
    doc = json.loads((folder / "supervisor.json").read_text())
    return [procfs.Identity.of_doc(item) for item in (doc["supervisor"], *doc["processes"].values())]


@pytest.fixture
def solo(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "one.toml").write_text(ONE)
    folder = tmp_path / ("a-folder-with-a-long-name-" * 4) / "net"  # longer than a unix socket's path may be
    try:
        yield folder
    finally:
        if folder.exists():
            bsmg("testnet", "down", "--purge", "--home", str(folder))


def topology_of(solo: Path) -> Path:
    return solo.parents[1] / "one.toml"


async def height_reached(rpc_url: str, least: int) -> int:
    """Wait for a block; the node may just be starting."""
    async with asyncio.timeout(BLOCKS_TIMEOUT_S):
        await watch.accepts(rpc_url.replace("http://", "tcp://"))
        async with CometClient("solo-1", Endpoints(rpc=rpc_url)) as client:
            return (await client.feed.wait_above(least - 1)).height


def test_one_validator_from_up_to_down(solo: Path) -> None:
    doc = up(solo, "--topology", str(topology_of(solo)))
    node = doc["chains"][0]["nodes"][0]
    assert set(node["pids"]) == {"cometbft", "app", "query"}
    for role, pid in node["pids"].items():
        assert procfs.identify(pid) is not None, role
    seeds = {Path(f"/proc/{node['pids'][role]}/environ").read_bytes() for role in ("app", "query")}
    assert len({re.search(rb"PYTHONHASHSEED=(\d+)", text)[1] for text in seeds}) == 2
    assert (doc["links"], doc["relayers"]) == ([], [])
    typed = load_testnet(solo)
    assert typed.chain("solo-1").account("faucet").mnemonic
    assert (solo / "testnet.json").stat().st_mode & 0o077 == 0
    identities, used = processes_of(solo), all_ports(doc)
    bsmg("testnet", "down", "--home", str(solo))
    assert not any(procfs.is_alive(identity) for identity in identities)
    assert all(ports.is_free(port) for port in used)


def test_a_transaction_by_the_command_line_and_its_explanation(solo: Path) -> None:
    up(solo, "--topology", str(topology_of(solo)))
    home = ("--home", str(solo))
    before = int(json.loads(bsmg("query", "bank", "balance", "home-01", *home))["balance"]["amount"])
    sent = json.loads(bsmg("tx", "bank", "send", "home-01", "7bsolo", "--from", "faucet", *home))
    assert (sent["code"], sent["height"] > 0) == (0, True)
    after = int(json.loads(bsmg("query", "bank", "balance", "home-01", *home))["balance"]["amount"])
    assert after - before == 7
    refused = bsmg("tx", "bank", "send", "home-01", f"{10**30}bsolo", "--from", "home-02", *home, code=1)
    assert refused == ""
    assert json.loads(bsmg("query", "registry", "cell", "home-01@solo", *home))["cell"]["number"] == 1
    bsmg("cell", "join", "late-1", *home)
    assert "late-1@solo" in bsmg("cell", "list", *home)


def test_killed_and_restarted_the_node_goes_on(solo: Path) -> None:
    doc = up(solo, "--topology", str(topology_of(solo)))
    home = ("--home", str(solo))
    rpc_url = doc["chains"][0]["nodes"][0]["rpc"]
    before = asyncio.run(height_reached(rpc_url, 3))
    bsmg("testnet", "kill", "solo-1-0", *home)
    bsmg("testnet", "restart", "solo-1-0", *home)
    again = json.loads((solo / "testnet.json").read_text())["chains"][0]["nodes"][0]["pids"]
    assert set(again.values()).isdisjoint(doc["chains"][0]["nodes"][0]["pids"].values())
    assert asyncio.run(height_reached(rpc_url, before + 2)) >= before + 2


def test_a_stopped_testnet_comes_up_again_where_it_was(solo: Path) -> None:
    doc = up(solo, "--topology", str(topology_of(solo)))
    rpc_url = doc["chains"][0]["nodes"][0]["rpc"]
    before = asyncio.run(height_reached(rpc_url, 4))
    bsmg("testnet", "down", "--home", str(solo))
    again = up(solo)
    assert again["chains"][0]["accounts"] == doc["chains"][0]["accounts"]
    assert asyncio.run(height_reached(rpc_url, before + 1)) > before


def test_the_default_topology_is_ready_with_open_channels(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    try:
        doc = up(folder)
        (link,) = doc["links"]
        for side, chain_id in (("a", "mga-1"), ("b", "mgb-1")):
            assert link[side]["chain_id"] == chain_id
            assert link[side]["channels"] == {"transfer": "channel-0", "trade": "channel-1"}
        assert len(doc["relayers"]) == 1
        assert os.path.exists(f"/proc/{doc['relayers'][0]['pid']}")
        identities, used = processes_of(folder), all_ports(doc)
    finally:
        bsmg("testnet", "down", "--home", str(folder))
    assert len(identities) == 1 + 24 + 1
    assert not any(procfs.is_alive(identity) for identity in identities)
    assert all(ports.is_free(port) for port in used)
