"""The REST listener: HTTP and JSON around the query methods."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aiohttp import web

from microgrid.executor import FAULTS
from microgrid.query.grpc_edge import HEIGHT_KEY, Ask
from microgrid.query.query_core import QueryError, Status
from microgrid.query.rest_routes import find, openapi, request_of, response_of, rest_routes

BODY_BYTES_MAX = 2 << 20
HTTP: Mapping[Status, int] = {
    Status.INVALID_ARGUMENT: 400,
    Status.FAILED_PRECONDITION: 400,
    Status.NOT_FOUND: 404,
    Status.RESOURCE_EXHAUSTED: 429,
    Status.UNIMPLEMENTED: 501,
    Status.UNAVAILABLE: 503,
}


class RestEdge:
    """Listens on HOST:PORT."""

    def __init__(self, address: str, ask: Ask, methods: Sequence[str]) -> None:
        self._address, self._ask = address, ask
        self._routes = rest_routes(methods)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        await self._runner.setup()
        host, _, port = self._address.rpartition(":")
        await web.TCPSite(self._runner, host, int(port)).start()

    async def stop(self) -> None:
        """Stop."""
        await self._runner.cleanup()

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(openapi(self._routes))

    async def _serve(self, request: web.Request) -> web.Response:
        try:
            return await self._answer(request)
        except QueryError as error:
            return _refusal(error)
        except FAULTS as fault:
            return _refusal(QueryError(Status.INTERNAL, f"{request.path} can't be shown: {fault!r}"))

    async def _answer(self, request: web.Request) -> web.Response:
        route, variables = find(self._routes, request.method, request.rel_url.raw_path)
        fields: dict[str, list[str]] = {name: request.query.getall(name) for name in request.query}
        fields.update({name: [text] for name, text in variables.items()})
        body = await _body(request) if route.verb == "POST" else None
        data, height = await self._ask(route.path, request_of(route, fields, body), _height(request))
        headers = {"Grpc-Metadata-X-Cosmos-Block-Height": str(height)} if height else {}
        return web.json_response(response_of(route, data), headers=headers)


async def _body(request: web.Request) -> object:
    try:
        return json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError) as error:
        raise QueryError(Status.INVALID_ARGUMENT, f"body: expected JSON: {error}") from error


def _height(request: web.Request) -> int:
    text = request.headers.get(HEIGHT_KEY) or request.headers.get(f"Grpc-Metadata-{HEIGHT_KEY}") or "0"
    if not text.isascii() or not text.isdigit():
        raise QueryError(Status.INVALID_ARGUMENT, f"{HEIGHT_KEY}: expected an integer, got {text[:50]!r}")
    return int(text)


def _refusal(error: QueryError) -> web.Response:
    doc: dict[str, object] = {"code": error.status.value, "message": str(error), "details": []}
    return web.json_response(doc, status=HTTP.get(error.status, 500))
