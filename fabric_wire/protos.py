"""Every protobuf module of Hyperledger Fabric that the project uses, under one name each.

Import from here: `from fabric_wire.protos import proposal, proposal_response`. gRPC stubs are in
`fabric_wire.services`, so that code which runs inside a state change loads no gRPC. The fields are those of
fabric-protos-go v0.2.0.
"""

from __future__ import annotations

from fabric_protos.common import collection_pb2 as collection
from fabric_protos.common import common_pb2 as common
from fabric_protos.common import configtx_pb2 as configtx
from fabric_protos.common import configuration_pb2 as configuration
from fabric_protos.common import ledger_pb2 as ledger
from fabric_protos.common import policies_pb2 as policies
from fabric_protos.gateway import gateway_pb2 as gateway
from fabric_protos.ledger.queryresult import kv_query_result_pb2 as queryresult
from fabric_protos.ledger.rwset import rwset_pb2 as rwset
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2 as kvrwset
from fabric_protos.msp import identities_pb2 as identities
from fabric_protos.msp import msp_config_pb2 as msp_config
from fabric_protos.msp import msp_principal_pb2 as msp_principal
from fabric_protos.orderer import ab_pb2 as orderer
from fabric_protos.orderer import configuration_pb2 as orderer_configuration
from fabric_protos.orderer.etcdraft import configuration_pb2 as etcdraft
from fabric_protos.peer import chaincode_event_pb2 as chaincode_event
from fabric_protos.peer import chaincode_pb2 as chaincode
from fabric_protos.peer import chaincode_shim_pb2 as chaincode_shim
from fabric_protos.peer import configuration_pb2 as peer_configuration
from fabric_protos.peer import events_pb2 as events
from fabric_protos.peer import policy_pb2 as policy
from fabric_protos.peer import proposal_pb2 as proposal
from fabric_protos.peer import proposal_response_pb2 as proposal_response
from fabric_protos.peer import query_pb2 as query
from fabric_protos.peer import resources_pb2 as resources
from fabric_protos.peer import transaction_pb2 as transaction
from fabric_protos.peer.lifecycle import lifecycle_pb2 as lifecycle
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = [
    "Any",
    "DecodeError",
    "Message",
    "Timestamp",
    "chaincode",
    "chaincode_event",
    "chaincode_shim",
    "collection",
    "common",
    "configtx",
    "configuration",
    "etcdraft",
    "events",
    "gateway",
    "identities",
    "kvrwset",
    "ledger",
    "lifecycle",
    "msp_config",
    "msp_principal",
    "orderer",
    "orderer_configuration",
    "peer_configuration",
    "policies",
    "policy",
    "proposal",
    "proposal_response",
    "query",
    "queryresult",
    "resources",
    "rwset",
    "transaction",
]
