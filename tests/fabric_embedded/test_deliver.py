"""The Deliver service of the embedded ledger, by the client that follows a real peer too."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from fabric_adapter.deliver import Deliver, DeliverError, Link, WrongBlockError, endless, seek
from fabric_adapter.embedded import deliver
from fabric_adapter.embedded.serve import serve
from fabric_adapter.gateway import text_args
from fabric_adapter.identity import Identity, Tls, load_identity, open_channel
from fabric_adapter.network import document, members
from fabric_adapter.network.plan import Batch, Home, Wish, make_plan, ports_needed
from fabric_adapter.shim.keyvalue import KeyValue
from fabric_wire.protos import common, events, orderer, transaction
from fabric_wire.services import deliver_services
from processes import ports
from processes.files import write_json
from processes.watch import accepts


class World:
    """A served ledger and one member of its first organisation."""

    def __init__(self, home: Home, address: str, msp_id: str) -> None:
        folder = home.crypto("org1")
        self.home, self.address = home, address
        self.tls = Tls(roots=(folder / "tlsca.crt").read_bytes())
        self.member = load_identity(msp_id, folder / "members" / "user.crt", folder / "members" / "user.key")

    def deliver(self, identity: Identity | None = None, channel: str = "energy") -> Deliver:
        return Deliver(self.address, self.tls, identity or self.member, channel)

    async def statuses(self, *envelopes: common.Envelope, filtered: bool = False) -> list[events.DeliverResponse]:
        """Everything that the peer answers to some requests on one stream."""
        async with open_channel(self.address, self.tls) as channel:
            stub = deliver_services.DeliverStub(channel)
            stream = (stub.DeliverFiltered if filtered else stub.Deliver)(iter(envelopes))
            return [answer async for answer in stream]

    def seek(self, start: orderer.SeekPosition, stop: orderer.SeekPosition, **more: int) -> common.Envelope:
        return seek(self.member, "energy", orderer.SeekInfo(start=start, stop=stop, **more))


@asynccontextmanager
async def world(path: Path):
    home = Home(path / "net")
    home.path.mkdir(parents=True)
    wish = Wish(batch=Batch(timeout_ms=10))
    plan = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
    members.make_all(home, plan)
    write_json(home.document, document.made(home, plan, "embedded"))
    serving = asyncio.create_task(serve(home, plan, KeyValue))
    try:
        await asyncio.gather(*(accepts(f"tcp://{peer.address}") for peer in plan.peers))
        yield World(home, plan.peers[0].address, plan.peers[0].msp_id)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        ports.release(home.path)


async def put(world: World, *keys: str) -> None:
    async with document.connect(world.home.document) as gateway:
        for key in keys:
            await gateway.transact("microgrid", text_args("put", key, "v"))


def number(at: int) -> orderer.SeekPosition:
    return orderer.SeekPosition(specified=orderer.SeekSpecified(number=at))


OLDEST = orderer.SeekPosition(oldest=orderer.SeekOldest())
NEWEST = orderer.SeekPosition(newest=orderer.SeekNewest())
FAIL = orderer.SeekInfo.FAIL_IF_NOT_READY


async def test_blocks_come_as_they_are_made_and_are_linked(tmp_path):
    async with world(tmp_path) as net:
        await put(net, "a", "b")
        deliver, link = net.deliver(), Link()
        async with aclosing(deliver.blocks(0)) as blocks:
            for _ in range(3):
                link = link.next(await anext(blocks))
            waiting = asyncio.ensure_future(anext(blocks))
            await put(net, "c")
            block = await waiting
            link = link.next(block)
            assert (link.number, list(block.metadata.metadata[common.TRANSACTIONS_FILTER])) == (4, [transaction.VALID])
        async with aclosing(deliver.blocks(3)) as blocks:
            assert await anext(blocks) == block
        await deliver.close()


async def test_a_block_that_does_not_follow_is_refused(tmp_path):
    async with world(tmp_path) as net:
        await put(net, "a")
        answers = await net.statuses(net.seek(OLDEST, NEWEST))
        first, second, done = [item.block if item.HasField("block") else item.status for item in answers]
        assert done == common.SUCCESS
    link = Link().next(first)
    for changed, said in (
        (lambda made: made.header.ClearField("previous_hash"), "another ledger"),
        (lambda made: made.data.data.append(b"x"), "expected data with the hash"),
        (lambda made: setattr(made.header, "number", 7), "expected block 1, got block 7"),
    ):
        made = common.Block.FromString(second.SerializeToString())
        changed(made)
        with pytest.raises(WrongBlockError, match=said):
            link.next(made)
    assert link.next(second).number == 2


async def test_one_stream_asks_several_times(tmp_path):
    async with world(tmp_path) as net:
        await put(net, "a", "b")
        asked = [net.seek(number(1), number(1)), net.seek(OLDEST, number(1)), net.seek(NEWEST, NEWEST)]
        found = [
            item.block.header.number if item.HasField("block") else item.status for item in await net.statuses(*asked)
        ]
        assert found == [1, common.SUCCESS, 0, 1, common.SUCCESS, 2, common.SUCCESS]


async def test_filtered_blocks_have_no_payload(tmp_path):
    async with world(tmp_path) as net:
        async with document.connect(net.home.document) as gateway:
            done = await gateway.transact("microgrid", text_args("emit", "k", "secret", "tick"))
        *_, found, end = await net.statuses(net.seek(OLDEST, NEWEST), filtered=True)
        assert end.status == common.SUCCESS
        (only,) = found.filtered_block.filtered_transactions
        assert (only.txid, only.tx_validation_code) == (done.tx_id, transaction.VALID)
        (action,) = only.transaction_actions.chaincode_actions
        assert (action.chaincode_event.event_name, action.chaincode_event.payload) == ("tick", b"")


async def test_what_is_asked_wrongly(tmp_path):
    async with world(tmp_path) as net, world(tmp_path / "other") as other:
        stranger = Identity(msp_id="Org1MSP", certificate=other.member.certificate, sign=other.member.sign)
        forged = Identity(msp_id="Org1MSP", certificate=net.member.certificate, sign=other.member.sign)
        cases = [
            (seek(stranger, "energy", endless(0)), common.FORBIDDEN),
            (seek(forged, "energy", endless(0)), common.FORBIDDEN),
            (seek(net.member, "water", endless(0)), common.NOT_FOUND),
            (seek(net.member, "energy", orderer.SeekInfo(start=OLDEST)), common.BAD_REQUEST),
            (net.seek(number(3), number(2)), common.BAD_REQUEST),
            (net.seek(number(9), number(9), behavior=FAIL), common.NOT_FOUND),
            (common.Envelope(payload=b"\xff"), common.BAD_REQUEST),
        ]
        for envelope, status in cases:
            assert [item.status for item in await net.statuses(envelope, net.seek(OLDEST, OLDEST))] == [status]
        deliver = net.deliver(stranger)
        with pytest.raises(DeliverError, match="FORBIDDEN") as caught:
            await anext(deliver.blocks(0))
        assert caught.value.is_lasting
        await deliver.close()


async def test_a_peer_that_is_away(tmp_path):
    async with world(tmp_path) as net:
        tls, member = net.tls, net.member
    deliver = Deliver("127.0.0.1:1", tls, member, "energy")
    with pytest.raises(DeliverError, match=grpc.StatusCode.UNAVAILABLE.name) as caught:
        await anext(deliver.blocks(0))
    assert not caught.value.is_lasting
    await deliver.close()


def test_blocks_leave_as_the_library_writes_them():
    block = common.Block(header=common.BlockHeader(number=5), data=common.BlockData(data=[bytes(200), b""]))
    raw, both = block.SerializeToString(), events.BlockAndPrivateData(block=block)
    assert deliver._whole(raw) == events.DeliverResponse(block=block).SerializeToString()
    assert deliver._private(raw) == events.DeliverResponse(block_and_private_data=both).SerializeToString()
