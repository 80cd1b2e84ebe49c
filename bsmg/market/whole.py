"""A whole slot on one validator's state machine, with the durable store: every cell orders, is metered and settled.

Orders are signed transactions, looked at for the mempool and then run in blocks; readings come signed by their
devices in batches. What consensus itself costs (gossip, votes, waiting) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import process_time_ns
from typing import Any as Json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict

from bsmg.market import books
from cosmos_wire import secp256k1
from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, market, market_tx, meter_tx, registry
from cosmos_wire.tx import SignerData, auth_info_of, body_of, signed
from energy.market import state as market_state
from energy.market.clock import Gate, gate_ms
from energy.market.defaults import PRODUCTION_SLOT_MS, default_params, params_document
from energy.market.orders import collateral_required
from energy.meter.reading import sign_bytes
from energy.trade import params as trade_params
from ibc_core.bank import module_address
from ibc_core.host import BlockEnv
from microgrid import system
from microgrid.ante import Ante, Mode
from microgrid.block import Block
from microgrid.executor import Executor
from microgrid.modules import Modules, compose
from microgrid.operator import Operator
from microgrid.signatures import SignatureCache
from microgrid.state import open_state
from microgrid.state_api import APP, IBC
from microgrid.store import StateDb

CHAIN, DENOM, MICROGRID = "bench-1", "bench", "bench"
TXS_A_BLOCK, READINGS_A_TX, GAS = 500, 500, 60_000_000
RATING_W, RICH = 10_000, 10**16
FIRST_SLOT = 2_000_000  # of 900 s, in 2027
PHASES = ("orders", "clear", "readings", "settle", "close and prune")
NS_A_MS = 1_000_000
SIZES = (100, 1_000, 10_000)
REQUIRED_MARGIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A cell: its key, account number and device."""

    number: int
    secret: bytes

    @property
    def address(self) -> str:
        """Bech32."""
        return to_bech32(secp256k1.address(secp256k1.public_key(self.secret)))

    @property
    def device(self) -> Ed25519PrivateKey:
        """The meter's key."""
        return Ed25519PrivateKey.from_private_bytes(sha256(b"device" + self.secret).digest())


def homes(cells: int) -> list[Home]:
    """Number 0 is the utility cell."""
    return [Home(number=n, secret=sha256(b"bench %d" % n).digest()) for n in range(cells + 1)]


def genesis(found: Sequence[Home]) -> tuple[dict[str, Json], market.Params]:
    """Production parameters; every cell rich and pledged."""
    utility, cells = found[0].address, found[1:]
    params = default_params(PRODUCTION_SLOT_MS, 12_000, DENOM, utility, FIRST_SLOT)
    own = registry.Cell(max_import_W=RATING_W, max_export_W=RATING_W)
    pledged = collateral_required(params, own)
    held = {home.address: RICH for home in found}
    held[to_bech32(module_address(market_state.COLLATERAL_NAME))] = pledged * len(cells)
    held[to_bech32(module_address(market_state.BALANCING_NAME))] = 10**18
    trade = trade_params.default_params(utility, DENOM, f"utility@{MICROGRID}")
    trade.slot_ms, trade.window_ms = params.slot_ms, max(params.slot_ms, params.window_min_ms)
    coins = [{"address": who, "coins": [{"denom": DENOM, "amount": str(n)}]} for who, n in held.items()]
    return {
        "state_version": 1,
        "auth": {"accounts": [{"address": home.address, "kind": "base"} for home in found]},
        "bank": {"balances": coins},
        "staking": {"unbonding_s": 1_814_400},
        "registry": {
            "params": {"utility": utility, "microgrid": MICROGRID},
            "cells": [_cell(home, pledged) for home in cells],
            "devices": [_device(home) for home in cells],
        },
        "market": {"params": params_document(params)},
        "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
    }, params


def _cell(home: Home, pledged: int) -> dict[str, Json]:
    made = registry.Cell(
        id=f"cell{home.number}@{MICROGRID}",
        address=home.address,
        bus=1 + home.number % books.BUSES,
        max_import_W=RATING_W,
        max_export_W=RATING_W,
        collateral=str(pledged),
    )
    return dict(MessageToDict(made, preserving_proto_field_name=True))


