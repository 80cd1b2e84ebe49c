"""The embedded ledger as a back end: one process that is every organisation's peer, the orderer and the chaincode."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from fabric_adapter.network.backends import Made, Say
from fabric_adapter.network.plan import LEDGER, Home, Plan
from processes.files import ProcessSpec


class Embedded:
    """A permissioned ledger on this machine, for laptops and tests."""

    def prepare(self, say: Say) -> None:
        """Nothing to build."""

    def write(self, home: Home, plan: Plan) -> Made:
        """Nothing beside its process: plan and certificates are enough."""
        spec = ProcessSpec(
            name=LEDGER,
            argv=(sys.executable, "-m", "fabric_adapter.embedded", "--home", str(home.path)),
            env=(),
            log=str(home.node(LEDGER) / "log"),
            stop_round=0,
        )
        return Made(specs=[spec], package_id=f"{plan.wish.chaincode}:embedded")

    def addresses(self, plan: Plan) -> Mapping[str, Sequence[str]]:
        """Each organisation's gateway is where its peer would be."""
        return {LEDGER: [peer.address for peer in plan.peers]}

    async def join(self, home: Home, plan: Plan, package_id: str) -> None:
        """Nothing: the ledger knows channel and chaincode from its plan."""
