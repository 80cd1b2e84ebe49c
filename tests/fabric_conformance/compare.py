"""Whether a ledger's outcome is the recorded one of a real network.

Error classes, gRPC and validation codes, statuses and results have to be equal. A message has to begin with the real
network's words; the embedded ledger goes on with what it expected and what it got.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any as Json

# The embedded ledger refuses an expired certificate everywhere; a real peer at its endorser service alone.
REFUSED = {"error": "EvaluateError", "code": "FAILED_PRECONDITION"}
DENIED = {"code": "PERMISSION_DENIED"}
STRICTER: Mapping[tuple[str, ...], Mapping[str, str]] = {
    ("who_is_no_member", "expired", "evaluate"): REFUSED,
    ("who_is_no_member", "expired", "status"): {"error": "StatusError", **DENIED},
    ("who_is_no_member", "expired", "events"): {"error": "EventsError", **DENIED},
    ("who_is_no_member", "expired", "endorse"): {"error": "EndorseError", "code": "ABORTED"},
}
EXPIRED = "certificate has expired"
# Refused for the same reason in words of our own, behind Fabric's first ones.
OWN_WORDS = {("a_proposal_that_was_altered", what) for what in ("epoch", "identifier", "type")}
BEGINNING = "error validating proposal: "


def differences(expected: Json, got: Json, path: tuple[str, ...]) -> Iterator[str]:
    """What is not as it was recorded."""
    if path in STRICTER:
        yield from _stricter(got, path)
    elif isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted({*expected, *got}):
            yield from differences(expected.get(key), got.get(key), (*path, key))
    elif path[-1] == "nodes" and isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for (msp_id, words), (got_msp_id, got_words) in zip(expected, got, strict=True):
            begin = BEGINNING if path[:-1] in OWN_WORDS else words
            yield from differences([msp_id, begin], [got_msp_id, got_words[: len(begin)]], (*path[:-1], "words"))
    elif path[-1] == "message" and isinstance(expected, str) and isinstance(got, str):
        yield from differences(expected, got[: len(expected)], (*path[:-1], "words"))
    elif expected != got:
        yield f"{' / '.join(path)}: expected {expected!r}, got {got!r}"


def _stricter(got: Json, path: tuple[str, ...]) -> Iterator[str]:
    found = {key: got.get(key) for key in STRICTER[path]}
    said = [got.get("message", ""), *(words for _, words in got.get("nodes", ()))]
    if found != STRICTER[path] or not any(EXPIRED in words for words in said):
        yield f"{' / '.join(path)}: expected {STRICTER[path]} for a certificate that has expired, got {got!r}"
