"""Headers: ticks in time, memberships in sequence, and states that grow old."""

from dataclasses import replace

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, client_tx, fabric_client
from fabric_wire import errors as wire
from fabric_wire.policy import parse_policy
from ibc_core import errors as core
from ibc_core.fabric import build, errors, records
from ibc_core.fabric.client import FabricClient
from ibc_core.fabric.membership import write_members
from ibc_core.light_client import Height, Status
from tests.fabric_client.host import DRIFT_S, PATH, TRUSTING_S, Host, height
from tests.fabric_client.network import (
    BOTH,
    ORG1,
    ORG2,
    ORG3,
    SECOND_NS,
    START_NS,
    Network,
    Signer,
    Spoil,
    members_of,
    peers,
)
from tests.fabric_client.test_bad_proofs import writes
from tests.fabric_wire.authority import authority, ca_of, msp_of, peer, peer_of, root

ALL = "AND('Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
TWO_OF_THREE = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"


@pytest.fixture
def host() -> Host:
    return Host()


def proves(host: Host) -> None:
    """The network's next tick reaches the client and proves something."""
    host.net.put(PATH, b"at %d" % host.net.height)
    host.net.tick()
    host.follow()
    host.check(host.net.proof(PATH), PATH, b"at %d" % (host.net.height - 1))


def test_ticks_may_be_left_out_and_come_late(host: Host):
    host.net.tick()
    late = host.net.header()
    host.net.tick()
    host.net.tick()
    host.follow()
    assert host.client.latest_height(host.ctx(), host.client_id) == height(4)
    host.update(late)
    assert host.client.latest_height(host.ctx(), host.client_id) == height(4)
    assert host.client.timestamp_ns(host.ctx(), host.client_id, height(2)) == START_NS + 2 * SECOND_NS


def test_a_tick_from_before_the_client_began():
    net = Network()
    early = net.header()
    net.tick()
    host = Host(net=net)
    host.update(early)
    assert host.status() is Status.ACTIVE
    assert host.client.timestamp_ns(host.ctx(), host.client_id, height(1)) == START_NS + SECOND_NS


def test_the_same_header_twice_changes_nothing(host: Host):
    host.net.tick()
    header = host.net.header()
    host.now_ns = host.net.time_ns
    host.update(header)
    before, first = dict(host.store.data), host.client.processed(host.ctx(), host.client_id, height(2))
    host.now_ns += 5 * SECOND_NS
    host.update(header)
    assert host.store.data == before
    assert host.client.processed(host.ctx(), host.client_id, height(2)) == first


def test_a_header_from_the_future(host: Host):
    host.net.tick(seconds=DRIFT_S)
    host.update(host.net.header())
    host.net.tick()
    with pytest.raises(errors.HeaderFromFuture, match="expected a time up to"):
        host.update(host.net.header())


def test_a_header_that_is_too_old(host: Host):
    host.net.tick()
    old = host.net.header()
    host.net.tick(seconds=100)
    host.follow()
    host.now_ns = START_NS + (2 + TRUSTING_S) * SECOND_NS - 1
    host.update(old)
    host.now_ns += 1
    with pytest.raises(errors.HeaderTooOld, match="expected a time within"):
        host.update(old)


def test_a_header_without_a_tick(host: Host):
    host.net.tick()
    with pytest.raises(errors.InvalidAttestation, match="expected an attested tick record, got none"):
        host.update(build.header(host.net.proof(PATH)))


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        ({"height": 9}, errors.WrongHeight),
        ({"time_ns": 9}, errors.WrongTime),
    ],
)
def test_a_tick_record_that_is_not_the_attested_one(host: Host, record: dict[str, int], refusal: type[ChainError]):
    host.net.tick()

    def change(value: bytes) -> bytes:
        found = records.TickRecord.FromString(value)
        for name, new in record.items():
            setattr(found, name, new)
        return found.SerializeToString(deterministic=True)

    with pytest.raises(refusal, match="of the tick record: expected"):
        host.update(host.net.header(spoil=attested_value(change)))


def attested_value(change) -> Spoil:

    def respell(value: bytes) -> bytes:
        found = records.Attestation.FromString(value)
        found.value = change(found.value)
        return found.SerializeToString(deterministic=True)

    return Spoil(action=writes(lambda written: [replace(w, value=respell(w.value)) for w in written]))


