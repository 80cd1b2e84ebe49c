"""The prover of a Fabric microgrid through a peer's gateway: connected as a relayer's file says."""

from __future__ import annotations

import pytest

from cosmos_wire.protos import fabric_client
from fabric_wire.x509 import read_identity
from ibc_core.light_client import Height
from ibc_relayer.chain import Need
from ibc_relayer.client_types import read_client_state
from ibc_relayer.config import parse_config
from ibc_relayer.connect import ClientLedger, FabricConnection
from ibc_relayer.fabric import PATHS_PER_ATTESTATION, Wish
from tests.client.fake_fabric import fake_fabric, time_ns


@pytest.fixture
async def net(tmp_path):
    async with fake_fabric(tmp_path / "ledger") as made:
        yield made


@pytest.fixture
async def connection(net, tmp_path):
    net.write_member(net.clients[0], tmp_path / "relayer.pem", tmp_path / "relayer.key")
    doc = {
        "id": "mgf-1", "kind": "fabric-embedded", "grpc": net.endpoints.grpc, "peer": net.endpoints.peer,
        "msp_id": "Org1MSP", "certificate": "relayer.pem", "key": "relayer.key", "trusting_period_s": 3600,
    }  # fmt: skip
    made = FabricConnection(parse_config({"chain": [doc]}, tmp_path).chains[0])
    async with made.client:
        yield made


async def first_client(party):
    return read_client_state("fabric-endorsement-1-0", (await party.prover.first_states()).client)


async def test_a_new_client_and_its_first_proofs(net, connection):
    party, limits = await connection.party()
    assert (party.chain.signer[:5], limits.max_msgs) == ("bsmg1", 50)
    await net.tick()
    info = await first_client(party)
    assert (info.chain_id, info.latest, info.trusting_ns) == ("mgf-1", Height(1, 2), 3600 * 10**9)
    await net.tick()
    asked = (b"path", *(b"none %d" % number for number in range(2 * PATHS_PER_ATTESTATION)))
    found = await party.prover.prove(Need(client=info, paths=asked))
    assert (found.height, found.time_ns) == (Height(1, 3), time_ns(3))
    assert [bool(found.proofs[path].value) for path in asked[:3]] == [True, False, False]
    (header,) = found.headers
    assert header.type_url == "/bsmg.fabric.v1.Header"
    at_once = fabric_client.Header.FromString(header.value).endorsed.SerializeToString()
    assert found.proofs[b"path"].data == at_once, "the header and the first proofs are one endorsement"


async def test_a_client_of_this_chain_is_known_as_such(net, connection):
    party, _ = await connection.party()
    await net.tick()
    first = await party.prover.first_states()
    info = read_client_state("fabric-endorsement-1-0", first.client)
    await party.chain.wait_above(1)
    assert await party.prover.is_genuine(info, first.consensus)
    assert await party.prover.is_own_form(info)
    consensus = fabric_client.ConsensusState.FromString(first.consensus.value)
    consensus.timestamp_ns += 1
    first.consensus.value = consensus.SerializeToString()
    assert not await party.prover.is_genuine(info, first.consensus)


async def test_proofs_while_ticks_go_on(net, connection):
    party, _ = await connection.party()
    info = await first_client(party)
    need = Need(client=info, paths=tuple(b"none %d" % number for number in range(3 * PATHS_PER_ATTESTATION)))
    for found in await net.ticking(*(party.prover.prove(need) for _ in range(5))):
        assert len(found.proofs) == len(need.paths)


async def test_organisations_of_choice_endorse(connection):
    ledger = ClientLedger(connection.client)
    payload = await ledger.attest(Wish(tick=True, msp_ids=("Org2MSP",)))
    assert [read_identity(item.endorser).msp_id for item in payload.endorsements] == ["Org2MSP"]


async def test_another_relayer_s_header_is_no_conflict(net, connection):
    """Two true attestations of one tick that was witnessed."""
    party, _ = await connection.party()
    await net.tick()
    head = await party.chain.wait_above(1)
    await party.prover.witness(head)
    info = await first_client(party)
    rival = FabricConnection(connection.config)
    async with rival.client:
        other, _ = await rival.party()
        (header,) = (await other.prover.prove(Need(client=_behind(info)))).headers
    assert await party.prover.conflict(info, header.SerializeToString()) is None


def _behind(info):
    """The same client at an older height, so that it needs a header."""
    state = fabric_client.ClientState.FromString(info.state.value)
    state.latest_height.revision_height = 1
    info.state.value = state.SerializeToString()
    return read_client_state(info.client_id, info.state)
