"""From logs and queries to the rows of the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bsmg.client.chain import ChainClient
from bsmg.client.testnet_file import ChainInfo
from bsmg.demo.collect import ChainLog
from bsmg.demo.day import MAIN_GRID, MAIN_GRID_LEVEL, CellRow, ChainRow, ContractRow, PeerRow, SlotRow, SupplyRow
from bsmg.demo.scene import Scene
from bsmg.demo.tokens import Flow, flows
from cosmos_wire.protos import (
    bank_query,
    market,
    market_query,
    pagination,
    trade,
    trade_packet,
    trade_query,
)
from processes.files import read_json
from utility_cell.profiles import QUARTERS_PER_DAY

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The slots of the day, and the quarter hour that the first stands for."""

    first_slot: int
    slots: int
    first_quarter: int  # of the day

    def __contains__(self, slot: int) -> bool:
        return self.first_slot <= slot < self.first_slot + self.slots

    def quarter(self, slot: int) -> int:
        """0..95."""
        return (self.first_quarter + slot - self.first_slot) % QUARTERS_PER_DAY


async def chain_row(scene: Scene, info: ChainInfo, span: Span) -> ChainRow:
    """One chain's part of the report."""
    chain, log = scene.chains[info.chain_id], scene.logs[info.chain_id]
    statements = [
        market.Statement.FromString(bytes.fromhex(seen.attributes["statement"])) for seen in log.of("cell_settled")
    ]
    of_day = [statement for statement in statements if statement.slot in span]
    request = market_query.QueryParamsRequest()
    params = (await chain.query("/bsmg.market.v1.Query/Params", request, market_query.QueryParamsResponse)).params
    names = {item["address"]: item["identity"] for item in info.doc["accounts"] if item.get("identity")}
    return ChainRow(
        chain_id=info.chain_id,
        denom=info.denom,
        kind=info.kind,
        fleet=str(info.doc.get("profile", "")),
        nodes=len(info.nodes),
        blocks=log.height,
        block_interval_ms=_interval_ms(log),
        slots=_slot_rows(log, of_day, span),
        cells=_cell_rows(of_day, names, params),
        supply=await _supply_rows(info, chain, log, flows(scene.logs)[info.chain_id]),
        role=role_of(info),
        peers=await _peers(scene, info.chain_id),
    )


async def _peers(scene: Scene, chain_id: str) -> tuple[PeerRow, ...]:
    request, path = trade_query.QueryScoresRequest(), "/bsmg.trade.v1.Query/Scores"
    answer = await scene.chains[chain_id].query(path, request, trade_query.QueryScoresResponse)
    ends = scene.channel_ends()
    return tuple(
        PeerRow(chain_id=ends[chain_id, row.channel_id], score_milli=row.score_milli, contracts=row.contracts)
        for row in answer.scores
        if (chain_id, row.channel_id) in ends
    )


def role_of(info: ChainInfo) -> str:
    """`microgrid`, or `grid` for the main grid's chain."""
    return str(info.doc.get("role") or "microgrid")


def _interval_ms(log: ChainLog) -> int:
    heights = sorted(log.times_ms)
    if len(heights) < 2:
        return 0
    return (log.times_ms[heights[-1]] - log.times_ms[heights[0]]) // (len(heights) - 1)


def _slot_rows(log: ChainLog, statements: list[market.Statement], span: Span) -> tuple[SlotRow, ...]:
    cleared = {int(s.attributes["slot"]): s.attributes for s in log.of("slot_cleared")}
    balance = {int(s.attributes["slot"]): int(s.attributes["balance_mWh"]) for s in log.of("slot_settled")}
    closed = {int(s.attributes["slot"]) for s in log.of("slot_closed")}
    imported: dict[int, int] = defaultdict(int)
    exported: dict[int, int] = defaultdict(int)
    for statement in statements:
        imported[statement.slot] += statement.import_mWh + max(0, statement.catch_up_mWh)
        exported[statement.slot] += statement.export_mWh + max(0, -statement.catch_up_mWh)
    return tuple(
        SlotRow(
            slot=slot,
            quarter=span.quarter(slot),
            price_e4=int(cleared[slot]["price_e4"]),
            volume_mWh=int(cleared[slot]["volume_mWh"]),
            import_mWh=imported[slot],
            export_mWh=exported[slot],
            balance_mWh=balance.get(slot, 0),
            closed=slot in closed,
        )
        for slot in sorted(cleared)
        if slot in span
    )


