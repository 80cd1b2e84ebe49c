"""The meters as a module of the application."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import meter_query as query
from cosmos_wire.protos import meter_tx as tx
from energy.market.module import Market
from energy.meter import queries
from energy.meter.messages import Handlers
from energy.registry import Registry
from ibc_core.host import Context, MessageRoute, QueryRoute

TX = "/bsmg.meter.v1."
QUERY = "/bsmg.meter.v1.Query/"


class Meter:
    """Readings and estimates. It has no genesis of its own."""

    name = "meter"

    def __init__(self, market: Market, registry: Registry) -> None:
        self.handlers = Handlers(market, registry)

    def messages(self) -> Mapping[str, MessageRoute]:
        """Routes of the messages."""
        submit, post = self.handlers.submit_readings, self.handlers.post_estimate
        return {
            TX + "MsgSubmitReadings": MessageRoute(
                submit, tx.MsgSubmitReadings, tx.MsgSubmitReadingsResponse, "sender"
            ),
            TX + "MsgPostEstimate": MessageRoute(post, tx.MsgPostEstimate, tx.MsgPostEstimateResponse, "utility"),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """Routes of the queries."""
        return {
            QUERY + "Readings": QueryRoute(queries.readings, query.QueryReadingsRequest, query.QueryReadingsResponse),
            QUERY + "Estimates": QueryRoute(
                queries.estimates, query.QueryEstimatesRequest, query.QueryEstimatesResponse
            ),
            QUERY + "Totals": QueryRoute(queries.totals, query.QueryTotalsRequest, query.QueryTotalsResponse),
        }

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:  # noqa: ARG002  (the shape of a module)
        """Refuse what a genesis would want to set here."""
        if doc:
            raise InvalidRequest(f"genesis of the meters has to be empty, got {sorted(doc)}")

    def begin_block(self, ctx: Context) -> None:
        """Nothing."""

    def end_block(self, ctx: Context) -> None:
        """Nothing: missing readings are handled where the slot is settled."""
