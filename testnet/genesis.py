"""Genesis of one chain: who validates, who holds what, which cells trade, and the parameters of market and trade."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any as Json

from google.protobuf import json_format

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, market, registry, trade
from energy.market.clock import Gate, gate_ms
from energy.market.defaults import default_params, params_document
from energy.market.params import check_params
from energy.market.state import BALANCING_NAME, POOL_NAMES, SUBSIDY_NAME
from energy.mechanisms.vickrey import ORDERS_MAX as SUBSIDISED_ORDERS_MAX
from energy.registry.feeder import check_feeder
from energy.trade import params as trade_params
from ibc_core.bank import module_address
from physics.feeders import feeder_case
from testnet.keys import Account, Ed25519, public_doc
from testnet.topology import PRODUCTION_SLOT_MS, SUBSIDISED, Chain
from utility_cell.fleet import CellSpec, Fleet

STATE_VERSION = 1
# Level 3 with short slots: right after T_act of level 2, and five blocks of a window of 60 s for EQUIVALENCE.
LEVEL3_SHORT_LOCK, LEVEL3_SHORT_ACT = 145, 20
POWER = "10"
BLOCK_BYTES_MAX = 4 << 20
DISPLAY_EXPONENT = 10  # base units are 1e-10 token
FAUCET, UTILITY, CELL, RELAYER, BALANCING, SUBSIDY = 10**18, 10**18, 10**17, 10**15, 10**18, 10**18
LINE_MAX_MWH = 4 * 10**9  # a tie line of 16 MW: plants of some megawatts sell a whole slot over it
BLOCKS_A_DAY_MAX = 172_800  # two a second; evidence stays valid for at least this many blocks a day of unbonding


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell as genesis registers it: its place in the fleet, its account and its meter's key."""

    spec: CellSpec
    account: Account
    meter: Ed25519


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlan:
    """All that genesis is made of."""

    chain: Chain
    start_ms: int
    validators: tuple[tuple[str, Ed25519], ...]  # moniker, key
    accounts: tuple[Account, ...]  # cells' accounts among them
    cells: tuple[Cell, ...]

    def account(self, name: str) -> Account:
        """An account by name."""
        return next(account for account in self.accounts if account.name == name)


