"""The CometBFT side of the relayer against a node that a test commands."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.keys import key_from_name
from bsmg.client.lane import FeePolicy
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import bank_tx, tendermint_client
from cosmos_wire.tx import pack
from ibc_core.host import Event
from ibc_core.light_client import Height
from ibc_relayer.client_chain import ClientChain
from ibc_relayer.client_types import read_client_state
from ibc_relayer.cometbft import BlockLimits, block_limits, client_state, parse_header
from ibc_relayer.events import ClientUpdated, Finished, Sent, facts
from tests.client.fake_node import FakeNode


async def test_a_failing_dry_run_is_a_refusal_so_that_poison_can_be_isolated():
    class Refusing(FakeNode):
        def rpc_abci_query(self, path, data, height, **_):
            if path.endswith("Simulate"):
                log = "failed to execute message; message index: 3: packet messages are redundant"
                return {"response": {"code": 22, "codespace": "channel", "log": log, "height": height}}
            return super().rpc_abci_query(path, data, height)

    node = await Refusing().start()
    async with CometClient("fake-1", Endpoints(rpc=node.url)) as client:
        lane = client.lane(key_from_name("r"), FeePolicy(price=Decimal(1), denom="x"))
        outcome = await ClientChain(client, lane).submit([bank_tx.MsgSend()])
    await node.stop()
    assert (outcome.ok, outcome.codespace, outcome.height) == (False, "simulation", 0)
    assert "message index: 3" in outcome.log


async def test_a_block_s_limits_are_asked_at_a_height_that_exists():
    """Asked without one, a busy node answers for a block that it has not written: `could not find consensus params`."""

    class Busy(FakeNode):
        def rpc_consensus_params(self, height=None, **_):
            assert height == "7"
            return {"consensus_params": {"block": {"max_bytes": "1000", "max_gas": "-1"}}}

    node = await Busy().start()
    async with CometClient("fake-1", Endpoints(rpc=node.url)) as client:
        assert await block_limits(client.rpc, 7) == BlockLimits(max_bytes=1_000, max_gas=-1)
    await node.stop()


def test_client_state_of_a_new_client():
    made = client_state("mga-1", Height(1, 9), 1_814_400 * 10**9)
    assert made.trusting_period.seconds == 1_209_600
    assert made.max_clock_drift.seconds == 30
    assert (made.trust_level.numerator, made.trust_level.denominator) == (1, 3)
    assert list(made.upgrade_path) == ["upgrade", "upgradedIBCState"]
    assert [spec.inner_spec.child_size for spec in made.proof_specs] == [33, 32]
    assert made.HasField("frozen_height")
    info = read_client_state("07-tendermint-0", pack(made))
    assert (info.chain_id, info.latest, info.frozen) == ("mga-1", Height(1, 9), False)
    with pytest.raises(ToolError, match="expected more than 0"):
        client_state("mga-1", Height(1, 9), 0)


@pytest.mark.parametrize("data", [b"", b"\xff", pack(tendermint_client.Misbehaviour()).SerializeToString()])
def test_bad_headers_in_events(data):
    with pytest.raises(ToolError, match="client message"):
        parse_header(data)


PACKET = (
    ("packet_data_hex", "7b7d"),
    ("packet_timeout_height", "0-0"),
    ("packet_timeout_timestamp", "5"),
    ("packet_sequence", "4"),
    ("packet_src_port", "transfer"),
    ("packet_src_channel", "channel-0"),
    ("packet_dst_port", "transfer"),
    ("packet_dst_channel", "channel-1"),
)


def test_facts():
    update = (("client_id", "07-tendermint-0"), ("consensus_height", "1-7"), ("header", "aa"))
    found = list(
        facts(
            [
                Event("send_packet", PACKET),
                Event("message", ()),
                Event("timeout_packet", PACKET[1:]),
                Event("update_client", update),
                Event("ibccallbackerror-send_packet", PACKET),
            ]
        )
    )
    assert [type(fact) for fact in found] == [Sent, Finished, ClientUpdated]
    assert (found[0].packet.data, found[0].packet.timeout_ns, found[0].packet.sequence) == (b"{}", 5, 4)
    assert (found[1].timed_out, found[2].height) == (True, Height(1, 7))


@pytest.mark.parametrize("missing", ["packet_sequence", "packet_src_port", "packet_timeout_height"])
def test_events_without_their_attributes_are_named(missing):
    bare = tuple(item for item in PACKET if item[0] != missing)
    with pytest.raises(ToolError, match="event send_packet"):
        list(facts([Event("send_packet", bare)]))
