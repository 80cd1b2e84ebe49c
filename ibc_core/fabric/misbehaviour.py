"""Proof that a Fabric microgrid's endorsers broke the rules: two well endorsed payloads that can't both be true."""

from __future__ import annotations

from ibc_core.fabric.records import Membership
from ibc_core.fabric.states import ClientStates
from ibc_core.fabric.verifier import Attested
from ibc_core.light_client import Height


def conflict(first: Attested, second: Attested) -> bool:
    """Two times of a tick, two values of a path at one height, times that do not rise, rival memberships."""
    if _rival(first.membership, second.membership):
        return True
    if first.height != second.height:
        early, late = sorted((first, second), key=lambda each: each.height)
        return early.time_ns >= late.time_ns
    if first.time_ns != second.time_ns or _ticks_differ(first, second):
        return True
    common = [path for path in sorted(first.values) if path in second.values]
    return any(first.values[path] != second.values[path] for path in common)


def _rival(first: Membership | None, second: Membership | None) -> bool:
    return first is not None and second is not None and first.version == second.version and first != second


def _ticks_differ(first: Attested, second: Attested) -> bool:
    return first.tick is not None and second.tick is not None and first.tick != second.tick


def contradicts(states: ClientStates, height: Height, attested: Attested) -> bool:
    """Whether a verified header denies what the client knows: time at its height, order of times, its membership."""
    if _rival(attested.membership, states.client().membership):
        return True
    stored = states.find_consensus(height)
    if stored is not None:
        return stored.timestamp_ns != attested.time_ns
    before, after = states.heights.preceding(height), states.heights.following(height)
    if before is not None and states.consensus(before).timestamp_ns >= attested.time_ns:
        return True
    return after is not None and states.consensus(after).timestamp_ns <= attested.time_ns
