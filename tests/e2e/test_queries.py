"""Every door for questions: proofs against headers, heights that are gone or to come, and requests of no form."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from contextlib import suppress

import grpc
import pytest

from bsmg.client.errors import QueryRefused
from cosmos_wire.protos import bank_query, ics23
from ibc_core import paths
from tests.e2e.net import TRANSFER, VERSIONS_KEPT, Net, Side, opened, until
from tests.ics23.cases import Case, check, spoilt

pytestmark = pytest.mark.e2e
SEED = 11
HANG_UP_S = 30
BALANCE = "/cosmos.bank.v1beta1.Query/Balance"
RUBBISH = random.Random(SEED).randbytes(60)


async def proven(side: Side, key: bytes, height: int) -> Case:
    """Value and proof after a block, with the root that the next header carries."""
    answer = await side.client.rpc.abci_query("store/ibc/key", key, height, prove=True)
    assert (answer.code, answer.height) == (0, height), answer
    assert [(op.type, op.key) for op in answer.proof_ops.ops] == [("ics23:iavl", key), ("ics23:simple", b"ibc")]
    await side.client.feed.wait_above(height)
    return Case(
        root=(await side.client.rpc.header(height + 1)).app_hash,
        path=(b"ibc", key),
        value=answer.value or None,
        proofs=tuple(ics23.CommitmentProof.FromString(op.data) for op in answer.proof_ops.ops),
        label=f"{key!r} at {height}",
    )


async def test_store_proofs_lead_to_the_next_headers_app_hash(net: Net) -> None:
    """Ours and Go's verifier accept them all, and neither accepts one that was spoilt."""
    async with opened(net) as (a, _):
        await a.client.feed.wait_above(3)
        top = (await a.client.head()).height
        channel, client = a.channel(), a.end.client_id.encode()
        there = [
            b"clients/" + client + b"/clientState",
            paths.channel(TRANSFER, channel),
            paths.connection(a.end.connection_id),
        ]
        absent = [
            b"\x01",
            paths.receipt(TRANSFER, channel, 10**9),
            b"channelUpgrades/upgrades/ports/transfer/channels/" + channel.encode(),
            b"zzz",
        ]
        heights = (max(2, top - 20), top - 1, top)
        cases = [await proven(a, key, height) for key in (*there, *absent) for height in heights]
    assert [case.value is not None for case in cases[-3 * len(absent) :]] == [False] * (3 * len(absent))
    assert all(case.value for case in cases[: 3 * len(there)] if case.label.endswith(f"at {top}"))
    await asyncio.to_thread(check, cases, accepted=True)
    bad = [one for case in (cases[2], cases[-1]) for one in spoilt(case)]
    await asyncio.to_thread(check, bad, accepted=False)


async def test_heights_that_are_gone_or_to_come(net: Net) -> None:
    async with opened(net) as (_, b):
        await b.client.feed.wait_above(VERSIONS_KEPT + 3)
        top = (await b.client.head()).height
        key, request = b"clients/x", bank_query.QueryBalanceRequest(address=b.faucet.address, denom=b.denom)
        for height, words in ((1, "lowest"), (top + 10_000, str(top)[:-1])):
            answer = await b.client.rpc.abci_query("store/ibc/key", key, height, prove=True)
            assert (answer.codespace != "", answer.code != 0) == (True, True), answer
            assert words in answer.log, answer.log
            with pytest.raises(QueryRefused) as caught:
                await b.client.query(BALANCE, request, bank_query.QueryBalanceResponse, height)
            assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert words in caught.value.detail
        assert await b.client.balance(b.faucet.address, b.denom, top - 5) > 0


async def test_abci_queries_of_no_form(net: Net) -> None:
    async with opened(net, node=1) as (a, _):
        asked = {
            "": b"",
            "/": b"",
            "store": b"x",
            "store//key": b"x",
            "store/none/key": b"x",
            "store/ibc/subspace": b"x",
            "store/ibc/key/more": b"x",
            "custom/bank/balance": RUBBISH,
            "/cosmos.bank.v1beta1.Query/None": b"",
            "/no.such.Service/Method": RUBBISH,
            BALANCE: RUBBISH,
            "/ibc.core.channel.v1.Query/PacketCommitments": RUBBISH,
            "/app/simulate": RUBBISH,
            "\u2603" * 300: RUBBISH,
        }
        for path, data in asked.items():
            answer = await a.client.rpc.abci_query(path, data)
            assert answer.code != 0, f"{path!r}: {answer}"
            assert answer.codespace, path
            assert answer.log, path
            assert "Traceback" not in answer.log, path
        with_proof = await a.client.rpc.abci_query("store/ibc/key", b"", prove=True)
        assert with_proof.code != 0
        before = (await a.client.head()).height
        assert (await a.client.feed.wait_above(before)).height > before