def _cell_rows(
    statements: list[market.Statement], names: Mapping[str, str], params: market.Params
) -> tuple[CellRow, ...]:
    by_cell: dict[str, list[market.Statement]] = defaultdict(list)
    for statement in statements:
        by_cell[names.get(statement.cell, statement.cell)].append(statement)
    return tuple(_cell_row(cell, by_cell[cell], params) for cell in sorted(by_cell))


def _cell_row(cell: str, statements: list[market.Statement], params: market.Params) -> CellRow:
    imported, exported = sum(s.import_mWh for s in statements), sum(s.export_mWh for s in statements)
    return CellRow(
        cell=cell,
        bought_mWh=sum(s.bought_mWh for s in statements),
        sold_mWh=sum(s.sold_mWh for s in statements),
        import_mWh=imported,
        export_mWh=exported,
        cost=-sum(_flow_of(s) for s in statements),
        cost_without=imported * params.up_e4 - exported * params.down_e4,
        grid_bought_mWh=sum(s.grid_bought_mWh for s in statements),
        grid_sold_mWh=sum(s.grid_sold_mWh for s in statements),
        score_permille=max(statements, key=lambda s: s.slot).score_permille,
        off_mWh=sum(_off(s) for s in statements),
        penalty=-sum(int(s.penalty or 0) for s in statements),
        loss=-sum(int(s.loss or 0) for s in statements),
        estimated=sum(s.estimated for s in statements),
    )


def _off(statement: market.Statement) -> int:
    """How far the meter is from what was traded and scheduled with the main grid."""
    position = statement.bought_mWh + statement.grid_bought_mWh - statement.sold_mWh - statement.grid_sold_mWh
    return abs(statement.import_mWh - statement.export_mWh - position)


def _flow_of(statement: market.Statement) -> int:
    """What the slot brought the cell, base units; escrow that came back is its own money."""
    parts = (statement.trade, statement.imbalance, statement.penalty, statement.fee, statement.catch_up)
    return sum(int(part or 0) for part in (*parts, statement.grid, statement.loss))


async def _supply_rows(info: ChainInfo, chain: ChainClient, log: ChainLog, flow: Flow) -> tuple[SupplyRow, ...]:
    genesis = _genesis_amounts(read_json(Path(info.genesis)))
    rows = []
    async for denom, supply in _supplies(chain, log.height):
        rows.append(
            SupplyRow(
                denom=denom,
                genesis=genesis.get(denom, 0),
                minted=flow.minted[denom],
                burnt=flow.burnt[denom],
                supply=supply,
                balances=await _held(chain, denom, log.height),
            )
        )
    return tuple(rows)


def _genesis_amounts(doc: Mapping[str, object]) -> dict[str, int]:
    amounts: dict[str, int] = defaultdict(int)
    state = doc["app_state"]
    assert isinstance(state, dict)
    for holder in state["bank"]["balances"]:
        for coin in holder["coins"]:
            amounts[coin["denom"]] += int(coin["amount"])
    return amounts


async def _supplies(chain: ChainClient, height: int) -> AsyncIterator[tuple[str, int]]:
    page = pagination.PageRequest(limit=PAGE)
    while True:
        request = bank_query.QueryTotalSupplyRequest(pagination=page)
        answer = await chain.query(
            "/cosmos.bank.v1beta1.Query/TotalSupply", request, bank_query.QueryTotalSupplyResponse, height
        )
        for coin in answer.supply:
            yield coin.denom, int(coin.amount)
        if not answer.pagination.next_key:
            return
        page = pagination.PageRequest(limit=PAGE, key=answer.pagination.next_key)