def _device(home: Home) -> dict[str, Json]:
    made = registry.Device(
        id=f"meter{home.number}@{MICROGRID}",
        cell=f"cell{home.number}@{MICROGRID}",
        pubkey=home.device.public_key().public_bytes_raw(),
    )
    return dict(MessageToDict(made, preserving_proto_field_name=True))


@dataclass(slots=True)
class Validator:
    """Runs blocks as the application does, and counts its CPU time."""

    db: StateDb
    numbers: dict[str, int] = field(default_factory=dict)
    sequences: dict[int, int] = field(default_factory=dict)
    spent_ns: int = 0
    blocks: int = 0
    modules: Modules = field(init=False)
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        """The chain's own modules."""
        self.modules = compose()
        ante = Ante(
            routes=self.modules.messages,
            min_gas_prices=(),
            signatures=SignatureCache(),
            refuse_redundant=self.modules.refuse_redundant,
        )
        self.executor = Executor(ante)

    def block(self, time_ms: int, txs: Sequence[bytes] = (), doc: dict[str, Json] | None = None) -> None:
        """Look at the transactions, run a block, make it durable."""
        start = process_time_ns()
        made = self._block(time_ms)
        waiting = self._block(time_ms)
        for tx in txs:
            self._require(self.executor.check(waiting.ctx, tx, Mode.CHECK).log)
        if doc is not None:
            made.init_genesis(self.modules, doc)
        system.write_block(made.ctx)
        made.hooks(self.modules.begin_block, "BeginBlock")
        for tx in txs:
            outcome = self.executor.deliver(made.ctx, tx)
            self._require(outcome.log if outcome.code else "")
        made.hooks(self.modules.end_block, "EndBlock")
        self.db.commit(self.db.put(made.changes()), self.db.height + 1, b"")
        self.spent_ns += process_time_ns() - start
        self.blocks += 1

    def _block(self, time_ms: int) -> Block:
        env = BlockEnv(chain_id=CHAIN, height=self.db.height + 1, time_ns=time_ms * NS_A_MS)
        return Block(env, self.db.store(APP), self.db.store(IBC))

    @staticmethod
    def _require(log: str) -> None:
        if log:
            raise ToolError(f"a transaction of the bench has to pass, got {log}")

    def slot(self, number: int) -> market.Slot:
        """A slot's record."""
        return market_state.slot_record(self._block(0).ctx, number)

    def sign(self, home: Home, message: Message) -> bytes:
        """A transaction of a home."""
        sequence = self.sequences.get(home.number, 0)
        self.sequences[home.number] = sequence + 1
        info = auth_info_of(secp256k1.public_key(home.secret), sequence, gas=GAS)
        number = self.numbers[home.address]

        def sign(text: bytes) -> bytes:
            return secp256k1.sign(home.secret, text)

        return signed(body_of([message]), info, SignerData(chain_id=CHAIN, account_number=number, sign=sign))


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSlot:
    """CPU milliseconds by phase, and how many blocks there were."""

    cells: int
    phases: dict[str, float]
    blocks: int
    volume_mWh: int

    @property
    def total_ms(self) -> float:
        """All phases."""
        return sum(self.phases.values())

    @property
    def margin(self) -> float:
        """How often the slot's work fits into its 900 s."""
        return PRODUCTION_SLOT_MS / self.total_ms

    def document(self) -> dict[str, Json]:
        """For people and programs."""
        times = {phase: round(ms, 1) for phase, ms in self.phases.items()}
        total = {"total_ms": round(self.total_ms, 1), "margin": round(self.margin, 1)}
        return {"cells": self.cells, "blocks": self.blocks, "volume_mWh": self.volume_mWh, "ms": times, **total}


@contextmanager
def _validator() -> Iterator[Validator]:
    with TemporaryDirectory() as folder, open_state(Path(folder) / "state", Operator()) as db:
        yield Validator(db)


