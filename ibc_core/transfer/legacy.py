"""Messages of ibc-go's DenomTrace(s) queries, which the compiled set lacks since v10 and relayers still ask."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, message_factory

from cosmos_wire.protos import Message, pagination, transfer_denomtrace

_PACKAGE = "ibc.applications.transfer.v1"
_Field = descriptor_pb2.FieldDescriptorProto
_STRING = ("string", "")
_TRACE = ("message", f".{_PACKAGE}.DenomTrace")
_MESSAGES: dict[str, tuple[tuple[str, tuple[str, str], bool], ...]] = {  # field n is the n-th: name, type, repeated
    "QueryDenomTraceRequest": (("hash", _STRING, False),),
    "QueryDenomTraceResponse": (("denom_trace", _TRACE, False),),
    "QueryDenomTracesRequest": (("pagination", ("message", ".cosmos.base.query.v1beta1.PageRequest"), False),),
    "QueryDenomTracesResponse": (
        ("denom_traces", _TRACE, True),
        ("pagination", ("message", ".cosmos.base.query.v1beta1.PageResponse"), False),
    ),
}


def _field(number: int, spec: tuple[str, tuple[str, str], bool]) -> descriptor_pb2.FieldDescriptorProto:
    name, (kind, type_name), repeated = spec
    field = _Field(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    field.type = _Field.TYPE_STRING if kind == "string" else _Field.TYPE_MESSAGE
    if type_name:
        field.type_name = type_name
    return field


def _register() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="ibc/applications/transfer/v1/legacy_query.proto", package=_PACKAGE, syntax="proto3"
    )
    file.dependency.extend([transfer_denomtrace.DESCRIPTOR.name, pagination.DESCRIPTOR.name])
    for name, fields in _MESSAGES.items():
        specs = [_field(number, spec) for number, spec in enumerate(fields, 1)]
        file.message_type.append(descriptor_pb2.DescriptorProto(name=name, field=specs))
    pool = transfer_denomtrace.DESCRIPTOR.pool  # the one that all compiled messages share
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


LEGACY = _register()
