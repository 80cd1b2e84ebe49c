"""Endorse, order, validate: what becomes valid, what does not, and what survives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from fabric_adapter.embedded.endorser import ANYBODY
from fabric_adapter.embedded.orderer import BatchRules, Orderer
from fabric_adapter.embedded.refusals import (
    ChaincodeFailedError,
    ChaincodeRefusedError,
    DisagreementError,
    DuplicateError,
    NoPeersError,
    NotEnoughError,
    ProposalRefusedError,
    UnknownChannelError,
)
from fabric_adapter.stub import Response
from fabric_wire import p256
from fabric_wire.envelopes import block_data_hash, block_header_hash
from fabric_wire.errors import (
    CertificateExpired,
    CertificateRevoked,
    InvalidProposal,
    InvalidSignature,
    PolicyNotSatisfied,
    UnknownOrganisation,
)
from fabric_wire.proposals import build_proposal, sign_proposal
from fabric_wire.protos import common, transaction
from fabric_wire.responses import Endorsement
from fabric_wire.x509 import read_identity
from tests.fabric_embedded.world import (
    asked,
    endorse,
    envelope,
    make_network,
    make_org,
    running,
    transact,
    value_of,
    without,
)

T = transaction


@pytest.fixture(scope="module")
def orgs():
    return [make_org("Org1MSP"), make_org("Org2MSP")]


@pytest.fixture(scope="module")
def network(orgs):
    return make_network(orgs)


@pytest.fixture(scope="module")
def user(orgs):
    return orgs[0].node("client")


@pytest.fixture
async def ledger(network, tmp_path):
    async with running(network, tmp_path) as made:
        yield made


async def test_what_is_put_can_be_read(ledger, user):
    place = await transact(ledger, user, b"put", b"a", b"1")
    assert (place.block, place.code) == (1, T.VALID)
    assert value_of(ledger, user, b"a") == b"1"


async def test_of_concurrent_increments_one_wins(ledger, user):
    places = await asyncio.gather(*(transact(ledger, user, b"add", b"n", b"1") for _ in range(5)))
    valid = [place for place in places if place.code == T.VALID]
    assert {place.code for place in places} == {T.VALID, T.MVCC_READ_CONFLICT}
    assert value_of(ledger, user, b"n") == str(len(valid)).encode()


async def test_a_range_that_grew_is_a_phantom(ledger, user):
    await transact(ledger, user, b"put", b"a1", b"1", b"a3", b"3")
    reader = endorse(ledger, user, asked(user, b"range", b"a", b"b"))
    ledger.submit(envelope(user, endorse(ledger, user, asked(user, b"put", b"a2", b"2"))))
    ledger.submit(envelope(user, reader))
    assert (await ledger.wait_place(reader.accepted.tx_id)).code == T.PHANTOM_READ_CONFLICT


async def test_a_range_that_did_not_change_is_valid(ledger, user):
    await transact(ledger, user, b"put", b"a1", b"1")
    reader = endorse(ledger, user, asked(user, b"range", b"a", b"b"))
    ledger.submit(envelope(user, endorse(ledger, user, asked(user, b"put", b"b", b"2"))))
    ledger.submit(envelope(user, reader))
    assert (await ledger.wait_place(reader.accepted.tx_id)).code == T.VALID


async def test_one_endorsement_of_two_is_too_few(ledger, user):
    ready = endorse(ledger, user, asked(user, b"put", b"a", b"1"))
    ledger.submit(envelope(user, without(ready, 1)))
    assert (await ledger.wait_place(ready.accepted.tx_id)).code == T.ENDORSEMENT_POLICY_FAILURE


async def test_one_endorser_twice_counts_once(ledger, user):
    ready = endorse(ledger, user, asked(user, b"put", b"a", b"1"))
    twice = replace(ready, endorsements=(ready.endorsements[0], ready.endorsements[0]))
    ledger.submit(envelope(user, twice))
    assert (await ledger.wait_place(ready.accepted.tx_id)).code == T.ENDORSEMENT_POLICY_FAILURE


async def test_a_high_s_endorsement_counts_for_nothing(ledger, user):
    ready = endorse(ledger, user, asked(user, b"put", b"a", b"1"))
    first, second = ready.endorsements
    r, s = p256.read_signature(second.signature)
    high = Endorsement(endorser=second.endorser, signature=p256.write_signature(r, p256.ORDER - s))
    ledger.submit(envelope(user, replace(ready, endorsements=(first, high))))
    assert (await ledger.wait_place(ready.accepted.tx_id)).code == T.ENDORSEMENT_POLICY_FAILURE


async def test_an_altered_result_is_not_what_was_endorsed(ledger, user):
    ready = endorse(ledger, user, asked(user, b"put", b"a", b"1"))
    other = endorse(ledger, user, asked(user, b"put", b"a", b"2"))
    ledger.submit(envelope(user, replace(ready, payload=other.payload)))
    assert (await ledger.wait_place(ready.accepted.tx_id)).code == T.INVALID_ENDORSER_TRANSACTION


async def test_only_the_creator_signs_the_envelope(ledger, user, orgs):
    ready = endorse(ledger, user, asked(user, b"put", b"a", b"1"))
    ledger.submit(envelope(orgs[0].node("client"), ready))
    ledger.submit(envelope(user, ready))
    assert (await ledger.wait_place(ready.accepted.tx_id)).code == T.VALID  # a thief can't spoil the identifier
    assert T.BAD_CREATOR_SIGNATURE in [
        code for number in range(1, ledger.height()) for code in flags_of(ledger, number)
    ]


async def test_the_same_transaction_again_changes_nothing(ledger, user):
    ready = endorse(ledger, user, asked(user, b"add", b"n", b"1"))
    ledger.submit(envelope(user, ready))
    first = await ledger.wait_place(ready.accepted.tx_id)
    ledger.submit(envelope(user, ready))
    await transact(ledger, user, b"put", b"z", b"1")
    flags = [code for number in range(1, ledger.height()) for code in flags_of(ledger, number)]
    assert flags.count(T.DUPLICATE_TXID) == 1
    assert ledger.place(ready.accepted.tx_id) == first
    assert value_of(ledger, user, b"n") == b"1"


async def test_rubbish_has_a_place_and_a_code(ledger, user):
    ledger.submit(b"\xff\xff")
    await transact(ledger, user, b"put", b"a", b"1")
    flags = [code for number in range(1, ledger.height()) for code in flags_of(ledger, number)]
    assert sorted(flags) == [T.VALID, T.INVALID_OTHER_REASON]


def flags_of(ledger, number):
    return list(ledger.block(number).metadata.metadata[common.TRANSACTIONS_FILTER])


def accept(ledger, creator, **changes):
    made = replace(asked(creator, b"ping"), **changes)
    return ledger.endorsers.accept(sign_proposal(creator.secret, build_proposal(made)), time.time_ns())


def refusal(ledger, creator, **changes):
    """Class and words of what is wrong with a proposal."""
    with pytest.raises((ProposalRefusedError, UnknownChannelError)) as refused:
        accept(ledger, creator, **changes)
    return type(refused.value.__cause__), str(refused.value)


async def test_proposals_that_are_refused(ledger, user, orgs):
    kind, words = refusal(ledger, make_org("Org3MSP").node("client"))
    assert kind is UnknownOrganisation
    assert "expected one of ['Org1MSP', 'Org2MSP'], got 'Org3MSP'" in words
    assert refusal(ledger, orgs[0].node("client", timedelta(seconds=-1)))[0] is CertificateExpired
    kind, words = refusal(ledger, orgs[0].node("orderer"))
    assert kind is PolicyNotSatisfied
    assert "expected one of ['admin', 'peer', 'client'], got orderer" in words
    kind, words = refusal(ledger, user, channel_id="other")
    assert kind is InvalidProposal
    assert "expected 'energy', got 'other'" in words
    for name in ("other", "qscc"):
        with pytest.raises(NoPeersError, match=f"No metadata was found for chaincode {name}"):
            ledger.endorsers.endorse(accept(ledger, user, chaincode=name), ANYBODY)
    signed = sign_proposal(orgs[0].node("client").secret, build_proposal(asked(user, b"ping")))
    with pytest.raises(ProposalRefusedError, match="signature verification failed") as stolen:
        ledger.endorsers.accept(signed, time.time_ns())
    assert isinstance(stolen.value.__cause__, InvalidSignature)


async def test_a_proposal_is_taken_once(ledger, user):
    made = asked(user, b"put", b"a", b"1")
    signed = sign_proposal(user.secret, build_proposal(made))
    ready = endorse(ledger, user, made)
    ledger.submit(envelope(user, ready))
    await ledger.wait_place(ready.accepted.tx_id)
    with pytest.raises(DuplicateError, match=ready.accepted.tx_id):
        ledger.endorsers.accept(signed, time.time_ns())


async def test_a_refusing_chaincode_is_not_endorsed(ledger, user):
    with pytest.raises(ChaincodeRefusedError, match=r"chaincode response 400, .*no thanks"):
        endorse(ledger, user, asked(user, b"refuse", b"no thanks"))
    with pytest.raises(ChaincodeFailedError, match="RuntimeError: x"):
        endorse(ledger, user, asked(user, b"fail", b"x"))


class Liar:
    def invoke(self, stub):
        stub.put_state("k", b"mine")
        return Response()


class Honest:
    def invoke(self, stub):
        stub.put_state("k", b"ours")
        return Response()


async def test_endorsers_that_differ_endorse_nothing(network, user, tmp_path):
    programs = {"Org1MSP": Honest(), "Org2MSP": Liar()}
    async with running(network, tmp_path, programs) as ledger:
        with pytest.raises(DisagreementError, match="do not match"):
            endorse(ledger, user, asked(user, b"x"))


ORGS = ("Org1MSP", "Org2MSP", "Org3MSP")
THREE = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"


class Refuser:
    def invoke(self, stub):
        return Response(status=400, message=f"not today: {stub.tx_id}")


@pytest.mark.parametrize("odd", [Liar(), Refuser()])
async def test_one_of_three_that_differs_or_refuses_is_done_without(odd, tmp_path):
    orgs = [make_org(f"Org{number}MSP") for number in (1, 2, 3)]
    network, user = make_network(orgs, THREE), orgs[0].node("client")
    async with running(network, tmp_path, dict(zip(ORGS, (Honest(), odd, Honest()), strict=True))) as ledger:
        ready = endorse(ledger, user, asked(user, b"x"))
        assert [read_identity(each.endorser).msp_id for each in ready.endorsements] == ["Org1MSP", "Org3MSP"]
        ledger.submit(envelope(user, ready))
        assert (await ledger.wait_place(ready.accepted.tx_id)).code == 0


async def test_three_who_all_differ_endorse_nothing(tmp_path):
    orgs = [make_org(f"Org{number}MSP") for number in (1, 2, 3)]
    network, user = make_network(orgs, THREE), orgs[0].node("client")
    async with running(network, tmp_path, dict(zip(ORGS, (Honest(), Liar(), Refuser()), strict=True))) as ledger:
        words = r"^Org2MSP: ProposalResponsePayloads do not match: .*; Org3MSP: chaincode response 400, not today"
        with pytest.raises(NotEnoughError, match=words):
            endorse(ledger, user, asked(user, b"x"))


async def test_blocks_are_linked_and_survive(network, user, tmp_path):
    async with running(network, tmp_path) as ledger:
        for at in range(3):
            await transact(ledger, user, b"put", b"k%d" % at, b"v")
        height, last = ledger.height(), ledger.last_hash()
    async with running(network, tmp_path) as ledger:
        assert (ledger.height(), ledger.last_hash()) == (height, last)
        hashed = b""
        for number in range(height):
            block = ledger.block(number)
            header = block.header
            assert (header.number, header.previous_hash) == (number, hashed)
            assert header.data_hash == block_data_hash(block.data.data)
            hashed = block_header_hash(number, header.previous_hash, header.data_hash)
        assert hashed == last
        assert value_of(ledger, user, b"k2") == b"v"
        assert (await transact(ledger, user, b"put", b"k3", b"v")).block == height


async def test_a_revoked_client_is_refused(orgs, network, user, tmp_path):
    revoked = read_identity(user.identity).certificate.serial
    async with running(replace(network, msps=(orgs[0].msp((revoked,)), orgs[1].msp())), tmp_path) as ledger:
        assert refusal(ledger, user)[0] is CertificateRevoked


async def test_blocks_wait_for_company_only_where_there_are_many():
    """Behind a block of many the next one waits longer; a lone transaction after that does not."""
    sizes: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(batch):
        sizes.put_nowait(len(batch))

    orderer = Orderer(deliver, BatchRules(wait_s=0.001, busy_wait_s=0.02, busy_count=4))
    running = asyncio.create_task(orderer.run())
    waits = []
    for count in (1, 5, 4, 1, 1):
        waits.append(orderer._wait_s)
        for number in range(count):
            orderer.submit(b"%d" % number)
        assert await sizes.get() == count
    running.cancel()
    assert waits == [0.001, 0.001, 0.02, 0.02, 0.001]
