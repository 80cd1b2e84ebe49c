"""`bsmg audit` as a command: exit codes, tables, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bsmg.audit.record import ChainRecord
from bsmg.cli import audit as command
from bsmg.cli.main import run
from tests.audit.conftest import Records
from tests.audit.tampering import first_place, with_value


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[ChainRecord]:
    """What the nodes will say."""
    found: list[ChainRecord] = []

    async def read_all(*_: object, **__: object) -> list[ChainRecord]:
        return found

    monkeypatch.setattr(command, "read_all", read_all)
    return found


def test_agreement_is_zero(
    answers: list[ChainRecord], records: Records, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers += records
    file = tmp_path / "audit.json"
    assert run(["audit", "--rpc", "http://a", "--rpc", "http://b", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "Audit of mga-1" in shown
    assert "Audit of mgb-1" in shown
    assert "the audit agrees with every unit" in shown
    doc = json.loads(file.read_text())
    assert doc["agrees"] is True
    assert [chain["chain_id"] for chain in doc["chains"]] == ["mga-1", "mgb-1"]


def test_a_difference_is_one(
    answers: list[ChainRecord], records: Records, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers += (with_value(records[0], first_place(records[0], "slot_cleared", "price_e4")), records[1])
    file = tmp_path / "audit.json"
    assert run(["audit", "--rpc", "http://a", "--rpc", "http://b", "--json", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "slot_cleared" in shown
    assert ": expected 50000, got 50001" in shown
    assert "1 differences" in shown
    (wrong,) = json.loads(file.read_text())["chains"][0]["differences"]
    assert (wrong["subject"], wrong["expected"], wrong["got"]) == ("clearings", "50000", "50001")


def test_one_chain_alone_says_so(
    answers: list[ChainRecord], records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    answers.append(records[0])
    assert run(["audit", "--rpc", "http://a"]) == 0
    assert "one chain only" in capsys.readouterr().out


def test_a_node_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--rpc", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_home_without_a_testnet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--home", str(tmp_path)]) == 1
    assert "testnet.json" in capsys.readouterr().err
