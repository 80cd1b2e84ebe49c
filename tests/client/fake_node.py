"""A node that a test commands: CometBFT's RPC over real HTTP and websocket, with a mempool that checks sequences."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256

from aiohttp import web

from cosmos_wire.protos import Any, auth, auth_query, tx, tx_service
from cosmos_wire.tx import pack

TIME = "2024-01-01T00:00:%02dZ"
HASH = "AB" * 32


def header(height: int) -> dict:
    blank = {"hash": "", "parts": {"total": 0, "hash": ""}}
    hashes = dict.fromkeys(
        (
            "last_commit_hash",
            "data_hash",
            "validators_hash",
            "next_validators_hash",
            "consensus_hash",
            "app_hash",
            "last_results_hash",
            "evidence_hash",
        ),
        HASH,
    )
    when = TIME % (height % 60)
    return {
        "version": {"block": "11"}, "chain_id": "fake-1", "height": str(height), "time": when,
        "last_block_id": blank, "proposer_address": "AB" * 20, **hashes,
    }  # fmt: skip


@dataclass
class FakeNode:
    """`make_block` runs what the mempool holds. `fail_next` names what the next broadcasts do wrong."""

    sequence: int = 0  # committed
    check_sequence: int = 0
    blocks: list[list[bytes]] = field(default_factory=lambda: [[]])
    mempool: list[bytes] = field(default_factory=list)
    cache: set[bytes] = field(default_factory=set)
    fail_next: list[str] = field(default_factory=list)
    broadcasts: list[bytes] = field(default_factory=list)
    codes: dict[bytes, int] = field(default_factory=dict)  # memo -> code in the block
    gas_needed: int = 0  # by the transaction in the block; a dry run says 1,000, and 900 without a fee
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    runner: web.AppRunner | None = None
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def height(self) -> int:
        return len(self.blocks)

    async def start(self) -> FakeNode:
        app = web.Application()
        app.router.add_post("/", self._rpc)
        app.router.add_get("/websocket", self._websocket)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self.runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        for socket in self.sockets:
            await socket.close()
        self.sockets.clear()
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    def lose_memory(self) -> None:
        """What a restart does: mempool and cache are gone, state is not."""
        self.mempool.clear()
        self.cache.clear()
        self.check_sequence = self.sequence

    async def holds(self, count: int) -> None:
        """Wait until the mempool holds so many transactions."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.mempool) >= count)

    async def make_block(self) -> None:
        block = []
        for raw in self.mempool:
            parsed = parse(raw)
            late = parsed.body.timeout_height and self.height + 1 > parsed.body.timeout_height
            if parsed.sequence == self.sequence and not late:
                block.append(raw)
                self.sequence += 1
        self.mempool.clear()
        self.check_sequence = self.sequence
        self.blocks.append(block)
        event = {"jsonrpc": "2.0", "id": 1, "result": {"data": {"value": {"header": header(self.height)}}}}
        for socket in self.sockets:
            if not socket.closed:
                await socket.send_str(json.dumps(event))

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.receive()
        await socket.send_str('{"jsonrpc":"2.0","id":1,"result":{}}')
        async for _ in socket:
            pass
        return socket

    async def _rpc(self, request: web.Request) -> web.Response:
        call = await request.json()
        result = getattr(self, "rpc_" + call["method"])(**call["params"])
        async with self.arrived:
            self.arrived.notify_all()
        key = "error" if isinstance(result, dict) and "message" in result else "result"
        if result is None:
            return web.Response(status=502, text="")
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], key: result})

    def rpc_status(self) -> dict:
        sync = {
            "latest_block_height": str(self.height), "latest_block_time": TIME % (self.height % 60),
            "earliest_block_height": "1", "catching_up": False,
        }  # fmt: skip
        return {"node_info": {"network": "fake-1", "moniker": "m"}, "sync_info": sync}

    def rpc_block(self, height: str) -> dict:
        txs = [base64.b64encode(raw).decode() for raw in self.blocks[int(height) - 1]]
        return {"block": {"header": header(int(height)), "data": {"txs": txs}}}

    def rpc_block_results(self, height: str) -> dict:
        results = [self._result(parse(raw)) for raw in self.blocks[int(height) - 1]]
        return {"height": height, "txs_results": results or None, "finalize_block_events": None}

    def _result(self, item: Parsed) -> dict:
        if item.fee.gas_limit < self.gas_needed:
            return {"code": 11, "codespace": "sdk", "log": "out of gas in location: WritePerByte"}
        return {"code": self.codes.get(item.body.memo, 0)}

    def rpc_broadcast_tx_sync(self, tx: str) -> dict | None:
        raw = base64.b64decode(tx)
        self.broadcasts.append(raw)
        failure = self.fail_next.pop(0) if self.fail_next else ""
        if failure == "lost":
            return None
        if raw in self.cache:
            return {"code": -32603, "message": "Internal error", "data": "tx already exists in cache"}
        if failure == "full":
            return {"code": 20, "codespace": "sdk", "log": "mempool is full", "hash": HASH}
        if failure == "refuse":
            return {"code": 13, "codespace": "sdk", "log": "insufficient fee", "hash": HASH}
        got = parse(raw).sequence
        if got != self.check_sequence:
            log = f"account sequence mismatch, expected {self.check_sequence}, got {got}: incorrect account sequence"
            return {"code": 32, "codespace": "sdk", "log": log, "hash": HASH}
        self.check_sequence += 1
        self.cache.add(raw)
        self.mempool.append(raw)
        if failure == "answer lost":
            return None
        return {"code": 0, "codespace": "", "log": "", "hash": sha256(raw).hexdigest()}

    def rpc_abci_query(self, path: str, data: str, height: str, **_: object) -> dict:
        if path == "/cosmos.auth.v1beta1.Query/Account":
            account = auth.BaseAccount(account_number=7, sequence=self.sequence)
            packed: Any = pack(account)
            value = auth_query.QueryAccountResponse(account=packed).SerializeToString()
        else:
            request = tx_service.SimulateRequest.FromString(bytes.fromhex(data))
            asked = parse(request.tx_bytes)
            got = asked.sequence
            if got != self.sequence:
                log = f"account sequence mismatch, expected {self.sequence}, got {got}: incorrect account sequence"
                return {"response": {"code": 32, "codespace": "sdk", "log": log, "height": height}}
            answer = tx_service.SimulateResponse()
            answer.gas_info.gas_used = 1_000 if asked.fee.amount else 900
            value = answer.SerializeToString()
        return {"response": {"code": 0, "value": base64.b64encode(value).decode(), "height": str(self.height)}}


@dataclass(frozen=True)
class Parsed:
    body: tx.TxBody
    sequence: int
    fee: tx.Fee


def parse(raw: bytes) -> Parsed:
    item = tx.TxRaw.FromString(raw)
    info = tx.AuthInfo.FromString(item.auth_info_bytes)
    return Parsed(tx.TxBody.FromString(item.body_bytes), info.signer_infos[0].sequence, info.fee)
