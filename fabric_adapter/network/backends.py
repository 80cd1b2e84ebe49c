"""What differs between the ledgers that a network can be brought up on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fabric_adapter.network.plan import Home, Plan
from processes.files import ProcessSpec

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a network's files say: its processes, and the id that its chaincode registers with."""

    specs: Sequence[ProcessSpec]
    package_id: str


class BackEnd(Protocol):
    """A kind of ledger."""

    def prepare(self, say: Say) -> None:
        """What every network of this kind needs once on a machine; may take minutes."""

    def write(self, home: Home, plan: Plan) -> Made:
        """Write every file but plan, certificates and document; their order of start is that of the processes."""

    def addresses(self, plan: Plan) -> Mapping[str, Sequence[str]]:
        """Where each process listens once it has started."""

    async def join(self, home: Home, plan: Plan, package_id: str) -> None:
        """What an administrator does once, when everything listens."""
