"""ICS-20 there and back, seen by a client that knows only what reflection tells; two relayers on one path."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from cosmos_wire.protos import bank_tx, coin
from processes import procfs
from tests.e2e.net import (
    TRANSFER,
    A,
    B,
    Net,
    Side,
    attributes_of,
    conserved,
    escrow_address,
    opened,
    quiet,
    transfer,
    until,
    voucher,
)
from tests.e2e.reflect import Reflected, events

pytestmark = pytest.mark.e2e
TOKENS = 12_345_678_901
HEAR_S = 60
SUCCESS = b'{"result":"AQ=="}'


async def found(side: Side, seen: Reflected, kind: str, sequence: str, way: str) -> dict[str, Any]:
    """The one transaction with this packet's event, as soon as the node's index has it."""
    query = (
        f"{kind}.packet_sequence='{sequence}' AND {kind}.packet_{way}_port='{TRANSFER}' "
        f"AND {kind}.packet_{way}_channel='{side.channel()}'"
    )

    async def ask() -> list[dict[str, Any]]:
        return [one for one in await asyncio.to_thread(seen.search, query) if not int(one.get("code", 0))]

    (only,) = await until(side.client, ask, kind)
    return only


async def carry(source: Side, target: Side, denom: str, seen: tuple[Reflected, Reflected]) -> None:
    """One transfer from send to acknowledgement, checked event by event."""
    outcome = await transfer(source, target, (denom, TOKENS))
    sent = attributes_of(outcome, "send_packet")
    sequence = sent["packet_sequence"]
    data = json.loads(bytes.fromhex(sent["packet_data_hex"]))
    sending = await found(source, seen[0], "send_packet", sequence, "src")
    assert sending["txhash"] == outcome.tx_hash
    (moved,) = events(sending, "ibc_transfer")
    assert (moved["sender"], moved["receiver"]) == (source.faucet.address, target.faucet.address)
    assert (moved["amount"], moved["denom"]) == (str(TOKENS), data["denom"])
    receiving = await found(target, seen[1], "recv_packet", sequence, "dst")
    (credited,) = [one for one in events(receiving, "fungible_token_packet") if one["denom"] == data["denom"]]
    assert (credited["success"], credited["amount"]) == ("true", str(TOKENS))
    written = [one for one in events(receiving, "write_acknowledgement") if one["packet_sequence"] == sequence]
    assert [bytes.fromhex(one["packet_ack_hex"]) for one in written] == [SUCCESS]
    finishing = await found(source, seen[0], "acknowledge_packet", sequence, "src")
    acked = events(finishing, "fungible_token_packet")
    assert any(one.get("acknowledgement") or one.get("success") for one in acked)
    await quiet(source, target)


async def test_there_and_back_through_reflection(net: Net) -> None:
    async with opened(net) as (a, b):
        with Reflected(a.info.nodes[0].grpc) as on_a, Reflected(b.info.nodes[2].grpc) as on_b:
            assert {"ibc.core.channel.v1.Query", "bsmg.trade.v1.Query"} <= set(on_a.services())
            await quiet(a, b)
            here, there, escrow = a.faucet.address, b.faucet.address, escrow_address(a.channel())
            foreign = voucher(b, a.denom)
            start = on_a.balance(here, a.denom), on_b.balance(there, foreign), on_a.balance(escrow, a.denom)
            asked = on_a.call(
                "ibc.applications.transfer.v1.Query/EscrowAddress", port_id=TRANSFER, channel_id=a.channel()
            )
            assert asked["escrow_address"] == escrow
            await carry(a, b, a.denom, (on_a, on_b))
            assert on_a.balance(here, a.denom) == start[0] - TOKENS
            assert on_b.balance(there, foreign) == start[1] + TOKENS
            assert on_a.balance(escrow, a.denom) == start[2] + TOKENS == on_b.supply(foreign)
            known = on_b.call("ibc.applications.transfer.v1.Query/Denom", hash=foreign.removeprefix("ibc/"))["denom"]
            assert known == {"base": a.denom, "trace": [{"port_id": TRANSFER, "channel_id": b.channel()}]}
            await carry(b, a, foreign, (on_b, on_a))
            assert on_a.balance(here, a.denom) == start[0]
            assert on_b.balance(there, foreign) == start[1]
            assert on_a.balance(escrow, a.denom) == start[2] == on_b.supply(foreign)


async def test_a_query_at_a_height_answers_as_of_that_height(net: Net) -> None:
    async with opened(net) as (a, _):
        with Reflected(a.info.nodes[1].grpc) as seen:
            other = a.address("relayer")
            before = (await a.client.head()).height
            start = seen.balance(other, a.denom)
            message = bank_tx.MsgSend(
                from_address=a.faucet.address, to_address=other, amount=[coin.Coin(denom=a.denom, amount="5")]
            )
            outcome = await a.faucet.submit([message])
            assert outcome.ok, outcome

            async def grown() -> bool:
                return await asyncio.to_thread(seen.balance, other, a.denom) == start + 5

            await until(a.client, grown, "the payment")
            method = "cosmos.bank.v1beta1.Query/Balance"
            old = seen.call(method, height=before, address=other, denom=a.denom)
            new = seen.call(method, height=outcome.height, address=other, denom=a.denom)
            assert (int(old["balance"]["amount"]), int(new["balance"]["amount"])) == (start, start + 5)


async def test_a_relayer_that_listens_hears_of_packets_by_websocket(net: Net) -> None:
    """Stock relayers subscribe to `message.module` and read the packet out of the events that come with it."""
    query = "tm.event='Tx' AND message.module='ibc_channel'"
    async with opened(net) as (a, b), aiohttp.ClientSession() as session:
        async with session.ws_connect(a.info.nodes[1].rpc + "/websocket") as line:
            await line.send_json({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": query}})
            assert "error" not in await line.receive_json(timeout=HEAR_S)
            sent = attributes_of(await transfer(a, b, (a.denom, 7)), "send_packet")
            sequence, heard = sent["packet_sequence"], []
            while sequence not in heard:
                told = (await line.receive_json(timeout=HEAR_S))["result"]["events"]
                heard += told.get("send_packet.packet_sequence", [])
            assert told["tm.event"] == ["Tx"]
            assert sent["packet_data_hex"] in told["send_packet.packet_data_hex"]
        await quiet(a, b)


async def test_two_relayers_carry_a_burst_once(net: Net) -> None:
    count = 12
    async with opened(net) as (a, b):
        await quiet(a, b)
        vouchers = voucher(b, a.denom), voucher(a, b.denom)
        start = await b.balance(b.faucet.address, vouchers[0]), await a.balance(a.faucet.address, vouchers[1])
        pids = {relayer.pid for relayer in net.file.relayers}
        sent = await asyncio.gather(
            *(transfer(a, b, (a.denom, 1)) for _ in range(count)), *(transfer(b, a, (b.denom, 1)) for _ in range(count))
        )
        assert all(one.ok for one in sent), [one.log for one in sent]
        await quiet(a, b)
        assert await b.balance(b.faucet.address, vouchers[0]) == start[0] + count
        assert await a.balance(a.faucet.address, vouchers[1]) == start[1] + count
        assert await conserved(a, b)
        assert await conserved(b, a)
        for relayer in net.file.relayers:
            assert relayer.pid in pids
            assert procfs.identify(relayer.pid) is not None
    assert len(pids) == 2
    assert {A, B} == {info.chain_id for info in net.file.chains}
