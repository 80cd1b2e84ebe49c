"""Topologies that no example shows: a file is refused in one line before a process starts, or its chains begin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abci_app.app_process import build
from cosmos_wire.errors import ChainError, ToolError
from cosmos_wire.protos import abci
from microgrid.memory_state import MemoryState
from microgrid.operator import Operator
from processes import ports
from testnet import lifecycle
from testnet.chains import make_chains
from testnet.files import Home
from testnet.genesis import app_state
from testnet.nodes import fleet_of, plan_chain
from testnet.topology import BLOCK_TIME_MS, Topology, parse_topology

START_MS = 1_767_225_600_123
CHAIN = '[[chain]]\nid = "mga-1"\nkind = "cometbft"\nvalidators = 1\ncells = 2\n'
OTHER = CHAIN.replace("mga", "mgb")
GRID = '[[chain]]\nid = "grid-1"\nkind = "cometbft"\nrole = "grid"\nvalidators = 1\n'
LINK = '[[link]]\na = "mga-1"\nb = "mgb-1"\n'
NUMBERS = st.one_of(
    st.integers(-2, 70), st.sampled_from([500, 970, 1000, 1032, 4000, 20_000, 80_000, 900, 10**9, 2**63, 2**64, 10**30])
)
TEXTS = st.sampled_from([
    "", " ", "mga-1", "mgb-1", "grid-1", "a-1", "0-1", "m..g-1", "a" * 33 + "-1", f"x-{2**64}", "../x-1", "mgä-1",
    "sce56", "bw33", "none", "cometbft", "fabric-embedded", "grid", "ballot", "chain", "null", "short", "production",
    "stake", "ibc/AB", "transfer/channel-0/x", "0", "0.025bmga", "1uatom", "1" * 90, "VCG", "TARIFF", "local", "\n",
])  # fmt: skip
SCALARS = st.one_of(NUMBERS, TEXTS, st.booleans(), st.floats(), st.dates())
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(TEXTS, SCALARS, max_size=2))


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return str(value)


def table(head: str, values: dict[str, object]) -> str:
    """A table of TOML."""
    return head + "\n" + "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in values.items())


def seldom_odd(fits: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """What fits, and once in a while anything."""
    return st.sampled_from(range(20)).flatmap(lambda n: VALUES if n == 7 else fits)


def mostly(good: Mapping[str, st.SearchStrategy[object]]) -> st.SearchStrategy[dict[str, object]]:
    """Tables whose keys hold something that fits more often than not."""
    return st.fixed_dictionaries({}, optional={key: seldom_odd(fits) for key, fits in good.items()})


GATES = mostly({
    "window_min_ms": st.sampled_from([1000, 12_000, 24_000, 120_000]), "meter_ms": st.sampled_from([1, 20_000]),
    "close_ms": st.sampled_from([60_000, 90_000]), "max_skew_s": st.integers(0, 20), "BID": st.integers(-1000, 10),
    "SETTLE": st.integers(0, 100_000),
})  # fmt: skip
MARKET = mostly({
    "mechanism": st.sampled_from(["UNIFORM_K", "PAY_AS_BID", "VCG", "TARIFF", "MUDA"]), "k_num": st.integers(0, 3),
    "fit_e4": st.sampled_from([0, 20_000]), "cap_e4": st.sampled_from([1, 70_000, 10**9]), "tariff_e4": NUMBERS,
})  # fmt: skip
COMMON = {
    "slot_s": st.sampled_from([1, 2, 4, 5, 7, 900]), "denom": st.sampled_from(["bmga", "stake", "abc"]),
    "cells": st.integers(0, 3), "profile": st.sampled_from(["sunny", "windy"]), "gates": GATES, "market": MARKET,
    "block_time_ms": st.sampled_from([500, 1000]), "unbonding_s": st.sampled_from([1, 1_814_400]),
    "versions_kept": st.integers(2, 9),
}  # fmt: skip
ON_FEEDER = {
    "feeder": st.just("sce56"), "security": st.just("chain"), "vmin_permille": st.integers(900, 1001),
    "profile": st.sampled_from(["sunny", "sce56"]), "cells": st.just(2),
}  # fmt: skip
ON_COMETBFT = {
    "indexer": st.just("null"), "hosts": st.just(["local"]), "min_gas_price": st.sampled_from(["0", "0.1"]),
    "validators": st.just(1), "role": st.just("microgrid"),
}  # fmt: skip
IDS = seldom_odd(st.sampled_from(["mga-1", "mgb-1"]))
KINDS = [
    ("cometbft", mostly(COMMON | ON_COMETBFT)),
    ("cometbft", mostly(COMMON | ON_FEEDER)),
    ("cometbft", mostly({"role": st.just("grid"), "market": MARKET})),
    ("fabric-embedded", mostly(COMMON | {"organisations": st.integers(1, 3)})),
]
NAMED = st.one_of(
    st.tuples(IDS, keys).map(lambda got, kind=kind: table("[[chain]]", {"id": got[0], "kind": kind, **got[1]}))
    for kind, keys in KINDS
)
LINKS = st.tuples(IDS, IDS, mostly({"channels": st.just(["trade"]), "ibc_v2": st.booleans()})).map(
    lambda parts: table("[[link]]", {"a": parts[0], "b": parts[1], **parts[2]})
)
RELAYERS = mostly({"count": st.integers(0, 2), "max_msgs": st.just(5)}).map(lambda values: table("[relayer]", values))
FILES = st.tuples(st.lists(NAMED, min_size=1, max_size=2), st.lists(LINKS, max_size=1), RELAYERS).map(
    lambda parts: "".join(parts[0]) + "".join(parts[1]) + parts[2]
)


def begin(topology: Topology, number: int) -> None:
    """Genesis of a chain as its application takes it; raises ChainError or ToolError before that only."""
    chain = topology.chains[number]
    plan = plan_chain(chain, fleet_of(topology, number), topology.relayer.count, START_MS)
    request = abci.RequestInitChain(chain_id=chain.id, initial_height=1)
    request.app_state_bytes = json.dumps(app_state(plan)).encode()
    request.time.FromMilliseconds(START_MS)
    request.consensus_params.abci.vote_extensions_enable_height = 1
    for _, key in plan.validators:
        request.validators.add(power=10).pub_key.ed25519 = key.public
    try:
        build(MemoryState(), Operator()).init_chain(request)
    except (ChainError, ToolError) as error:
        raise AssertionError(f"{chain.id}: refused after it was started: {error}") from error


def refusal(text: str) -> str:
    """What is said about a file before a process starts; empty when its chains begin."""
    try:
        topology = parse_topology(text, "file")
        for number in range(len(topology.chains)):
            begin(topology, number)
    except (ChainError, ToolError) as error:
        return str(error)
    return ""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_a_file_of_odd_values_is_refused_in_one_line_or_begins(text: str) -> None:
    said = refusal(text)
    assert "\n" not in said
    assert len(said) < 1000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CHAIN.replace('"mga-1"', '["mga-1"]') + LINK, "chain 1: id: expected text of the form"),
        (CHAIN.replace('"mga-1"', "{ a = 1 }") + LINK, "chain 1: id: expected text of the form"),
        ("x = " + "9" * 5000, "expected TOML, got Exceeds the limit"),
        ("x = " + "[" * 50_000, "expected TOML, got maximum recursion depth"),
        (CHAIN + "versions_kept = 0x" + "f" * 5000, "got a number of thousands of digits"),
        (CHAIN + 'denom = "' + "a" * 9000 + '"', "got 'aaa"),
        (CHAIN.replace("mga-1", "a" * 33 + "-1"), "at most 40 characters, 32 of them before the revision"),
        (CHAIN.replace("mga-1", f"mga-{2**64}"), f"a revision of at most {2**64 - 1}, got 'mga-{2**64}'"),
        (CHAIN + 'denom = "ibc/AB"', "not one of a coin that came by IBC, got 'ibc/AB'"),
        (CHAIN + 'denom = "transfer/channel-0/bmgb"', "not one of a coin that came by IBC"),
        (CHAIN + 'min_gas_price = "1uatom"', "min_gas_price: expected a decimal, alone or with bmga, got '1uatom'"),
        (CHAIN + 'security = "ballot"', "security: expected a feeder beside it"),
        (CHAIN + "vmin_permille = 950", "vmin_permille: expected a feeder beside it"),
        (GRID + 'security = "ballot"', "security: expected a feeder beside it"),
        (CHAIN + OTHER + "gates = { meter_ms = 10000 }\n" + LINK, "equal gates.meter_ms, got 20000 and 10000"),
        (CHAIN + OTHER + "gates = { max_skew_s = 5 }\n" + LINK, "equal gates.max_skew_s, got 10 and 5"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(text: str, says: str) -> None:
    with pytest.raises(ToolError) as caught:
        parse_topology(text, "file")
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_linked_chains_that_do_not_trade_may_have_other_terms() -> None:
    text = CHAIN + OTHER + "gates = { meter_ms = 10000 }\n" + LINK + 'channels = ["transfer"]'
    assert len(parse_topology(text, "file").links) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OTHER + CHAIN + "gates = { BID = -100 }", "chain mga-1: CLEAR has to come after BID"),
        (OTHER + CHAIN + "gates = { window_min_ms = 86400000 }", "chain mga-1: max_live_slots has to be 0..1000"),
        (OTHER + CHAIN + 'profile = "none"', "chain mga-1: fleet 'none' does not exist"),
        (OTHER + CHAIN + 'feeder = "bw33"\nvmin_permille = 1100', "chain mga-1: .* is expected, got 1100"),
        (OTHER + CHAIN + 'hosts = ["10.9.8.7.6"]', "chain mga-1: hosts: expected 'local' or an IPv4 address"),
    ],
)
def test_genesis_says_whose_parameter_it_refuses(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: tmp_path / "leases.json")
    with pytest.raises(ToolError, match=says):
        make_chains(Home(tmp_path / "net"), parse_topology(text, "file"), START_MS)


def request(home: Path, text: str) -> lifecycle.Request:
    return lifecycle.Request(home=Home(home), topology=parse_topology(text, "file"), say=print)


async def test_gates_too_narrow_for_the_blocks_that_are_wanted_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: tmp_path / "leases.json")
    slow = CHAIN + f"block_time_ms = {BLOCK_TIME_MS[1]}\n"
    with pytest.raises(ToolError, match="mga-1: gate T_lock waits for a packet"):
        await lifecycle.up(request(tmp_path / "net", slow + OTHER + LINK))
    assert not (tmp_path / "net" / "supervisor.log").exists()


async def test_a_stopped_testnet_does_not_come_up_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It did, without a word: the topology that was asked for was never looked at."""
    monkeypatch.setattr(ports, "lease_file", lambda: tmp_path / "leases.json")
    home = Home(tmp_path / "net")
    home.path.mkdir()
    asked = request(home.path, CHAIN)
    lifecycle.remember(home, asked.topology)
    for path in (home.testnet, home.specs):
        path.write_text("[]")
    with pytest.raises(ToolError, match="expected the topology that it was made from, got another one"):
        await lifecycle.up(request(home.path, CHAIN + "slot_s = 5"))
    lifecycle.check_topology(asked)
