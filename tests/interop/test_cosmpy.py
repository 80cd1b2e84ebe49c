"""cosmpy over gRPC and over our REST gateway: in our environment (fast), and in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any as Json

import pytest

from tests.interop import clients
from tests.interop.net import GAS_PRICE, Chain, Net

SCRIPT = Path(__file__).with_name("cosmpy_client.py")
TRANSPORTS = ("grpc", "rest")


def answers_of(python: str, chain: Chain, transport: str) -> dict[str, Json]:
    url = {"grpc": f"grpc+http://{chain.grpc}", "rest": f"rest+{chain.rest}"}[transport]
    task = {
        "url": url,
        "chain_id": chain.id,
        "denom": chain.denom,
        "gas_price": GAS_PRICE,
        "mnemonic": chain.accounts["faucet"]["mnemonic"],
    }
    command = [python, "-I", str(SCRIPT), json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def check(answers: dict[str, Json], chain: Chain) -> None:
    check_reads(answers, chain)
    check_sends(answers)
    check_refusals(answers)


def check_reads(answers: dict[str, Json], chain: Chain) -> None:
    assert answers["balance"] > 10**14
    assert answers["all_balances"] == [[chain.denom, str(answers["balance"])]]
    assert answers["account"]["address"] == chain.address("faucet")
    assert answers["latest"] > 1
    assert answers["block"] == {"height": 2, "chain_id": chain.id}
    assert len(answers["validators"]) == 1
    assert answers["staked"] == [0, 0, 0]
    assert "not found" in answers["no_account"]["error"]
    assert answers["no_tx"]["name"] == "NotFoundError"


def check_sends(answers: dict[str, Json]) -> None:
    sent = answers["send"]
    assert (sent["code"], answers["received"]) == (0, 12_345_678), sent
    assert 0 < sent["gas_used"] <= sent["gas_wanted"]
    fee = sent["spent"] - 12_345_678
    assert fee >= sent["gas_wanted"] * float(GAS_PRICE) > 0
    assert {"transfer", "message", "tx"} <= set(sent["events"])
    assert answers["spend"]["code"] == 0, answers["spend"]
    assert answers["plain"]["code"] == 0, answers["plain"]


def check_refusals(answers: dict[str, Json]) -> None:
    said = {name: answers[name].get("error", "") for name in ("insufficient", "wrong_sequence", "low_fee", "low_gas")}
    assert "insufficient funds" in said["insufficient"]
    assert "insufficient funds" in answers["insufficient_in_block"]["error"]
    assert "account sequence mismatch, expected 2, got 9" in said["wrong_sequence"]
    assert said["low_fee"] == "Insufficient Fees (minimum required: 2000bina)"  # it parses the chain's log
    assert said["low_gas"].startswith("Out of Gas (wanted: 3000, used: ")


@pytest.mark.e2e
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cosmpy(net: Net, transport: str) -> None:
    answers = answers_of(sys.executable, net.a, transport)
    assert answers["chain_id"] == net.a.id
    check(answers, net.a)


@pytest.mark.interop
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cosmpy_from_its_own_environment(net: Net, transport: str) -> None:
    answers = answers_of(str(clients.cosmpy_python()), net.a, transport)
    assert answers["chain_id"] == net.a.id
    check(answers, net.a)
