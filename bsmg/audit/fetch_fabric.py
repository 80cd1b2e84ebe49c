"""Reads a Fabric microgrid: blocks and state by the node front's gRPC, the ledger below them by a peer's gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any as Json

from bsmg.audit.fabric.blocks import transactions
from bsmg.audit.fabric.check import GENESIS
from bsmg.audit.fetch import AT_ONCE, CHUNK, Progress, joined
from bsmg.audit.fetch_state import read_state
from bsmg.audit.record import BlockRecord, ChainRecord, FabricRecord, Orderers
from bsmg.client.fabric import FabricClient
from bsmg.client.node import NodeClient
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Timestamp, cmt_types
from fabric_wire.protos import common

FIRST = 2  # tick 1 is genesis: nothing runs in it


async def read_fabric(
    client: FabricClient,
    progress: Progress,
    known: tuple[Json, Orderers | None] = (None, None),
    *,
    light: bool = False,
    to_height: int = 0,
) -> ChainRecord:
    """Everything up to `to_height` (0: the newest tick) and the state after it; `light` reads the ledger too.

    `known` are the genesis document where it is at hand (otherwise the ledger's is taken), and the channel's orderers.
    """
    genesis, orderers = known
    status = await client.status()
    if status.earliest_height > FIRST:
        raise ToolError(f"{client.chain_id}: expected blocks from {FIRST} on, got {status.earliest_height} and later")
    height = to_height or status.height
    blocks = await read_blocks(client, FIRST, height, progress)
    if not to_height:  # the state of old heights is pruned: go on to where the chain is now
        start, height = height + 1, (await client.status()).height
        blocks += await read_blocks(client, start, height, progress)
    final = await read_state(client.queries, height)
    ledger = await read_ledger(client, progress, orderers) if light and client.identity is not None else None
    document = genesis or (genesis_of(ledger) if ledger else None)
    if not document:
        raise ToolError(f"{client.chain_id}: expected its genesis document, or a member who can read the ledger")
    return ChainRecord(
        chain_id=status.chain_id, genesis=document, blocks=tuple(blocks), final=final, on_fabric=True, fabric=ledger
    )


async def read_blocks(client: NodeClient, first: int, last: int, progress: Progress) -> list[BlockRecord]:
    """Blocks of a range, many requests at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(height: int) -> BlockRecord:
        async with gate:
            found = await client.feed.record(height)
        header = cmt_types.Header(chain_id=client.chain_id, height=height, time=_time(found.time_ns))
        txs = joined(client.grpc.target, (found.txs, found.tx_hashes), found.results)
        return BlockRecord(header=header, txs=txs, hook_events=found.results.hook_events)

    made: list[BlockRecord] = []
    for start in range(first, last + 1, CHUNK):
        made += await asyncio.gather(*(one(height) for height in range(start, min(start + CHUNK, last + 1))))
        progress(made[-1].height, last)
    return made


def _time(time_ns: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(time_ns)
    return made


async def read_ledger(client: FabricClient, progress: Progress, orderers: Orderers | None = None) -> FabricRecord:
    """Every block that the peer has: the Ticks that its front has told are among them."""
    height = await client.ledger_height()
    blocks: list[common.Block] = []
    for start in range(0, height, CHUNK):
        numbers = range(start, min(start + CHUNK, height))
        blocks += await asyncio.gather(*(client.ledger_block(number) for number in numbers))
        progress(len(blocks), height)
    return FabricRecord(chaincode=client.chaincode, blocks=tuple(blocks), orderers=orderers)


def genesis_of(ledger: FabricRecord) -> Json:
    """The document that the ledger's Genesis transaction carries, None when there is none."""
    for block in ledger.blocks:
        for item in transactions(block):
            if item.chaincode == ledger.chaincode and item.args[:1] == (GENESIS,):
                return json.loads(item.args[1])
    return None
