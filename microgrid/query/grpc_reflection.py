"""gRPC server reflection under both of its names: on the wire `grpc.reflection.v1` is v1alpha, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

OLD, NEW = "grpc.reflection.v1alpha", "grpc.reflection.v1"
NAMES = (f"{NEW}.ServerReflection", reflection.SERVICE_NAME)


def handlers(services: Sequence[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Of both, which list `services` and themselves."""
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]  # untyped in its stubs
    _describe(pool)
    servicer = reflection.aio.ReflectionServicer((*services, *NAMES), pool=pool)  # type: ignore[no-untyped-call]  # same
    method = grpc.stream_stream_rpc_method_handler(  # type: ignore[no-untyped-call]  # same
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return tuple(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})  # type: ignore[no-untyped-call]  # same
        for name in NAMES
    )


def _describe(pool: descriptor_pool.DescriptorPool) -> None:
    """Add the file of v1, which the Python package lacks, so that a client can ask for its own service."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)  # type: ignore[no-untyped-call]  # untyped in its stubs
    file.name, file.package = "grpc/reflection/v1/reflection.proto", NEW
    _rename(file)
    data = file.SerializeToString()  # adding the same file again changes nothing
    pool.AddSerializedFile(data)  # type: ignore[no-untyped-call]  # untyped in its stubs


def _rename(file: descriptor_pb2.FileDescriptorProto) -> None:
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(OLD, NEW)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(OLD, NEW)
            method.output_type = method.output_type.replace(OLD, NEW)
