"""Our reading beside Fabric's own code: vectors/vectors.json holds its answers, vectors/make.py how they were made."""

import base64
import json

import pytest

from cosmos_wire.errors import ChainError
from fabric_wire import envelopes, p256, strict
from fabric_wire.crl import revoked_serials
from fabric_wire.msp import Member, check_msps, require_member
from fabric_wire.policy import PRINCIPALS, Principal, parse_policy, read_policy, write_policy
from fabric_wire.proposals import Invocation, build_parts, build_proposal, read_proposal
from fabric_wire.protos import common, proposal_response
from fabric_wire.responses import read_action, read_sets, write_action, write_sets
from fabric_wire.x509 import read_identity
from tests.fabric_wire.authority import ca_of
from tests.fabric_wire.vectors import cases
from tests.fabric_wire.vectors.make import FILE, question

VECTORS = json.loads(FILE.read_text())
ANSWER = VECTORS["answer"]
ROLES = ("member", "admin", "client", "peer", "orderer")
NUMBERED = list(enumerate(cases.CASES))


def raw(name: str) -> bytes:
    return base64.b64decode(ANSWER[name])


def member_of(number: int) -> Member | ChainError:
    try:
        return require_member(cases.MSPS, read_identity(cases.CASES[number].serialized), cases.AT_NS)
    except ChainError as error:
        return error


def test_the_answers_are_to_these_questions():
    assert VECTORS["question"] == question()


def test_the_organisations_are_well_formed():
    check_msps(cases.MSPS)
    assert ANSWER["Msps"] == ["", "", "", ""]


@pytest.mark.parametrize(("number", "case"), NUMBERED, ids=[case.name for case in cases.CASES])
def test_identities(number: int, case: cases.Case):
    member, fault = member_of(number), ANSWER["Valid"][number]
    if case.stricter:
        assert not fault
        assert isinstance(member, ChainError)
        return
    assert isinstance(member, ChainError) == bool(fault), (fault, member)
    if isinstance(member, Member):
        fits = [Principal(msp_id=case.msp_id, role=role).fits(member) for role in ROLES]
        assert fits == ANSWER["Roles"][number]


def test_every_role_has_a_case():
    assert all(any(row[i] for row in ANSWER["Roles"]) for i in range(len(ROLES)))
    assert set(ROLES) == set(PRINCIPALS)


@pytest.mark.parametrize(("number", "text"), list(enumerate(cases.POLICIES)), ids=cases.POLICIES)
def test_policies(number: int, text: str):
    policy, envelope = parse_policy(text), base64.b64decode(ANSWER["Envelopes"][number])
    assert write_policy(policy) == envelope
    assert read_policy(envelope) == policy
    for picked, satisfied in zip(cases.SIGNERS, ANSWER["Satisfied"][number], strict=True):
        signers = [member_of(i) for i in picked]
        assert all(isinstance(signer, Member) for signer in signers)
        assert policy.is_satisfied(signers) == satisfied, picked


def test_policies_are_not_all_alike():
    rows = [tuple(row) for row in ANSWER["Satisfied"]]
    assert len(set(rows)) == len(rows)


def test_a_revocation_list():
    assert revoked_serials(cases.CRL, ca_of(cases.ORG1).certificate) == cases.MSPS[1].revoked


def test_a_proposal():
    parts, asked = read_proposal(raw("Proposal"))
    assert asked == Invocation(
        channel_id=cases.CHANNEL,
        chaincode=cases.CHAINCODE,
        args=cases.ARGS,
        creator=cases.CASES[0].serialized,
        nonce=asked.nonce,
        time_ns=asked.time_ns,
        transient={"another": b"one", "secret": b"whisper"},
    )
    assert parts.hash == raw("Hash")
    assert build_parts(asked) == parts
    assert len(build_proposal(asked)) == len(raw("Proposal"))  # Go writes maps in any order
    assert read_proposal(build_proposal(asked)) == (parts, asked)


def test_a_transaction_id():
    _, asked = read_proposal(raw("Proposal"))
    header = strict.read(common.ChannelHeader, build_parts(asked).channel_header)
    assert header.tx_id == ANSWER["TxID"]


def test_a_response():
    action = read_action(raw("Payload"))
    assert (action.proposal_hash, action.status, action.message) == (raw("Hash"), 200, "fine")
    assert (action.chaincode, action.version, action.payload) == ("microgrid", "1.0", b"answer")
    assert write_sets(action.sets) == cases.RESULTS
    assert read_sets(cases.RESULTS) == action.sets
    assert write_action(action) == raw("Payload")


def test_an_endorsement():
    made = strict.read(proposal_response.ProposalResponse, raw("Endorsement"))
    endorsement = made.endorsement
    key = read_identity(endorsement.endorser).certificate.key
    p256.verify(key, made.payload + endorsement.endorser, endorsement.signature)
    with pytest.raises(ChainError):
        p256.verify(key, made.payload, endorsement.signature)


def test_a_transaction():
    parts, asked = read_proposal(raw("Proposal"))
    made = strict.read(proposal_response.ProposalResponse, raw("Endorsement"))
    endorsement = envelopes.Endorsement(endorser=made.endorsement.endorser, signature=made.endorsement.signature)
    envelope = strict.read(common.Envelope, raw("Envelope"))
    assert envelopes.transaction_payload(parts, made.payload, [endorsement]) == envelope.payload
    p256.verify(read_identity(asked.creator).certificate.key, envelope.payload, envelope.signature)


def test_a_block():
    data_hash = envelopes.block_data_hash([raw("Envelope"), b"another"])
    header = ((1 << 40) + 200, raw("Hash"), data_hash)
    assert data_hash == raw("DataHash")
    assert envelopes.block_header_bytes(*header) == raw("HeaderBytes")
    assert envelopes.block_header_hash(*header) == raw("HeaderHash")
