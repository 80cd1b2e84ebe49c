"""The model of docs/trade.md 9, and the real handlers beside it, step by step."""

from __future__ import annotations

import random

import pytest

from . import model as m
from .walks import lockstep, walk

ONE = m.Bounds(freeze=False)
PARTIAL = m.Bounds(offer=3, freeze=False)
TWO = m.Bounds(contracts=2, freeze=False, halt=False, cancel=False, lies=(0, 4))
SEVEN = m.Bounds(contracts=2, offer=7, truths=(0, 7), lies=(0, 4, 7))
WALKS = 160


@pytest.mark.parametrize(
    ("bounds", "states", "edges"), [(ONE, 30_472, 105_546), (PARTIAL, 30_982, 107_200), (TWO, 64_816, 235_002)]
)
def test_the_model_has_no_violation(bounds, states, edges):
    assert m.Model(bounds).states() == (states, edges, None)


@pytest.mark.parametrize("bounds", [ONE, m.Bounds(), PARTIAL, TWO, SEVEN])
def test_the_handlers_follow_the_model_from_the_start(bounds):
    states, edges = lockstep(bounds, edges_max=4_000)
    assert states > 500
    assert edges >= 4_000


@pytest.mark.parametrize("bounds", [ONE, m.Bounds(), PARTIAL, TWO, SEVEN])
@pytest.mark.parametrize("seed", range(4))
def test_the_handlers_follow_the_model_on_random_paths(bounds, seed):
    rng = random.Random(seed)
    for _ in range(WALKS // 20):
        found = walk(bounds, rng)
        assert found is None, f"seed {seed}: {found}"


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "states", "edges"), [(ONE, 30_472, 105_546), (PARTIAL, 30_982, 107_200)])
def test_the_handlers_follow_the_model_everywhere(bounds, states, edges):
    assert lockstep(bounds, edges_max=10**9) == (states, edges)
