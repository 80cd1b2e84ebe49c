"""What others see of the client: JSON by REST, reflection, gas."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cosmos_wire.errors import OutOfGas
from cosmos_wire.protos import client_query
from ibc_core.fabric import build
from ibc_core.fabric.client import CHECKS_PER_ENDORSEMENT, SIGNATURE_GAS, FabricClient
from ibc_core.fabric.wire import pack
from ibc_core.light_client import Proof
from ibc_core.queries.client import ClientQueries
from microgrid.modules import compose
from microgrid.query.reflection_services import INTERFACES
from microgrid.query.rest_json import document
from tests.fabric_client.host import PATH, Host, height

TWO_ENDORSEMENTS = 2 * CHECKS_PER_ENDORSEMENT * SIGNATURE_GAS


@pytest.fixture
def host() -> Host:
    return Host()


def test_states_as_json(host: Host):
    queries = ClientQueries(host.clients)
    found = queries.client_state(host.ctx(), client_query.QueryClientStateRequest(client_id=host.client_id))
    state = json.loads(json.dumps(document(found)))["client_state"]
    assert state["@type"] == "/bsmg.fabric.v1.ClientState"
    assert (state["chain_id"], state["latest_height"]["revision_height"]) == ("mgf-1", "1")
    assert [msp["msp_id"] for msp in state["membership"]["msps"]] == ["Org1MSP", "Org2MSP"]
    request = client_query.QueryConsensusStatesRequest(client_id=host.client_id)
    listed = document(queries.consensus_states(host.ctx(), request))["consensus_states"]
    assert [each["consensus_state"]["@type"] for each in listed] == ["/bsmg.fabric.v1.ConsensusState"]
    status = client_query.QueryClientStatusRequest(client_id=host.client_id)
    assert queries.client_status(host.ctx(), status).status == "Active"


def test_a_proof_by_query(host: Host):
    host.net.put(PATH, b"v")
    host.net.tick()
    host.follow()
    request = client_query.QueryVerifyMembershipRequest(
        client_id=host.client_id, proof=build.proof(host.net.proof(PATH)), value=b"v"
    )
    request.proof_height.revision_number, request.proof_height.revision_height = 1, 2
    request.merkle_path.key_path.extend([b"ibc", PATH])
    queries = ClientQueries(host.clients)
    assert queries.verify_membership(host.ctx(), request).success
    request.value = b"lie"
    assert not queries.verify_membership(host.ctx(), request).success


def test_the_application_hosts_the_client():
    (core,) = [part for part in compose().parts if part.name == "ibc"]
    kind = core.clients.types[FabricClient.type_url]
    assert kind.client_type == "fabric-endorsement-1"


def test_reflection_knows_its_messages():
    names = {message.DESCRIPTOR.full_name for messages in INTERFACES.values() for message in messages}
    assert {f"bsmg.fabric.v1.{name}" for name in ("ClientState", "ConsensusState", "Header", "Misbehaviour")} <= names


class Meter:
    """Counts up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    def consume(self, amount: int, what: str) -> None:
        self.used += amount
        if self.used > self.limit:
            raise OutOfGas(f"{what}: expected at most {self.limit}, got {self.used}")


@pytest.mark.parametrize("limit", [TWO_ENDORSEMENTS - 1, TWO_ENDORSEMENTS])
def test_signatures_cost_gas_before_they_are_checked(host: Host, limit: int):
    host.net.put(PATH, b"v")
    host.net.tick()
    host.now_ns = host.net.time_ns
    header = pack(host.net.header())
    proof = Proof(height=height(2), data=build.proof(host.net.proof(PATH)))
    check = host.client.verify_client_message
    if limit < TWO_ENDORSEMENTS:
        with pytest.raises(OutOfGas, match="signatures of endorsers"):
            check(replace(host.ctx(), gas=Meter(limit)), host.client_id, header)
    host.follow()
    ctx = replace(host.ctx(), gas=Meter(limit))
    if limit < TWO_ENDORSEMENTS:
        with pytest.raises(OutOfGas, match="signatures of endorsers"):
            host.client.verify_membership(ctx, host.client_id, proof, PATH, b"v")
        return
    host.client.verify_membership(ctx, host.client_id, proof, PATH, b"v")
    assert ctx.gas.used == limit


def test_a_report_costs_both_sides(host: Host):
    header = host.net.header().endorsed
    message = pack(build.misbehaviour(host.client_id, header, header))
    ctx = replace(host.ctx(), gas=Meter(2 * TWO_ENDORSEMENTS - 1))
    with pytest.raises(OutOfGas):
        host.client.verify_client_message(ctx, host.client_id, message)
    assert host.client.check_for_misbehaviour(host.ctx(), host.client_id, message) is False
