"""The registry as a module of the application."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from cosmos_wire.address import from_bech32
from cosmos_wire.protos import registry as pb
from cosmos_wire.protos import registry_query as query
from cosmos_wire.protos import registry_tx as tx
from energy.genesis import items_of, message_of
from energy.records import save
from energy.registry import messages, queries, state
from energy.registry.feeder import check_feeder
from energy.registry.identity import require_microgrid
from energy.units import PERMILLE
from ibc_core.host import Context, MessageRoute, QueryRoute

TX = "/bsmg.registry.v1."
QUERY = "/bsmg.registry.v1.Query/"


class Registry:
    """Cells, devices, feeder. Genesis: {"params": {...}, "cells": [...], "devices": [...]}, protobuf JSON each.

    "feeder" may be given too; it is in force from the first slot.
    """

    name = "registry"

    def __init__(self, votes: messages.Votes = lambda _ctx: False) -> None:
        self.votes = votes  # whether the ledger's validators can vote: without, no feeder of mode BALLOT

    def messages(self) -> Mapping[str, MessageRoute]:
        """Routes of the messages."""
        route, set_feeder = MessageRoute, partial(messages.set_feeder, self.votes)
        return {
            TX + "MsgRegisterCell": route(
                messages.register_cell, tx.MsgRegisterCell, tx.MsgRegisterCellResponse, "utility"
            ),
            TX + "MsgRegisterDevice": route(
                messages.register_device, tx.MsgRegisterDevice, tx.MsgRegisterDeviceResponse, "utility"
            ),
            TX + "MsgSetStatus": route(messages.set_status, tx.MsgSetStatus, tx.MsgSetStatusResponse, "utility"),
            TX + "MsgSetFeeder": route(set_feeder, tx.MsgSetFeeder, tx.MsgSetFeederResponse, "utility"),
            TX + "MsgUpdateParams": route(
                messages.update_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, "authority"
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """Routes of the queries."""
        route = QueryRoute
        return {
            QUERY + "Params": route(queries.params, query.QueryParamsRequest, query.QueryParamsResponse),
            QUERY + "Cell": route(queries.cell, query.QueryCellRequest, query.QueryCellResponse),
            QUERY + "Cells": route(queries.cells, query.QueryCellsRequest, query.QueryCellsResponse),
            QUERY + "Device": route(queries.device, query.QueryDeviceRequest, query.QueryDeviceResponse),
            QUERY + "Devices": route(queries.devices, query.QueryDevicesRequest, query.QueryDevicesResponse),
            QUERY + "Feeder": route(queries.feeder, query.QueryFeederRequest, query.QueryFeederResponse),
        }

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Cells get their numbers in the order of the list; raises what the messages would raise."""
        params = message_of(doc, "params", pb.Params)
        from_bech32(params.utility)
        require_microgrid(params.microgrid)
        save(ctx, state.PARAMS, params)
        for record in items_of(doc, "cells", pb.Cell):
            record.status = record.status or pb.STATUS_ACTIVE
            record.score_permille = record.score_permille or PERMILLE
            record.devices = 0
            messages.check_new_cell(ctx, record)
            state.add_cell(ctx, record)
        for device in items_of(doc, "devices", pb.Device):
            device.status = device.status or pb.STATUS_ACTIVE
            state.add_device(ctx, device, messages.check_new_device(ctx, device))
        if "feeder" in doc:
            feeder = message_of(doc, "feeder", pb.Feeder)
            check_feeder(feeder, votes=self.votes(ctx))
            save(ctx, state.FEEDER, feeder)

    def begin_block(self, ctx: Context) -> None:
        """Nothing: changes come into force when the market opens a slot."""

    def end_block(self, ctx: Context) -> None:
        """Nothing."""

    # What the market and the meters use.

    def cell(self, ctx: Context, number: int) -> pb.Cell:
        """A cell by its number."""
        return state.cell(ctx, number)

    def cell_at(self, ctx: Context, address: str) -> pb.Cell | None:
        """The cell of an account."""
        return state.cell_at(ctx, address)

    def find_cell(self, ctx: Context, text: str) -> pb.Cell:
        """A cell by identity or account."""
        return state.find_cell(ctx, text)

    def cell_of_device(self, ctx: Context, device: pb.Device) -> pb.Cell:
        """The cell of a registered device."""
        return state.find_cell(ctx, device.cell)

    def device(self, ctx: Context, text: str) -> pb.Device | None:
        """A device by identity."""
        return state.device(ctx, text)

    def save_cell(self, ctx: Context, record: pb.Cell) -> None:
        """Write a cell back: score, collateral, arrears, owed, missed are the market's to change."""
        state.save_cell(ctx, record)

    def slot_opens(self, ctx: Context) -> None:
        """Bring into force what waits for the next OPEN."""
        state.apply_changes(ctx)
