"""What the parts of a replay share: where it is, the ledger, the findings, the expected events."""

from __future__ import annotations

from dataclasses import dataclass

from bsmg.audit.expected import Expectations
from bsmg.audit.findings import Findings
from bsmg.audit.ledger import Ledger


@dataclass(slots=True, kw_only=True)
class Stage:
    """One chain's replay; height and time are those of the block at hand."""

    chain_id: str
    findings: Findings
    ledger: Ledger
    expect: Expectations
    height: int = 0
    time_ms: int = 0
    time_ns: int = 0

    def at(self, height: int, time_ns: int) -> None:
        """Go to a block."""
        self.height, self.time_ns, self.time_ms = height, time_ns, time_ns // 1_000_000
        self.ledger.place = f"block {height}"

    @property
    def place(self) -> str:
        """The block, for differences."""
        return f"block {self.height}"


def stage_of(chain_id: str) -> Stage:
    """A new stage with empty books."""
    findings = Findings(chain_id=chain_id)
    return Stage(
        chain_id=chain_id,
        findings=findings,
        ledger=Ledger(findings=findings),
        expect=Expectations(findings=findings),
    )
