"""ABCI Query: store keys with proofs, every gRPC method by its path, `/app/...`, `/p2p/...`.

CosmJS and the Go relayer use nothing else. Codes, logs and heights are the SDK's (baseapp/abci.go).
"""

from __future__ import annotations

from cosmos_wire.errors import ChainError, InvalidRequest, KeyNotFound, UnknownRequest
from cosmos_wire.protos import abci
from microgrid.executor import FAULTS
from microgrid.query.query_core import QueryError, StateQueries, Status, snapshot_at, why_absent
from microgrid.query.simulation import Simulator
from microgrid.state_api import STORES, History
from microgrid.version import VERSION

LOWEST_PROVABLE = 2  # the SDK refuses proofs of height 0 and 1


class AbciQueries:
    """Answers RequestQuery. Thread-safe."""

    def __init__(self, history: History, queries: StateQueries, simulator: Simulator, *, provable: bool) -> None:
        self._history, self._queries, self._simulator = history, queries, simulator
        self._provable = provable

    def answer(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        """Always an answer; refusals have a code."""
        try:
            return self._answer(request)
        except ChainError as error:
            return _refusal(error)
        except QueryError as error:
            return refusal_of(error)
        except FAULTS as fault:
            return _refusal(InvalidRequest(f"{request.path[:200]} met a state that it can't handle: {fault!r}"))

    def _answer(self, request: abci.RequestQuery) -> abci.ResponseQuery:
        parts = request.path.strip("/").split("/")
        if request.path in self._queries.routes:
            found = self._queries.answer(request.path, request.data, request.height)
            value = found.value.SerializeToString(deterministic=True)
            return abci.ResponseQuery(value=value, height=found.height)
        match parts:
            case ["store", name, "key"]:
                return self._store(name, request)
            case ["app", "version"]:
                return abci.ResponseQuery(value=VERSION.encode())
            case ["app", "simulate"]:
                return abci.ResponseQuery(value=self._simulator.run(request.data).SerializeToString())
            case ["p2p", "filter", *_]:
                return abci.ResponseQuery()
        raise UnknownRequest(f"unknown query path: {request.path[:200]}{why_absent(request.path)}")

    def _store(self, name: str, request: abci.RequestQuery) -> abci.ResponseQuery:
        if name not in STORES:
            raise UnknownRequest(f"no such store: expected one of {', '.join(STORES)}, got {name[:100]}")
        if request.prove and not self._provable:
            raise InvalidRequest("cannot prove: this ledger signs no root of its state; its peers attest single keys")
        with snapshot_at(self._history, request.height) as snapshot:
            if request.prove and snapshot.height < LOWEST_PROVABLE:
                raise InvalidRequest("cannot query with proof when height <= 1; please provide a valid height")
            made = abci.ResponseQuery(key=request.data, height=snapshot.height)
            if not request.prove:
                made.value = snapshot.store(name).get(request.data) or b""
                return made
            value, operations = snapshot.prove(name, request.data)
        made.value = value or b""
        for kind, key, data in operations:
            made.proof_ops.ops.add(type=kind, key=key, data=data)
        return made


def refusal_of(error: QueryError) -> abci.ResponseQuery:
    """A method's refusal as the answer of an ABCI Query."""
    return _refusal(_as_chain_error(error))


def _refusal(error: ChainError) -> abci.ResponseQuery:
    return abci.ResponseQuery(code=error.code, codespace=error.codespace, log=str(error))


def _as_chain_error(error: QueryError) -> ChainError:
    """The SDK's gRPCErrorToSDKError; clients look for `code = NotFound` in the text."""
    if error.refusal is not None:
        return error.refusal
    if error.status is Status.UNIMPLEMENTED:
        return UnknownRequest(str(error))
    kind = KeyNotFound if error.status is Status.NOT_FOUND else InvalidRequest
    return kind(f"rpc error: code = {error.status.text} desc = {error}")
