"""The embedded ledger does what a real network did, call by call and on one stream."""

from __future__ import annotations

import json

import pytest

from fabric_adapter.network.plan import EMBEDDED
from tests.fabric_conformance.catalogue import CASES, Case
from tests.fabric_conformance.compare import differences
from tests.fabric_conformance.conftest import Worlds
from tests.fabric_conformance.record import TARGET
from tests.fabric_conformance.world import World

pytestmark = pytest.mark.e2e
RECORDED = json.loads(TARGET.read_text())


def test_every_case_has_a_recorded_outcome():
    assert sorted(RECORDED) == sorted(case.name for case in CASES)


@pytest.mark.parametrize("alone", [False, True], ids=["stream", "calls"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(worlds: Worlds, case: Case, alone: bool):
    home = worlds(EMBEDDED, case.policy).home
    outcome = case.play(World(home, alone=alone))
    assert list(differences(RECORDED[case.name], outcome, (case.name,))) == []
