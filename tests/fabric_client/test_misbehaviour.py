"""Endorsers who contradict themselves freeze the client; the authority can bring it back."""

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import client_tx, fabric_client
from fabric_wire import errors as wire
from ibc_core import errors as core
from ibc_core.authority import set_authority
from ibc_core.fabric import build, errors
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas, MemoryStore
from ibc_core.light_client import Status
from tests.fabric_client.host import PATH, RECEIPT, TRUSTING_S, Host, height
from tests.fabric_client.network import BOTH, ORG1, ORG2, ORG3, SECOND_NS, START_NS, members_of, peers

GOVERNOR = to_bech32(b"g" * 20)


@pytest.fixture
def host() -> Host:
    made = Host()
    made.net.put(PATH, b"value")
    made.net.tick()
    made.follow()
    return made


def report(host: Host, first: fabric_client.EndorsedPayload, second: fabric_client.EndorsedPayload) -> None:
    host.update(build.misbehaviour(host.client_id, first, second))


def test_two_values_of_one_path_at_one_height(host: Host):
    first = host.net.proof(PATH)
    host.net.put(PATH, b"another")
    second = host.net.proof(RECEIPT, PATH)
    report(host, first, second)
    assert host.status() is Status.FROZEN
    with pytest.raises(core.ClientNotActive, match="Frozen"):
        host.follow()


def test_presence_and_absence_at_one_height(host: Host):
    first = host.net.proof(PATH)
    host.net.put(PATH, None)
    report(host, first, host.net.proof(PATH))
    assert host.status() is Status.FROZEN


def test_two_times_of_one_tick(host: Host):
    first = host.net.proof(PATH)
    host.net.time_ns += 1
    host.net.write_tick()
    report(host, first, host.net.proof(RECEIPT))
    assert host.status() is Status.FROZEN


def test_two_records_of_one_tick(host: Host):
    first = host.net.header()
    host.net.members = members_of(2, BOTH, ORG1, ORG2)
    host.net.write_tick()
    report(host, first.endorsed, host.net.header().endorsed)
    assert host.status() is Status.FROZEN


@pytest.mark.parametrize("seconds", [0, -1])
def test_time_that_does_not_rise(host: Host, seconds: int):
    first = host.net.proof(PATH)
    host.net.tick(seconds=seconds)
    report(host, host.net.proof(PATH), first)
    assert host.status() is Status.FROZEN


def test_two_memberships_of_one_version(host: Host):
    host.net.adopt(members_of(2, BOTH, ORG1, ORG2))
    host.net.tick()
    first = host.net.header(2)
    host.net.adopt(members_of(2, BOTH, ORG1, ORG2, ORG3))
    host.net.tick()
    report(host, first.endorsed, host.net.header(2).endorsed)
    assert host.status() is Status.FROZEN


def test_a_header_with_a_rival_of_the_present_membership_freezes(host: Host):
    host.net.adopt(members_of(1, BOTH, ORG1, ORG2, ORG3))
    host.net.tick()
    host.follow(membership_version=1)
    assert host.status() is Status.FROZEN
    assert [msp.msp_id for msp in host.state().membership.msps] == [ORG1, ORG2]


def test_a_header_with_another_time_of_a_known_tick_freezes(host: Host):
    host.net.time_ns += 1
    host.net.write_tick()
    host.follow()
    assert host.status() is Status.FROZEN


@pytest.mark.parametrize("seconds", [-1, 0, 2, 5])
def test_a_header_out_of_the_order_of_time_freezes(host: Host, seconds: int):
    """The client knows ticks 2 and 4, which are two seconds apart; tick 3 is not between them."""
    host.net.tick()
    host.net.tick()
    host.follow()
    net = host.net
    net.height, net.time_ns = 3, START_NS + (2 + seconds) * SECOND_NS
    net.write_tick()
    host.update(net.header())
    assert host.status() is Status.FROZEN


def test_two_truths_change_nothing(host: Host):
    first, second = host.net.proof(PATH), host.net.proof(PATH, RECEIPT)
    before = dict(host.store.data)
    report(host, first, second)
    host.net.put(PATH, b"another")
    host.net.tick()
    report(host, host.net.proof(PATH), first)
    assert host.status() is Status.ACTIVE
    assert host.store.data == before


def test_one_tick_told_twice_is_no_lie(host: Host):
    first, second = host.net.header().endorsed, host.net.header().endorsed
    assert first != second  # two proposals
    report(host, first, second)
    assert host.status() is Status.ACTIVE


