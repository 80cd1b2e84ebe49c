"""All queries of a node by one door: state methods in a few threads, the ledger's on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import DecodeError, abci, tx_service
from microgrid.ante import Ante
from microgrid.executor import FAULTS, Executor
from microgrid.modules import compose
from microgrid.operator import Operator
from microgrid.query.abci_query import AbciQueries, refusal_of
from microgrid.query.blocks import Blocks
from microgrid.query.comet_services import CometServices
from microgrid.query.grpc_edge import service_of
from microgrid.query.node_services import NodeServices
from microgrid.query.query_core import QueryError, StateQueries, Status
from microgrid.query.reflection_services import ReflectionServices
from microgrid.query.remote import Done, RemoteRoute
from microgrid.query.simulation import Simulator
from microgrid.query.tx_services import PATH as TX_PATH
from microgrid.query.tx_services import TxServices, raw_of
from microgrid.signatures import SignatureCache
from microgrid.state_api import History

SIMULATE = TX_PATH + "Simulate"
WAITING_MAX = 2_048  # queries that wait for a thread; more are refused at once


T = TypeVar("T")


class QueryServer:
    """Answers by method path or by ABCI Query."""

    def __init__(self, history: History, blocks: Blocks, operator: Operator) -> None:
        modules = compose()
        ante = Ante(
            routes=modules.messages,
            min_gas_prices=(),
            signatures=SignatureCache(),
            refuse_redundant=modules.refuse_redundant,
        )
        reflection = ReflectionServices(modules.messages, modules.tables(), lambda: self.methods)
        self.state = StateQueries(history, {**modules.queries, **reflection.routes()})
        self._simulator = Simulator(self.state, Executor(ante))
        self._abci = AbciQueries(history, self.state, self._simulator, provable=blocks.provable)
        node = NodeServices(history, blocks)
        self._remote: Mapping[str, RemoteRoute] = {
            **CometServices(blocks, self._abci, operator).routes(),
            **TxServices(blocks).routes(),
            **node.routes(),
        }
        self._in_order = {**self._remote, **node.routes_in_order()}
        self._threads = ThreadPoolExecutor(operator.query_concurrency, thread_name_prefix="query")
        self._waiting = 0
        self._history, self._beside_state = history, frozenset((*self._remote, SIMULATE))
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def methods(self) -> tuple[str, ...]:
        """Every method path that is answered, ascending."""
        return tuple(sorted((*self.state.routes, *self._remote, SIMULATE)))

    @property
    def services(self) -> tuple[str, ...]:
        """Their services, ascending."""
        return tuple(sorted({service_of(path) for path in self.methods}))

    async def ask(self, path: str, data: bytes, height: int) -> tuple[bytes, int]:
        """Response bytes and the height of the state they show; the latest for what is not of the state."""
        if path in self._remote:
            return await self._ask_remote(self._remote, path, data), await self._in_thread(self._latest)
        if path == SIMULATE:
            return await self._in_thread(lambda: self._simulate(data)), await self._in_thread(self._latest)
        return await self._in_thread(lambda: self._read(path, data, height))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def dispatch(self, request: abci.Request, _raw: bytes, done: Done) -> None:
        """For the socket that the app process passes ABCI Query on to."""
        if not request.HasField("query"):
            done(abci.Response(exception=abci.ResponseException(error="expected a Query, got something else")))
            return
        loop = asyncio.get_running_loop()
        if request.query.path in self._beside_state:
            task = loop.create_task(self._ask_by_abci(request.query, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        future = self._threads.submit(self._abci.answer, request.query)
        future.add_done_callback(
            lambda found: loop.call_soon_threadsafe(lambda: done(abci.Response(query=found.result())))
        )

    async def _ask_by_abci(self, request: abci.RequestQuery, done: Done) -> None:
        """A method that is not the state's, by its path: wallets simulate and look transactions up like this."""
        try:
            value, height = await self._asked_by_abci(request)
            made = abci.ResponseQuery(value=value, height=request.height or height)  # CosmJS takes 0 for no answer
        except QueryError as error:
            made = refusal_of(error)
        except (ChainError, *FAULTS) as fault:
            made = refusal_of(QueryError(Status.INTERNAL, f"{request.path} met what it can't handle: {fault!r}"))
        done(abci.Response(query=made))

    async def _asked_by_abci(self, request: abci.RequestQuery) -> tuple[bytes, int]:
        if request.path not in self._in_order:
            return await self.ask(request.path, request.data, request.height)
        return await self._ask_remote(self._in_order, request.path, request.data), await self._in_thread(self._latest)

    def _latest(self) -> int:
        """0 before the first block."""
        try:
            with self._history.snapshot(None) as snapshot:
                return snapshot.height
        except ChainError:
            return 0

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise QueryError(Status.RESOURCE_EXHAUSTED, f"expected at most {WAITING_MAX} waiting queries, got one more")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def _ask_remote(self, routes: Mapping[str, RemoteRoute], path: str, data: bytes) -> bytes:
        route = routes[path]
        try:
            request = route.request.FromString(data)
        except DecodeError as error:
            raise QueryError(Status.INVALID_ARGUMENT, f"{path}: {len(data)} bytes are not its request") from error
        return (await route.handle(request)).SerializeToString(deterministic=True)

    def _read(self, path: str, data: bytes, height: int) -> tuple[bytes, int]:
        found = self.state.answer(path, data, height)
        return found.value.SerializeToString(deterministic=True), found.height

    def _simulate(self, data: bytes) -> bytes:
        try:
            request = tx_service.SimulateRequest.FromString(data)
        except DecodeError as error:
            raise QueryError(Status.INVALID_ARGUMENT, f"{SIMULATE}: {len(data)} bytes are not its request") from error
        raw = request.tx_bytes or (raw_of(request.tx) if request.HasField("tx") else b"")
        if not raw:
            raise QueryError(Status.INVALID_ARGUMENT, "invalid empty tx; must set tx_bytes")
        found = self._simulator.run(raw)
        made = tx_service.SimulateResponse(gas_info=found.gas_info, result=found.result)
        return made.SerializeToString(deterministic=True)
