"""`bsmg market report` and `bsmg market bench`: what they say, and that they notice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bsmg.cli.market import command
from bsmg.market import bench, books, report, whole
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import market as pb
from energy.market import keys
from energy.market.state import ESCROW, held
from energy.mechanisms import catalogue
from energy.mechanisms.catalogue import ALL, CATALOGUE, EXACT
from energy.mechanisms.huang import huang
from energy.mechanisms.uniform import uniform
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas

FREE = {"events": EventLog(), "gas": FreeGas()}


def answer(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("fees", ["--fees", "--no-fees"])
def test_no_claim_is_contradicted(fees: str) -> None:
    doc = answer("report", "--books", "12", fees)
    rows = {row["mechanism"]: row for row in doc["summary"]}  # type: ignore[attr-defined]  # a list of rows
    assert list(rows) == list(CATALOGUE)
    assert all(row["rational"] for row in rows.values())
    assert rows["vcg"]["paying_lies_permille"] == [0, 0, 0, 0]
    assert rows["vickrey"]["paying_lies_permille"][3] == 0
    assert rows["vcg"]["surplus_permille"] < 0
    assert rows["uniform-k"]["efficiency_permille"] == 1000
    assert rows["discriminatory-k"]["paying_lies_permille"][1] > 0


def test_the_same_seed_gives_the_same_report() -> None:
    arguments = ["report", "--books", "5", "--mechanism", "muda", "--mechanism", "huang"]
    assert answer(*arguments) == answer(*arguments)
    assert answer(*arguments) != answer(*arguments, "--seed", "2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"truthful": ALL}, "lies paid"),
        ({"rule": huang}, "surplus"),
        ({"rule": huang, "budget": "surplus"}, "greatest"),
    ],
)
def test_a_false_claim_is_found(monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str) -> None:
    wrong = replace(CATALOGUE["discriminatory-k"], **change)  # type: ignore[arg-type]  # fields of several types
    monkeypatch.setattr(report, "CATALOGUE", {"discriminatory-k": wrong})
    found = report.measure(report.Options(count=20, names=("discriminatory-k",)))
    assert any(said in text for text in report.contradictions(found))
    assert wrong.budget in (EXACT, "surplus")


def test_the_report_ends_with_an_error_when_a_claim_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(catalogue.CATALOGUE["greedy"], truthful=ALL)
    monkeypatch.setattr(report, "CATALOGUE", {"greedy": wrong})
    with pytest.raises(ToolError, match=r"greedy, one size: .* lies paid"):
        CliRunner().invoke(
            command, ["report", "--books", "20", "--mechanism", "greedy"], catch_exceptions=False, standalone_mode=False
        )


def test_bench_times_every_mechanism_and_checks_the_outcomes() -> None:
    doc = answer("bench", "--orders", "300", "--runs", "1")
    timings = doc["timings"]
    assert {row["mechanism"] for row in timings} == {bench.CHAIN, *CATALOGUE}  # type: ignore[attr-defined]  # rows
    assert all(row["orders"] == (200 if CATALOGUE[row["mechanism"]].orders_max else 300) for row in timings[1:])  # type: ignore[index]  # rows
    assert {row["fees"] for row in timings} == {"none", "4 areas"}  # type: ignore[attr-defined]  # rows


def test_tables_are_printed() -> None:
    done = CliRunner().invoke(command, ["report", "--books", "2", "--mechanism", "uniform-k"])
    assert "uniform-k" in done.output
    done = CliRunner().invoke(command, ["bench", "--orders", "50", "--runs", "1", "--mechanism", "muda"])
    assert "muda" in done.output


def test_the_bench_fees_are_a_matrix_that_is_no_sum() -> None:
    table = books.fees()
    size = range(table.areas)
    assert any(table.sell_e4[i] + table.buy_e4[j] > table.pair_e4[i][j] for i in size for j in size)
    assert table.of(1, 56) == 500 + 3 * 1_500 + books.DNO_E4
    assert uniform is CATALOGUE["uniform-k"].rule


def test_a_whole_slot_trades_settles_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[whole.Validator] = []
    closed = whole._Run.close

    def close(run: whole._Run) -> None:
        closed(run)
        seen.append(run.validator)
        slot = run.validator.slot(whole.FIRST_SLOT)
        assert (slot.state, slot.orders, slot.settled_cells) == (pb.SLOT_STATE_CLOSED, 30, 30)
        store = run.validator.db.store("app")
        assert not list(store.iterate(keys.BOOK)) + list(store.iterate(keys.ORDERS)) + list(store.iterate(b"mt/r/"))
        assert held(Context(env=BlockEnv(chain_id="", height=1, time_ns=0), app=store, ibc=store, **FREE), ESCROW) == 0

    monkeypatch.setattr(whole._Run, "close", close)
    doc = answer("slot", "--cells", "30")
    (row,) = doc["slots"]  # type: ignore[misc]  # a list of one
    assert len(seen) == 1
    assert row["volume_mWh"] > 0
    assert list(row["ms"]) == list(whole.PHASES)


def test_a_slot_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "REQUIRED_MARGIN", 10**9)
    with pytest.raises(ToolError, match="4 cells have"):
        CliRunner().invoke(command, ["slot", "--cells", "4"], catch_exceptions=False, standalone_mode=False)


def test_a_refused_transaction_stops_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "GAS", 1)
    with pytest.raises(ToolError, match="has to pass"):
        whole.measure(2)
