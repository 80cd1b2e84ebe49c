"""Orderers' signatures on blocks: what an orderer signed passes, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cosmos_wire.protos import fabric_client
from fabric_adapter.deliver import Link, WrongBlockError
from fabric_wire import p256, strict
from fabric_wire.blocks import SIGNATURES, Ordering, sign_block, signed_bytes
from fabric_wire.envelopes import block_data_hash
from fabric_wire.errors import InvalidBlock
from fabric_wire.msp import Msp
from fabric_wire.policy import parse_policy
from fabric_wire.protos import common
from fabric_wire.x509 import from_pem, read_certificate, read_identity
from tests.fabric_embedded.world import Node, make_org

CHANNEL, NONCE = "energy", bytes(24)
ORG, STRANGERS = make_org("OrdererMSP"), make_org("OrdererMSP")
ORDERER, SECOND, ADMIN, STRANGER = (
    ORG.node("orderer"), ORG.node("orderer"), ORG.node("admin"), STRANGERS.node("orderer"),
)  # fmt: skip
ORDERING = Ordering(channel_id=CHANNEL, msps=(ORG.msp(),), policy=parse_policy("OR('OrdererMSP.orderer')"))
VECTOR = Path(__file__).parent / "vectors" / "block.json"


def envelope(channel: str = CHANNEL, kind: int = common.ENDORSER_TRANSACTION) -> bytes:
    header = common.ChannelHeader(type=kind, channel_id=channel)
    payload = common.Payload(header=common.Header(channel_header=strict.write(header)))
    return strict.write(common.Envelope(payload=strict.write(payload)))


def unsigned(number: int = 7, *data: bytes) -> common.Block:
    block = common.Block(data=common.BlockData(data=data or [envelope()]))
    block.header.CopyFrom(
        common.BlockHeader(number=number, previous_hash=b"\x01" * 32, data_hash=block_data_hash(block.data.data))
    )
    block.metadata.metadata.extend([b""] * 5)
    return block


def signed(block: common.Block, node: Node = ORDERER) -> common.Block:
    block.metadata.metadata[SIGNATURES] = sign_block(node.secret, node.identity, block.header, NONCE)
    return block


def takes(block: common.Block, ordering: Ordering = ORDERING) -> bool:
    """Whether nothing is wrong with it; raises InvalidBlock."""
    ordering.require(block)
    return True


def test_an_orderers_block_is_taken():
    assert takes(signed(unsigned()))


@pytest.mark.parametrize("name", ["block 0", "block 1", "block 4"])
def test_what_a_real_orderer_signed_is_taken(name):
    """Blocks of a network of Fabric's own programs: `python -m tests.fabric_net.record`."""
    recorded = json.loads(VECTOR.read_text())
    root = read_certificate(from_pem(recorded["ca"].encode()))
    block = common.Block.FromString(bytes.fromhex(recorded[name]))
    ordering = replace(ORDERING, msps=(Msp(msp_id="OrdererMSP", roots=(root,)),))
    assert takes(block, ordering)
    Link(number=block.header.number, previous_hash=block.header.previous_hash).next(block)
    with pytest.raises(InvalidBlock, match=f"{name}: channel: expected 'other', got 'energy'"):
        replace(ordering, channel_id="other").require(block)
    if block.header.number:
        with pytest.raises(InvalidBlock, match="certificate leads to no trusted root"):
            ORDERING.require(block)


def test_a_block_made_by_us_has_the_form_of_a_real_one():
    """The same fields of the same messages; certificates, nonces and the consenter's own metadata differ."""
    recorded = common.Block.FromString(bytes.fromhex(json.loads(VECTOR.read_text())["block 1"]))
    theirs = strict.read(common.Metadata, recorded.metadata.metadata[SIGNATURES])
    ours = strict.read(common.Metadata, signed(unsigned()).metadata.metadata[SIGNATURES])
    values = [strict.read(common.OrdererBlockMetadata, each.value).last_config for each in (theirs, ours)]
    assert values[0] == values[1] == common.LastConfig(index=0)
    headers = [strict.read(common.SignatureHeader, each.signatures[0].signature_header) for each in (theirs, ours)]
    assert [len(each.nonce) for each in headers] == [24, 24]
    assert [read_identity(each.creator).msp_id for each in headers] == ["OrdererMSP", "OrdererMSP"]


