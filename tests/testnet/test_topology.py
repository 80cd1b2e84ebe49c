"""The topology file: defaults, every refusal, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ToolError
from testnet.topology import Topology, default_denom, load_topology, parse_topology

CHAIN = '[[chain]]\nid = "mga-1"\nkind = "cometbft"\n'
OTHER = '[[chain]]\nid = "mgb-1"\nkind = "cometbft"\n'
FABRIC = '[[chain]]\nid = "mgf-1"\nkind = "fabric-embedded"\n'
LINK = '[[link]]\na = "mga-1"\nb = "mgb-1"\n'


def parsed(text: str) -> Topology:
    return parse_topology(text, "file")


def test_the_default_is_two_linked_chains_of_four() -> None:
    found = load_topology(None)
    assert [chain.id for chain in found.chains] == ["mga-1", "mgb-1"]
    assert [(link.a, link.b, link.channels) for link in found.links] == [("mga-1", "mgb-1", ("transfer", "trade"))]
    assert found.relayer.count == 1
    for chain in found.chains:
        assert (chain.validators, chain.block_time_ms, chain.slot_ms) == (4, 1000, 4000)
        assert (chain.hosts, chain.min_gas_price, chain.unbonding_s) == (("local",), "0", 1_814_400)
        assert (chain.versions_kept, chain.indexer) == (1000, "kv")
    assert [chain.denom for chain in found.chains] == ["bmga", "bmgb"]
    assert default_denom("x") == "bsmgx"


@pytest.mark.parametrize("kind", ["fabric", "fabric-embedded"])
def test_a_chain_on_fabric_has_organisations(kind: str) -> None:
    (chain,) = parsed(FABRIC.replace("fabric-embedded", kind)).chains
    assert (chain.kind, chain.organisations, chain.denom, chain.on_fabric) == (kind, 2, "bmgf", True)
    assert parsed(FABRIC + "organisations = 3").chains[0].organisations == 3
    text = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
    assert parsed(f'{FABRIC}organisations = 3\nendorsement = "{text}"').chains[0].endorsement == text
    assert chain.endorsement == ""
    assert not parsed(CHAIN).chains[0].on_fabric


def test_a_larger_testnet_has_more_time_to_come_up() -> None:
    two, three = parsed(CHAIN + OTHER + LINK), parsed(CHAIN + OTHER + FABRIC + LINK + LINK.replace("mgb", "mgf"))
    assert {chain.lead_ms for chain in two.chains} == {30_000}
    assert {chain.lead_ms for chain in three.chains} == {40_000}


def test_relayers_may_be_given_instead_of_the_files() -> None:
    assert load_topology(None, 0).relayer.count == 0


@pytest.mark.parametrize(
    ("text", "window_ms", "close_ms"),
    [
        (CHAIN, 12_000, 60_000),
        (CHAIN + OTHER + LINK, 120_000, 60_000),
        (CHAIN + "slot_s = 900", 12_000, 84 * 3_600_000),
        (CHAIN + "slot_ms = 900000", 12_000, 84 * 3_600_000),
        (CHAIN + 'gates = "production"', 12_000, 84 * 3_600_000),
        (CHAIN + "[chain.gates]\nwindow_min_ms = 24000", 24_000, 60_000),
        (CHAIN + "[chain.gates]\nclose_ms = 90000", 12_000, 90_000),
    ],
)
def test_gates(text: str, window_ms: int, close_ms: int) -> None:
    gates = parsed(text).chains[0].gates
    assert (gates.window_min_ms, gates.close_ms) == (window_ms, close_ms)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected 1 to 200 tables"),
        ("x = [", "expected TOML"),
        ("chian = 1", "unknown key 'chian'; nearest is 'chain'"),
        ("chain = 1", "expected tables written"),
        ('[[chain]]\nkind = "cometbft"', "id: expected, got nothing"),
        ('[[chain]]\nid = "mga-1"', "kind: expected, got nothing"),
        (CHAIN + "validater = 1", "unknown key 'validater'; nearest is 'validators'"),
        (CHAIN + "validators = 0", "a whole number from 1 to 100, got 0"),
        (CHAIN + "validators = true", "a whole number from 1 to 100, got True"),
        (CHAIN + "block_time_ms = 1.5", "a whole number from 500"),
        (CHAIN + "slot_ms = 4001", "a multiple of 1000, got 4001"),
        (CHAIN + "slot_ms = 4000\nslot_s = 4", "one parameter"),
        (CHAIN + 'indexer = "psql"', "one of kv, null, got 'psql'"),
        (CHAIN + 'denom = "1x"', "denom: expected text"),
        (CHAIN + 'min_gas_price = "cheap"', "min_gas_price: expected text"),
        (CHAIN + "hosts = []", "hosts: expected a list of texts"),
        (CHAIN + 'gates = "long"', "one of short, production"),
        (CHAIN + "[chain.gates]\nwindow = 1", "unknown key 'window'; nearest is 'window_min_ms'"),
        (CHAIN + "[chain.gates]\nclose_ms = 41000", "close_ms - 2 x max_skew_s"),
        (CHAIN + "[chain.market]\nk_num = 3", "k_num <= k_den, got 3 / 2"),
        (CHAIN + "[chain.market]\nfit_e4 = 90000", "fit_e4 <= cap_e4"),
        (CHAIN + '[chain.market]\nmechanism = "NONE"', "one of UNIFORM_K"),
        (CHAIN.replace("mga-1", "mga"), "id: expected text"),
        (CHAIN.replace("mga-1", "mga-0"), "id: expected text"),
        (CHAIN.replace("cometbft", "corda"), "one of cometbft, fabric, fabric-embedded, got 'corda'"),
        (FABRIC + "validators = 4", "(mgf-1): unknown key 'validators'"),
        (CHAIN + "organisations = 2", "unknown key 'organisations'"),
        (CHAIN + 'endorsement = "x"', "unknown key 'endorsement'"),
        (FABRIC + "endorsement = 2", "endorsement: expected text of the form"),
        (FABRIC + 'endorsement = "most of us"', "endorsement: expected a gate"),
        (FABRIC + "endorsement = \"AND('Org3MSP.peer')\"", "expected organisations of Org1MSP, Org2MSP, got Org3MSP"),
        (FABRIC + "organisations = 17", "organisations: expected a whole number from 1 to 16, got 17"),
        (CHAIN + CHAIN, "differ by name, not by revision, got 'mga' twice"),
        (CHAIN + CHAIN.replace("mga-1", "mga-2"), "differ by name, not by revision"),
        (CHAIN + LINK, "no chain 'mgb-1'; nearest is 'mga-1'"),
        (CHAIN + OTHER + LINK + LINK, "one link between mga-1 and mgb-1, got 2"),
        (CHAIN + OTHER + LINK + 'channels = ["chat"]', "channels: expected of transfer, trade"),
        (CHAIN + OTHER + LINK.replace("mgb-1", "mga-1"), "expected two chains, got mga-1 twice"),
        (CHAIN + OTHER + "slot_s = 8\n" + LINK, "expected equal slot and window"),
        (CHAIN + "[relayer]\ncount = 99", "count: expected a whole number from 0 to 16, got 99"),
        (CHAIN + "[relayer]\nmax_msg = 1", "unknown key 'max_msg'; nearest is 'max_msgs'"),
    ],
)
def test_a_bad_topology_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ToolError) as caught:
        parsed(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith("file")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"nothing\.toml: expected a readable file"):
        load_topology(tmp_path / "nothing.toml")


def test_channels_open_in_one_order() -> None:
    found = parsed(CHAIN + OTHER + LINK + 'channels = ["trade", "transfer"]')
    assert found.links[0].channels == ("transfer", "trade")


def test_a_link_may_have_ibc_v2_too() -> None:
    assert not parsed(CHAIN + OTHER + LINK).links[0].ibc_v2
    assert parsed(CHAIN + OTHER + LINK + "ibc_v2 = true").links[0].ibc_v2
    with pytest.raises(ToolError, match="ibc_v2: expected true or false, got 1"):
        parsed(CHAIN + OTHER + LINK + "ibc_v2 = 1")


@given(st.text())
def test_any_text_is_a_topology_or_a_tool_error(text: str) -> None:
    try:
        said = str(len(parsed(text).chains))
    except ToolError as error:
        said = str(error)
    assert said


GRID = '[[chain]]\nid = "mga-1"\nkind = "cometbft"\n[[chain]]\nid = "grid-1"\nkind = "cometbft"\nrole = "grid"\n'


def test_every_chain_knows_the_main_grids() -> None:
    microgrid, grid = parse_topology(GRID, "t").chains
    assert (microgrid.role, microgrid.grid, grid.role, grid.grid) == ("microgrid", "grid-1", "grid", "grid-1")
    alone = parse_topology('[[chain]]\nid = "mga-1"\nkind = "cometbft"\n', "t").chains[0]
    assert (alone.role, alone.grid) == ("microgrid", "")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (GRID + "cells = 3\n", "no cells"),
        (GRID + 'profile = "sunny"\n', "no cells"),
        (GRID + '[[chain]]\nid = "dso-1"\nkind = "cometbft"\nrole = "grid"\n', "at most one chain of role grid"),
        (GRID.replace('role = "grid"', 'role = "dso"'), "microgrid, grid"),
        ('[[chain]]\nid = "mgf-1"\nkind = "fabric-embedded"\nrole = "grid"\n', "unknown key 'role'"),
    ],
)
def test_the_main_grids_chain_has_no_cells_and_is_one(text: str, what: str) -> None:
    with pytest.raises(ToolError, match=what):
        parse_topology(text, "t")


def test_a_feeder_brings_its_fleet_and_a_way_to_judge_schedules() -> None:
    (plain,) = parsed(CHAIN).chains
    assert (plain.feeder, plain.profile, plain.security) == ("", "", "chain")
    (chain,) = parsed(CHAIN + 'feeder = "bw33"\nsecurity = "ballot"\nvmin_permille = 950').chains
    assert (chain.feeder, chain.profile, chain.security) == ("bw33", "bw33", "ballot")
    assert (chain.vmin_permille, chain.vmax_permille) == (950, 0)
    (other,) = parsed(CHAIN + 'feeder = "sce56"\nprofile = "bw33"').chains
    assert (other.feeder, other.profile) == ("sce56", "bw33")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('feeder = "ieee13"', r"feeder: expected one of , bw33, sce56, got 'ieee13'"),
        ('security = "trust"', r"security: expected one of chain, ballot, got 'trust'"),
        ("vmax_permille = 2001", r"vmax_permille: expected a whole number from 0 to 2000, got 2001"),
        ('feder = "bw33"', r"unknown key 'feder'; nearest is 'feeder'"),
        ('role = "grid"\nfeeder = "bw33"', r"feeder: expected nothing, since a chain of role grid has no cells"),
    ],
)
def test_a_wrong_feeder_is_named(line: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        parsed(CHAIN + line)
