"""IBC v2 over real light clients and Merkle proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path as FilePath

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel_v2_tx
from ibc_core import errors
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.encoding import ABI, JSON, PROTOBUF
from ibc_core.v2 import paths
from ibc_core.v2.channel import NOOP, SUCCESS
from ibc_core.v2.packet import ERROR_ACK
from tests.ibc.harness import HOUR_NS, Coordinator
from tests.ibc.real_chain import RealChain
from tests.ibc.v2_path import path_v2, unregistered

CLIENT = "07-tendermint-0"
VOUCHER = Denom("bmga", (("transfer", CLIENT),)).ledger_name


@pytest.fixture
def net(tmp_path: FilePath) -> Iterator[Coordinator]:
    made = Coordinator("mga-1", "mgb-1", make=partial(RealChain, tmp_path))
    yield made
    for chain in made.chains.values():
        assert isinstance(chain, RealChain)
        chain.db.close()


@pytest.mark.parametrize("encoding", ["", JSON, PROTOBUF, ABI])
def test_transfers_there_and_back(net: Coordinator, encoding: str) -> None:
    path = path_v2(net)
    a, b = path.a.chain, path.b.chain
    a.fund("alice", "bmga", 100)
    packet = path.a.transfer("alice", "bob", ("bmga", 60), encoding)
    assert packet.payloads[0].encoding == (encoding or JSON)
    assert path.relay(packet).app_acknowledgements == [b'{"result":"AQ=="}']
    path.relay(path.b.transfer("bob", "alice", (VOUCHER, 25), encoding))
    assert (a.balance("alice", "bmga"), b.balance("bob", VOUCHER)) == (65, 35)


def test_timeout_and_error_give_the_tokens_back(net: Coordinator) -> None:
    path = path_v2(net)
    chain = path.a.chain
    chain.fund("alice", "bmga", 100)
    late = path.a.transfer("alice", "bob", ("bmga", 60))
    with pytest.raises(errors.TimeoutNotReachedV2):
        path.a.timeout(late)
    net.pass_time(HOUR_NS)
    assert path.a.timeout(late) == SUCCESS
    assert chain.balance("alice", "bmga") == 100
    message = path.a.msg_transfer("alice", "bob", ("bmga", 60))
    message.receiver = "cosmos1nobody"
    chain.deliver(message)
    assert path.relay(path.a.last_packet()).app_acknowledgements == [ERROR_ACK]
    assert chain.balance("alice", "bmga") == 100
    assert chain.ibc.get(paths.commitment(CLIENT, 2)) is None


def flip(message: channel_v2_tx.MsgRecvPacket, at: int) -> None:
    data = bytearray(message.proof_commitment)
    data[at % len(data)] ^= 1
    message.proof_commitment = bytes(data)


SPOILT: list[tuple[str, Callable[[channel_v2_tx.MsgRecvPacket], None]]] = [
    ("value", lambda m: setattr(m.packet.payloads[0], "value", b"other")),
    ("version", lambda m: setattr(m.packet.payloads[0], "version", "ics20-2")),
    ("encoding", lambda m: setattr(m.packet.payloads[0], "encoding", PROTOBUF)),
    ("source port", lambda m: setattr(m.packet.payloads[0], "source_port", "other")),
    ("sequence", lambda m: setattr(m.packet, "sequence", 2)),
    ("timeout", lambda m: setattr(m.packet, "timeout_timestamp", m.packet.timeout_timestamp + 1)),
    ("proof cut", lambda m: setattr(m, "proof_commitment", m.proof_commitment[:-1])),
    ("proof is no proof", lambda m: setattr(m, "proof_commitment", b"proof")),
    ("height the client does not know", lambda m: setattr(m.proof_height, "revision_height", 10**9)),
    ("height of another root", lambda m: setattr(m.proof_height, "revision_height", 1)),
    *[(f"bit in byte {at} of the proof", partial(flip, at=at)) for at in range(5, 400, 37)],
]


@pytest.mark.parametrize("spoil", [pytest.param(act, id=name) for name, act in SPOILT])
def test_a_spoilt_receive_is_refused(net: Coordinator, spoil: Callable[[channel_v2_tx.MsgRecvPacket], None]) -> None:
    path = path_v2(net)
    path.a.chain.fund("alice", "bmga", 100)
    message = path.b.msg_receive(path.a.transfer("alice", "bob", ("bmga", 60)))
    good = channel_v2_tx.MsgRecvPacket.FromString(message.SerializeToString())
    spoil(message)
    with pytest.raises(ChainError) as refused:
        path.b.chain.deliver(message)
    assert refused.value.codespace != "ics23"  # to the outside a wrong proof is `commitment/2`, as ibc-go has it
    assert path.b.chain.ibc.get(paths.receipt(CLIENT, 1)) is None
    assert path.b.chain.deliver(good)[0].result == SUCCESS
    assert path.b.chain.deliver(good)[0].result == NOOP
    assert path.b.chain.balance("bob", VOUCHER) == 60


def test_a_proof_of_absence_of_another_packet_is_no_timeout(net: Coordinator) -> None:
    """The class of Dragonberry: a forged absence would refund a packet that was received."""
    path = path_v2(net)
    path.a.chain.fund("alice", "bmga", 100)
    received, missing = (path.a.transfer("alice", "bob", ("bmga", 10)) for _ in range(2))
    path.b.receive(received)
    net.pass_time(2 * HOUR_NS)
    message = path.a.msg_timeout(missing)
    message.packet.CopyFrom(received)
    with pytest.raises(errors.InvalidProof):
        path.a.chain.deliver(message)
    membership = path.a.msg_timeout(missing)
    membership.proof_unreceived = path.b.chain.prove(b"nextClientSequence")
    with pytest.raises(errors.InvalidProof):
        path.a.chain.deliver(membership)
    with pytest.raises(errors.InvalidProof):
        path.a.timeout(received)
    assert path.a.timeout(missing) == SUCCESS


@pytest.mark.parametrize("prefix", [[b"ibc"], [b"ib", b"c"], [b"", b""], [b"ibc", b"", b""], [b"app", b""], [b""]])
def test_packets_under_a_wrong_prefix_are_refused(net: Coordinator, prefix: list[bytes]) -> None:
    path = unregistered(net)
    path.a.register()
    path.b.register(prefix)
    path.a.chain.fund("alice", "bmga", 100)
    with pytest.raises(errors.InvalidProof):
        path.b.receive(path.a.transfer("alice", "bob", ("bmga", 10)))


def test_an_expired_client_stops_everything(net: Coordinator) -> None:
    path = path_v2(net)
    path.a.chain.fund("alice", "bmga", 100)
    packet = path.a.transfer("alice", "bob", ("bmga", 10))
    message = path.b.msg_receive(packet)
    net.pass_time(15 * 24 * HOUR_NS)
    with pytest.raises(errors.ClientNotActive, match="Expired"):
        path.a.transfer("alice", "bob", ("bmga", 10))
    with pytest.raises(errors.TimeoutElapsedV2):
        path.b.chain.deliver(message)
