"""Genesis and configuration: their structure, and that the chain's own code accepts them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any as Json

import pytest

from abci_app.app_process import build
from cosmos_wire.errors import ChainError, ToolError
from cosmos_wire.protos import abci, market, registry, trade
from energy.market.clock import Gate, gate_ms
from energy.market.orders import collateral_required
from energy.trade.params import terms_for, terms_hash
from microgrid.memory_state import MemoryState
from microgrid.operator import Operator
from physics.feeders import LIMITS_PERMILLE
from processes import ports
from testnet import document
from testnet.chains import first_specs, later_specs, make_chains
from testnet.files import Home
from testnet.genesis import ChainPlan, app_state, gates_ms, genesis_doc, market_params, market_trade_params
from testnet.nodes import fleet_of, plan_chain
from testnet.ready import check_gates
from testnet.topology import MECHANISMS, SUBSIDISED, load_topology, parse_topology

START_MS = 1_767_225_600_123
TOPOLOGY = load_topology(None)


@pytest.fixture(scope="module")
def plan() -> ChainPlan:
    return plan_chain(TOPOLOGY.chains[0], "sunny", 1, START_MS)


@pytest.fixture(scope="module")
def doc(plan: ChainPlan) -> dict[str, Json]:
    return genesis_doc(plan)


def test_consensus_part(doc: dict[str, Json]) -> None:
    assert doc["chain_id"] == "mga-1"
    assert doc["genesis_time"] == "2026-01-01T00:00:00.123Z"
    params = doc["consensus_params"]
    assert params["block"] == {"max_bytes": str(4 << 20), "max_gas": "-1"}
    assert params["abci"] == {"vote_extensions_enable_height": "1"}
    assert params["evidence"]["max_age_duration"] == str(1_814_400 * 10**9)
    assert [v["name"] for v in doc["validators"]] == ["mga-1-0", "mga-1-1", "mga-1-2", "mga-1-3"]


def test_app_state_has_the_parts_of_every_module(doc: dict[str, Json]) -> None:
    state = doc["app_state"]
    assert set(state) == {"state_version", "auth", "bank", "staking", "ibc", "transfer", "registry", "market", "trade"}
    assert state["state_version"] == 1
    assert state["staking"]["unbonding_s"] == 1_814_400
    assert len(state["registry"]["cells"]) == len(state["registry"]["devices"]) >= 12
    assert state["registry"]["cells"][0]["id"].endswith("@mga")


def test_accounts_are_funded_as_the_contract_says(doc: dict[str, Json], plan: ChainPlan) -> None:
    held = {b["address"]: int(b["coins"][0]["amount"]) for b in doc["app_state"]["bank"]["balances"]}
    assert len(held) == len(doc["app_state"]["bank"]["balances"])
    assert held[plan.account("faucet").address] >= 10**15
    names = [account.name for account in plan.accounts]
    assert names[:4] == ["faucet", "relayer", "relayer-0", "utility-cell"]
    assert all(held[account.address] >= 10**13 for account in plan.accounts)


def test_fresh_keys_every_time(plan: ChainPlan) -> None:
    other = plan_chain(TOPOLOGY.chains[0], "sunny", 1, START_MS)
    assert {a.mnemonic for a in plan.accounts}.isdisjoint({a.mnemonic for a in other.accounts})
    assert plan.validators[0][1].public != other.validators[0][1].public


def test_the_first_slots_bids_come_after_the_chain_is_up(plan: ChainPlan) -> None:
    params = market_params(plan.chain, plan.account("utility-cell").address, START_MS)
    assert gate_ms(params, params.first_slot, Gate.BID) >= START_MS + 30_000
    assert gate_ms(params, params.first_slot - 1, Gate.BID) < START_MS + 30_000


def test_gates_are_measured_from_their_side_of_delivery(plan: ChainPlan) -> None:
    made = params_of(plan)
    gates = gates_ms(*made)
    assert gates["OPEN"] == -120_000
    assert gates["DELIVER"] == gates["METER"] == 0
    assert gates["CLOSE"] == 48_000
    assert (gates["T_lock"], gates["T_gate"], gates["T_act"]) == (-36_000, -33_600, -18_000)
    assert (gates["T_meter"], gates["T_disp"], gates["T_close"]) == (20_000, 40_000, 60_000)


def params_of(plan: ChainPlan) -> tuple[market.Params, trade.Params]:
    utility = plan.account("utility-cell").address
    made = market_params(plan.chain, utility, START_MS)
    return made, market_trade_params(plan.chain, made, utility)


def test_both_sides_of_a_link_share_the_terms_of_trade(plan: ChainPlan) -> None:
    other = plan_chain(TOPOLOGY.chains[1], "windy", 1, START_MS)
    a, b = params_of(plan)[1], params_of(other)[1]
    for name in ("denom", "utility", "buyer_identity"):
        a.ClearField(name)
        b.ClearField(name)
    assert a == b


def test_a_gate_table_out_of_order_is_refused(plan: ChainPlan) -> None:
    gates = replace(plan.chain.gates, offsets={"BID": -100})
    with pytest.raises(ChainError, match="CLEAR has to come after BID"):
        market_params(replace(plan.chain, gates=gates), plan.account("utility-cell").address, START_MS)


def test_gates_that_leave_packets_too_few_blocks_are_refused_by_name(plan: ChainPlan) -> None:
    gates = gates_ms(*params_of(plan))
    check_gates("mga-1", gates, 4000, 1300)
    with pytest.raises(ToolError, match=r"mga-1: gate T_act waits for a packet: .* of 4000 ms after T_gate, got 15600"):
        check_gates("mga-1", gates, 4000, 4000)


def test_market_keys_reach_the_parameters() -> None:
    text = (
        '[[chain]]\nid = "x-1"\nkind = "cometbft"\n[chain.market]\nmechanism = "PAY_AS_BID"\nk_den = 3\ncap_e4 = 120000'
    )
    plan = plan_chain(parse_topology(text, "t").chains[0], "windy", 0, START_MS)
    params = params_of(plan)[0]
    assert params.mechanism == market.MECHANISM_PAY_AS_BID
    assert (params.k_den, params.cap_e4, params.up_e4) == (3, 120_000, 120_000)


def first_block(plan: ChainPlan, time_ms: int) -> abci.ResponseFinalizeBlock:
    """An application of this genesis at its first block."""
    state = MemoryState()
    request = abci.RequestInitChain(chain_id=plan.chain.id, initial_height=1)
    request.app_state_bytes = json.dumps(genesis_doc(plan)["app_state"]).encode()
    request.time.FromMilliseconds(START_MS)
    request.consensus_params.abci.vote_extensions_enable_height = 1
    update = request.validators.add(power=10)
    update.pub_key.ed25519 = plan.validators[0][1].public
    app = build(state, Operator())
    app.init_chain(request)
    block = abci.RequestFinalizeBlock(height=1)
    block.time.FromMilliseconds(time_ms)
    return app.handle(abci.Request(finalize_block=block)).finalize_block


GRID = '[[chain]]\nid = "x-1"\nkind = "cometbft"\n[[chain]]\nid = "grid-1"\nkind = "cometbft"\nrole = "grid"\n'


def test_the_main_grids_market_opens_no_slots() -> None:
    """A microgrid's opens many in the same block."""
    microgrid, grid = (plan_chain(chain, fleet, 0, START_MS) for chain, fleet in zip(
        parse_topology(GRID, "t").chains, ("windy", ""), strict=True))  # fmt: skip
    kinds = [[event.type for event in first_block(plan, START_MS + 600_000).events] for plan in (microgrid, grid)]
    assert "slot_opened" in kinds[0]
    assert "slot_opened" not in kinds[1]


