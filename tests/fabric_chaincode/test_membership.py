"""The next membership: approved by organisations, adopted, named by the next tick, believed by a light client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos_wire.protos import client_tx
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_wire.policy import parse_policy
from fabric_wire.x509 import read_identity
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import Members, record
from ibc_core.fabric.wire import pack
from tests.app.chain import ALICE
from tests.fabric_chaincode import chain
from tests.fabric_chaincode.chain import CometChain, GridChain
from tests.fabric_chaincode.world import Cast, Grid, Member, Org

LAX = "OR('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"


def wider(cast: Cast, version: int = 2) -> bytes:
    """A third organisation, and one of them is enough."""
    msps = (*cast.members.msps, Org("Org3MSP").msp)
    return record(Members(version=version, msps=msps, policy=parse_policy(LAX)))


def admins(cast: Cast) -> tuple[Member, Member]:
    return cast.orgs[0].member("admin", "admin"), cast.admin


def refused(text: str) -> object:
    return pytest.raises(ChaincodeRefusedError, match=text)


def change(net: Grid, data: bytes) -> None:
    for admin in admins(net.cast):
        net.transact(admin, b"Approve", data)
    net.transact(net.cast.alice, b"Adopt", data)


def test_the_next_tick_names_it(net, cast):
    change(net, wider(cast))
    assert net.record.membership_version == 1
    assert net.tick().record.membership_version == 2
    assert net.tick().record.membership_version == 2
    assert net.value(records.membership_key(2)) == wider(cast)


def test_it_needs_the_organisations_that_the_policy_needs(net, cast):
    data, (one, two) = wider(cast), admins(cast)
    with refused(r"chaincode/9: version 2: expected organisations as .* asks, got \[\]"):
        net.transact(cast.alice, b"Adopt", data)
    net.transact(one, b"Approve", data)
    with refused(r"chaincode/9: .*got \['Org1MSP'\]"):
        net.transact(cast.alice, b"Adopt", data)
    other = record(replace(cast.members, version=2))
    net.transact(two, b"Approve", other)
    with refused(r"chaincode/9: .*got \['Org1MSP'\]"):
        net.transact(cast.alice, b"Adopt", data)
    net.transact(two, b"Approve", data)
    net.transact(cast.alice, b"Adopt", data)
    with refused("chaincode/2: membership: expected a new version, got 2"):
        net.transact(one, b"Approve", other)


def test_who_and_what_is_refused(net, cast):
    one, _ = admins(cast)
    for who in (cast.alice, cast.writer):
        with refused("chaincode/3: role of .*: expected admin, got"):
            net.transact(who, b"Approve", wider(cast))
    with refused("chaincode/6: expected membership 2 on the ledger, got none"):
        net.transact(one, b"Approve", wider(cast, version=3))
    with refused("chaincode/2: membership: expected a new version, got 1"):
        net.transact(one, b"Approve", record(cast.members))
    with refused("chaincode/2: .*Membership: expected"):
        net.transact(one, b"Approve", b"\xff")


def test_approvals_and_ticks_do_not_conflict(net, cast):
    one, two = admins(cast)
    approvals = [(who, net.endorse(who, b"Approve", wider(cast))) for who in (one, two)]
    net.tick()
    assert {place.code for place in net.order(*approvals)} == {0}
    adopted = net.endorse(one, b"Adopt", wider(cast))
    net.tick()
    assert [place.code for place in net.order((one, adopted))] == [0]


def test_a_light_client_follows(cast, tmp_path):
    pair = chain.pair(cast, tmp_path)
    path = pair.path()
    grid, comet = path.a.chain, path.b.chain
    assert isinstance(grid, GridChain)
    assert isinstance(comet, CometChain)
    change(grid.grid, wider(cast))
    grid.deliver()
    header = build.header(grid.grid.attest(tick=True, membership_version=2))
    comet.deliver(client_tx.MsgUpdateClient(client_id=path.b.client_id, client_message=pack(header), signer=ALICE.text))
    grid.deliver()
    endorsed = grid.grid.attest(tick=True)
    for each in list(endorsed.endorsements):
        if read_identity(each.endorser).msp_id != "Org2MSP":
            endorsed.endorsements.remove(each)
    update = client_tx.MsgUpdateClient(client_id=path.b.client_id, client_message=pack(build.header(endorsed)))
    comet.deliver(update)
    assert comet.attributes("update_client")[-1]["consensus_height"] == f"1-{grid.height}"
    chain.close(pair)
