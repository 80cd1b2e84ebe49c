"""Reads the state of a chain at one height by its query services: balances, supply, accounts, cells, contracts."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bsmg.audit.record import FinalState
from bsmg.client.grpc import QueryClient
from cosmos_wire.protos import (
    auth,
    auth_query,
    bank_query,
    pagination,
    registry,
    registry_query,
    trade,
    trade_query,
)

PAGE = 500
PAGES_MAX = 10_000


async def read_state(queries: QueryClient, height: int) -> FinalState:
    """Balances, supply, cells and contracts as of a height."""
    supply = await read_supply(queries, height)
    balances: dict[tuple[str, str], int] = {}
    for denom in sorted(supply):
        async for address, amount in _owners(queries, denom, height):
            balances[address, denom] = amount
    sold, bought = await read_contracts(queries, height)
    return FinalState(
        height=height,
        balances=balances,
        supply=supply,
        accounts=await read_accounts(queries, height),
        cells=tuple(await read_cells(queries, height)),
        sold=tuple(sold),
        bought=tuple(bought),
    )


async def read_supply(queries: QueryClient, height: int) -> dict[str, int]:
    """All denominations."""
    path = "/cosmos.bank.v1beta1.Query/TotalSupply"
    found: dict[str, int] = {}
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = bank_query.QueryTotalSupplyRequest(pagination=page)
        answer = await queries.query(path, request, bank_query.QueryTotalSupplyResponse, height)
        found |= {coin.denom: int(coin.amount) for coin in answer.supply}
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def _owners(queries: QueryClient, denom: str, height: int) -> AsyncIterator[tuple[str, int]]:
    path = "/cosmos.bank.v1beta1.Query/DenomOwners"
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = bank_query.QueryDenomOwnersRequest(denom=denom, pagination=page)
        answer = await queries.query(path, request, bank_query.QueryDenomOwnersResponse, height)
        for owner in answer.denom_owners:
            yield owner.address, int(owner.balance.amount)
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)


async def read_accounts(queries: QueryClient, height: int) -> dict[str, int]:
    """Numbers of all accounts: a signature is bound to them."""
    path = "/cosmos.auth.v1beta1.Query/Accounts"
    found: dict[str, int] = {}
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = auth_query.QueryAccountsRequest(pagination=page)
        answer = await queries.query(path, request, auth_query.QueryAccountsResponse, height)
        for item in answer.accounts:
            base = auth.BaseAccount()
            if item.Unpack(base):  # module accounts sign nothing
                found[base.address] = base.account_number
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def read_cells(queries: QueryClient, height: int) -> list[registry.Cell]:
    """The registry's cells."""
    path = "/bsmg.registry.v1.Query/Cells"
    found: list[registry.Cell] = []
    page = pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = registry_query.QueryCellsRequest(pagination=page)
        answer = await queries.query(path, request, registry_query.QueryCellsResponse, height)
        found += answer.cells
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return found


async def read_contracts(
    queries: QueryClient, height: int
) -> tuple[list[trade.SellerContract], list[trade.BuyerContract]]:
    """Contracts of both sides."""
    sold: list[trade.SellerContract] = []
    bought: list[trade.BuyerContract] = []
    path, page = "/bsmg.trade.v1.Query/Contracts", pagination.PageRequest(limit=PAGE)
    for _ in range(PAGES_MAX):
        request = trade_query.QueryContractsRequest(pagination=page)
        answer = await queries.query(path, request, trade_query.QueryContractsResponse, height)
        sold += answer.seller
        bought += answer.buyer
        if not answer.pagination.next_key:
            break
        page = _next(answer.pagination)
    return sold, bought


def _next(page: pagination.PageResponse) -> pagination.PageRequest:
    return pagination.PageRequest(limit=PAGE, key=page.next_key)