def measure(cells: int, seed: int = 1) -> WholeSlot:
    """One slot with an order and a reading of every cell."""
    found = homes(cells)
    doc, params = genesis(found)
    with _validator() as validator:
        run = _Run(validator=validator, homes=found, params=params, random=Random(seed))  # noqa: S311  (no secret)
        validator.numbers = {item["address"]: n for n, item in enumerate(doc["auth"]["accounts"], run.first_account)}
        validator.block(run.at(Gate.OPEN), doc=doc)
        validator.spent_ns = 0
        phases = {}
        for phase, work in zip(PHASES, (run.order, run.clear, run.read, run.settle, run.close), strict=True):
            work()
            phases[phase], validator.spent_ns = validator.spent_ns / NS_A_MS, 0
        volume = validator.slot(FIRST_SLOT).clearing.volume_mWh
        return WholeSlot(cells=cells, phases=phases, blocks=validator.blocks, volume_mWh=volume)


@dataclass(slots=True, kw_only=True)
class _Run:
    validator: Validator
    homes: list[Home]
    params: market.Params
    random: Random
    first_account: int = 1  # 0 is the fee collector's

    def at(self, gate: Gate) -> int:
        """Block time of a gate of the slot."""
        return gate_ms(self.params, FIRST_SLOT, gate)

    def _send(self, time_ms: int, txs: Sequence[bytes]) -> None:
        for start in range(0, len(txs), TXS_A_BLOCK):
            self.validator.block(time_ms + start, txs[start : start + TXS_A_BLOCK])

    def order(self) -> None:
        """Half the cells sell."""
        self.validator.block(self.at(Gate.BID))
        txs = [self.validator.sign(home, self._order(home)) for home in self.homes[1:]]
        self._send(self.at(Gate.BID) + 1, txs)

    def _order(self, home: Home) -> market_tx.MsgPlaceOrder:
        return market_tx.MsgPlaceOrder(
            cell=home.address,
            slot=FIRST_SLOT,
            side=market.SIDE_BID if home.number % 2 else market.SIDE_ASK,
            price_e4=self.random.randint(books.FLOOR_E4, books.CAP_E4),
            quantity_mWh=self.random.randint(1, RATING_W * 250),
        )

    def clear(self) -> None:
        """CLEAR to METER."""
        for gate in (Gate.CLEAR, Gate.SECURE, Gate.SEAL, Gate.DELIVER, Gate.METER):
            self.validator.block(self.at(gate))

    def read(self) -> None:
        """Every device speaks; anybody sends."""
        readings = [self._reading(home) for home in self.homes[1:]]
        batches = [readings[start : start + READINGS_A_TX] for start in range(0, len(readings), READINGS_A_TX)]
        txs = [
            self.validator.sign(self.homes[1], meter_tx.MsgSubmitReadings(sender=self.homes[1].address, readings=batch))
            for batch in batches
        ]
        for number, tx in enumerate(txs):
            self.validator.block(self.at(Gate.METER) + 1 + number, [tx])

    def _reading(self, home: Home) -> meter_tx.Reading:
        energy = self.random.randint(0, RATING_W * 250)
        bought, sold = (energy, 0) if home.number % 2 else (0, energy)
        made = meter_tx.Reading(device=f"meter{home.number}@{MICROGRID}", slot=FIRST_SLOT)
        made.import_mWh = made.import_total_mWh = bought
        made.export_mWh = made.export_total_mWh = sold
        made.signature = home.device.sign(sign_bytes(CHAIN, made))
        return made

    def settle(self) -> None:
        """METER_CLOSE to SETTLED."""
        self.validator.block(self.at(Gate.METER_CLOSE))
        time_ms = self.at(Gate.SETTLE)
        while self.validator.slot(FIRST_SLOT).state != market.SLOT_STATE_SETTLED:
            self.validator.block(time_ms)
            time_ms += 1

    def close(self) -> None:
        """CLOSE, then blocks until the slot's keys are gone."""
        rounds = 3 + len(self.homes) * 6 // self.params.prune_units
        for number in range(rounds):
            self.validator.block(self.at(Gate.CLOSE) + number)
