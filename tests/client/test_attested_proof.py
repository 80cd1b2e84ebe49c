"""`bsmg verify-proof` on an attestation of a Fabric microgrid: what holds is VALID, everything else says why not."""

import json

import pytest

from bsmg.cli import attested_proof, doctor
from bsmg.cli.main import run
from bsmg.client.testnet_file import AccountInfo, ChainInfo, NodeInfo
from tests.client.fake_fabric import CHAIN, fake_fabric


@pytest.fixture
async def net(tmp_path):
    async with fake_fabric(tmp_path / "ledger") as made:
        yield made


@pytest.fixture
async def doc(net):
    async with net.client() as chain:
        yield await attested_proof.fetch(chain, b"path")


def verdict(tmp_path, doc, capsys):
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(doc))
    code = run(["verify-proof", str(file)])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


async def test_a_value_that_is_there(doc, tmp_path, capsys):
    code, text = verdict(tmp_path, doc, capsys)
    assert code == 0
    assert text.startswith("VALID: ibc/0x70617468 holds 1 bytes 31, at tick 1 of mgf-1")
    assert "signed by Org1MSP, Org2MSP, which satisfies OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer')" in text
    assert "compare with those you trust" in text


async def test_a_key_that_is_absent(net, tmp_path, capsys):
    async with net.client() as chain:
        doc = await attested_proof.fetch(chain, b"nothing")
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, doc["value"]) == (0, None)
    assert "is absent at tick 1" in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"value": "32"}, "value: expected 1 bytes 32, the attestation says 1 bytes 31"),
        ({"value": None}, "value: expected absence, the attestation says 1 bytes 31"),
        ({"key": "other"}, "key: expected an attestation of it, got one of 1 other keys"),
        ({"height": 2}, "height: expected an attestation of tick 2, got one of 1"),
        ({"chain_id": "mgf-2"}, "chain id: expected 'mgf-2', got 'mgf-1'"),
        ({"channel": "other"}, "channel of the proposal: expected 'other', got 'energy'"),
        ({"chaincode": "other"}, "chaincode of the proposal: expected 'other', got 'microgrid'"),
        ({"endorsed": "ff"}, "proof file: endorsed"),
        ({"membership": "xyz"}, "proof file: membership: expected hexadecimal digits"),
        ({"height": "1"}, "proof file: height: expected a whole number"),
    ],
)
async def test_what_does_not_hold(doc, tmp_path, capsys, change, expected):
    code, text = verdict(tmp_path, doc | change, capsys)
    assert code == 1
    assert expected in text


async def test_every_bit_counts(doc, tmp_path, capsys):
    """A flipped bit anywhere in the proof is refused, by whatever check comes first."""
    raw = bytes.fromhex(doc["endorsed"])
    for at in range(0, len(raw), 97):
        spoilt = bytearray(raw)
        spoilt[at] ^= 1
        code, text = verdict(tmp_path, doc | {"endorsed": spoilt.hex()}, capsys)
        assert code == 1, (at, text)


async def test_a_membership_of_others(doc, tmp_path, capsys, tmp_path_factory):
    async with fake_fabric(tmp_path_factory.mktemp("other")) as other, other.client() as chain:
        foreign = await attested_proof.fetch(chain, b"path")
    code, text = verdict(tmp_path, doc | {"membership": foreign["membership"]}, capsys)
    assert code == 1
    assert text.startswith("INVALID: ibc/path: ")


@pytest.mark.parametrize(("oldest_ns", "fine"), [(1 << 62, True), (0, False)])
async def test_doctor_looks_at_nodes(net, tmp_path, monkeypatch, oldest_ns, fine):
    monkeypatch.setattr(doctor, "OLD_NS", oldest_ns)  # the fake chain's blocks are as old as the test run
    client = net.clients[0]
    certificate, key = tmp_path / "m.crt", tmp_path / "m.key"
    net.write_member(client, certificate, key)
    account = AccountInfo(name="m", address="", msp_id="Org1MSP", certificate=str(certificate), key=str(key))
    ends = net.endpoints
    nodes = [
        NodeInfo(moniker="one", grpc=ends.grpc, peer=ends.peer, msp_id="Org1MSP"),
        NodeInfo(moniker="two", grpc="127.0.0.1:1", peer=ends.peer, msp_id="Org2MSP"),
    ]
    info = ChainInfo(
        chain_id=CHAIN,
        kind="fabric-embedded",
        bech32_prefix="bsmg",
        denom="bmgf",
        nodes=tuple(nodes),
        accounts=(account,),
        channel="energy",
        chaincode="microgrid",
    )
    one, two = await doctor.look_at([info])
    assert (one.name, one.fine, two.fine) == ("one", fine, False), one.text
    assert "attested under membership 1: OutOf(2, " in one.text
    assert "127.0.0.1:1" in two.text
