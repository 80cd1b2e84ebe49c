"""A testnet whose link has IBC v2 too: its relayer carries both."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any as Json

import pytest

from bsmg.client.testnet_file import LinkEnd, load_testnet
from ibc_core.transfer.denom import Denom
from tests.testnet.test_e2e_testnet import bsmg, up

pytestmark = pytest.mark.e2e
TOPOLOGY = (
    "".join(f'[[chain]]\nid = "{name}"\nkind = "cometbft"\nvalidators = 1\n' for name in ("lka-1", "lkb-1"))
    + '[[link]]\na = "lka-1"\nb = "lkb-1"\nchannels = ["transfer"]\nibc_v2 = true\n[relayer]\nclear_interval_s = 5\n'
)
PAUSE_S, TRIES_MAX = 0.5, 240


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "linked.toml").write_text(TOPOLOGY)
    folder = tmp_path / "net"
    try:
        up(folder, "--topology", str(tmp_path / "linked.toml"))
        yield folder
    finally:
        bsmg("testnet", "down", "--purge", "--home", str(folder))


def until(holds: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    for _ in range(TRIES_MAX):
        if holds():
            return
        pause.wait(PAUSE_S)
    raise AssertionError(f"{what} did not come")


def ask(folder: Path, *arguments: str) -> Json:
    return json.loads(bsmg("query", *arguments, "--home", str(folder)))


def send(folder: Path, place: str) -> None:
    """12 bmga through a channel or a client, to the same name on the other chain."""
    receiver = load_testnet(folder).chain("lkb-1").account("faucet").address
    words = (place, receiver, f"12{load_testnet(folder).chain('lka-1').denom}")
    bsmg("tx", "ibc-transfer", "transfer", *words, "--from", "faucet", "--home", str(folder), "--chain", "lka-1")


def arrived(folder: Path, place: str) -> int:
    """What came through a channel or client of the second chain."""
    net = load_testnet(folder)
    voucher = Denom(net.chain("lka-1").denom, (("transfer", place),)).ledger_name
    address = net.chain("lkb-1").account("faucet").address
    found = ask(folder, "bank", "balance", address, voucher, "--chain", "lkb-1")
    return int(found["balance"]["amount"])


def finished(folder: Path, end: LinkEnd) -> bool:
    found = ask(folder, "channel-v2", "packet-commitments", end.v2_client_id, "--chain", end.chain_id)
    return not found.get("commitments")


def test_both_protocols_are_carried(linked: Path) -> None:
    link = load_testnet(linked).link("lka-1", "lkb-1")
    assert link.a.v2_client_id != link.a.client_id
    channel = link.b.channels["transfer"].channel_id
    send(linked, link.a.v2_client_id)
    send(linked, link.a.channels["transfer"].channel_id)
    until(lambda: (arrived(linked, link.b.v2_client_id), arrived(linked, channel)) == (12, 12), "both transfers")
    until(lambda: finished(linked, link.a), "the acknowledgement")
