"""What two real Fabric peers endorsed and committed (vectors/endorsed.json; tests/fabric_net/record.py recorded it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any as Json

import pytest

from fabric_wire import envelopes, p256, strict
from fabric_wire.errors import InvalidSignature, PolicyNotSatisfied
from fabric_wire.msp import Msp, Role, check_msps, require_member
from fabric_wire.policy import check_policy, parse_policy, write_policy
from fabric_wire.proposals import build_proposal, read_proposal
from fabric_wire.protos import common, policies, policy
from fabric_wire.responses import Endorsement, read_action, write_action
from fabric_wire.x509 import from_pem, read_certificate, read_identity

DOC = json.loads((Path(__file__).parent / "vectors" / "endorsed.json").read_text())
CASES = {case["name"]: case for case in DOC["cases"]}
MSPS = tuple(
    Msp(msp_id=msp["msp_id"], roots=(read_certificate(from_pem(msp["root"].encode())),), node_ous=msp["node_ous"])
    for msp in DOC["msps"]
)
POLICY = parse_policy(DOC["endorsement"])
every_case = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def payload_of(case: Json) -> bytes:
    return bytes.fromhex(case["proposal_response_payload"])


def test_the_organisations_and_the_policy():
    check_msps(MSPS)
    check_policy(POLICY, MSPS)
    application = policy.ApplicationPolicy(
        signature_policy=policies.SignaturePolicyEnvelope.FromString(write_policy(POLICY))
    )
    assert strict.write(application).hex() == DOC["application_policy"]


@every_case
def test_proposals(case: Json):
    parts, asked = read_proposal(bytes.fromhex(case["proposal"]))
    assert (asked.channel_id, asked.chaincode) == (DOC["channel"], DOC["chaincode"])
    assert read_action(payload_of(case)).proposal_hash == parts.hash
    again, _ = read_proposal(build_proposal(asked))
    assert (again.signature_header, again.payload) == (parts.signature_header, parts.payload)


@every_case
def test_responses(case: Json):
    action = read_action(payload_of(case))
    assert (action.status, action.chaincode) == (200, DOC["chaincode"])
    assert action.payload.hex() == case["result"]
    if case["name"] != "range":
        assert write_action(action) == payload_of(case)


def test_read_write_sets():
    found = {name: read_action(payload_of(case)).sets for name, case in CASES.items()}
    assert {tuple(item.namespace for item in sets) for sets in found.values()} == {("_lifecycle", "microgrid")}
    assert not any(sets[0].writes for sets in found.values())
    assert [write.key for write in found["put two keys"][1].writes] == ["a", "b"]
    assert found["delete"][1].writes[0].is_delete
    assert [read.version for read in found["read and write"][1].reads] == [None]
    assert found["read only"][1].reads[0].version == (CASES["put one key"]["block"], 0)
    assert [name for name, sets in found.items() if sets[1].has_ranges] == ["range"]
    assert bool(read_action(payload_of(CASES["put with an event"])).events)


@every_case
def test_endorsements(case: Json):
    _, asked = read_proposal(bytes.fromhex(case["proposal"]))
    signers = []
    for each in case["endorsements"]:
        identity = read_identity(bytes.fromhex(each["endorser"]))
        signers.append(require_member(MSPS, identity, asked.time_ns))
        signed, signature = payload_of(case) + identity.raw, bytes.fromhex(each["signature"])
        p256.verify(identity.certificate.key, signed, signature)
        with pytest.raises(InvalidSignature):
            p256.verify(identity.certificate.key, signed + b"\x00", signature)
    assert {signer.role for signer in signers} == {Role.PEER}
    if case["name"] == "one endorser":
        with pytest.raises(PolicyNotSatisfied):
            POLICY.require(signers)
    else:
        POLICY.require(signers)


@every_case
def test_transactions(case: Json):
    parts, _ = read_proposal(bytes.fromhex(case["proposal"]))
    endorsements = [
        Endorsement(endorser=bytes.fromhex(each["endorser"]), signature=bytes.fromhex(each["signature"]))
        for each in case["endorsements"]
    ]
    made = envelopes.transaction_payload(parts, payload_of(case), endorsements)
    assert made.hex() == case["envelope_payload"]


def test_the_block():
    block = common.Block.FromString(bytes.fromhex(DOC["block"]["bytes"]))
    assert block.header.number == DOC["block"]["number"]
    assert envelopes.block_data_hash(list(block.data.data)) == block.header.data_hash
