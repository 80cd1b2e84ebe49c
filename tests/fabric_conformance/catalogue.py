"""All cases."""

from __future__ import annotations

from tests.fabric_conformance import cases, forged
from tests.fabric_conformance.case import CASES, Case

__all__ = ["CASES", "Case", "cases", "forged"]
