"""Who is asked to endorse Ticks: every organisation, where the policy would be satisfied by some of them.

An organisation that doesn't execute a Tick knows an old state, on which it would try its members' transactions. So all
are asked, while all are there; when one is not, those whom the policy needs, until it answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from fabric_adapter.errors import FabricError
from fabric_adapter.gateway import Gateway
from fabric_adapter.network.plan import can_spare
from fabric_adapter.proposal import Options

LOG = logging.getLogger("fabric_adapter.node")
LOAD = b"Load"
PAUSES_S = (2.0, 5.0, 10.0, 20.0, 60.0)


class Attendance:
    """`run` it beside the writer."""

    def __init__(self, gateway: Gateway, chaincode: str, orgs: Sequence[str], endorsement: str) -> None:
        self._gateway, self._chaincode, self.orgs = gateway, chaincode, tuple(orgs)
        self._spare = can_spare(endorsement, self.orgs)
        self._missing = asyncio.Event()
        self._tries = 0

    @property
    def all_here(self) -> bool:
        """As far as we know."""
        return not self._missing.is_set()

    @property
    def asked(self) -> tuple[str, ...]:
        """MSP ids of those who are to endorse the next Tick; none: whom the policy needs."""
        return self.orgs if self._spare and self.all_here else ()

    def complete(self) -> None:
        """A Tick was endorsed by those who were asked."""
        if self.asked:
            self._tries = 0

    def lost(self, why: object) -> None:
        """Not all who were asked endorsed a Tick."""
        if self._spare and self.all_here:
            LOG.warning("event=without_some why=%s", " ".join(str(why).split()))
            self._missing.set()

    async def run(self) -> None:
        """Until cancelled: look for those who are missing."""
        while True:
            await self._missing.wait()
            await asyncio.sleep(PAUSES_S[min(self._tries, len(PAUSES_S) - 1)])
            self._tries += 1
            if await self.load():
                continue
            LOG.info("event=with_all orgs=%s", ",".join(self.orgs))
            self._missing.clear()

    async def load(self) -> dict[str, FabricError]:
        """Make each organisation's chaincode read the state; why those didn't that didn't."""
        asked = [self._gateway.evaluate(self._chaincode, [LOAD], Options(organizations=(org,))) for org in self.orgs]
        found = await asyncio.gather(*asked, return_exceptions=True)
        failed: dict[str, FabricError] = {}
        for org, result in zip(self.orgs, found, strict=True):
            if isinstance(result, FabricError):
                failed[org] = result
            elif isinstance(result, BaseException):
                raise result
        return failed
