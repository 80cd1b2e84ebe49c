"""Reads a chain from a node's public RPC: nothing here judges, all comparing is done on the record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

from bsmg.audit.fetch_proofs import read_proofs
from bsmg.audit.fetch_state import read_state
from bsmg.audit.record import BlockRecord, ChainRecord, TxRecord
from bsmg.audit.votes import FIRST_BYTE
from bsmg.client import comet_json
from bsmg.client.blocks import BlockResults, TxResult
from bsmg.client.comet_feed import tx_hash_of
from bsmg.client.errors import BadAnswer
from bsmg.client.grpc import AbciQueries
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import cmt_types, cmt_validator

Progress = Callable[[int, int], None]  # blocks read, blocks in all
AT_ONCE = 12  # requests to one node
PROOFS = 1000  # records of the end state that are asked to be proven
CHUNK = 64  # blocks between two reports of progress


async def read_chain(
    rpc: Rpc, progress: Progress, *, light: bool = False, to_height: int = 0, proofs: int = PROOFS
) -> ChainRecord:
    """Everything up to `to_height` (0: the newest block whose results are there) and the state after that block.

    `light`: what signatures are verified with, and proofs of so many records of the state.
    """
    status = await rpc.status()
    if status.earliest_height > 1:
        raise ToolError(f"{rpc.url}: expected blocks from 1 on, the node keeps {status.earliest_height} and later")
    genesis = await rpc.genesis()
    height = to_height or status.height - 1  # of the newest block the results may still be missing
    blocks = await read_blocks(rpc, 1, height, progress)
    if not to_height:  # the state of old heights is pruned: go on to where the chain is now
        height, start = (await rpc.status()).height - 1, height + 1
        blocks += await read_blocks(rpc, start, height, progress)
    final = await read_state(AbciQueries(rpc), height)
    commit = (await rpc.commit(height)).commit
    proven = await read_proofs(rpc, final, proofs) if light else None
    headers = [block.header for block in (blocks if light else voted_on(blocks))]
    sets = await read_validators(rpc, headers + ([proven.signed.header] if proven else []))
    return ChainRecord(
        chain_id=status.chain_id,
        genesis=genesis,
        blocks=tuple(blocks),
        final=final,
        proofs=proven,
        validators=sets,
        last_commit=commit,
    )


async def read_blocks(rpc: Rpc, first: int, last: int, progress: Progress) -> list[BlockRecord]:
    """Blocks of a range with their results, many requests at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(height: int) -> BlockRecord:
        async with gate:
            block, results = await asyncio.gather(rpc.block(height), rpc.block_results(height))
        signed = comet_json.commit(block.doc["last_commit"]) if height > 1 else None
        return BlockRecord(
            header=block.header,
            txs=joined(rpc.url, (block.txs, [tx_hash_of(raw) for raw in block.txs]), results),
            hook_events=results.hook_events,
            last_commit=signed,
        )

    found: list[BlockRecord] = []
    for start in range(first, last + 1, CHUNK):
        found += await asyncio.gather(*(one(height) for height in range(start, min(start + CHUNK, last + 1))))
        progress(found[-1].height, last)
    return found


def joined(node: str, txs: tuple[Sequence[bytes], Sequence[str]], results: BlockResults) -> tuple[TxRecord, ...]:
    """Transactions and their hashes with their results; raises BadAnswer unless there is one for each."""
    if len(txs[0]) != len(results.txs):
        detail = f"expected one result for each of {len(txs[0])} transactions, got {len(results.txs)}"
        raise BadAnswer("block_results", node, detail)
    return tuple(_tx(*item) for item in zip(*txs, results.txs, strict=True))


def _tx(raw: bytes, tx_hash: str, result: TxResult) -> TxRecord:
    return TxRecord(
        raw=raw,
        tx_hash=tx_hash,
        code=result.code,
        codespace=result.codespace,
        data=result.data,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=result.events,
    )


def voted_on(blocks: Sequence[BlockRecord]) -> list[BlockRecord]:
    """Blocks whose validators' votes on schedules are in the next block."""
    return [before for before, after in pairwise(blocks) if any(item.raw[:1] == FIRST_BYTE for item in after.txs)]


async def read_validators(rpc: Rpc, headers: Sequence[cmt_types.Header]) -> dict[bytes, cmt_validator.ValidatorSet]:
    """Each validator set that headers name, asked for once."""
    found: dict[bytes, cmt_validator.ValidatorSet] = {}
    for header in headers:
        wanted = header.validators_hash
        if wanted not in found:
            found[wanted] = await rpc.validators(header.height)
    return found
