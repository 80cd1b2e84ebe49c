"""Fabric's gRPC stubs and servicers, for the rooms that talk to a network; nothing pure imports this."""

from __future__ import annotations

from fabric_protos.gateway import gateway_pb2_grpc as gateway_services
from fabric_protos.orderer import ab_pb2_grpc as orderer_services
from fabric_protos.peer import chaincode_shim_pb2_grpc as chaincode_services
from fabric_protos.peer import events_pb2_grpc as deliver_services
from fabric_protos.peer import peer_pb2_grpc as endorser_services

__all__ = ["chaincode_services", "deliver_services", "endorser_services", "gateway_services", "orderer_services"]