def cell_specs(chain: Chain, fleet: Fleet) -> tuple[CellSpec, ...]:
    """As many cells as the topology asks for; beyond the fleet's own, copies with a number behind the name."""
    count, own = chain.cells or len(fleet.cells), fleet.cells
    return tuple(_copy(own[n % len(own)], n // len(own)) for n in range(count))


def _copy(spec: CellSpec, round_: int) -> CellSpec:
    if round_ == 0:
        return spec
    return replace(spec, name=f"{spec.name}.{round_ + 1}")


def market_params(chain: Chain, utility: str, start_ms: int) -> market.Params:
    """Market parameters of a chain that starts at `start_ms`; raises ChainError for a table that can't work."""
    params = default_params(chain.slot_ms, chain.gates.window_min_ms, chain.denom, utility, 0)
    for gate in params.gates:
        gate.offset_permille = chain.gates.offsets.get(gate.name, gate.offset_permille)
    own = chain.market
    params.mechanism = market.Mechanism.Value(f"MECHANISM_{own.mechanism}")
    if own.mechanism == "TARIFF":
        params.tariff_e4 = own.tariff_e4
    if own.mechanism in SUBSIDISED:
        params.subsidy_max, params.max_orders_per_slot = str(own.subsidy_max), SUBSIDISED_ORDERS_MAX
    params.k_num, params.k_den = own.k_num, own.k_den
    params.floor_e4, params.cap_e4 = own.fit_e4, own.cap_e4
    params.down_e4, params.up_e4 = min(params.down_e4, own.fit_e4), max(params.up_e4, own.cap_e4)
    params.first_slot = first_slot(params, start_ms + chain.lead_ms)
    if chain.is_grid:
        params.max_live_slots = 0  # nobody trades inside it
    check_params(params)
    return params


def first_slot(params: market.Params, up_ms: int) -> int:
    """The first slot whose bidding starts after everything is up, so that the first slots trade like all others."""
    slot = up_ms // params.slot_ms
    while gate_ms(params, slot, Gate.BID) < up_ms:
        slot += 1
    return slot


def market_trade_params(chain: Chain, params: market.Params, utility: str) -> trade.Params:
    """Parameters of the trade application that go with the market's."""
    made = trade_params.default_params(utility, chain.denom, f"{'dno' if chain.is_grid else 'utility'}@{chain.name}")
    made.grid = chain.grid
    made.slot_ms, made.window_ms = params.slot_ms, max(params.slot_ms, params.window_min_ms)
    made.floor_e4, made.cap_e4, made.max_skew_s = params.floor_e4, params.cap_e4, chain.gates.max_skew_s
    made.line_max_mwh = LINE_MAX_MWH
    for clock in (made.level2, made.level3):
        clock.meter_ms, clock.disp_ms = chain.gates.meter_ms, chain.gates.disp_ms
        clock.close_ms = chain.gates.close_ms
    if chain.slot_ms < PRODUCTION_SLOT_MS:
        made.level3.lock_permille = made.level3.gate_permille = LEVEL3_SHORT_LOCK
        made.level3.act_permille = LEVEL3_SHORT_ACT
    trade_params.check_params(made)
    return made


def gates_ms(params: market.Params, made: trade.Params) -> dict[str, int]:
    """Every gate in ms: up to DELIVER from the start of delivery, after it from its end; trade's with a `T_`.

    Those of level 3 end in a 3 and are there when there is a main grid.
    """
    start, end = 0, params.slot_ms
    market_gates = {gate.name: gate_ms(params, 0, gate) - (start if gate <= Gate.DELIVER else end) for gate in Gate}
    step, clock = made.window_ms // 1000, made.level2
    before = _before(clock, "") | (_before(made.level3, "3") if made.grid else {})
    after = {"T_meter": clock.meter_ms, "T_disp": clock.disp_ms, "T_close": clock.close_ms}
    return {**market_gates, **{name: -value * step for name, value in before.items()}, **after}


def _before(clock: trade.LevelClock, level: str) -> dict[str, int]:
    names = f"T_lock{level}", f"T_gate{level}", f"T_act{level}"
    return dict(zip(names, (clock.lock_permille, clock.gate_permille, clock.act_permille), strict=True))


def genesis_doc(plan: ChainPlan) -> dict[str, Json]:
    """CometBFT's genesis file."""
    return {
        "genesis_time": genesis_time(plan.start_ms),
        "chain_id": plan.chain.id,
        "initial_height": "1",
        "consensus_params": consensus_params(plan.chain),
        "validators": [
            {"address": key.address.hex().upper(), "pub_key": public_doc(key), "power": POWER, "name": moniker}
            for moniker, key in plan.validators
        ],
        "app_hash": "",
        "app_state": app_state(plan),
    }


def genesis_time(start_ms: int) -> str:
    """Time in a genesis file: RFC 3339 with milliseconds, UTC."""
    started = datetime.fromtimestamp(start_ms / 1000, UTC)
    return started.strftime("%Y-%m-%dT%H:%M:%S.") + f"{start_ms % 1000:03d}Z"


def consensus_params(chain: Chain) -> dict[str, Json]:
    """Evidence stays valid as long as stake can be slashed; vote extensions are on from the start."""
    days = -(-chain.unbonding_s // 86_400)
    return {
        "block": {"max_bytes": str(BLOCK_BYTES_MAX), "max_gas": "-1"},
        "evidence": {
            "max_age_num_blocks": str(days * BLOCKS_A_DAY_MAX),
            "max_age_duration": str(chain.unbonding_s * 10**9),
            "max_bytes": str(1 << 20),
        },
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {"app": "0"},
        "abci": {"vote_extensions_enable_height": "1"},
    }


def app_state(plan: ChainPlan) -> dict[str, Json]:
    """The application's part, as docs/development.md says."""
    chain, utility = plan.chain, plan.account("utility-cell").address
    params = market_params(chain, utility, plan.start_ms)
    made = market_trade_params(chain, params, utility)
    return {
        "state_version": STATE_VERSION,
        "auth": {"accounts": _modules() + [{"address": a.address, "kind": "base"} for a in plan.accounts]},
        "bank": {"balances": _balances(plan), "denom_metadata": [denom_metadata(chain)]},
        "staking": {"unbonding_s": chain.unbonding_s, "bond_denom": chain.denom},
        "ibc": {},
        "transfer": {},
        "registry": {
            "params": {"utility": utility, "microgrid": chain.name},
            "cells": [_cell_doc(cell) for cell in plan.cells],
            "devices": [_device_doc(cell) for cell in plan.cells],
            **_feeder_doc(plan),
        },
        "market": {"params": params_document(params)},
        "trade": {"params": document(made)},
    }


def _feeder_doc(plan: ChainPlan) -> dict[str, Json]:
    """The feeder that schedules are judged on; raises ToolError for cells at buses that it lacks."""
    chain = plan.chain
    if not chain.feeder:
        return {}
    case = feeder_case(chain.feeder, chain.vmin_permille, chain.vmax_permille)
    known = [site.bus for site in case.sites]
    lost = [f"{cell.spec.name} at bus {cell.spec.bus}" for cell in plan.cells if cell.spec.bus not in known]
    if lost:
        raise ToolError(f"feeder {chain.feeder} has buses 1..{max(known)}, got {', '.join(lost[:5])}")
    ballot = chain.security == "ballot"
    case.feeder.mode = registry.SECURITY_MODE_BALLOT if ballot else registry.SECURITY_MODE_CHAIN
    check_feeder(case.feeder, votes=not chain.on_fabric)
    return {"feeder": document(case.feeder)}


def document(message: Message) -> dict[str, Json]:
    """Protobuf JSON with the names of the .proto file."""
    return dict(json_format.MessageToDict(message, preserving_proto_field_name=True))


def denom_metadata(chain: Chain) -> dict[str, Json]:
    """What wallets show: the token is 10^10 base units."""
    display = chain.name if chain.denom == f"b{chain.name}" else f"{chain.denom}-token"
    units = [{"denom": chain.denom, "exponent": 0}, {"denom": display, "exponent": DISPLAY_EXPONENT}]
    return {
        "description": f"Token of the microgrid {chain.name}",
        "base": chain.denom,
        "display": display,
        "name": display,
        "symbol": display.upper(),
        "denom_units": units,
    }


def _modules() -> list[dict[str, Json]]:
    return [{"address": to_bech32(module_address(name)), "kind": "module", "name": name} for name in POOL_NAMES]


def _balances(plan: ChainPlan) -> list[dict[str, Json]]:
    pools = [(to_bech32(module_address(BALANCING_NAME)), BALANCING)]
    if plan.chain.market.mechanism in SUBSIDISED:
        pools.append((to_bech32(module_address(SUBSIDY_NAME)), SUBSIDY))
    held = [(account.address, account.amount) for account in plan.accounts]
    return [
        {"address": address, "coins": [{"denom": plan.chain.denom, "amount": str(amount)}]}
        for address, amount in (*held, *pools)
    ]


def _cell_doc(cell: Cell) -> dict[str, Json]:
    return document(
        registry.Cell(
            id=cell.account.identity,
            address=cell.account.address,
            bus=cell.spec.bus,
            max_import_W=cell.spec.max_import_W,
            max_export_W=cell.spec.max_export_W,
            tan_phi_permille=cell.spec.tan_phi_permille,
            inverter_VA=cell.spec.inverter_VA,
        )
    )


def _device_doc(cell: Cell) -> dict[str, Json]:
    pubkey = base64.b64encode(cell.meter.public).decode()
    return {"id": cell.account.device, "cell": cell.account.identity, "pubkey": pubkey}


def base_accounts(relayers: int) -> Sequence[tuple[str, int]]:
    """Names and amounts of the accounts that every chain has, `relayer` for relayers that aren't ours."""
    ours = [(f"relayer-{n}", RELAYER) for n in range(relayers)]
    return [("faucet", FAUCET), ("relayer", RELAYER), *ours, ("utility-cell", UTILITY)]