def test_the_main_grid_is_a_utility_without_cells_that_shares_the_terms() -> None:
    chains = parse_topology(GRID, "t").chains
    grid = plan_chain(chains[1], "", 0, START_MS)
    assert grid.cells == ()
    assert grid.account("utility-cell").identity == "dno@grid"
    made, other = params_of(grid)[1], params_of(plan_chain(chains[0], "sunny", 0, START_MS))[1]
    assert (made.buyer_identity, made.grid, other.grid) == ("dno@grid", "grid-1", "grid-1")
    hashes = {terms_hash(terms_for(params, 3, "channel-1")) for params in (made, other)}
    assert len(hashes) == 1


def test_the_gates_of_level_3_come_after_those_of_level_2_with_room_for_packets() -> None:
    plan = plan_chain(parse_topology(GRID, "t").chains[0], "sunny", 0, START_MS)
    short = replace(plan.chain, gates=replace(plan.chain.gates, window_min_ms=60_000))
    gates = gates_ms(*params_of(replace(plan, chain=short)))
    check_gates("x-1", gates, 4000, 1500)
    with pytest.raises(ToolError, match="T_act3"):
        check_gates("x-1", gates, 4000, 1501)
    assert gates["T_act"] < gates["T_lock3"] <= gates["T_gate3"] < gates["T_act3"] < gates["DELIVER"]
    production = replace(plan.chain, slot_ms=900_000)
    made = params_of(replace(plan, chain=production))[1].level3
    assert (made.lock_permille, made.gate_permille, made.act_permille) == (78, 67, 33)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_an_application_starts_with_every_mechanism(mechanism: str) -> None:
    """The whole genesis document, VCG's and Vickrey's with a funded pool."""
    text = f'[[chain]]\nid = "x-1"\nkind = "cometbft"\n[chain.market]\nmechanism = "{mechanism}"\nsubsidy_max = 7'
    plan = plan_chain(parse_topology(text, "t").chains[0], "windy", 0, START_MS)
    assert first_block(plan, START_MS + 1_000).app_hash
    params = params_of(plan)[0]
    assert params.mechanism == market.Mechanism.Value(f"MECHANISM_{mechanism}")
    assert params.subsidy_max == ("7" if mechanism in SUBSIDISED else "")


