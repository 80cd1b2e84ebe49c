"""Bringing one batch of steps onto a chain: proofs, limits by bytes, one transaction or several, poison isolated.

A packet that makes its transaction fail is found by halving the batch; the others go through without it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bsmg.client.errors import NodeError, TxUnknown
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import BsmgError
from cosmos_wire.protos import Message
from ibc_relayer.batch import Limits, split_bytes
from ibc_relayer.chain import NotNowError, Party
from ibc_relayer.clients import Ground, ground
from ibc_relayer.messages import messages, needed
from ibc_relayer.metrics import Metrics
from ibc_relayer.plan import Step

log = logging.getLogger("ibc_relayer")

PASSING = (NodeError, NotNowError, TxUnknown)  # no packet is to blame
REDUNDANT = "packet messages are redundant"
_INDEX = re.compile(r"message index: (\d+)")
# Refusals of the transaction as a whole: no packet is to blame, so nothing is halved.
WHOLE_TX = {("sdk", code) for code in (3, 4, 5, 9, 13, 19, 20, 28, 30, 32)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """End of one step. `height`: the host's events up to there tell what became of it.

    `passing`: a node was away or the like, so that the step is not to blame.
    """

    done: bool
    height: int
    detail: str = ""
    passing: bool = False


Results = dict[object, Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Delivers steps of one side whose proofs need the subject's block `least` or a later one."""

    host: Party
    subject: Party
    client_id: str
    limits: Limits
    least: int
    metrics: Metrics

    async def run(self, steps: Sequence[Step]) -> Results:
        """Results by step; errors of nodes and queries are results too, so that nothing is held for ever."""
        try:
            base = await ground(self.host, self.subject, self.client_id, self.least, needed(steps))
            built = messages(steps, base, self.host.chain.signer)
            return await self._submit(steps, built, base)
        except BsmgError as error:
            return _all(steps, _fault(error))

    async def _submit(self, steps: Sequence[Step], built: list[Message], base: Ground) -> Results:
        update_bytes = sum(message.ByteSize() for message in base.updates)
        runs, at = [], 0
        for size in split_bytes(built, update_bytes, self.limits.max_tx_bytes):
            runs.append(self._one(steps[at : at + size], built[at : at + size], base))
            at += size
        made: Results = {}
        for results in await asyncio.gather(*runs):
            made.update(results)
        return made

    async def _one(self, steps: Sequence[Step], built: list[Message], base: Ground) -> Results:
        try:
            outcome = await self.host.chain.submit([*base.updates, *built])
        except BsmgError as error:
            return _all(steps, _fault(error))
        self.metrics.txs.labels(self.host.chain.chain_id, outcome.codespace, str(outcome.code)).inc()
        if outcome.ok:
            self._count(steps)
            return _all(steps, Result(done=True, height=outcome.height))
        if REDUNDANT in outcome.log:
            return _all(steps, await self._somebody_did(outcome))
        if len(steps) == 1 or self._hopeless(outcome, base):
            return _all(steps, Result(done=False, height=0, detail=_detail(outcome)))
        log.info("batch of %d on %s is halved: %s", len(steps), self.host.chain.chain_id, _detail(outcome))
        return await self._halves(steps)

    async def _halves(self, steps: Sequence[Step]) -> Results:
        middle = len(steps) // 2
        made: Results = {}
        if steps[0].ordered:  # the second half can't come before the first
            for part in (steps[:middle], steps[middle:]):
                made.update(await self.run(part))
            return made
        for results in await asyncio.gather(self.run(steps[:middle]), self.run(steps[middle:])):
            made.update(results)
        return made

    async def _somebody_did(self, outcome: TxOutcome) -> Result:
        """Another relayer was faster: its events are in a block that is about to be read."""
        head = await self.host.chain.head()
        return Result(done=True, height=max(outcome.height, head.height) + 1, detail="redundant")

    @staticmethod
    def _hopeless(outcome: TxOutcome, base: Ground) -> bool:
        """Whether the fault is the client update's or the transaction's, so that halving finds nothing."""
        index = _INDEX.search(outcome.log)
        if index is not None:
            return int(index[1]) < len(base.updates)
        return (outcome.codespace, outcome.code) in WHOLE_TX

    def _count(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.metrics.messages.labels(self.host.chain.chain_id, step.action.name.lower()).inc()


def _fault(error: BsmgError) -> Result:
    """Nothing was submitted, or nobody knows."""
    return Result(done=False, height=0, detail=str(error), passing=isinstance(error, PASSING))


def _detail(outcome: TxOutcome) -> str:
    where = f"in block {outcome.height}" if outcome.height else "by CheckTx"
    return f"refused {where} with {outcome.codespace}/{outcome.code}: {' '.join(outcome.log.split())[:500]}"


def _all(steps: Sequence[Step], result: Result) -> Results:
    return {step.ident: result for step in steps}
