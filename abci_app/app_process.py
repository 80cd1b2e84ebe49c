"""The app process: the state machine behind the ABCI socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from abci_app.application import Application
from abci_app.ballots import Ballots, Judge
from abci_app.judge_link import JudgeLink
from abci_app.query_link import QueryLink
from abci_app.server import AbciServer, Dispatch
from abci_app.settings import Settings
from abci_app.worker import Worker
from cosmos_wire.protos import abci
from microgrid.ante import Ante
from microgrid.executor import Executor
from microgrid.modules import compose
from microgrid.operator import Operator
from microgrid.query.remote import Done
from microgrid.signatures import SignatureCache
from microgrid.state import open_state
from microgrid.state_api import State

LOG = logging.getLogger("abci_app")
# Answered on the event loop's thread: they see the request and what Commit left for them in one piece; on a busy
# machine each way to the worker and back costs a block about ten milliseconds.
STATELESS = frozenset({"info", "prepare_proposal", "process_proposal", "extend_vote", "verify_vote_extension"})

Handle = Callable[[abci.Request], abci.Response]


def build(state: State, operator: Operator, judge: Judge | None = None) -> Application:
    """The state machine over a state; without a judge it abstains from every ballot."""
    modules = compose()
    ante = Ante(
        routes=modules.messages,
        min_gas_prices=operator.gas_prices,
        signatures=SignatureCache(),
        refuse_redundant=modules.refuse_redundant,
    )
    return Application(state, modules, Executor(ante), ballots=Ballots(judge), retain_blocks=operator.retain_blocks)


async def run_app(settings: Settings, stop: asyncio.Event) -> int:
    """Serve until `stop`; 0, or 1 when the state machine died."""
    with open_state(settings.state_path, settings.operator) as state:
        judge = JudgeLink()
        application = build(state, settings.operator, judge)
        deaths: list[str] = []

        def die(why: str) -> None:
            deaths.append(why)
            stop.set()

        worker = Worker(application.handle, die)
        link = QueryLink(settings.query_socket)
        server = AbciServer(settings.abci, dispatcher(application.handle, worker, link))
        worker.start()
        await server.start()
        LOG.info("event=ready abci=%s height=%d app_hash=%s", settings.abci, state.height, state.app_hash.hex())
        await stop.wait()
        await server.stop()
        link.close()
        await asyncio.to_thread(worker.stop)
        await judge.stop()
        if deaths:
            LOG.error("event=died height=%d reason=%s", state.height, deaths[0])
        else:
            LOG.info("event=stopped height=%d reason=signal", state.height)
        return 1 if deaths else 0


def dispatcher(handle: Handle, worker: Worker, link: QueryLink) -> Dispatch:
    """Who answers what: queries the query process, what reads no state this thread, the rest the worker."""

    def dispatch(request: abci.Request, raw: bytes, done: Done) -> None:
        kind = request.WhichOneof("value")
        if kind == "query":
            link.submit(raw, done)
        elif kind in STATELESS:
            done(handle(request))
        else:
            worker.submit(request, done)

    return dispatch
