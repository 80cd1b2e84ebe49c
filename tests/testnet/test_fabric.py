"""A chain on Fabric: its members, genesis, documents and processes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any as Json

import pytest
from google.protobuf import json_format

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import fabric_client
from fabric_adapter.network.document import connect
from fabric_wire import x509
from ibc_core.fabric.membership import check_membership
from processes import ports
from testnet import document
from testnet.chains import Made, first_specs, is_first, later_specs, make_chains
from testnet.fabric import MadeFabric, genesis_doc
from testnet.files import Home
from testnet.links import relayer_config
from testnet.topology import Relayers, parse_topology

START_MS = 1_767_225_600_123
TOPOLOGY = parse_topology(
    """
[[chain]]
id = "mga-1"
kind = "cometbft"
validators = 1
[[chain]]
id = "mgf-1"
kind = "fabric-embedded"
cells = 3
block_time_ms = 500
[[link]]
a = "mga-1"
b = "mgf-1"
[relayer]
count = 2
""",
    "test",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def made(home: Home) -> list[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "lease_file", lambda: home.path / "leases.json")
        return make_chains(home, TOPOLOGY, START_MS)


@pytest.fixture
def chain(made: list[Made]) -> MadeFabric:
    assert isinstance(made[1], MadeFabric)
    return made[1]


@pytest.fixture
def doc(home: Home, chain: MadeFabric) -> dict[str, Json]:
    return document.chain_doc(home, chain)


def test_an_address_is_that_of_the_certificates_key(doc: dict[str, Json]) -> None:
    for account in doc["accounts"]:
        certificate = x509.from_pem(Path(account["certificate"]).read_bytes())
        raw = x509.serialized_identity(account["msp_id"], certificate)
        assert from_bech32(account["address"]) == x509.address(raw)
        assert len(x509.address(raw)) == 32
        assert Path(account["key"]).stat().st_mode & 0o077 == 0
        assert "mnemonic" not in account


def test_the_organisations_take_turns_and_relayers_sit_at_their_node(doc: dict[str, Json]) -> None:
    msps = {account["name"]: account["msp_id"] for account in doc["accounts"]}
    assert (msps["relayer-0"], msps["relayer-1"]) == ("Org1MSP", "Org2MSP")
    cells = [account["msp_id"] for account in doc["accounts"] if "identity" in account]
    assert len(cells) == 3
    assert {*cells} == {"Org1MSP", "Org2MSP"}


def test_genesis_is_the_same_form_with_a_membership(chain: MadeFabric) -> None:
    found = genesis_doc(chain.plan, chain.home, chain.network)
    assert (found["chain_id"], found["genesis_time"]) == ("mgf-1", "2026-01-01T00:00:00.123Z")
    assert {"bank", "registry", "market", "trade"} <= set(found["app_state"])
    held = {item["address"] for item in found["app_state"]["bank"]["balances"]}
    assert {account.address for account in chain.plan.accounts} <= held
    members = check_membership(json_format.ParseDict(found["membership"], fabric_client.Membership()))
    assert members.version == 1
    assert [msp.msp_id for msp in members.msps] == ["Org1MSP", "Org2MSP"]
    assert str(members.policy) == "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')"


def test_testnet_json_has_no_rpc_but_peers(doc: dict[str, Json]) -> None:
    assert (doc["kind"], doc["denom"], doc["channel"], doc["chaincode"]) == (
        "fabric-embedded", "bmgf", "energy", "microgrid",
    )  # fmt: skip
    assert [node["moniker"] for node in doc["nodes"]] == ["mgf-1-org1", "mgf-1-org2"]
    assert all("rpc" not in node and node["peer"].startswith("127.0.0.1:") for node in doc["nodes"])
    assert Path(doc["nodes"][1]["tls_ca"]).read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert (Path(doc["fabric"]) / "fabric.json").exists()


async def test_fabric_json_connects_its_members(doc: dict[str, Json]) -> None:
    client = connect(Path(doc["fabric"]) / "fabric.json", org=2, member="admin")
    assert client.identity.msp_id == "Org2MSP"
    await client.close()


def test_processes_and_the_order_in_which_they_start(made: list[Made]) -> None:
    first, later = first_specs(made, print), later_specs(made)
    assert [spec.name for spec in first] == ["mga-1-0/app", "mgf-1-ledger/ledger"]
    assert [spec.name for spec in later][-2:] == ["mgf-1-org1/front", "mgf-1-org2/front"]
    assert all(map(is_first, first))
    assert not any(map(is_first, later))
    delays = [spec.argv[spec.argv.index("--writer-delay") + 1] for spec in later[-2:]]
    assert delays == ["0.0", "2.5"]
    stopped = [spec.stop_round for spec in (*later[-2:], first[-1])]
    assert stopped == sorted(stopped)


def test_pids_of_what_the_organisations_share_stand_beside_their_nodes(doc: dict[str, Json]) -> None:
    table = {"mgf-1-org1/front": {"pid": 7}, "mgf-1-ledger/ledger": {"pid": 8}}
    found = document.with_pids({"chains": [doc], "relayers": []}, table)["chains"][0]
    assert found["pids"] == {"ledger": 8}
    assert [node["pids"] for node in found["nodes"]] == [{"front": 7}, {}]


def test_a_relayer_is_told_its_certificate_and_the_peer_of_its_own_node(home: Home, made: list[Made]) -> None:
    tables = tomllib.loads(relayer_config(home, made, 1, 9, Relayers()))["chain"]
    table = tables[1]
    assert (table["id"], table["kind"], table["msp_id"]) == ("mgf-1", "fabric-embedded", "Org2MSP")
    assert table["peer"] == made[1].nodes[1].peer.address  # type: ignore[union-attr]  # the second chain is on Fabric
    assert "rpc" not in table
    assert all(Path(table[name]).exists() for name in ("tls_ca", "certificate", "key"))