def test_more_cells_than_the_fleet_has_get_names_of_their_own() -> None:
    text = '[[chain]]\nid = "x-1"\nkind = "cometbft"\ncells = 30'
    plan = plan_chain(parse_topology(text, "t").chains[0], "sunny", 0, START_MS)
    assert len({cell.account.identity for cell in plan.cells}) == 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("net"))


def test_files_of_a_whole_testnet(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: home.path / "leases.json")
    made = make_chains(home, TOPOLOGY, START_MS)
    used = [port for item in made for node in item.nodes for port in node.ports.values()]
    assert len(used) == len(set(used)) == 40
    node = made[0].nodes[1]
    config = tomllib.loads((node.home / "config" / "config.toml").read_text())
    assert config["consensus"]["timeout_commit"] == "650ms"
    assert config["consensus"]["timeout_propose"] == "1s"
    assert config["rpc"]["laddr"].startswith("tcp://127.0.0.1:")
    assert (config["p2p"]["addr_book_strict"], config["p2p"]["allow_duplicate_ip"]) == (False, True)
    assert config["p2p"]["persistent_peers"].count("@") == 3
    assert config["tx_index"]["indexer"] == "kv"
    assert tomllib.loads((node.home / "config" / "app.toml").read_text())["versions_kept"] == 1000
    for name in ("priv_validator_key.json", "node_key.json"):
        assert (node.home / "config" / name).stat().st_mode & 0o077 == 0
    assert json.loads((node.home / "config" / "genesis.json").read_text())["chain_id"] == "mga-1"


def test_every_python_process_has_a_hash_seed_of_its_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: home.path / "leases.json")
    made = make_chains(Home(home.path / "second"), TOPOLOGY, START_MS)
    specs = [*first_specs(made, print), *later_specs(made)]
    seeds = [dict(spec.env)["PYTHONHASHSEED"] for spec in specs if not spec.name.endswith("/cometbft")]
    assert len(specs) == 24
    assert len(set(seeds)) == len(seeds) == 16
    assert all(0 < int(seed) <= 4_294_967_295 for seed in seeds)


