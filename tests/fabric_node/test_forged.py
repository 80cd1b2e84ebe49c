"""A peer that shows its own front blocks which the channel's orderers did not sign: the front stops and says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cosmos_wire.errors import ToolError
from fabric_adapter.deliver import Deliver, ForgedBlockError, WrongBlockError
from fabric_adapter.embedded.serve import load_network
from fabric_adapter.network import members
from fabric_adapter.network.crypto import read_pair
from fabric_adapter.network.plan import ORDERER
from fabric_adapter.node import front as front_module
from fabric_adapter.node.front import read_network, run
from fabric_adapter.node.ledger_block import DamagedBlockError
from fabric_wire import strict
from fabric_wire.blocks import SIGNATURES, sign_block
from fabric_wire.protos import common
from fabric_wire.x509 import serialized_identity
from microgrid.store import StateDb, StoreOptions
from processes import ports
from processes.files import read_json, write_json
from tests.fabric_embedded.world import Node, make_org
from tests.fabric_node.world import HANG_S, World, world

FORGED = 4  # the number of the block that is changed
Forge = Callable[[World, common.Block], None]


def signed_by(node: Node, block: common.Block) -> None:
    nonce = bytes(24)
    block.metadata.metadata[SIGNATURES] = sign_block(node.secret, node.identity, block.header, nonce)


def by_another_networks_orderer(_: World, block: common.Block) -> None:
    signed_by(make_org("OrdererMSP").node("orderer"), block)


def by_the_orderers_administrator(net: World, block: common.Block) -> None:
    pair = read_pair(net.home.crypto(ORDERER) / "members", members.ADMIN)
    raw = serialized_identity("OrdererMSP", pair.certificate.public_bytes(Encoding.DER))
    signed_by(Node(msp_id="OrdererMSP", name="admin", identity=raw, secret=pair.key), block)


def by_a_peer(net: World, block: common.Block) -> None:
    signed_by(load_network(net.home, net.plan).peers[0], block)


def without_signatures(_: World, block: common.Block) -> None:
    block.metadata.metadata[SIGNATURES] = b""


def with_another_blocks_metadata(_: World, block: common.Block) -> None:
    found = common.Metadata.FromString(block.metadata.metadata[SIGNATURES])
    found.value = strict.write(common.OrdererBlockMetadata(last_config=common.LastConfig(index=1)))
    block.metadata.metadata[SIGNATURES] = strict.write(found)


class Peer(Deliver):
    """Its blocks, one of them changed."""

    forge: Callable[[common.Block], None]

    async def blocks(self, start: int) -> AsyncGenerator[common.Block, None]:
        async for block in super().blocks(start):
            if block.header.number == FORGED:
                Peer.forge(block)
            yield block


async def followed(net: World) -> None:
    """What a front says of its peer; it ends by itself."""
    await net.found()
    for _ in range(FORGED):
        await net.pay()
    await asyncio.wait_for(run(net.options(delay_s=HANG_S), asyncio.Event()), HANG_S)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (by_another_networks_orderer, "certificate leads to no trusted root"),
        (by_the_orderers_administrator, "by OutOf.1, 'OrdererMSP.orderer'., got OrdererMSP.admin"),
        (by_a_peer, r"expected one of \['OrdererMSP'\], got 'Org1MSP'"),
        (without_signatures, "expected 1 to 256 signatures of orderers, got 0"),
        (with_another_blocks_metadata, "expected a signature of the key"),
    ],
)
async def test_a_front_stops_at_a_block_that_no_orderer_signed(tmp_path, monkeypatch, forge: Forge, words):
    monkeypatch.setattr(front_module, "Deliver", Peer)
    async with world(tmp_path) as net:
        monkeypatch.setattr(Peer, "forge", lambda block: forge(net, block), raising=False)
        with pytest.raises(ForgedBlockError, match=f"block {FORGED}: .*{words}.*followed no further"):
            await followed(net)
        state = StateDb.open(net.options().home / "data" / "state", StoreOptions())
        assert state.height == 1  # genesis; nothing of the forged block or behind it
        state.close()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda block: block.data.data.append(block.data.data[0]), WrongBlockError, "expected data with the hash"),
        (lambda block: setattr(block.header, "number", 9), WrongBlockError, "expected block 4, got block 9"),
        (lambda block: setattr(block.header, "previous_hash", bytes(32)), WrongBlockError, "another ledger"),
        (
            lambda block: block.metadata.metadata.__setitem__(common.TRANSACTIONS_FILTER, b""),
            DamagedBlockError,
            "expected a verdict for each of 1 transactions, got 0",
        ),
    ],
)
async def test_a_front_stops_at_a_block_that_does_not_follow(tmp_path, monkeypatch, change, error, words):
    monkeypatch.setattr(front_module, "Deliver", Peer)
    monkeypatch.setattr(Peer, "forge", staticmethod(change), raising=False)
    async with world(tmp_path) as net:
        with pytest.raises(error, match=words):
            await followed(net)


def test_a_front_needs_to_know_the_orderers(tmp_path):
    net = World.embedded(tmp_path, 10)
    doc = read_json(net.home.document)
    for ordering, words in (
        (None, "expected `ordering`, the channel's orderers"),
        ({"policy": "AND('Org1MSP.peer')"}, "ordering: expected policy, orgs with msp_id and ca, got KeyError"),
        ({**doc["ordering"], "policy": "AND('Org1MSP.peer')"}, r"expected an organisation of \['OrdererMSP'\]"),
        (
            {**doc["ordering"], "orgs": [{"msp_id": "OrdererMSP", "ca": "/nowhere"}]},
            "/nowhere: expected a readable file",
        ),
    ):
        changed = {key: value for key, value in doc.items() if key != "ordering"}
        write_json(net.home.document, changed | ({} if ordering is None else {"ordering": ordering}))
        with pytest.raises(ToolError, match=words):
            read_network(net.options())
    write_json(net.home.document, doc)
    assert str(read_network(net.options()).ordering.policy) == "OutOf(1, 'OrdererMSP.orderer')"
    ports.release(net.home.path)
