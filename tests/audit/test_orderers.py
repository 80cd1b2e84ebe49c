"""The audit's check of orderers' signatures: real ones hold, nobody else's do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bsmg.audit.fabric.members import DoubtError
from bsmg.audit.fabric.orderers import SUBJECT, UNKNOWN, UPDATES, check_orderers, policy_of
from bsmg.audit.findings import Difference, Findings
from bsmg.audit.record import Orderers
from cosmos_wire.protos import fabric_client
from fabric_wire import p256, strict
from fabric_wire.blocks import SIGNATURES, sign_block, signed_bytes
from fabric_wire.policy import parse_policy, read_policy
from fabric_wire.protos import common
from tests.fabric_embedded.world import Node, make_org
from tests.fabric_wire.test_blocks import CHANNEL, NONCE, VECTOR, envelope, unsigned

POLICY = "OR('OrdererMSP.orderer')"
ORG, STRANGERS = make_org("OrdererMSP"), make_org("OrdererMSP")
FIRST, SECOND, ADMIN, STRANGER = (
    ORG.node("orderer"), ORG.node("orderer"), ORG.node("admin"), STRANGERS.node("orderer"),
)  # fmt: skip
SAID = Orderers(channel=CHANNEL, policy=POLICY, roots={"OrdererMSP": tuple(root.raw for root in ORG.msp().roots)})


def differences(said: Orderers | None, *blocks: common.Block) -> list[Difference]:
    findings = Findings(chain_id="mgf-1")
    check_orderers(said, blocks, findings)
    return findings.differences


def signed(block: common.Block, node: Node = FIRST) -> common.Block:
    block.metadata.metadata[SIGNATURES] = sign_block(node.secret, node.identity, block.header, NONCE)
    return block


def test_what_orderers_of_fabrics_own_programs_signed_holds() -> None:
    recorded = json.loads(Path(VECTOR).read_text())
    blocks = [common.Block.FromString(bytes.fromhex(recorded[f"block {number}"])) for number in (0, 1, 4)]
    root = x509.load_pem_x509_certificate(recorded["ca"].encode()).public_bytes(Encoding.DER)
    real = replace(SAID, roots={"OrdererMSP": (root,)})
    findings = Findings(chain_id="mgf-1")
    check_orderers(real, blocks, findings)
    assert (findings.differences, findings.checked, findings.notes) == ([], {SUBJECT: 3}, [])
    assert [item.place for item in differences(SAID, *blocks)] == ["ledger block 1", "ledger block 4"]
    assert len(differences(replace(real, channel="other"), *blocks)) == 3


def no_metadata(block: common.Block) -> None:
    del block.metadata.metadata[:]


def another_value(block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    found.value = strict.write(common.OrdererBlockMetadata(last_config=common.LastConfig(index=1)))
    block.metadata.metadata[SIGNATURES] = strict.write(found)


def another_header(block: common.Block) -> None:
    block.header.previous_hash = bytes(32)


def rubbish(block: common.Block) -> None:
    block.metadata.metadata[SIGNATURES] = b"\xff"


def nobody(block: common.Block) -> None:
    block.metadata.metadata[SIGNATURES] = b""


@pytest.mark.parametrize("forge", [no_metadata, another_value, another_header, rubbish, nobody])
def test_a_block_that_was_changed_is_found(forge: Callable[[common.Block], None]) -> None:
    block = signed(unsigned())
    assert differences(SAID, block) == []
    forge(block)
    (wrong,) = differences(SAID, block)
    assert (wrong.subject, wrong.place) == (SUBJECT, "ledger block 7")


@pytest.mark.parametrize("node", [ADMIN, STRANGER, make_org("Org1MSP").node("peer")])
def test_nobody_else_may_sign(node: Node) -> None:
    (wrong,) = differences(SAID, signed(unsigned(), node))
    assert "what the policy of membership" in wrong.got


def test_the_first_block_is_the_configuration_alone() -> None:
    config = envelope(kind=common.CONFIG)
    assert differences(SAID, unsigned(0, config)) == []
    assert len(differences(SAID, unsigned(0, config, envelope()))) == 1
    assert len(differences(SAID, unsigned(0, envelope()))) == 1


def test_one_orderer_twice_is_one_and_two_are_two() -> None:
    two = replace(SAID, policy="OutOf(2, 'OrdererMSP.orderer', 'OrdererMSP.orderer')")

    def both(*nodes: Node) -> common.Block:
        block = unsigned()
        parts = [common.Metadata.FromString(signed(block, node).metadata.metadata[SIGNATURES]) for node in nodes]
        all_of = [item for part in parts for item in part.signatures]
        block.metadata.metadata[SIGNATURES] = strict.write(common.Metadata(value=parts[0].value, signatures=all_of))
        return block

    assert differences(two, both(FIRST, SECOND)) == []
    assert len(differences(two, both(FIRST, FIRST))) == 1
    assert differences(SAID, both(STRANGER, FIRST)) == []  # what does not hold counts for nothing


def test_orderers_that_sign_by_number() -> None:
    block = unsigned()
    named = strict.write(fabric_client.IdentifierHeader(identifier=2, nonce=NONCE))
    signature = p256.sign(FIRST.secret, signed_bytes(b"", named, block.header))
    made = fabric_client.BlockSignatures()
    made.signatures.add(identifier_header=named, signature=signature)
    block.metadata.metadata[SIGNATURES] = made.SerializeToString()
    assert differences(replace(SAID, consenters={2: FIRST.identity}), block) == []
    assert len(differences(replace(SAID, consenters={1: FIRST.identity}), block)) == 1
    assert len(differences(replace(SAID, consenters={2: SECOND.identity}), block)) == 1


def test_a_revoked_orderer_signs_nothing() -> None:
    serial = x509.load_pem_x509_certificate(FIRST.identity[FIRST.identity.index(b"-----BEGIN") :]).serial_number
    assert len(differences(replace(SAID, revoked={"OrdererMSP": (serial,)}), signed(unsigned()))) == 1


def test_what_is_not_checked_is_said() -> None:
    findings = Findings(chain_id="mgf-1")
    check_orderers(None, [unsigned()], findings)
    assert (findings.notes, findings.checked) == ([UNKNOWN], {})
    check_orderers(SAID, [signed(unsigned(7, envelope(kind=common.CONFIG)))], findings)
    assert findings.notes == [UNKNOWN, UPDATES]


@pytest.mark.parametrize(
    "text",
    [
        POLICY,
        "AND('A.peer', 'B.member')",
        "OutOf(2, 'A.peer', 'B.admin', OR('C.client','C.orderer'))",
        "OutOf(1, AND('A.peer', 'B.peer'), 'C.member')",
    ],
)
def test_policies_mean_what_the_chain_s_parser_makes_of_them(text: str) -> None:
    ours = read_policy(policy_of(text).SerializeToString(deterministic=True))
    assert str(ours) == str(parse_policy(text))


@pytest.mark.parametrize(
    "text",
    ["", "OR(", "OR('A.peer'", "OR('A.king')", "XOR('A.peer')", "OR('A.peer') x", "OutOf(3, 'A.peer')", "OR()", "1"],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(DoubtError, match="policy: expected"):
        policy_of(text)