# memberships


def test_an_organisation_is_added(host: Host):
    host.net.adopt(members_of(2, ALL, ORG1, ORG2, ORG3))
    host.net.tick()
    host.follow(membership_version=2)
    assert host.state().membership.version == 2
    host.net.tick()
    with pytest.raises(wire.PolicyNotSatisfied):
        host.follow()
    host.net.signers = peers(ORG1, ORG2, ORG3)
    proves(host)


def test_an_organisation_leaves(host: Host):
    host.net.adopt(members_of(2, "AND('Org1MSP.peer')", ORG1))
    host.net.tick()
    host.follow(membership_version=2)
    host.net.tick()
    with pytest.raises(wire.UnknownOrganisation, match="got 'Org2MSP'"):
        host.follow()
    host.net.signers = peers(ORG1)
    proves(host)


def test_the_policy_changes(host: Host):
    host.net.adopt(members_of(2, "OR('Org1MSP.peer', 'Org2MSP.peer')", ORG1, ORG2))
    host.net.tick()
    host.follow(membership_version=2)
    host.net.signers = peers(ORG2)
    proves(host)


def test_a_certificate_is_rotated_under_the_same_authority(host: Host):
    host.net.signers = (Signer(msp_id=ORG1, holder=peer("new peer", ca_of(ORG1))), *peers(ORG2))
    proves(host)


def test_an_authority_is_rotated(host: Host):
    """The new authority comes beside the old one, members move over, then the old one goes."""
    new = root("new ca of Org1MSP")
    both = replace(msp_of(ORG1), roots=(ca_of(ORG1).certificate, new.certificate))
    host.net.adopt(replace(host.net.members, version=2, msps=(both, msp_of(ORG2))))
    host.net.tick()
    host.follow(membership_version=2)
    host.net.signers = (Signer(msp_id=ORG1, holder=peer("moved", new)), *peers(ORG2))
    host.net.adopt(replace(host.net.members, version=3, msps=(replace(both, roots=both.roots[1:]), msp_of(ORG2))))
    host.net.tick()
    host.follow(membership_version=3)
    proves(host)
    host.net.signers = peers(ORG1, ORG2)
    host.net.tick()
    with pytest.raises(wire.UntrustedCertificate):
        host.follow()


def test_members_under_an_intermediate_authority(host: Host):
    below = authority("middle of Org1MSP", ca_of(ORG1))
    msp = replace(msp_of(ORG1), intermediates=(below.certificate,))
    host.net.adopt(replace(host.net.members, version=2, msps=(msp, msp_of(ORG2))))
    host.net.tick()
    host.follow(membership_version=2)
    host.net.signers = (Signer(msp_id=ORG1, holder=peer("below", below)), *peers(ORG2))
    proves(host)


def test_a_certificate_is_revoked(host: Host):
    endorsed, value = None, b"at 1"
    host.net.put(PATH, value)
    host.net.tick()
    host.follow()
    endorsed = host.net.proof(PATH)
    host.check(endorsed, PATH, value)
    revoked = replace(msp_of(ORG1), revoked=(peer_of(ORG1).certificate.serial,))
    host.net.adopt(replace(host.net.members, version=2, msps=(revoked, msp_of(ORG2))))
    host.net.tick()
    host.follow(membership_version=2)
    with pytest.raises(wire.CertificateRevoked, match=r"'peer0.Org1MSP' \(serial"):
        host.check(endorsed, PATH, value, at=2)
    host.net.tick()
    with pytest.raises(wire.CertificateRevoked):
        host.follow()
    host.net.signers = peers(f"{ORG1}/1", ORG2)
    proves(host)


def test_a_client_learns_several_memberships_one_by_one(host: Host):
    for version, policy in ((2, TWO_OF_THREE), (3, ALL)):
        host.net.adopt(members_of(version, policy, ORG1, ORG2, ORG3))
        host.net.tick()
    host.net.signers = peers(ORG1, ORG2, ORG3)
    with pytest.raises(wire.UnknownOrganisation):
        host.follow(membership_version=2)
    host.net.signers = peers(ORG1, ORG2)
    with pytest.raises(errors.MembershipSequence, match="expected version 2, got 3"):
        host.follow(membership_version=3)
    with pytest.raises(errors.MembershipBehind, match="expected membership 2 in the header, for the chain is at 3"):
        host.follow()
    host.follow(membership_version=2)
    host.follow(membership_version=3)
    host.net.signers = peers(ORG1, ORG2, ORG3)
    proves(host)
    assert host.state().membership.version == 3


