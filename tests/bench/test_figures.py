"""What the measurements make of blocks and answers, without a chain."""

from __future__ import annotations

import pytest

from bench import __main__ as both
from bench import query_load, throughput
from bench.measure import mean_ms, percentile, spent, summary
from bench.send_load import sender_key, signed_transfers
from cosmos_wire import secp256k1
from cosmos_wire.protos import tx
from cosmos_wire.tx import sign_doc

S = 1_000_000_000


@pytest.mark.parametrize(("share", "expected"), [(1, 1), (50, 5), (90, 9), (95, 10), (100, 10)])
def test_percentile_is_the_nearest_rank(share: int, expected: int) -> None:
    assert percentile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], share) == expected


def test_nothing_measured_is_no_error() -> None:
    assert summary([]) == {"count": 0, "p50": 0.0, "p95": 0.0, "max": 0.0}


def test_cpu_and_abci_times_are_differences() -> None:
    assert spent({"app": 1.0, "query": 2.0}, {"app": 1.5, "query": 2.0}) == {"app": 0.5, "query": 0.0}
    before, after = {"commit": (1.0, 10.0), "flush": (1.0, 5.0)}, {"commit": (1.5, 20.0), "flush": (1.0, 5.0)}
    assert mean_ms(before, {**after, "query": (0.2, 2.0)}) == {"commit": 50.0, "query": 100.0}


def test_the_rate_is_code_0_over_the_time_between_commits() -> None:
    series = throughput.Series(first=8, times_ns=[0, 1 * S, 3 * S, 4 * S], committed=[300, 700, 200], refused=5)
    found = throughput.figures(series, {}, throughput.Answers(latency_ms=[1.0, 2.0]))
    assert (found["committed_per_s"], found["committed"], found["seconds"]) == (300.0, 1200, 4.0)
    assert found["refused_in_blocks"] == 5
    assert found["block_interval_s"] == {"p50": 1.0, "p95": 2.0}


def test_a_slow_chain_or_one_error_fails() -> None:
    good = query_load.figures([1.0] * 20, [1.25] * 60)
    answers = [{"answered": {"balance": 4}, "errors": {}, "latency_ms": [1.0]}]
    asked = query_load.asked(answers, query_load.Options(seconds=2))
    assert (good["p95_ratio"], asked["answers_per_s"]) == (1.25, 2.0)
    assert query_load.met({**good, **asked})
    assert not query_load.met({**query_load.figures([1.0] * 20, [1.26] * 60), **asked})
    refused = query_load.asked([{**answers[0], "errors": {"absence: no": 1}}], query_load.Options())
    assert not query_load.met({**good, **refused})


def test_presigned_transfers_follow_one_another_and_verify() -> None:
    spec = {"denom": "bmga", "chain_id": "bench-1", "accounts": [4, 7], "transfers": 3}
    raws = [tx.TxRaw.FromString(raw) for raw in signed_transfers(1, spec)]
    sequences = [tx.AuthInfo.FromString(raw.auth_info_bytes).signer_infos[0].sequence for raw in raws]
    assert sequences == [0, 1, 2]
    for raw in raws:
        doc = sign_doc(raw.body_bytes, raw.auth_info_bytes, "bench-1", 7)
        assert secp256k1.verify(sender_key(1).public, doc, raw.signatures[0])


def test_the_table_says_what_is_not_met() -> None:
    transfers = {"committed_per_s": 299.9, "grpc_errors": []}
    intervals = {"loaded_interval_s": {"p95": 1.2}, "idle_interval_s": {"p95": 1.0}}
    questions = {"p95_ratio": 1.2, "query_errors": 0, "answers_per_s": 1.0, **intervals}
    assert [met for *_, met in both.rows(transfers, questions)] == [False, True, True, True, True]