def test_payloads_with_nothing_in_common_are_no_lie(host: Host):
    """A tick, a membership, a path: each in one of the two only, in either order."""
    net = host.net
    header, proof = net.header(1).endorsed, net.proof(PATH)
    for pair in ((header, proof), (proof, header), (net.header().endorsed, header), (header, net.header().endorsed)):
        report(host, *pair)
    assert host.status() is Status.ACTIVE


def test_a_report_has_to_be_endorsed_on_both_sides(host: Host):
    first = host.net.proof(PATH)
    host.net.put(PATH, b"another")
    host.net.signers = peers(ORG1)
    second = host.net.proof(PATH)
    for pair in ((first, second), (second, first)):
        with pytest.raises(wire.PolicyNotSatisfied):
            report(host, *pair)
    assert host.status() is Status.ACTIVE


def test_a_report_of_another_client(host: Host):
    first = host.net.proof(PATH)
    host.net.put(PATH, b"another")
    second = host.net.proof(PATH)
    with pytest.raises(core.InvalidMisbehaviour, match=r"expected client fabric-endorsement-1-0, got 'fabric-.*-7'"):
        host.update(build.misbehaviour("fabric-endorsement-1-7", first, second))


def test_an_old_report(host: Host):
    first = host.net.proof(PATH)
    host.net.put(PATH, b"another")
    second = host.net.proof(PATH)
    host.net.tick(seconds=TRUSTING_S)
    host.now_ns = host.net.time_ns - SECOND_NS
    host.update(host.net.header())
    host.now_ns += SECOND_NS
    with pytest.raises(errors.HeaderTooOld, match="misbehaviour: expected a time within"):
        report(host, first, second)


# recovery


def governed(host: Host) -> Context:
    env = BlockEnv(chain_id="mga-1", height=99, time_ns=host.now_ns)
    ctx = Context(env=env, app=MemoryStore(), ibc=host.store, events=EventLog(), gas=FreeGas())
    set_authority(ctx, GOVERNOR)
    return ctx


def recover(host: Host, substitute: str) -> None:
    msg = client_tx.MsgRecoverClient(subject_client_id=host.client_id, substitute_client_id=substitute, signer=GOVERNOR)
    host.clients.recover(governed(host), msg)


def frozen(host: Host) -> None:
    first = host.net.proof(PATH)
    host.net.put(PATH, b"another")
    report(host, first, host.net.proof(PATH))
    assert host.status() is Status.FROZEN


def test_a_frozen_client_goes_on_with_another_membership(host: Host):
    """The organisations that lied are gone: only the authority can name new ones."""
    frozen(host)
    host.net.adopt(members_of(5, "AND('Org3MSP.peer')", ORG3))
    host.net.signers = peers(ORG3)
    host.net.tick()
    host.now_ns = host.net.time_ns
    recover(host, host.create())
    assert host.status() is Status.ACTIVE
    assert host.state().membership.version == 5
    assert host.client.latest_height(host.ctx(), host.client_id) == height(3)
    host.check(host.net.proof(PATH), PATH, b"another")
    host.net.tick()
    host.follow()


def test_an_expired_client_goes_on(host: Host):
    host.net.tick(seconds=TRUSTING_S + 5)
    host.now_ns = host.net.time_ns
    assert host.status() is Status.EXPIRED
    recover(host, host.create())
    assert host.status() is Status.ACTIVE
    host.net.tick()
    host.follow()


@pytest.mark.parametrize(("name", "value"), [("channel_id", "other"), ("namespace", "other")])
def test_a_substitute_with_other_terms(host: Host, name: str, value: str):
    frozen(host)
    host.net.tick()
    host.now_ns = host.net.time_ns
    state, consensus = host.first_states()
    setattr(state, name, value)
    with pytest.raises(core.InvalidSubstitute, match=r"expected the terms energy microgrid .*, got"):
        recover(host, host.create(state, consensus))
    assert host.status() is Status.FROZEN


def test_a_substitute_of_another_type(host: Host):
    for name in ("07-tendermint-0", "nonsense"):
        with pytest.raises(core.InvalidClientType, match="expected: fabric-endorsement-1, got: "):
            host.client.recover(host.ctx(), host.client_id, name)


def test_only_the_authority_recovers(host: Host):
    frozen(host)
    host.net.tick()
    host.now_ns = host.net.time_ns
    msg = client_tx.MsgRecoverClient(
        subject_client_id=host.client_id, substitute_client_id=host.create(), signer=to_bech32(b"x" * 20)
    )
    with pytest.raises(core.IbcUnauthorized):
        host.clients.recover(governed(host), msg)
