"""What an agent sees of its chain at one block, and the reads that make it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bsmg.client.chain import ChainClient
from bsmg.client.errors import QueryNotFound
from bsmg.client.feed import Head
from cosmos_wire.protos import market, market_query, meter_query, pagination, trade, trade_query
from utility_cell.devices import Allowed

LIVE_SLOTS_MAX = 1_000
OFFERS_MAX = 200
TRADE = "/bsmg.trade.v1.Query/"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """The slots that are not closed, as of a block."""

    head: Head
    slots: Mapping[int, market.Slot]

    def in_state(self, *states: market.SlotState.ValueType) -> tuple[market.Slot, ...]:
        """Slots in one of the states, oldest first."""
        return tuple(self.slots[number] for number in sorted(self.slots) if self.slots[number].state in states)

    @property
    def last_price_e4(self) -> int | None:
        """Price of the latest slot that is cleared, whether it traded or not; None before the first."""
        cleared = [number for number, slot in self.slots.items() if slot.clearing.price_e4]
        return self.slots[max(cleared)].clearing.price_e4 if cleared else None


async def read_market(chain: ChainClient, head: Head) -> MarketView:
    """Live slots after block `head`."""
    page = pagination.PageRequest(limit=LIVE_SLOTS_MAX)
    request = market_query.QuerySlotsRequest(live=True, pagination=page)
    answer = await chain.query("/bsmg.market.v1.Query/Slots", request, market_query.QuerySlotsResponse)
    return MarketView(head=head, slots={slot.slot: slot for slot in answer.slots})


async def read_totals(chain: ChainClient, device: str) -> tuple[int, int]:
    """(import, export) totals that the chain knows of a device, mWh; zeros before its first reading."""
    request = meter_query.QueryTotalsRequest(device=device)
    try:
        answer = await chain.query("/bsmg.meter.v1.Query/Totals", request, meter_query.QueryTotalsResponse)
    except QueryNotFound:
        return 0, 0
    return answer.import_total_mWh, answer.export_total_mWh


async def read_orders(chain: ChainClient, cell: str, slot: int) -> bool:
    """Whether a cell has orders in a slot."""
    request = market_query.QueryOrdersRequest(cell=cell, slot=slot)
    answer = await chain.query("/bsmg.market.v1.Query/Orders", request, market_query.QueryOrdersResponse)
    return len(answer.orders) > 0


async def read_schedule(chain: ChainClient, slot: int) -> dict[str, Allowed]:
    """What the schedule of a slot lets each cell with orders draw and feed in, by account."""
    request = market_query.QueryScheduleRequest(slot=slot)
    answer = await chain.query("/bsmg.market.v1.Query/Schedule", request, market_query.QueryScheduleResponse)
    return {row.cell: Allowed(import_mWh=row.import_mWh, export_mWh=row.export_mWh) for row in answer.cells}


async def read_heard(chain: ChainClient) -> tuple[trade.OfferRecord, ...]:
    """Offers that came from other chains and are not over."""
    page = pagination.PageRequest(limit=OFFERS_MAX)
    request = trade_query.QueryOffersRequest(heard=True, pagination=page)
    answer = await chain.query(TRADE + "Offers", request, trade_query.QueryOffersResponse)
    return tuple(answer.offers)


async def read_contracts(chain: ChainClient, slot: int, channel_id: str) -> trade_query.QueryContractsResponse:
    """Contracts of a slot on a channel, this chain selling or buying."""
    page = pagination.PageRequest(limit=OFFERS_MAX)
    request = trade_query.QueryContractsRequest(slot=slot, channel_id=channel_id, pagination=page)
    return await chain.query(TRADE + "Contracts", request, trade_query.QueryContractsResponse)


async def read_contract(chain: ChainClient, channel_id: str, contract_id: bytes) -> trade_query.QueryContractResponse:
    """One contract, whichever side this chain has."""
    request = trade_query.QueryContractRequest(channel_id=channel_id, contract_id=contract_id)
    return await chain.query(TRADE + "Contract", request, trade_query.QueryContractResponse)


async def read_scores(chain: ChainClient) -> tuple[trade.PeerScore, ...]:
    """What this chain's books say of the chains behind its channels."""
    answer = await chain.query(TRADE + "Scores", trade_query.QueryScoresRequest(), trade_query.QueryScoresResponse)
    return tuple(answer.scores)


async def read_trade_params(chain: ChainClient) -> trade.Params:
    """Parameters of the trade between chains."""
    answer = await chain.query(TRADE + "Params", trade_query.QueryParamsRequest(), trade_query.QueryParamsResponse)
    return answer.params
