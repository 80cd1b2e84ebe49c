"""The recorded outcomes are a real network's: so that what the embedded ledger is compared with stays true."""

from __future__ import annotations

import json

import pytest

from fabric_adapter.network.plan import REAL
from tests.fabric_conformance.catalogue import CASES, Case
from tests.fabric_conformance.conftest import Worlds
from tests.fabric_conformance.record import TARGET
from tests.fabric_conformance.world import World

pytestmark = pytest.mark.fabric
RECORDED = json.loads(TARGET.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(worlds: Worlds, case: Case):
    assert case.play(World(worlds(REAL, case.policy).home)) == RECORDED[case.name]
