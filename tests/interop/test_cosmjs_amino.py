"""CosmJS 0.39 in amino JSON alone: what a hardware wallet signs, and a 2-of-3 multisig."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any as Json

import pytest

from tests.interop import clients
from tests.interop.net import GAS_PRICE, Net
from tests.interop.test_cosmjs import CHANNEL, events, open_channel

pytestmark = pytest.mark.interop
SCRIPT = Path(__file__).with_name("cosmjs") / "amino.mjs"


@pytest.fixture(scope="module")
def answers(net: Net, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """All scenarios of the script, run once."""
    open_channel(net, tmp_path_factory.mktemp("amino"))
    task = {
        "rpc": net.a.rpc,
        "mnemonic": net.a.accounts["faucet"]["mnemonic"],
        "denom": net.a.denom,
        "gasPrice": GAS_PRICE + net.a.denom,
        "receiver": net.b.address("faucet"),
        "channel": CHANNEL,
    }
    command = ["node", str(SCRIPT), str(clients.cosmjs()), json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


SENT = ("send", "twoMessages", "multiSend", "timeoutHeight", "feePayer", "sharedSend", "sharedAll", "fund")


@pytest.mark.parametrize("name", SENT)
def test_sent(answers: dict[str, Json], name: str) -> None:
    assert (answers[name].get("code"), answers[name].get("log")) == (0, ""), answers[name]


def test_own_message_by_its_amino_name(answers: dict[str, Json]) -> None:
    said = answers["deposit"]  # the faucet is no cell: the market refuses it, and so the signature was good
    assert "failed to execute message; message index: 0: a registered cell" in said["log"]


@pytest.mark.parametrize(("name", "amount"), [("ibcTime", 11), ("ibcHeight", 12), ("ibcMemo", 13), ("sharedIbc", 23)])
def test_ibc_transfers(answers: dict[str, Json], name: str, amount: int) -> None:
    assert answers[name].get("code") == 0, answers[name]
    (packet,) = events(answers[name], "send_packet")
    data = json.loads(bytes.fromhex(packet["packet_data_hex"]))
    assert data["amount"] == str(amount)
    assert data.get("memo", "") == ('{"note":"<>&"}' if name == "ibcMemo" else "")


def test_multisig_account(answers: dict[str, Json]) -> None:
    assert answers["sharedAccount"] == {
        "type": "tendermint/PubKeyMultisigThreshold",
        "threshold": "2",
        "keys": 3,
        "sequence": 3,
    }


REFUSED = {
    "wrongSequence": (32, "account sequence mismatch"),
    "wrongChain": (4, "sequence ("),
    "sharedSpoiled": (4, "signature verification failed; please verify account number ("),
    "sharedSwapped": (4, "signature verification failed"),
    "sharedTooFew": (4, "signature verification failed"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(answers: dict[str, Json], name: str) -> None:
    code, text = REFUSED[name]
    assert f"failed with code {code} (codespace: sdk)" in answers[name]["error"]
    assert text in answers[name]["error"]
