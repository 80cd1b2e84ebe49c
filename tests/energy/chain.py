"""A chain in memory for the tests: registry, market, meters on two plain stores, blocks by hand."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx, meter_tx
from energy.market import state
from energy.market.defaults import default_params, params_document
from energy.market.module import Market
from energy.meter.module import Meter
from energy.meter.reading import sign_bytes
from energy.registry import Registry
from ibc_core import bank
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas, MemoryStore

DENOM = "bmga"
UTILITY = to_bech32(b"\x01" * 20)
RICH = 10**18
BID, ASK = pb.SIDE_BID, pb.SIDE_ASK


def address(number: int) -> str:
    return to_bech32(number.to_bytes(20, "big"))


def device_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


class Chain:
    """`cells` cells of 10 kW both ways, numbered from 1, each with one device; everybody is rich."""

    def __init__(self, cells: int = 3, slot_ms: int = 4_000, start_ms: int = 1_000_000_000, **changes: object) -> None:
        self.store = MemoryStore()
        self.height, self.now_ms = 0, start_ms
        self.events = EventLog()
        self.registry = Registry()
        self.market = Market(self.registry)
        self.meter = Meter(self.market, self.registry)
        self.routes = {**self.registry.messages(), **self.market.messages(), **self.meter.messages()}
        self.handlers = {route.request: route.handle for route in self.routes.values()}
        self.query_handlers = {
            route.request: route.handle
            for module in (self.registry, self.market, self.meter)
            for route in module.queries().values()
        }
        self.totals: dict[int, list[int]] = {}
        params = default_params(slot_ms, 12_000, DENOM, UTILITY, start_ms // slot_ms)
        params.MergeFrom(pb.Params(**changes))
        self._genesis(cells, params)

    def _genesis(self, cells: int, params: pb.Params) -> None:
        ctx = self.ctx()
        bank.mint(ctx, state.COLLATERAL, (DENOM, max(1, cells) * RICH))
        bank.mint(ctx, state.BALANCING, (DENOM, RICH))
        bank.mint(ctx, b"\x01" * 20, (DENOM, RICH))
        for number in range(1, cells + 1):
            bank.mint(ctx, number.to_bytes(20, "big"), (DENOM, RICH))
        if cells == 0:
            bank.burn(ctx, state.COLLATERAL, (DENOM, RICH))
        numbers = range(1, cells + 1)
        registry = {
            "params": {"utility": UTILITY, "microgrid": "mga"},
            "cells": [
                {
                    "id": f"cell{n}@mga",
                    "address": address(n),
                    "bus": n,
                    "max_import_W": 10_000,
                    "max_export_W": 10_000,
                    "collateral": str(RICH),
                }
                for n in numbers
            ],
            "devices": [],
        }
        self.registry.init_genesis(ctx, registry)
        for n in numbers:
            self._device(ctx, n)
        self.market.init_genesis(ctx, {"params": params_document(params)})
        self.supply = bank.supply(ctx, DENOM)

    def _device(self, ctx: Context, number: int) -> None:
        from cosmos_wire.protos import registry_tx

        message = registry_tx.MsgRegisterDevice(
            utility=UTILITY,
            cell=f"cell{number}@mga",
            device=f"meter{number}@mga",
            pubkey=device_key(number).public_key().public_bytes_raw(),
        )
        self.handlers[registry_tx.MsgRegisterDevice](ctx, message)

    def ctx(self) -> Context:
        env = BlockEnv(chain_id="mga-1", height=self.height, time_ns=self.now_ms * 1_000_000)
        return Context(env=env, app=self.store, ibc=MemoryStore(), events=self.events, gas=FreeGas())

    def block(self, step_ms: int = 1_000, *messages: object) -> list[object]:
        """A block `step_ms` later with messages; a refusal is raised after the block ended."""
        self.begin(step_ms)
        try:
            return [self.deliver(message) for message in messages]
        finally:
            self.end()

    def begin(self, step_ms: int) -> None:
        self.height += 1
        self.now_ms += step_ms
        self.market.begin_block(self.ctx())

    def end(self) -> None:
        self.market.end_block(self.ctx())

    def deliver(self, message: object) -> object:
        with self.ctx().branch() as ctx:
            return self.handlers[type(message)](ctx, message)

    def query(self, request: object) -> object:
        return self.query_handlers[type(request)](self.ctx(), request)

    def slot(self, slot: int) -> pb.Slot:
        return state.slot_record(self.ctx(), slot)

    def live(self) -> list[int]:
        return [entry.slot for entry in state.live(self.ctx()).slots]

    def until(self, slot: int, wanted: int, step_ms: int = 500) -> pb.Slot:
        """Empty blocks until a slot has a state."""
        for _ in range(2_000):
            record = state.find_slot(self.ctx(), slot)
            if record is not None and record.state >= wanted:
                assert record.state == wanted, pb.SlotState.Name(record.state)
                return record
            self.block(step_ms)
        raise AssertionError(f"slot {slot} never got to {wanted}")

    def place(self, cell: int, slot: int, side: int, price_e4: int, quantity_mWh: int) -> market_tx.MsgPlaceOrder:
        return market_tx.MsgPlaceOrder(
            cell=address(cell), slot=slot, side=side, price_e4=price_e4, quantity_mWh=quantity_mWh
        )

    def reading(self, cell: int, slot: int, bought: int, sold: int, gap: tuple[int, int] = (0, 0)) -> meter_tx.Reading:
        """A signed reading that continues the device's counters (and counts `gap` for slots before)."""
        totals = self.totals.setdefault(cell, [0, 0])
        totals[0] += bought + gap[0]
        totals[1] += sold + gap[1]
        reading = meter_tx.Reading(
            device=f"meter{cell}@mga",
            slot=slot,
            import_mWh=bought,
            export_mWh=sold,
            import_total_mWh=totals[0],
            export_total_mWh=totals[1],
        )
        return self.sign(cell, reading)

    def sign(self, cell: int, reading: meter_tx.Reading) -> meter_tx.Reading:
        reading.signature = device_key(cell).sign(sign_bytes("mga-1", reading))
        return reading

    def submit(self, *readings: meter_tx.Reading) -> meter_tx.MsgSubmitReadings:
        return meter_tx.MsgSubmitReadings(sender=address(99), readings=readings)

    def balance(self, who: bytes) -> int:
        return bank.balance(self.ctx(), who, DENOM)

    def held_in_all(self) -> int:
        return sum(amount for _, amount in bank.holders(self.ctx(), DENOM))

    def events_of(self, kind: str) -> list[dict[str, str]]:
        return [dict(item.attributes) for item in self.events.events if item.type == kind]
