"""The comparison itself: what passes for the same, and what does not."""

from __future__ import annotations

import pytest

from tests.fabric_conformance.compare import differences

WHAT = ("case", "step")
REAL = {"error": "EndorseError", "code": "ABORTED", "message": "no", "nodes": [["Org1MSP", "access denied"]]}


@pytest.mark.parametrize(
    "got",
    [
        REAL,
        {**REAL, "message": "no: expected 1, got 2"},
        {**REAL, "nodes": [["Org1MSP", "access denied: expected 1, got 2"]]},
    ],
)
def test_the_same_with_more_words(got):
    assert list(differences(REAL, got, WHAT)) == []


@pytest.mark.parametrize(
    "got",
    [
        {"ok": "VALID"},
        {**REAL, "error": "SubmitError"},
        {**REAL, "code": "UNKNOWN"},
        {**REAL, "message": "yes"},
        {**REAL, "nodes": [["Org2MSP", "access denied"]]},
        {**REAL, "nodes": [["Org1MSP", "other words"]]},
        {**REAL, "nodes": [["Org1MSP", "access denied"]] * 2},
        {**REAL, "refusal": [400, "no"]},
        {key: value for key, value in REAL.items() if key != "nodes"},
    ],
)
def test_another_outcome_is_seen(got):
    assert list(differences(REAL, got, WHAT))


def test_what_is_stricter_is_so_for_its_reason_only():
    path = ("who_is_no_member", "expired", "evaluate")
    refused = {"error": "EvaluateError", "code": "FAILED_PRECONDITION", "message": "x: certificate has expired"}
    assert list(differences({"ok": "pong"}, refused, path)) == []
    assert list(differences({"ok": "pong"}, {**refused, "message": "x"}, path))
    assert list(differences({"ok": "pong"}, {"ok": "pong"}, path))
