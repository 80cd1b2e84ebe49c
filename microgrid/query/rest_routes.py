"""REST paths of gRPC methods, from their `google.api.http` annotations; no socket here.

A method without an annotation is at `/PACKAGE/AS/PATH/method_name`, fields as query parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from cosmos_wire.protos import Message
from microgrid.query.query_core import QueryError, Status
from microgrid.query.rest_json import document

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(=\*\*)?\}")
CHANNEL = "/ibc/core/channel/v1/channels/{channel_id}/ports/{port_id}"
LATE = {  # paths of methods that no compiled service has any more
    "/ibc.applications.transfer.v1.Query/DenomTrace": "/ibc/apps/transfer/v1/denom_traces/{hash=**}",
    "/ibc.applications.transfer.v1.Query/DenomTraces": "/ibc/apps/transfer/v1/denom_traces",
    "/ibc.core.channel.v1.Query/Upgrade": f"{CHANNEL}/upgrade",
    "/ibc.core.channel.v1.Query/UpgradeError": f"{CHANNEL}/upgrade_error",
}
OLD = {  # ibc-go v8's paths beside those of v10
    "/ibc.applications.transfer.v1.Query/TotalEscrowForDenom": "/ibc/apps/transfer/v1/denoms/{denom=**}/total_escrow",
}
TRUE, FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")  # Go's ParseBool
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestRoute:
    """One HTTP path of one method."""

    verb: str  # GET or POST
    template: str  # /cosmos/bank/v1beta1/balances/{address}
    pattern: re.Pattern[str]
    path: str  # /cosmos.bank.v1beta1.Query/AllBalances
    request: Descriptor
    response: Descriptor


def rest_routes(methods: Sequence[str]) -> tuple[RestRoute, ...]:
    """Of every method that has a descriptor; templates with fewer variables first, so that words win over them."""
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # untyped in its stubs
    found: list[RestRoute] = []
    for path in methods:
        service, _, name = path.strip("/").rpartition("/")
        method = pool.FindServiceByName(service).methods_by_name.get(name)
        if method is not None:
            kinds = (method.input_type, method.output_type)
            old = [("GET", OLD[path])] if path in OLD else []
            found += [_route(path, binding, kinds) for binding in [*_bindings(path, method), *old]]
        elif path in LATE:
            package = service.rpartition(".")[0]
            request, response = (
                pool.FindMessageTypeByName(f"{package}.Query{name}{end}") for end in ("Request", "Response")
            )
            found.append(_route(path, ("GET", LATE[path]), (request, response)))
    return tuple(sorted(found, key=_precedence))


def _precedence(route: RestRoute) -> tuple[int, bool, int, str]:
    """Words before variables, variables of one part before those of several, long ones before short ones."""
    template = route.template
    return template.count("{"), "**" in template, -template.count("/"), template


def _route(path: str, binding: tuple[str, str], kinds: tuple[Descriptor, Descriptor]) -> RestRoute:
    verb, template = binding
    return RestRoute(
        verb=verb, template=template, pattern=_pattern(template), path=path, request=kinds[0], response=kinds[1]
    )


def _bindings(path: str, method: MethodDescriptor) -> list[tuple[str, str]]:
    http: Any = annotations_pb2.http  # its stubs say FieldDescriptor, which no stub of HasExtension takes
    options = method.GetOptions()
    if not options.HasExtension(http):
        package, _, _ = path.strip("/").rpartition("/")[0].rpartition(".")
        return [("GET", f"/{package.replace('.', '/')}/{WORD.sub('_', method.name).lower()}")]
    rule: Any = options.Extensions[http]
    every = [rule, *rule.additional_bindings]
    return [(verb.upper(), getattr(each, verb)) for each in every for verb in ("get", "post") if getattr(each, verb)]


def _pattern(template: str) -> re.Pattern[str]:
    parts, at = [], 0
    for found in VARIABLE.finditer(template):
        name = found[1].replace(".", "__")
        parts.append(re.escape(template[at : found.start()]))
        parts.append(f"(?P<{name}>.+)" if found[2] else f"(?P<{name}>[^/]+)")
        at = found.end()
    return re.compile("".join(parts) + re.escape(template[at:]) + "/?")


def find(routes: Sequence[RestRoute], verb: str, raw_path: str) -> tuple[RestRoute, dict[str, str]]:
    """The route of a path and its variables (decoded); raises QueryError."""
    for route in routes:
        found = route.pattern.fullmatch(raw_path) if route.verb == verb else None
        if found is not None:
            return route, {name.replace("__", "."): unquote(text) for name, text in found.groupdict().items()}
    raise QueryError(Status.UNIMPLEMENTED, f"no method at {verb} {raw_path[:200]}; /openapi.json lists all")


def request_of(route: RestRoute, fields: Mapping[str, Sequence[str]], body: object = None) -> bytes:
    """Request bytes from path and query fields (dotted names) over a JSON body; raises QueryError."""
    doc: dict[str, Any] = {}
    if body is not None:
        if not isinstance(body, dict):
            raise QueryError(Status.INVALID_ARGUMENT, f"body: expected a JSON object, got {type(body).__name__}")
        doc.update(body)
    for name, texts in fields.items():
        _put(doc, route.request, name, texts)
    made: Message = GetMessageClass(route.request)()
    try:
        json_format.ParseDict(doc, made, ignore_unknown_fields=body is None)
    except json_format.ParseError as error:
        raise QueryError(Status.INVALID_ARGUMENT, f"{route.template}: {error}") from error
    return made.SerializeToString()


def _put(doc: dict[str, Any], kind: Descriptor, name: str, texts: Sequence[str]) -> None:
    head, _, rest = name.partition(".")
    field = next((each for each in kind.fields if head in (each.name, each.camelcase_name)), None)
    if field is None:
        return  # as the SDK's gateway: browsers add parameters of their own
    if rest:
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            raise QueryError(Status.INVALID_ARGUMENT, f"parameter {name[:100]!r}: {head} has no parts")
        _put(doc.setdefault(field.name, {}), field.message_type, rest, texts)
        return
    values = [_value(field, text) for text in texts]
    doc[field.name] = values if field.label == FieldDescriptor.LABEL_REPEATED else values[-1]


def _value(field: FieldDescriptor, text: str) -> object:
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in (*TRUE, *FALSE):
            raise QueryError(Status.INVALID_ARGUMENT, f"{field.name}: expected true or false, got {text[:50]!r}")
        return text in TRUE
    if field.type == FieldDescriptor.TYPE_BYTES:
        return text.replace(" ", "+")  # a plus sign that nobody escaped
    if field.type == FieldDescriptor.TYPE_ENUM and text.isdecimal():
        return int(text)
    return text


def response_of(route: RestRoute, data: bytes) -> dict[str, Any]:
    """The response as the SDK's gateway writes it."""
    made: Message = GetMessageClass(route.response).FromString(data)
    return document(made)


def openapi(routes: Sequence[RestRoute]) -> dict[str, Any]:
    """An OpenAPI 3 document of all routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        variables = [found[1] for found in VARIABLE.finditer(route.template)]
        queries = [field.name for field in route.request.fields if field.name not in variables]
        parameters = [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in variables),
            *({"name": name, "in": "query", "schema": {"type": "string"}} for name in queries if route.verb == "GET"),
        ]
        operation: dict[str, Any] = {
            "operationId": route.path.strip("/").replace("/", "."),
            "parameters": parameters,
            "responses": {"200": {"description": route.response.full_name}},
        }
        if route.verb == "POST":
            operation["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
        paths.setdefault(VARIABLE.sub(r"{\1}", route.template), {})[route.verb.lower()] = operation
    return {"openapi": "3.0.3", "info": {"title": "A microgrid's chain", "version": "1"}, "paths": paths}
