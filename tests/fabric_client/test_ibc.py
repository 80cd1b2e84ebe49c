"""The IBC handlers between two Fabric microgrids, and between one and a CometBFT chain; nothing below is mocked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cosmos_wire.errors import ChainError
from ibc_core.fabric import errors
from ibc_core.light_client import LightClient
from ibc_core.packet import NOOP, SUCCESS
from ibc_core.transfer.denom import Denom
from ibc_core.v2 import channel as channel_v2
from tests.fabric_client.fabric_chain import BOTH, FabricChain
from tests.fabric_client.network import ORG1, peers
from tests.ibc.harness import HOUR_NS, ORDERED, UNORDERED, AppFactory, Chain, Coordinator
from tests.ibc.mock_app import MockApp
from tests.ibc.real_chain import RealChain
from tests.ibc.v2_path import path_v2

VOUCHER = Denom("bmgf", (("transfer", "channel-0"),)).ledger_name


class CometChain(RealChain):
    """A CometBFT chain that hosts both light clients."""

    def client_types(self) -> Mapping[str, LightClient]:
        return BOTH


@pytest.fixture(params=["mgh-1", "mga-1"])
def net(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Coordinator]:
    def make(chain_id: str, coordinator: Coordinator, apps: Mapping[str, AppFactory]) -> Chain:
        return (
            CometChain(tmp_path, chain_id, coordinator, apps)
            if chain_id == "mga-1"
            else FabricChain(chain_id, coordinator, apps)
        )

    made = Coordinator("mgf-1", request.param, apps={"mock": MockApp}, make=make)
    yield made
    for chain in made.chains.values():
        if isinstance(chain, CometChain):
            chain.db.close()


def test_transfers_there_and_back(net: Coordinator) -> None:
    path = net.path()
    a, b = path.a.chain, path.b.chain
    a.fund("alice", "bmgf", 100)
    path.relay(path.a.transfer("alice", "bob", ("bmgf", 60)))
    path.relay(path.b.transfer("bob", "alice", (VOUCHER, 25)))
    assert (a.balance("alice", "bmgf"), b.balance("bob", VOUCHER)) == (65, 35)
    late = path.a.transfer("alice", "bob", ("bmgf", 65))
    net.pass_time(2 * HOUR_NS)
    assert path.a.timeout(late) == SUCCESS
    assert a.balance("alice", "bmgf") == 65


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_packets_and_closing(net: Coordinator, ordering: int) -> None:
    path = net.mock_path(ordering)
    first, second, third = (path.a.send() for _ in range(3))
    path.relay(first)
    assert path.a.acknowledge(first, b"x") == NOOP
    path.b.receive(second)
    with pytest.raises(ChainError):
        path.a.timeout_on_close(third)
    path.b.close_init()
    assert path.a.timeout_on_close(third) == SUCCESS


def test_a_received_packet_does_not_time_out(net: Coordinator) -> None:
    path = net.path()
    path.b.chain.fund("bob", "bmgb", 100)
    packet = path.b.transfer("bob", "alice", ("bmgb", 60))
    path.a.receive(packet)
    net.pass_time(2 * HOUR_NS)
    with pytest.raises(errors.WrongValue, match=r"receipts/.*: expected absence, got 01"):
        path.b.timeout(packet)


def test_ibc_v2_there_and_back_and_timeout(net: Coordinator) -> None:
    """Its paths are binary: hex in the ledger's keys."""
    path = path_v2(net)
    a, b = path.a.chain, path.b.chain
    b.fund("bob", "bmgb", 100)
    path.relay(path.b.transfer("bob", "alice", ("bmgb", 60)))
    voucher = Denom("bmgb", (("transfer", path.a.client_id),)).ledger_name
    path.relay(path.a.transfer("alice", "bob", (voucher, 25)))
    assert (a.balance("alice", voucher), b.balance("bob", "bmgb")) == (35, 65)
    late = path.b.transfer("bob", "alice", ("bmgb", 65))
    net.pass_time(HOUR_NS)
    assert path.b.timeout(late) == channel_v2.SUCCESS
    assert b.balance("bob", "bmgb") == 65


def test_too_few_endorsers_move_nothing(net: Coordinator) -> None:
    path = net.path()
    path.a.chain.fund("alice", "bmgf", 100)
    packet = path.a.transfer("alice", "bob", ("bmgf", 60))
    sender = path.a.chain
    assert isinstance(sender, FabricChain)
    sender.fabric.signers = peers(ORG1)
    with pytest.raises(ChainError, match="expected endorsements by"):
        path.b.receive(packet)
    assert path.b.chain.balance("bob", VOUCHER) == 0