def test_an_old_update_is_not_taken_again(host: Host):
    """What the reference does: an update that was once right sets the policy back as long as its signers qualify."""
    host.net.adopt(members_of(2, "OR('Org1MSP.peer', 'Org2MSP.peer')", ORG1, ORG2))
    host.net.tick()
    lax = host.net.header(2)
    host.now_ns = host.net.time_ns
    host.update(lax)
    host.net.adopt(members_of(3, BOTH, ORG1, ORG2))
    host.net.tick()
    host.follow(membership_version=3)
    with pytest.raises(errors.MembershipSequence, match="expected version 4, got 2"):
        host.update(lax)
    assert host.state().membership.version == 3


def test_the_present_membership_again_is_a_header_like_any_other(host: Host):
    host.net.tick()
    host.follow(membership_version=1)
    assert host.state().membership.version == 1
    assert host.status() is Status.ACTIVE


def test_a_membership_that_no_tick_has_reached(host: Host):
    host.net.tick()
    host.net.ledger[records.membership_key(2)] = b"\x08\x02"
    with pytest.raises(errors.MembershipSequence, match="expected at most the tick's version 1, got 2"):
        host.follow(membership_version=2)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (members_of(2, "OR('Org3MSP.peer')", ORG1, ORG2), "Org3MSP.peer: expected an organisation"),
        (replace(members_of(2, BOTH, ORG1, ORG2), msps=()), "expected 1..64 organisations"),
        (
            replace(members_of(2, BOTH, ORG1, ORG2), msps=(replace(msp_of(ORG1), roots=()), msp_of(ORG2))),
            "expected 1 root at least",
        ),
    ],
)
def test_a_membership_that_nobody_could_live_by(host: Host, members, text: str):
    host.net.adopt(members)
    host.net.tick()
    with pytest.raises(errors.InvalidMembership, match=text):
        host.follow(membership_version=2)


def test_a_membership_of_another_version_than_was_asked_for(host: Host):
    host.net.adopt(members_of(2, BOTH, ORG1, ORG2))
    host.net.ledger[records.membership_key(2)] = host.net.ledger[records.membership_key(1)]
    host.net.tick()
    with pytest.raises(errors.InvalidAttestation, match="membership version: expected 2, got 1"):
        host.follow(membership_version=2)


def test_membership_updates_are_under_the_present_policy(host: Host):
    host.net.adopt(members_of(2, "OR('Org1MSP.peer')", ORG1))
    host.net.tick()
    host.net.signers = peers(ORG1)
    with pytest.raises(wire.PolicyNotSatisfied):
        host.follow(membership_version=2)


# time


def test_expiry(host: Host):
    host.now_ns = START_NS + (1 + TRUSTING_S) * SECOND_NS - 1
    assert host.status() is Status.ACTIVE
    host.now_ns += 1
    assert host.status() is Status.EXPIRED
    host.net.tick(seconds=TRUSTING_S)
    with pytest.raises(core.ClientNotActive, match="Expired"):
        host.follow()


def test_old_states_are_pruned_and_prove_nothing(host: Host):
    host.net.put(PATH, b"v")
    host.net.tick()
    endorsed = host.net.proof(PATH)
    host.follow()
    host.net.tick(seconds=TRUSTING_S - 1)
    host.follow()
    host.check(endorsed, PATH, b"v", at=2)
    host.now_ns += 2 * SECOND_NS
    with pytest.raises(errors.ConsensusExpired, match="expected a state younger than"):
        host.check(endorsed, PATH, b"v", at=2)
    for _ in range(2):  # one state an update: tick 1, then tick 2
        host.net.tick(seconds=2)
        host.follow()
    with pytest.raises(core.ConsensusStateNotFound):
        host.client.timestamp_ns(host.ctx(), host.client_id, height(2))


# creation