def test_testnet_json_has_what_programs_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: home.path / "leases.json")
    place = Home(home.path / "third")
    made = make_chains(place, TOPOLOGY, START_MS)
    found = document.testnet_doc(place, [document.chain_doc(place, item) for item in made])
    assert found["version"] == 1
    assert (found["slot_s"], found["relayers"], found["links"]) == (4, [], [])
    chain = found["chains"][0]
    assert (chain["kind"], chain["bech32_prefix"], chain["denom"]) == ("cometbft", "bsmg", "bmga")
    node = chain["nodes"][0]
    assert node["rpc"].startswith("http://127.0.0.1:")
    assert ":" in node["grpc"]
    assert "//" not in node["grpc"]
    cell = chain["accounts"][-1]
    assert cell["identity"].endswith("@mga")
    assert len(Path(cell["device_key"]).read_text().strip()) == 64


FEEDER = '[[chain]]\nid = "mga-1"\nkind = "cometbft"\nfeeder = "{}"\n'


@pytest.mark.parametrize("name", ["sce56", "bw33"])
@pytest.mark.parametrize("security", ["chain", "ballot"])
def test_a_feeder_enters_the_registry_with_its_fleet(name: str, security: str) -> None:
    text = FEEDER.format(name) + f'security = "{security}"\nvmax_permille = 1045\n'
    topology = parse_topology(text, "file")
    fleet = fleet_of(topology, 0)
    made = plan_chain(topology.chains[0], fleet, 1, START_MS)
    state = app_state(made)
    assert fleet == name
    assert state["registry"]["feeder"]["mode"] == f"SECURITY_MODE_{security.upper()}"
    limits = state["registry"]["feeder"]["vmin_permille"], state["registry"]["feeder"]["vmax_permille"]
    assert limits == (LIMITS_PERMILLE[name][0], 1045)
    tangents = {cell.get("tan_phi_permille", 0) for cell in state["registry"]["cells"]}
    assert tangents == {0, 484}
    assert "slot_opened" in [event.type for event in first_block(made, START_MS + 600_000).events]


def test_cells_beside_the_feeder_are_named() -> None:
    topology = parse_topology(FEEDER.format("bw33") + 'profile = "sce56"\n', "file")
    made = plan_chain(topology.chains[0], "sce56", 1, START_MS)
    with pytest.raises(ToolError, match=r"feeder bw33 has buses 1\.\.33, got .*shops-3\d at bus 3[4-9]"):
        app_state(made)


LINKED = '[[chain]]\nid = "mgb-1"\nkind = "cometbft"\n[[link]]\na = "mga-1"\nb = "mgb-1"\n'


@pytest.mark.parametrize("name", ["sce56", "bw33"])
def test_a_cell_of_megawatts_can_pay_for_a_day(name: str) -> None:
    """Twice the collateral, every live slot in escrow at the rating, and a day of buying or paying penalties."""
    topology = parse_topology(FEEDER.format(name) + LINKED, "file")
    made = plan_chain(topology.chains[0], name, 1, START_MS)
    params, trade_terms = params_of(made)
    worst_e4 = params.up_e4 + params.fee_e4 + params.penalty_permille * params.cap_e4 // 1000
    for cell in made.cells:
        registered = registry.Cell(max_import_W=cell.spec.max_import_W, max_export_W=cell.spec.max_export_W)
        energy = 250 * max(cell.spec.max_import_W, cell.spec.max_export_W)
        held = 2 * collateral_required(params, registered) + worst_e4 * energy * (params.max_live_slots + 96)
        assert held <= cell.account.amount, cell.spec.name
    largest = max(cell.spec.max_export_W for cell in made.cells)
    assert 250 * largest <= trade_terms.line_max_mwh
