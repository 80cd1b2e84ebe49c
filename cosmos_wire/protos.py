"""Every protobuf module that the project uses, under one name each.

The compiled messages of `cosmpy` can be imported by two paths (`ibc.x`, `cosmpy.protos.ibc.x`); this module is the one
place that chooses. Import from here: `from cosmos_wire.protos import channel, channel_tx`.
"""

# ruff: noqa: I001  (cosmpy.protos has to come first: it puts the others on the path)
import cosmpy.protos as _cosmpy_protos

# Options that descriptors carry
from amino import amino_pb2 as amino
from cosmos_proto import cosmos_pb2 as cosmos_proto
from gogoproto import gogo_pb2 as gogo

# Transactions and accounts
from cosmos.auth.v1beta1 import auth_pb2 as auth
from cosmos.auth.v1beta1 import query_pb2 as auth_query
from cosmos.bank.v1beta1 import bank_pb2 as bank
from cosmos.bank.v1beta1 import query_pb2 as bank_query
from cosmos.bank.v1beta1 import tx_pb2 as bank_tx
from cosmos.base.abci.v1beta1 import abci_pb2 as base_abci
from cosmos.autocli.v1 import query_pb2 as autocli_query
from cosmos.base.node.v1beta1 import query_pb2 as node_query
from cosmos.base.query.v1beta1 import pagination_pb2 as pagination
from cosmos.base.reflection.v1beta1 import reflection_pb2 as base_reflection
from cosmos.base.reflection.v2alpha1 import reflection_pb2 as app_reflection
from cosmos.base.tendermint.v1beta1 import query_pb2 as cmt_query
from cosmos.base.tendermint.v1beta1 import types_pb2 as cmt_query_types
from cosmos.base.v1beta1 import coin_pb2 as coin
from cosmos.consensus.v1 import query_pb2 as consensus_query
from cosmos.crypto.ed25519 import keys_pb2 as ed25519_keys
from cosmos.crypto.multisig import keys_pb2 as multisig_keys
from cosmos.crypto.multisig.v1beta1 import multisig_pb2 as multisig
from cosmos.crypto.secp256k1 import keys_pb2 as secp256k1_keys
from cosmos.params.v1beta1 import query_pb2 as params_query
from cosmos.reflection.v1 import reflection_pb2 as file_reflection
from cosmos.crypto.secp256r1 import keys_pb2 as secp256r1_keys
from cosmos.feegrant.v1beta1 import feegrant_pb2 as feegrant
from cosmos.feegrant.v1beta1 import query_pb2 as feegrant_query
from cosmos.feegrant.v1beta1 import tx_pb2 as feegrant_tx
from cosmos.staking.v1beta1 import query_pb2 as staking_query
from cosmos.staking.v1beta1 import staking_pb2 as staking
from cosmos.tx.signing.v1beta1 import signing_pb2 as signing
from cosmos.tx.v1beta1 import service_pb2 as tx_service
from cosmos.tx.v1beta1 import tx_pb2 as tx
from cosmos.upgrade.v1beta1 import query_pb2 as upgrade_query

# Proofs
from cosmos.ics23.v1 import proofs_pb2 as ics23

# IBC
from ibc.applications.transfer.v1 import denomtrace_pb2 as transfer_denomtrace
from ibc.applications.transfer.v1 import packet_pb2 as transfer_packet
from ibc.applications.transfer.v1 import query_pb2 as transfer_query
from ibc.applications.transfer.v1 import token_pb2 as transfer_token
from ibc.applications.transfer.v1 import transfer_pb2 as transfer
from ibc.applications.transfer.v1 import tx_pb2 as transfer_tx
from ibc.core.channel.v1 import channel_pb2 as channel
from ibc.core.channel.v1 import query_pb2 as channel_query
from ibc.core.channel.v1 import tx_pb2 as channel_tx
from ibc.core.channel.v2 import genesis_pb2 as channel_v2_genesis
from ibc.core.channel.v2 import packet_pb2 as channel_v2
from ibc.core.channel.v2 import query_pb2 as channel_v2_query
from ibc.core.channel.v2 import tx_pb2 as channel_v2_tx
from ibc.core.client.v1 import client_pb2 as client
from ibc.core.client.v1 import query_pb2 as client_query
from ibc.core.client.v1 import tx_pb2 as client_tx
from ibc.core.client.v2 import config_pb2 as client_v2_config
from ibc.core.client.v2 import counterparty_pb2 as client_v2
from ibc.core.client.v2 import query_pb2 as client_v2_query
from ibc.core.client.v2 import tx_pb2 as client_v2_tx
from ibc.core.commitment.v1 import commitment_pb2 as commitment
from ibc.core.connection.v1 import connection_pb2 as connection
from ibc.core.connection.v1 import query_pb2 as connection_query
from ibc.core.connection.v1 import tx_pb2 as connection_tx
from ibc.lightclients.tendermint.v1 import tendermint_pb2 as tendermint_client

