"""A client that knows no message of ours or of anybody: services, methods and messages by reflection alone.

It calls every unary method that the node lists once, with arguments found by asking: what it does not answer is named
here with the reason.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any as Whatever

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from tests.e2e.net import TRANSFER, B, Net, attributes_of, opened, quiet, transfer, until, voucher
from tests.e2e.reflect import ANSWER_S, Reflected

pytestmark = pytest.mark.e2e
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
STREAMS = {*REFLECTIONS, "grpc.health.v1.Health/Watch"}
NOT_THERE = {  # methods that find nothing on this network, and those that this chain has not
    "bsmg.node.v1.Service/Events": "INVALID_ARGUMENT",  # asks for a type of event
    "bsmg.registry.v1.Query/Feeder": "NOT_FOUND",
    "cosmos.feegrant.v1beta1.Query/Allowance": "NOT_FOUND",
    "cosmos.staking.v1beta1.Query/Delegation": "NOT_FOUND",
    "cosmos.staking.v1beta1.Query/DelegatorValidator": "NOT_FOUND",
    "cosmos.staking.v1beta1.Query/UnbondingDelegation": "NOT_FOUND",
    "cosmos.tx.v1beta1.Service/Simulate": "UNKNOWN",  # the transaction has run already: its sequence is used
    "cosmos.tx.v1beta1.Service/TxDecodeAmino": "UNIMPLEMENTED",
    "cosmos.tx.v1beta1.Service/TxEncodeAmino": "UNIMPLEMENTED",
    "cosmos.upgrade.v1beta1.Query/Authority": "UNIMPLEMENTED",
    "ibc.core.channel.v1.Query/PacketCommitment": "NOT_FOUND",  # acknowledged by now
    "ibc.core.client.v1.Query/UpgradedClientState": "NOT_FOUND",
    "ibc.core.client.v1.Query/UpgradedConsensusState": "NOT_FOUND",
    "ibc.core.client.v1.Query/VerifyMembership": "INVALID_ARGUMENT",  # no proof at hand
}


# Slots come and go meanwhile, and whether this client has an IBC v2 counterparty is for other tests of this network.
SHIFTING = (
    *("bsmg.market.v1.", "bsmg.trade.v1.", "bsmg.meter.v1."),
    *("ibc.core.channel.v2.", "ibc.core.client.v2."),
)


@pytest.fixture
def client(net: Net) -> Iterator[Reflected]:
    with Reflected(net.file.chain(B).nodes[0].grpc) as made:
        yield made


def test_both_reflections_list_the_same(client: Reflected) -> None:
    lists = []
    for service in REFLECTIONS:
        method = client.channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = method(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]), timeout=ANSWER_S)
        lists.append([item.name for item in next(answers).list_services_response.service])
    assert lists[0] == lists[1]
    assert {*REFLECTIONS, "grpc.health.v1.Health", "cosmos.bank.v1beta1.Query"} <= set(lists[0])


def methods(client: Reflected) -> Iterator[tuple[str, MethodDescriptor]]:
    for service in client.services():
        found = client.pool.FindServiceByName(service)
        for method in found.methods:
            if service not in STREAMS and f"{service}/{method.name}" not in STREAMS:
                yield f"{service}/{method.name}", method


async def test_every_method_once(client: Reflected, net: Net) -> None:
    """On the chain that has received a transfer and sent one."""
    async with opened(net) as (a, b):
        sent = await transfer(a, b, (a.denom, 3))
        sequence = attributes_of(sent, "send_packet")["packet_sequence"]
        outcome = await transfer(b, a, (b.denom, 3))
        await quiet(a, b)
        digest = outcome.tx_hash

        async def indexed() -> bool:
            return bool(client.search(f"tx.hash='{digest}'"))

        await until(b.client, indexed, "the index")
        special = SPECIAL | _vouchers(voucher(b, a.denom), f"{TRANSFER}/{b.channel()}/{a.denom}")
    known = _known(client, net, digest) | {"sequence": sequence}
    refused = {}
    for name, method in methods(client):
        try:
            _call(client, name, method, _request(method.input_type, known | special.get(name, {})))
        except grpc.RpcError as error:
            refused[name] = (error.code().name, bool(error.details()))
    assert {name: code for name, (code, _) in refused.items() if not name.startswith(SHIFTING)} == NOT_THERE
    assert {code for name, (code, _) in refused.items() if name.startswith(SHIFTING)} <= {"NOT_FOUND"}
    assert all(said for _, said in refused.values())


def _vouchers(ledger_name: str, path: str) -> dict[str, dict[str, Whatever]]:
    service = "ibc.applications.transfer.v1.Query"
    return {
        f"{service}/Denom": {"hash": ledger_name},
        f"{service}/DenomHash": {"trace": path},
        "cosmos.bank.v1beta1.Query/DenomMetadata": {"denom": ledger_name},
        "cosmos.bank.v1beta1.Query/DenomMetadataByQueryString": {"denom": ledger_name},
    }


def _call(client: Reflected, name: str, method: MethodDescriptor, fields: dict[str, Whatever]) -> Whatever:
    request = json_format.ParseDict(fields, GetMessageClass(method.input_type)(), descriptor_pool=client.pool)
    stub = client.channel.unary_unary(
        "/" + name,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    return stub(request, timeout=ANSWER_S)


def _request(kind: Descriptor, known: dict[str, Whatever]) -> dict[str, Whatever]:
    """A value for every field whose name is known; a list of one where it is repeated."""
    made = {}
    for field in kind.fields:
        if field.name in known:
            listed = field.label == FieldDescriptor.LABEL_REPEATED
            made[field.name] = [known[field.name]] if listed else known[field.name]
    return made


SPECIAL: dict[str, dict[str, Whatever]] = {
    "cosmos.base.tendermint.v1beta1.Service/ABCIQuery": {"path": "/app/version", "data": "", "height": 0},
    "cosmos.bank.v1beta1.Query/AllBalances": {"resolve_denom": True},
    "cosmos.params.v1beta1.Query/Params": {"subspace": "staking", "key": "UnbondingTime"},
    "cosmos.staking.v1beta1.Query/Redelegations": {"src_validator_addr": "", "dst_validator_addr": ""},
    "cosmos.tx.v1beta1.Service/BroadcastTx": {"mode": "BROADCAST_MODE_SYNC"},
    "cosmos.upgrade.v1beta1.Query/ModuleVersions": {"module_name": "bank"},
    "cosmos.upgrade.v1beta1.Query/AppliedPlan": {"name": "none"},
    "cosmos.auth.v1beta1.Query/ModuleAccountByName": {"name": "fee_collector"},
    "grpc.health.v1.Health/Check": {"service": ""},
    "ibc.core.client.v1.Query/ConsensusState": {"latest_height": True},
}


def _known(client: Reflected, net: Net, tx_hash: str) -> dict[str, Whatever]:
    """What the fields of requests are called, and a value that exists."""
    chain = net.file.chain(B)
    end = net.file.links[0].b
    channel_id = end.channels[TRANSFER].channel_id
    found = client.call("cosmos.tx.v1beta1.Service/GetTx", hash=tx_hash)
    tx_bytes = client.call("cosmos.tx.v1beta1.Service/TxEncode", tx=found["tx"])["tx_bytes"]
    latest = client.call("ibc.core.client.v1.Query/ConsensusStateHeights", client_id=end.client_id)
    consensus = latest["consensus_state_heights"][-1]
    validator = client.call("cosmos.staking.v1beta1.Query/Validators")["validators"][0]["operator_address"]
    account = chain.account("faucet").address
    cells = client.call("bsmg.registry.v1.Query/Cells")["cells"]
    devices = client.call("bsmg.registry.v1.Query/Devices", cell=cells[0]["id"])["devices"]
    slot = client.call("bsmg.market.v1.Query/Slots")["slots"][0]["slot"]
    return {
        "account_id": "1",
        "address": account,
        "address_bytes": base64.b64encode(b"\x01" * 20).decode(),
        "address_string": account,
        "cell": cells[0]["id"],
        "channel_id": channel_id,
        "client_id": end.client_id,
        "connection": end.connection_id,
        "connection_id": end.connection_id,
        "contract_id": base64.b64encode(b"\x01" * 32).decode(),
        "delegator_addr": account,
        "denom": chain.denom,
        "denoms": chain.denom,
        "device": devices[0]["id"],
        "grantee": account,
        "granter": account,
        "hash": tx_hash,
        "height": 3,
        "interface_name": "cosmos.base.v1beta1.Msg",
        "packet_ack_sequences": 1,
        "packet_commitment_sequences": 1,
        "port_id": TRANSFER,
        "query": f"tx.hash='{tx_hash}'",
        "revision_height": consensus["revision_height"],
        "revision_number": consensus["revision_number"],
        "seq": 1,
        "sequence": 1,
        "side": "SIDE_BID",
        "slot": slot,
        "tx": found["tx"],
        "tx_bytes": tx_bytes,
        "validator_addr": validator,
    }