async def _held(chain: ChainClient, denom: str, height: int) -> int:
    """Sum of all balances of a denomination after a block."""
    total, page = 0, pagination.PageRequest(limit=PAGE)
    while True:
        request = bank_query.QueryDenomOwnersRequest(denom=denom, pagination=page)
        answer = await chain.query(
            "/cosmos.bank.v1beta1.Query/DenomOwners", request, bank_query.QueryDenomOwnersResponse, height
        )
        total += sum(int(owner.balance.amount) for owner in answer.denom_owners)
        if not answer.pagination.next_key:
            return total
        page = pagination.PageRequest(limit=PAGE, key=answer.pagination.next_key)


async def contracts(chain: ChainClient) -> tuple[list[trade.SellerContract], list[trade.BuyerContract]]:
    """All contracts that a chain sells or buys by."""
    sold: list[trade.SellerContract] = []
    bought: list[trade.BuyerContract] = []
    page = pagination.PageRequest(limit=PAGE)
    while True:
        request = trade_query.QueryContractsRequest(pagination=page)
        answer = await chain.query("/bsmg.trade.v1.Query/Contracts", request, trade_query.QueryContractsResponse)
        sold += answer.seller
        bought += answer.buyer
        if not answer.pagination.next_key:
            return sold, bought
        page = pagination.PageRequest(limit=PAGE, key=answer.pagination.next_key)


async def contract_rows(scene: Scene, span: Span) -> tuple[ContractRow, ...]:
    """Every contract of the day as both of its chains have it; one with the main grid's chain is of level 3."""
    grids = {info.chain_id for info in scene.net.chains if role_of(info) == MAIN_GRID}
    sides = {chain_id: await contracts(chain) for chain_id, chain in scene.chains.items()}
    sellers = {bytes(item.lock.contract_id): (chain_id, item) for chain_id, (sold, _) in sides.items() for item in sold}
    ends = scene.channel_ends()
    rows = []
    for chain_id, (_, bought) in sides.items():
        for item in bought:
            if item.lock.slot in span:
                far = ends[chain_id, item.channel_id]
                rows.append(_contract_row(item, chain_id, sellers.get(bytes(item.lock.contract_id), (far, None)), span))
    rows = [replace(row, level=MAIN_GRID_LEVEL) if {row.seller_chain, row.buyer_chain} & grids else row for row in rows]
    return tuple(sorted(rows, key=lambda row: (row.slot, row.contract_id)))


def _contract_row(
    item: trade.BuyerContract, buyer: str, seller: tuple[str, trade.SellerContract | None], span: Span
) -> ContractRow:
    sold = seller[1] if seller[1] is not None else trade.SellerContract()
    return ContractRow(
        contract_id=item.lock.contract_id.hex(),
        slot=item.lock.slot,
        quarter=span.quarter(item.lock.slot),
        seller_chain=seller[0],
        buyer_chain=buyer,
        energy_mWh=item.energy_mwh,
        lo_mWh=sold.settlement.lo_mwh,
        hi_mWh=sold.settlement.hi_mwh,
        price_e4=item.lock.price_e4,
        seller_state=trade.SellerState.Name(sold.state).removeprefix("SELLER_STATE_"),
        buyer_state=trade.BuyerState.Name(item.state).removeprefix("BUYER_STATE_"),
        basis=trade_packet.Basis.Name(sold.settlement.basis).removeprefix("BASIS_"),
        paid_seller=int(item.paid_seller or 0),
        buyer_lo_mWh=item.settlement.lo_mwh,
        buyer_hi_mWh=item.settlement.hi_mwh,
    )