# CometBFT
from tendermint.abci import types_pb2 as abci
from tendermint.crypto import keys_pb2 as cmt_keys
from tendermint.crypto import proof_pb2 as cmt_proof
from tendermint.p2p import types_pb2 as cmt_p2p
from tendermint.types import block_pb2 as cmt_block
from tendermint.types import evidence_pb2 as cmt_evidence
from tendermint.types import params_pb2 as cmt_params
from tendermint.types import types_pb2 as cmt_types
from tendermint.types import validator_pb2 as cmt_validator
from tendermint.version import types_pb2 as cmt_version

# Our own
from bsmg_proto.fabric.v1 import fabric_pb2 as fabric_client
from bsmg_proto.fabric.v1 import calls_pb2 as fabric_calls
from bsmg_proto.fabric.v1 import peer_pb2 as fabric_peer
from bsmg_proto.fabric.v1 import microgrid_pb2 as fabric_microgrid
from bsmg_proto.market.v1 import ballot_pb2 as market_ballot
from bsmg_proto.market.v1 import forward_pb2 as market_forward
from bsmg_proto.market.v1 import market_pb2 as market
from bsmg_proto.market.v1 import query_pb2 as market_query
from bsmg_proto.market.v1 import tx_pb2 as market_tx
from bsmg_proto.meter.v1 import meter_pb2 as meter
from bsmg_proto.meter.v1 import query_pb2 as meter_query
from bsmg_proto.meter.v1 import tx_pb2 as meter_tx
from bsmg_proto.node.v1 import service_pb2 as node_service
from bsmg_proto.registry.v1 import query_pb2 as registry_query
from bsmg_proto.registry.v1 import registry_pb2 as registry
from bsmg_proto.registry.v1 import tx_pb2 as registry_tx
from bsmg_proto.trade.v1 import packet_pb2 as trade_packet
from bsmg_proto.trade.v1 import query_pb2 as trade_query
from bsmg_proto.trade.v1 import trade_pb2 as trade
from bsmg_proto.trade.v1 import tx_pb2 as trade_tx
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

assert _cosmpy_protos

__all__ = [
    "Any",
    "DecodeError",
    "Duration",
    "Message",
    "Timestamp",
    "abci",
    "app_reflection",
    "amino",
    "auth",
    "auth_query",
    "autocli_query",
    "bank",
    "bank_query",
    "bank_tx",
    "base_abci",
    "base_reflection",
    "channel",
    "channel_query",
    "channel_tx",
    "channel_v2",
    "channel_v2_genesis",
    "channel_v2_query",
    "channel_v2_tx",
    "client",
    "client_query",
    "client_tx",
    "client_v2",
    "client_v2_config",
    "client_v2_query",
    "client_v2_tx",
    "cmt_block",
    "cmt_evidence",
    "cmt_keys",
    "cmt_p2p",
    "cmt_params",
    "cmt_proof",
    "cmt_query",
    "cmt_query_types",
    "cmt_types",
    "cmt_validator",
    "cmt_version",
    "coin",
    "commitment",
    "connection",
    "connection_query",
    "connection_tx",
    "consensus_query",
    "cosmos_proto",
    "ed25519_keys",
    "fabric_client",
    "fabric_calls",
    "fabric_peer",
    "fabric_microgrid",
    "feegrant",
    "feegrant_query",
    "feegrant_tx",
    "file_reflection",
    "gogo",
    "ics23",
    "market",
    "market_ballot",
    "market_forward",
    "market_query",
    "market_tx",
    "meter",
    "meter_query",
    "meter_tx",
    "multisig",
    "multisig_keys",
    "node_query",
    "node_service",
    "pagination",
    "params_query",
    "registry",
    "registry_query",
    "registry_tx",
    "secp256k1_keys",
    "secp256r1_keys",
    "signing",
    "staking",
    "staking_query",
    "tendermint_client",
    "trade",
    "trade_packet",
    "trade_query",
    "trade_tx",
    "transfer",
    "transfer_denomtrace",
    "transfer_packet",
    "transfer_query",
    "transfer_token",
    "transfer_tx",
    "tx",
    "tx_service",
    "upgrade_query",
]
