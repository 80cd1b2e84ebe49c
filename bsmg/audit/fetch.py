"""Reads a chain from a node's public RPC: nothing here judges, all comparing is done on the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from bsmg.audit.record import BlockRecord, ChainRecord, FinalState, TxRecord
from bsmg.client import comet_json
from bsmg.client.blocks import BlockResults, TxResult
from bsmg.client.errors import BadAnswer, QueryRefused
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import (
    Message,
    auth,
    auth_query,
    bank_query,
    cmt_validator,
    pagination,
    registry,
    registry_query,
    trade,
    trade_query,
)

M = TypeVar("M", bound=Message)
Progress = Callable[[int, int], None]  # blocks read, blocks in all
AT_ONCE = 12  # requests to one node
CHUNK = 64  # blocks between two reports of progress
PAGE = 500
PAGES_MAX = 10_000


async def read_chain(rpc: Rpc, progress: Progress, *, light: bool = False, to_height: int = 0) -> ChainRecord:
    """Everything up to `to_height` (0: the newest block whose results are there) and the state after that block."""
    status = await rpc.status()
    if status.earliest_height > 1:
        raise ToolError(f"{rpc.url}: expected blocks from 1 on, the node keeps {status.earliest_height} and later")
    genesis = await rpc.genesis()
    height = to_height or status.height - 1  # of the newest block the results may still be missing
    blocks = await read_blocks(rpc, 1, height, progress)
    if not to_height:  # the state of old heights is pruned: go on to where the chain is now
        height, start = (await rpc.status()).height - 1, height + 1
        blocks += await read_blocks(rpc, start, height, progress)
    final = await read_state(rpc, height)
    commit = (await rpc.commit(height)).commit
    sets = await read_validators(rpc, blocks) if light else {}
    return ChainRecord(
        chain_id=status.chain_id,
        genesis=genesis,
        blocks=tuple(blocks),
        final=final,
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
            txs=_joined(rpc, block.txs, results),
            hook_events=results.hook_events,
            last_commit=signed,
        )

    found: list[BlockRecord] = []
    for start in range(first, last + 1, CHUNK):
        found += await asyncio.gather(*(one(height) for height in range(start, min(start + CHUNK, last + 1))))
        progress(found[-1].height, last)
    return found


def _joined(rpc: Rpc, txs: tuple[bytes, ...], results: BlockResults) -> tuple[TxRecord, ...]:
    if len(txs) != len(results.txs):
        detail = f"expected one result for each of {len(txs)} transactions, got {len(results.txs)}"
        raise BadAnswer("block_results", rpc.url, detail)
    return tuple(_tx(raw, result) for raw, result in zip(txs, results.txs, strict=True))


def _tx(raw: bytes, result: TxResult) -> TxRecord:
    return TxRecord(
        raw=raw,
        code=result.code,
        codespace=result.codespace,
        data=result.data,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=result.events,
    )


async def read_validators(rpc: Rpc, blocks: list[BlockRecord]) -> dict[bytes, cmt_validator.ValidatorSet]:
    """Each validator set that headers name, asked for once."""
    found: dict[bytes, cmt_validator.ValidatorSet] = {}
    for block in blocks:
        wanted = block.header.validators_hash
        if wanted not in found:
            found[wanted] = await rpc.validators(block.height)
    return found


async def ask(rpc: Rpc, path: str, request: Message, response: type[M], height: int) -> M:
    """A query by ABCI, as of a height; raises QueryRefused."""
    answer = await rpc.abci_query(path, request.SerializeToString(), height)
    if answer.code:
        raise QueryRefused(path, rpc.url, answer.code, answer.log or "no log")
    return response.FromString(answer.value)


async def read_state(rpc: Rpc, height: int) -> FinalState:
    """Balances, supply, cells and contracts as of a height."""
    supply = await read_supply(rpc, height)
    balances: dict[tuple[str, str], int] = {}
    for denom in sorted(supply):
        async for address, amount in _owners(rpc, denom, height):
            balances[address, denom] = amount
    sold, bought = await read_contracts(rpc, height)
    return FinalState(
        height=height,
        balances=balances,
        supply=supply,
        accounts=await read_accounts(rpc, height),
        cells=tuple(await read_cells(rpc, height)),
        sold=tuple(sold),
        bought=tuple(bought),
    )


async def read_supply(rpc: Rpc, height: int) -> dict[str, int]:
    """All denominations."""
    path = "/cosmos.bank.v1beta1.Query/TotalSupply"
    found: dict[str, int] = {}
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = bank_query.QueryTotalSupplyRequest(pagination=page)
        answer = await ask(rpc, path, request, bank_query.QueryTotalSupplyResponse, height)
        found |= {coin.denom: int(coin.amount) for coin in answer.supply}
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def _owners(rpc: Rpc, denom: str, height: int) -> AsyncIterator[tuple[str, int]]:
    path = "/cosmos.bank.v1beta1.Query/DenomOwners"
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = bank_query.QueryDenomOwnersRequest(denom=denom, pagination=page)
        answer = await ask(rpc, path, request, bank_query.QueryDenomOwnersResponse, height)
        for owner in answer.denom_owners:
            yield owner.address, int(owner.balance.amount)
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)


async def read_accounts(rpc: Rpc, height: int) -> dict[str, int]:
    """Numbers of all accounts: a signature is bound to them."""
    path = "/cosmos.auth.v1beta1.Query/Accounts"
    found: dict[str, int] = {}
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = auth_query.QueryAccountsRequest(pagination=page)
        answer = await ask(rpc, path, request, auth_query.QueryAccountsResponse, height)
        for item in answer.accounts:
            base = auth.BaseAccount()
            if item.Unpack(base):  # module accounts sign nothing
                found[base.address] = base.account_number
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def read_cells(rpc: Rpc, height: int) -> list[registry.Cell]:
    """The registry's cells."""
    path = "/bsmg.registry.v1.Query/Cells"
    found: list[registry.Cell] = []
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = registry_query.QueryCellsRequest(pagination=page)
        answer = await ask(rpc, path, request, registry_query.QueryCellsResponse, height)
        found += answer.cells
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def read_contracts(rpc: Rpc, height: int) -> tuple[list[trade.SellerContract], list[trade.BuyerContract]]:
    """Contracts of both sides."""
    sold: list[trade.SellerContract] = []
    bought: list[trade.BuyerContract] = []
    path, page = "/bsmg.trade.v1.Query/Contracts", pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = trade_query.QueryContractsRequest(pagination=page)
        answer = await ask(rpc, path, request, trade_query.QueryContractsResponse, height)
        sold += answer.seller
        bought += answer.buyer
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return sold, bought


def _next(page: pagination.PageResponse) -> pagination.PageRequest:
    return pagination.PageRequest(limit=PAGE, key=page.next_key)
