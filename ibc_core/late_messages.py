"""Messages that the compiled set lacks, for their protocol dropped them while clients still ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import FileDescriptor

from cosmos_wire.protos import Message, transfer_denomtrace

_Field = descriptor_pb2.FieldDescriptorProto
STRING = ("string", "")
Spec = tuple[str, tuple[str, str], bool]  # name, ("string", "") or ("message", ".package.Name"), repeated


def register(
    name: str, package: str, imports: Sequence[FileDescriptor], messages: Mapping[str, Sequence[Spec]]
) -> dict[str, type[Message]]:
    """Classes of messages whose n-th field has number n, described in the file `name`."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    file.dependency.extend(found.name for found in imports)
    for title, fields in messages.items():
        specs = [_field(number, spec) for number, spec in enumerate(fields, 1)]
        file.message_type.append(descriptor_pb2.DescriptorProto(name=title, field=specs))
    pool = transfer_denomtrace.DESCRIPTOR.pool  # the one that all compiled messages share
    pool.AddSerializedFile(file.SerializeToString())
    return {
        title: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{title}")) for title in messages
    }


def _field(number: int, spec: Spec) -> descriptor_pb2.FieldDescriptorProto:
    name, (kind, type_name), repeated = spec
    field = _Field(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    field.type = _Field.TYPE_STRING if kind == "string" else _Field.TYPE_MESSAGE
    if type_name:
        field.type_name = type_name
    return field