CALLS = [
    (BALANCE, RUBBISH, (), grpc.StatusCode.INVALID_ARGUMENT),
    (BALANCE, b"", (("x-cosmos-block-height", "many"),), grpc.StatusCode.INVALID_ARGUMENT),
    (BALANCE, b"", (("x-cosmos-block-height", "-4"),), grpc.StatusCode.INVALID_ARGUMENT),
    (BALANCE, b"", (("x-cosmos-block-height", "9" * 40),), grpc.StatusCode.INVALID_ARGUMENT),
    ("/cosmos.bank.v1beta1.Query/None", b"", (), grpc.StatusCode.UNIMPLEMENTED),
    ("/no.such.Service/Method", RUBBISH, (), grpc.StatusCode.UNIMPLEMENTED),
    ("/ibc.core.connection.v1.Query/Connection", b"\x0a\x0cconnection-9", (), grpc.StatusCode.NOT_FOUND),
    ("/ibc.core.channel.v1.Query/Channel", b"\x0a\x01x\x12\x01y", (), grpc.StatusCode.INVALID_ARGUMENT),
    ("/cosmos.tx.v1beta1.Service/Simulate", RUBBISH, (), grpc.StatusCode.INVALID_ARGUMENT),
    ("/cosmos.tx.v1beta1.Service/GetTx", b"\x0a\x02zz", (), grpc.StatusCode.INVALID_ARGUMENT),
    ("/cosmos.auth.v1beta1.Query/Account", b"\x0a\x03mga", (), grpc.StatusCode.INVALID_ARGUMENT),
    ("/bsmg.market.v1.Query/Slot", b"\x08\x01", (), grpc.StatusCode.NOT_FOUND),
    ("/bsmg.trade.v1.Query/Contract", b"\x12\x01\x00", (), grpc.StatusCode.NOT_FOUND),
]


@pytest.mark.parametrize(("path", "data", "metadata", "wanted"), CALLS, ids=[f"{n}" for n in range(len(CALLS))])
async def test_grpc_requests_of_no_form(
    net: Net, path: str, data: bytes, metadata: tuple[tuple[str, str], ...], wanted: grpc.StatusCode
) -> None:
    target = net.file.chains[0].nodes[1].grpc
    async with grpc.aio.insecure_channel(target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path)(data, metadata=metadata, timeout=20)
        assert caught.value.code() is wanted, caught.value
        assert caught.value.details()
        assert "Traceback" not in caught.value.details()
        assert await channel.unary_unary("/cosmos.bank.v1beta1.Query/Params")(b"", timeout=20) is not None


def shout(host: str, port: int) -> None:
    """Send rubbish, hang up, wait until the other side has too."""
    with socket.create_connection((host, port), timeout=HANG_UP_S) as line, suppress(ConnectionError):
        line.sendall(RUBBISH * 40)
        hang_up(line)
        while line.recv(4096):
            pass


def hang_up(line: socket.socket) -> None:
    """Unless the other side was quicker."""
    try:
        line.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


async def test_bytes_of_no_protocol_at_any_listener(net: Net) -> None:
    """Whoever talks rubbish to a port loses the connection, nothing more."""
    async with opened(net, node=1) as (a, _):
        node = a.info.nodes[1]
        for target in (node.rpc, node.grpc, node.rest, node.p2p, node.metrics):
            address = target.rpartition("//")[2].partition("/")[0]
            host, _, port = address.rpartition(":")
            await asyncio.to_thread(shout, host, int(port))

        async def alive() -> bool:
            return await a.balance(a.faucet.address) > 0

        await until(a.client, alive, "queries after rubbish")
        before = (await a.client.head()).height
        assert (await a.client.feed.wait_above(before + 1)).height > before
