"""A gRPC client that knows nothing: it learns services and messages from the server's reflection, as grpcurl does."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

ANSWER_S = 20


class Reflected:
    """`client.call("cosmos.bank.v1beta1.Query/Balance", address=..., denom=...)` -> the answer as JSON."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.insecure_channel(target)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def __enter__(self) -> Reflected:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.channel.close()

    def services(self) -> list[str]:
        """Names of all services."""
        return sorted(self.database.get_services())

    def call(self, method: str, *, height: int = 0, **fields: Any) -> dict[str, Any]:
        """One unary call; raises grpc.RpcError."""
        service, _, name = method.rpartition("/")
        found = self.pool.FindServiceByName(service).FindMethodByName(name)
        request = json_format.ParseDict(fields, GetMessageClass(found.input_type)(), descriptor_pool=self.pool)
        stub = self.channel.unary_unary(
            "/" + method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        metadata = (("x-cosmos-block-height", str(height)),) if height else ()
        answer = stub(request, metadata=metadata, timeout=ANSWER_S)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True, descriptor_pool=self.pool)

    def balance(self, address: str, denom: str) -> int:
        """Base units by cosmos.bank."""
        answer = self.call("cosmos.bank.v1beta1.Query/Balance", address=address, denom=denom)
        return int(answer["balance"].get("amount", 0))

    def supply(self, denom: str) -> int:
        """Supply by cosmos.bank."""
        answer = self.call("cosmos.bank.v1beta1.Query/SupplyOf", denom=denom)
        return int(answer.get("amount", {}).get("amount", 0))

    def search(self, query: str) -> list[dict[str, Any]]:
        """Answers of transactions by cosmos.tx, with their events."""
        return list(self.call("cosmos.tx.v1beta1.Service/GetTxsEvent", query=query).get("tx_responses", []))


def events(response: dict[str, Any], kind: str) -> list[dict[str, str]]:
    """Attributes of each event of a type in a tx_response."""
    found = [event for event in response["events"] if event["type"] == kind]
    return [{item["key"]: item.get("value", "") for item in event["attributes"]} for event in found]
