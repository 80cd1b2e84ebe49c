"""Runs a transaction on the latest committed state for its gas and drops what it wrote."""

from __future__ import annotations

from dataclasses import replace

from abci_app.events import write
from abci_app.executor import Executor, Outcome
from abci_app.query_core import QueryError, StateQueries, Status, refusals
from cosmos_wire.protos import base_abci
from ibc_core.host import Overlay


class Simulator:
    """Simulate of `cosmos.tx` and `/app/simulate`. Thread-safe."""

    def __init__(self, queries: StateQueries, executor: Executor) -> None:
        self._queries, self._executor = queries, executor

    def run(self, data: bytes) -> base_abci.SimulationResponse:
        """Gas used, data and events; raises QueryError with the refusal's text, which clients parse."""
        with refusals("Simulate"), self._queries.context(0) as ctx:
            env = replace(ctx.env, height=ctx.env.height + 1)
            scratch = replace(ctx, env=env, app=Overlay(ctx.app), ibc=Overlay(ctx.ibc))
            outcome = self._executor.simulate(scratch, data)
        if outcome.code:
            raise QueryError(Status.UNKNOWN, f"{outcome.log} with gas used: '{outcome.gas_used}'")
        return _response(outcome)


def _response(outcome: Outcome) -> base_abci.SimulationResponse:
    made = base_abci.SimulationResponse()
    made.gas_info.gas_wanted, made.gas_info.gas_used = outcome.gas_wanted, outcome.gas_used
    made.result.data = outcome.data
    write(outcome.events, made.result.events)
    made.result.msg_responses.extend(base_abci.TxMsgData.FromString(outcome.data).msg_responses)
    return made
