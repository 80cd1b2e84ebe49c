"""Runs a transaction on the latest committed state for its gas and drops what it wrote."""

from __future__ import annotations

from dataclasses import replace

from cosmos_wire.protos import base_abci
from ibc_core.host import Overlay
from microgrid.events import write
from microgrid.executor import Executor, Outcome
from microgrid.query.query_core import QueryError, StateQueries, Status, refusals

# What others may add, between a simulation and its block, to what the transaction reads and writes: digits of balances
# and counters, neighbours of a light client's states, one of them expired and to be pruned (4,000).
GROWTH_PERCENT, GROWTH_GAS = 5, 1_000


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
        return _response(replace(outcome, gas_used=grown(outcome.gas_used)))


def grown(gas_used: int) -> int:
    """Gas that the transaction will get by with when it runs a few blocks later."""
    return gas_used + gas_used * GROWTH_PERCENT // 100 + GROWTH_GAS


def _response(outcome: Outcome) -> base_abci.SimulationResponse:
    made = base_abci.SimulationResponse()
    made.gas_info.gas_wanted, made.gas_info.gas_used = outcome.gas_wanted, outcome.gas_used
    made.result.data = outcome.data
    write(outcome.events, made.result.events)
    made.result.msg_responses.extend(base_abci.TxMsgData.FromString(outcome.data).msg_responses)
    return made
