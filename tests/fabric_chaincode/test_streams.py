"""The chaincode behind the shim: an image for each peer's stream, writes and reads that go in one go."""

from __future__ import annotations

import pytest

from cosmos_wire.tx import body_of
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.microgrid.layout import ticket
from fabric_adapter.stub import FAILED, OK, REFUSED
from fabric_wire import strict
from fabric_wire.protos import Timestamp, chaincode_shim, common, proposal
from tests.fabric_chaincode.world import SECOND_NS, START_S, TickArgs, document, send
from tests.fabric_net import test_shim as shim

Type = chaincode_shim.ChaincodeMessage
NOW_NS = (START_S + 1) * SECOND_NS


@pytest.fixture
def signed_by(monkeypatch):
    """Transactions of the fake peer carry this creator and the clock's time."""
    plain = shim.transaction

    def use(who):
        def made(tx_id, *args):
            message = plain(tx_id, *args)
            found = proposal.Proposal.FromString(message.proposal.proposal_bytes)
            header = common.Header.FromString(found.header)
            channel = common.ChannelHeader.FromString(header.channel_header)
            stamp = Timestamp()
            stamp.FromNanoseconds(NOW_NS)
            channel.timestamp.CopyFrom(stamp)
            creator = common.SignatureHeader(creator=who.node.identity, nonce=b"n")
            header.channel_header, header.signature_header = channel.SerializeToString(), creator.SerializeToString()
            found.header = header.SerializeToString()
            message.proposal.proposal_bytes = found.SerializeToString()
            return message

        monkeypatch.setattr(shim, "transaction", made)

    return use


async def test_each_peer_has_an_image_of_its_own(cast, signed_by):
    signed_by(cast.admin)
    program = MicrogridChaincode(lambda: NOW_NS)
    async with shim.serving(program) as address, shim.peer_of(address) as one, shim.peer_of(address) as two:
        assert (await one.respond("1" * 64, "Genesis", document(cast))).status == OK
        two.state = dict(one.state)
        assert (await one.respond("2" * 64, "Load")).payload == b"1"
        signed_by(cast.alice)
        body = body_of([send(cast.alice, cast.bob, 3)])
        assert (await one.respond("3" * 64, "Submit", body)).status == OK
        found = await two.respond("3" * 64, "Submit", body)
        assert (found.status, found.message.split(":")[0]) == (FAILED, "image not loaded")


async def test_a_tick_over_a_stream(cast, signed_by):
    signed_by(cast.admin)
    async with shim.serving(MicrogridChaincode(lambda: NOW_NS)) as address, shim.peer_of(address) as peer:
        assert (await peer.respond("1" * 64, "Genesis", document(cast))).status == OK
        assert (await peer.respond("2" * 64, "Load")).status == OK
        signed_by(cast.alice)
        sent = [f"{n:064x}" for n in range(0x300, 0x300 + 5)]
        for tx_id in sent:
            assert (await peer.respond(tx_id, "Submit", body_of([send(cast.alice, cast.bob)]))).status == OK
        signed_by(cast.writer)
        before = len(peer.asked)
        args = strict.write(TickArgs(height=2, tickets=[ticket(NOW_NS, tx_id) for tx_id in sent]))
        assert (await peer.respond("a" * 64, "Tick", args)).status == OK
        kinds = [message.type for message in peer.asked[before:]]
        assert kinds.count(Type.DEL_STATE) == 5
        assert kinds.index(Type.PUT_STATE) > max(n for n, kind in enumerate(kinds) if kind == Type.GET_STATE)
        assert not [key for key in peer.state if key.startswith("inbox/")]


async def test_a_peer_that_takes_a_write_not(cast, signed_by):
    signed_by(cast.admin)
    async with shim.serving(MicrogridChaincode(lambda: NOW_NS)) as address, shim.peer_of(address) as peer:
        asked = peer.answer

        def answer(message):
            peer.refuse = "no more space" if message.type == Type.PUT_STATE and len(peer.state) == 4 else ""
            return asked(message)

        peer.answer = answer
        found = await peer.respond("1" * 64, "Genesis", document(cast))
        assert found.status == REFUSED
        assert "no more space" in found.message
        assert len(peer.state) == 4