def changed_signature(block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    r, s = p256.read_signature(found.signatures[0].signature)
    found.signatures[0].signature = p256.write_signature(r, s ^ 1)
    block.metadata.metadata[SIGNATURES] = strict.write(found)


def high_s(block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    r, s = p256.read_signature(found.signatures[0].signature)
    found.signatures[0].signature = p256.write_signature(r, p256.ORDER - s)
    block.metadata.metadata[SIGNATURES] = strict.write(found)


def changed_value(block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    found.value = strict.write(common.OrdererBlockMetadata(last_config=common.LastConfig(index=3)))
    block.metadata.metadata[SIGNATURES] = strict.write(found)


def anothers_certificate(block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    header = common.SignatureHeader(creator=SECOND.identity, nonce=NONCE)
    found.signatures[0].signature_header = strict.write(header)
    block.metadata.metadata[SIGNATURES] = strict.write(found)


def metadata_of_another_block(block: common.Block) -> None:
    block.metadata.metadata[SIGNATURES] = signed(unsigned(6)).metadata.metadata[SIGNATURES]


def metadata_in_other_places(block: common.Block) -> None:
    parts = block.metadata.metadata
    parts[SIGNATURES], parts[common.LAST_CONFIG] = parts[common.LAST_CONFIG], parts[SIGNATURES]


FORGERIES = [
    (changed_signature, "expected a signature of the key"),
    (high_s, "expected s <= n/2"),
    (changed_value, "expected a signature of the key"),
    (anothers_certificate, "expected a signature of the key"),
    (metadata_of_another_block, "expected a signature of the key"),
    (metadata_in_other_places, "expected 1 to 256 signatures of orderers, got 0"),
    (lambda block: block.metadata.metadata.__setitem__(SIGNATURES, b""), "expected 1 to 256 signatures .* got 0"),
    (lambda block: block.metadata.metadata.__setitem__(SIGNATURES, b"\xff"), "signatures: expected metadata"),
    (lambda block: block.ClearField("metadata"), "expected 1 to 256 signatures of orderers, got 0"),
    (lambda block: signed(block, ADMIN), "by OutOf.1, 'OrdererMSP.orderer'., got OrdererMSP.admin"),
    (lambda block: signed(block, STRANGER), "certificate leads to no trusted root"),
    (lambda block: signed(block, make_org("OtherMSP").node("orderer")), r"expected one of \['OrdererMSP'\], got 'Oth"),
    (lambda block: setattr(block.header, "number", 8), "block 8: .*expected a signature of the key"),
    (lambda block: setattr(block.header, "data_hash", bytes(32)), "expected a signature of the key"),
    (lambda block: block.data.ClearField("data"), "expected transactions, got none"),
    (lambda block: block.data.data.__setitem__(0, b"\xff"), "expected an envelope, got"),
    (lambda block: block.data.data.__setitem__(0, envelope("solar")), "channel: expected 'energy', got 'solar'"),
]


@pytest.mark.parametrize(("forge", "words"), FORGERIES)
def test_a_forged_block_is_refused(forge, words):
    block = signed(unsigned())
    forge(block)
    with pytest.raises(InvalidBlock, match=words):
        ORDERING.require(block)


def test_other_data_under_a_signed_header_is_refused():
    block = signed(unsigned())
    block.data.data.append(envelope())
    with pytest.raises(WrongBlockError, match="expected data with the hash"):
        Link(number=7, previous_hash=block.header.previous_hash).next(block)


def test_the_first_block_is_a_configuration_that_nobody_signs():
    assert takes(unsigned(0, envelope(kind=common.CONFIG)))
    for data in ([envelope()], [envelope(kind=common.CONFIG), envelope()]):
        with pytest.raises(InvalidBlock, match="block 0: expected the channel's configuration alone, got"):
            ORDERING.require(unsigned(0, *data))


def both(block: common.Block, *nodes: Node) -> common.Block:
    """Signatures of several orderers."""
    made = [common.Metadata.FromString(sign_block(n.secret, n.identity, block.header, NONCE)) for n in nodes]
    whole = common.Metadata(value=made[0].value, signatures=[each.signatures[0] for each in made])
    block.metadata.metadata[SIGNATURES] = strict.write(whole)
    return block


def test_a_policy_of_several_counts_each_orderer_once():
    two = replace(ORDERING, policy=parse_policy("OutOf(2, 'OrdererMSP.orderer', 'OrdererMSP.orderer')"))
    assert takes(both(unsigned(), ORDERER, SECOND), two)
    assert takes(both(unsigned(), STRANGER, ORDERER, SECOND), two)  # one that doesn't hold counts for nothing
    with pytest.raises(InvalidBlock, match=r"by OutOf\(2, .*, got OrdererMSP.orderer$|, got OrdererMSP.orderer: "):
        two.require(both(unsigned(), ORDERER, ORDERER))


def numbered(block: common.Block, number: int, node: Node) -> common.Block:
    """Signed as a consenter of Fabric 3 does."""
    header = strict.write(fabric_client.IdentifierHeader(identifier=number, nonce=NONCE))
    value = strict.write(common.OrdererBlockMetadata(last_config=common.LastConfig(index=0)))
    signature = p256.sign(node.secret, signed_bytes(value, header, block.header))
    item = fabric_client.BlockSignature(signature=signature, identifier_header=header)
    block.metadata.metadata[SIGNATURES] = strict.write(fabric_client.BlockSignatures(value=value, signatures=[item]))
    return block


def test_consenters_may_sign_by_number():
    ordering = replace(ORDERING, consenters={3: ORDERER.identity})
    assert takes(numbered(unsigned(), 3, ORDERER), ordering)
    with pytest.raises(InvalidBlock, match=r"consenter: expected one of \[3\], got 4"):
        ordering.require(numbered(unsigned(), 4, ORDERER))
    with pytest.raises(InvalidBlock, match="expected a signature of the key"):
        ordering.require(numbered(unsigned(), 3, SECOND))


def test_a_block_outlives_its_orderers_certificate_but_not_its_revocation():
    short = ORG.node("orderer", timedelta(microseconds=1) - timedelta(minutes=1))
    assert takes(signed(unsigned(), short))
    serial = read_identity(short.identity).certificate.serial
    with pytest.raises(InvalidBlock, match="certificate has been revoked"):
        replace(ORDERING, msps=(ORG.msp((serial,)),)).require(signed(unsigned(), short))
