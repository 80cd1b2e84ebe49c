"""A real network of two chains trades a few slots; then the four commands judge it by its public RPC."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bsmg.audit.findings import SUBJECTS
from bsmg.audit.run import audit
from bsmg.cli.audit import home_chains, read_all
from tests.audit.tampering import first_place, with_value
from tests.e2e.net import PATIENCE

pytestmark = pytest.mark.e2e
ELSEWHERE = {"attestations", "ballots", "ledger", "orderers", "ticks"}  # on Fabric, on meshed feeders
SLOTS = 4
TOPOLOGY = f"""
[[chain]]
id = "mga-1"
kind = "cometbft"
validators = 1
gates = {{ window_min_ms = 60_000, {PATIENCE} }}
[[chain]]
id = "mgb-1"
kind = "cometbft"
validators = 1
gates = {{ window_min_ms = 60_000, {PATIENCE} }}
[[link]]
a = "mga-1"
b = "mgb-1"
"""


def bsmg(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bsmg.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("day")
    (folder / "two.toml").write_text(TOPOLOGY)
    flags = ["--slots", str(SLOTS), "--folder", str(folder / "demo"), "--topology", str(folder / "two.toml")]
    try:
        bsmg("demo", *flags, "--keep")
        yield folder / "demo" / "testnet"
    finally:
        if (folder / "demo" / "testnet").exists():
            bsmg("testnet", "down", "--purge", "--home", str(folder / "demo" / "testnet"))


def test_the_audit_agrees(home: Path, tmp_path: Path) -> None:
    text = bsmg("audit", "--home", str(home), "--json", str(tmp_path / "audit.json"))
    assert "the audit agrees with every unit" in text
    doc = json.loads((tmp_path / "audit.json").read_text())
    assert doc["agrees"]
    for chain in doc["chains"]:
        assert set(chain["checked"]) == set(SUBJECTS) - ELSEWHERE
        assert chain["checked"]["statements"] >= SLOTS


def test_one_unit_is_found_and_named(home: Path) -> None:
    records = asyncio.run(read_all(home_chains(home), light=False))
    lying = with_value(records[0], first_place(records[0], "cell_settled", "net"))
    (wrong,) = [item for found in audit([lying, records[1]], light=False) for item in found.differences]
    assert "cell_settled" in wrong.place
    assert int(wrong.got) == int(wrong.expected) + 1


def test_a_stolen_unit_is_found(home: Path) -> None:
    record = asyncio.run(read_all(home_chains(home)[:1], light=False))[0]
    holder = min(record.final.balances)
    balances = {**record.final.balances, holder: record.final.balances[holder] - 1}
    found = audit([replace(record, final=replace(record.final, balances=balances))], light=False)[0]
    assert [item.subject for item in found.differences] == ["balances", "supply"]


def test_a_contract_is_traced(home: Path) -> None:
    told = bsmg("trace", "zz", "--home", str(home), code=1)
    contracts = re.findall(r"\b[0-9a-f]{12}\b", told)
    assert contracts
    story = bsmg("trace", contracts[0], "--home", str(home))
    for part in ("OFFER", "LOCK", "end on mga-1", "end on mgb-1"):
        assert part in story


def test_a_bill_adds_up(home: Path) -> None:
    text = bsmg("bill", "home-01", "--home", str(home), "--day", "0")
    assert re.search(r"sum: -?\d+ bmga base units", text)
    assert "alone, buying at" in text


def test_a_proof_can_be_tried_in_two_commands(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    for store, key, what in (
        ("ibc", "nextSequenceSend/ports/trade/channels/channel-1", "holds"),
        ("app", "x", "absent"),
    ):
        bsmg("verify-proof", "--home", str(home), "--store", store, "--fetch", key, "--out", str(file))
        text = bsmg("verify-proof", str(file))
        assert text.startswith("VALID")
        assert what in text
        assert "signed by more than 2/3" in text
