"""REST paths of gRPC methods, from their `google.api.http` annotations; no socket here.

A method without an annotation is at `/PACKAGE/AS/PATH/method_name`, fields as query parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from abci_app.query_core import QueryError, Status
from cosmos_wire.protos import Message

VARIABLE = re.compile(r"\{([a-z0-9_.]+)(=\*\*)?\}")
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
        try:
            method = pool.FindServiceByName(service).methods_by_name.get(name)
        except KeyError:
            continue
        if method is not None:
            found += _routes_of(path, method)
    return tuple(sorted(found, key=lambda route: (route.template.count("{"), "**" in route.template, route.template)))


def _routes_of(path: str, method: MethodDescriptor) -> Iterator[RestRoute]:
    for verb, template in _bindings(path, method):
        yield RestRoute(
            verb=verb,
            template=template,
            pattern=_pattern(template),
            path=path,
            request=method.input_type,
            response=method.output_type,
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
        json_format.ParseDict(doc, made)
    except json_format.ParseError as error:
        raise QueryError(Status.INVALID_ARGUMENT, f"{route.template}: {error}") from error
    return made.SerializeToString()


def _put(doc: dict[str, Any], kind: Descriptor, name: str, texts: Sequence[str]) -> None:
    head, _, rest = name.partition(".")
    field = kind.fields_by_name.get(head)
    if field is None:
        raise QueryError(Status.INVALID_ARGUMENT, f"unknown parameter {name[:100]!r} of {kind.full_name}")
    if rest:
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            raise QueryError(Status.INVALID_ARGUMENT, f"parameter {name[:100]!r}: {head} has no parts")
        _put(doc.setdefault(field.name, {}), field.message_type, rest, texts)
        return
    values = [_value(field, text) for text in texts]
    doc[field.name] = values if field.label == FieldDescriptor.LABEL_REPEATED else values[-1]


def _value(field: FieldDescriptor, text: str) -> object:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return text.lower() in ("true", "1", "")
    if field.type == FieldDescriptor.TYPE_BYTES:
        return text.replace(" ", "+")  # a plus sign that nobody escaped
    return text


def response_of(route: RestRoute, data: bytes) -> dict[str, Any]:
    """The response as the SDK's gateway writes it: original names, zero values, 64-bit integers as text."""
    made: Message = GetMessageClass(route.response).FromString(data)
    return dict(
        json_format.MessageToDict(made, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )


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
