"""The market as a module of the application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from energy.genesis import message_of
from energy.market import (
    accounts,
    amend,
    fees,
    forward,
    keys,
    mechanism,
    orders,
    prices,
    queries,
    reveal,
    shift,
    state,
    storage,
    utility,
)
from energy.market.gates import run_gates
from energy.market.life import Step, require_step
from energy.market.params import check_params
from energy.market.work import run_work
from energy.records import save
from energy.registry import Registry
from energy.registry.state import CELLS
from energy.units import parse_amount
from ibc_core import bank
from ibc_core.host import Context, MessageRoute, QueryRoute

TX = "/bsmg.market.v1."
QUERY = "/bsmg.market.v1.Query/"


class Market:
    """Slots, orders, clearing, settlement. Genesis: {"params": {...}}, and "fees" if any, protobuf JSON.

    Registry and bank come before.
    """

    name = "market"

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.on_voided: list[Callable[[Context, int], None]] = []  # told of each slot that is sealed without a schedule

    def messages(self) -> Mapping[str, MessageRoute]:
        """Routes of the messages."""
        place = partial(orders.place_order, self.registry)
        cancel = partial(orders.cancel_order, self.registry)
        amended = partial(amend.amend_order, self.registry)
        unwait = partial(shift.cancel_waiting, self.registry)
        commit = partial(reveal.commit_order, self.registry)
        revealed = partial(reveal.reveal_order, self.registry)
        forwarded = partial(forward.place_forward, self.registry)
        unforward = partial(forward.cancel_forward, self.registry)
        deposit = partial(accounts.deposit, self.registry)
        withdraw = partial(accounts.withdraw, self.registry)
        route = MessageRoute
        return {
            TX + "MsgPostForecast": route(
                utility.post_forecast, tx.MsgPostForecast, tx.MsgPostForecastResponse, "utility"
            ),
            TX + "MsgPlaceOrder": route(place, tx.MsgPlaceOrder, tx.MsgPlaceOrderResponse, "cell"),
            TX + "MsgCancelOrder": route(cancel, tx.MsgCancelOrder, tx.MsgCancelOrderResponse, "cell"),
            TX + "MsgAmendOrder": route(amended, tx.MsgAmendOrder, tx.MsgAmendOrderResponse, "cell"),
            TX + "MsgCancelWaiting": route(unwait, tx.MsgCancelWaiting, tx.MsgCancelWaitingResponse, "cell"),
            TX + "MsgCommitOrder": route(commit, tx.MsgCommitOrder, tx.MsgCommitOrderResponse, "cell"),
            TX + "MsgRevealOrder": route(revealed, tx.MsgRevealOrder, tx.MsgRevealOrderResponse, "cell"),
            TX + "MsgPlaceForward": route(forwarded, tx.MsgPlaceForward, tx.MsgPlaceForwardResponse, "cell"),
            TX + "MsgCancelForward": route(unforward, tx.MsgCancelForward, tx.MsgCancelForwardResponse, "cell"),
            TX + "MsgRegisterStorage": route(
                partial(storage.register, self.registry),
                tx.MsgRegisterStorage,
                tx.MsgRegisterStorageResponse,
                "utility",
            ),
            TX + "MsgProposeCaps": route(utility.propose_caps, tx.MsgProposeCaps, tx.MsgProposeCapsResponse, "utility"),
            TX + "MsgPostOptimality": route(
                prices.post_optimality, tx.MsgPostOptimality, tx.MsgPostOptimalityResponse, "utility"
            ),
            TX + "MsgDeposit": route(deposit, tx.MsgDeposit, tx.MsgDepositResponse, "cell"),
            TX + "MsgWithdraw": route(withdraw, tx.MsgWithdraw, tx.MsgWithdrawResponse, "cell"),
            TX + "MsgUpdateParams": route(
                accounts.update_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, "authority"
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """Routes of the queries."""
        return {
            QUERY + method: QueryRoute(partial(handle, self.registry), request, response)
            for method, handle, request, response in (
                ("Params", queries.params, query.QueryParamsRequest, query.QueryParamsResponse),
                ("Slots", queries.slots, query.QuerySlotsRequest, query.QuerySlotsResponse),
                ("Slot", queries.slot, query.QuerySlotRequest, query.QuerySlotResponse),
                ("Book", queries.book, query.QueryBookRequest, query.QueryBookResponse),
                ("Orders", queries.orders, query.QueryOrdersRequest, query.QueryOrdersResponse),
                ("Fill", queries.fill, query.QueryFillRequest, query.QueryFillResponse),
                ("Statement", queries.statement, query.QueryStatementRequest, query.QueryStatementResponse),
                ("Schedule", queries.schedule, query.QueryScheduleRequest, query.QueryScheduleResponse),
                ("Ballot", queries.ballot_of, query.QueryBallotRequest, query.QueryBallotResponse),
                ("Waiting", queries.waiting, query.QueryWaitingRequest, query.QueryWaitingResponse),
                ("Commits", queries.commits, query.QueryCommitsRequest, query.QueryCommitsResponse),
                (
                    "ForwardProducts",
                    queries.forward_products,
                    query.QueryForwardProductsRequest,
                    query.QueryForwardProductsResponse,
                ),
                (
                    "ForwardOrders",
                    queries.forward_orders,
                    query.QueryForwardOrdersRequest,
                    query.QueryForwardOrdersResponse,
                ),
                ("Storage", queries.storage, query.QueryStorageRequest, query.QueryStorageResponse),
                ("Pools", queries.pools, query.QueryPoolsRequest, query.QueryPoolsResponse),
                ("Forecast", queries.forecast, query.QueryForecastRequest, query.QueryForecastResponse),
                ("Lmps", prices.lmps, query.QueryLmpsRequest, query.QueryLmpsResponse),
            )
        }

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Check and write the parameters; collateral of genesis cells has to lie in the collateral account."""
        params = message_of(doc, "params", pb.Params)
        check_params(params)
        save(ctx, keys.PARAMS, params)
        if "fees" in doc:
            fees.change(ctx, message_of(doc, "fees", pb.FeeTable), 0, 0)
        for name in state.POOL_NAMES:
            bank.block_recipient(ctx, bank.module_address(name), name)
        mechanism.require_funded(ctx, params)
        self._take_over_collateral(ctx)

    def _take_over_collateral(self, ctx: Context) -> None:
        numbers = [int.from_bytes(key[-4:], "big") for key, _ in ctx.app.iterate(CELLS)]
        cells = [self.registry.cell(ctx, number) for number in numbers]
        pledged = sum(parse_amount(cell.collateral or "0", f"collateral of {cell.id}") for cell in cells)
        if pledged != state.held(ctx, state.COLLATERAL):
            raise InvalidRequest(
                f"genesis cells pledge {pledged}, {state.COLLATERAL_NAME} holds {state.held(ctx, state.COLLATERAL)}"
            )
        state.add_totals(ctx, collateral=pledged)

    def begin_block(self, ctx: Context) -> None:
        """Fire the gates that are due."""
        for slot in run_gates(ctx, self.registry):
            for tell in self.on_voided:
                tell(ctx, slot)

    def end_block(self, ctx: Context) -> None:
        """Settle and prune, so many units a block."""
        run_work(ctx, self.registry)

    # What the meters and the trade application use.

    def params(self, ctx: Context) -> pb.Params:
        """Parameters of slots that open from now on."""
        return state.params(ctx)

    def slot(self, ctx: Context, slot: int) -> pb.Slot | None:
        """A slot's record or summary, None when there is none."""
        return state.find_slot(ctx, slot)

    def require_metering(self, ctx: Context, slot: int) -> pb.Slot:
        """The record of a slot that accepts readings; raises UnknownSlot, WrongState."""
        record = state.slot_record(ctx, slot)
        require_step(record, Step.READ)
        return record