def created(host: Host, **changes: object) -> None:
    state, consensus = host.first_states()
    for name, value in changes.items():
        target = consensus if name in {"timestamp_ns"} else state
        if isinstance(value, int | str):
            setattr(target, name, value)
        else:
            getattr(target, name).CopyFrom(value)
    host.create(state, consensus)


@pytest.mark.parametrize(
    ("changes", "refusal", "text"),
    [
        ({"chain_id": " "}, errors.InvalidTerms, "chain id: expected"),
        ({"chain_id": "x" * 51}, errors.InvalidTerms, "chain id: expected"),
        ({"chain_id": "mgf-2"}, errors.InvalidTerms, "expected one of revision 2 above 0, got 1-1"),
        ({"latest_height": build.height_message(Height(1, 0))}, errors.InvalidTerms, "above 0, got 1-0"),
        ({"channel_id": "e" * 250}, errors.InvalidTerms, "at most 249 characters"),
        ({"channel_id": "Energy"}, errors.InvalidTerms, "channel id: expected"),
        ({"namespace": "a/b"}, errors.InvalidTerms, "chaincode name: expected"),
        ({"trusting_period": build.duration(0)}, errors.InvalidTerms, "trusting period: expected more than zero"),
        ({"max_clock_drift": build.duration(0)}, errors.InvalidTerms, "max clock drift: expected more than zero"),
        ({"frozen_height": build.height_message(Height(0, 1))}, errors.InvalidTerms, "expected 0-0, got 0-1"),
        ({"membership": fabric_client.Membership()}, errors.InvalidMembership, "expected a version from 1 on"),
        ({"timestamp_ns": 0}, core.InvalidConsensus, "timestamp: expected"),
        ({"timestamp_ns": 2**63}, core.InvalidConsensus, "timestamp: expected"),
        ({"timestamp_ns": 1}, core.ClientNotActive, "Expired"),
    ],
)
def test_terms_that_make_no_client(host: Host, changes: dict[str, object], refusal: type[ChainError], text: str):
    with pytest.raises(refusal, match=text):
        created(host, **changes)


@pytest.mark.parametrize("serial", [b"", b"\x00", b"\x00\x01", b"\x01" * 33])
def test_serials_have_one_form(host: Host, serial: bytes):
    membership = write_members(host.net.members)
    membership.msps[0].revoked_serials.append(serial)
    with pytest.raises(errors.InvalidMembership, match=r"revoked serial: expected 1..32 bytes, minimal"):
        created(host, membership=membership)


def test_a_policy_that_is_too_long(host: Host):
    membership = write_members(host.net.members)
    membership.policy = bytes((1 << 16) + 1)
    with pytest.raises(errors.InvalidMembership, match="policy: expected at most 65536 bytes, got 65537"):
        created(host, membership=membership)


def test_a_consensus_state_of_another_membership(host: Host):
    with pytest.raises(core.InvalidConsensus, match="membership version: expected 1, got 2"):
        host.create(consensus=build.consensus_state(START_NS + SECOND_NS, 2))


def test_messages_of_another_type(host: Host):
    for message in (Any(type_url="/x"), Any(type_url=FabricClient.type_url)):
        msg = client_tx.MsgUpdateClient(client_id=host.client_id, client_message=message)
        with pytest.raises(core.InvalidClientType, match=r"expected /bsmg.fabric.v1.Header, got"):
            host.clients.update(host.ctx(), msg)


def test_networks_of_other_shapes():
    net = Network(members=members_of(1, TWO_OF_THREE, ORG1, ORG2, ORG3), signers=peers(ORG3, ORG1))
    proves(Host(net=net))
    plain = replace(msp_of(ORG1), node_ous=False)
    members = replace(members_of(1, BOTH, ORG1), msps=(plain,), policy=parse_policy("OR('Org1MSP.member')"))
    proves(Host(net=Network(members=members, signers=peers(ORG1))))


def test_upgrades_are_refused(host: Host):
    msg = client_tx.MsgUpgradeClient(
        client_id=host.client_id, proof_upgrade_client=b"p", proof_upgrade_consensus_state=b"p"
    )
    with pytest.raises(core.InvalidUpgradeClient):
        host.clients.upgrade(host.ctx(), msg)
