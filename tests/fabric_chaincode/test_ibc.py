"""IBC between this microgrid and a CometBFT application: real headers, real Merkle proofs, real endorsements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from cosmos_wire.protos import channel, channel_tx, coin, transfer_tx
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from ibc_core import bank, paths
from ibc_core.transfer.denom import Denom
from tests.app.chain import ALICE
from tests.app.chain import DENOM as COMET_DENOM
from tests.app.pair import AppChain
from tests.fabric_chaincode import chain
from tests.fabric_chaincode.chain import GridChain
from tests.fabric_chaincode.world import DENOM, RICH, SECOND_NS, Cast
from tests.ibc.harness import HOUR_NS, Coordinator, Path, packet_of


@pytest.fixture
def pair(cast: Cast, tmp_path: FilePath) -> Iterator[Coordinator]:
    made = chain.pair(cast, tmp_path)
    yield made
    chain.close(made)


@pytest.fixture
def path(pair: Coordinator) -> Path:
    return pair.path()


def grid_of(path: Path) -> GridChain:
    assert isinstance(path.a.chain, GridChain)
    return path.a.chain


def comet_of(path: Path) -> AppChain:
    assert isinstance(path.b.chain, AppChain)
    return path.b.chain


def transfer(end: object, sender: str, receiver: str, token: tuple[str, int]) -> transfer_tx.MsgTransfer:
    return transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=end.channel_id,
        sender=sender,
        receiver=receiver,
        token=coin.Coin(denom=token[0], amount=str(token[1])),
        timeout_timestamp=end.chain.net.time_ns + HOUR_NS,
    )


def voucher(path: Path, denom: str) -> str:
    return Denom(denom, (("transfer", path.b.channel_id),)).ledger_name


def test_coins_go_and_come_back(path, cast):
    grid, comet = grid_of(path), comet_of(path)
    grid.send(cast.alice, transfer(path.a, cast.alice.text, ALICE.text, (DENOM, 500)))
    ack = path.relay(path.a.last_packet())
    assert ack == b'{"result":"AQ=="}'
    assert bank.balance(comet.view(), ALICE.raw, voucher(path, DENOM)) == 500
    assert grid.grid.balance(cast.alice) == RICH - 500
    comet.send(transfer(path.b, ALICE.text, cast.bob.text, (voucher(path, DENOM), 200)))
    path.relay(path.b.last_packet())
    assert bank.balance(comet.view(), ALICE.raw, voucher(path, DENOM)) == 300
    assert grid.grid.balance(cast.bob) == RICH + 200


def commitment(packet: channel.Packet) -> bytes:
    return paths.commitment(packet.source_port, packet.source_channel, packet.sequence)


def batch(path: Path, packets: list[channel.Packet]) -> list[object]:
    """For the Fabric side: an update of its client, and a MsgRecvPacket each, proven at that header."""
    path.b.chain.settle()
    header = path.a.header()
    height = path.b.chain.proof_height
    found = [
        channel_tx.MsgRecvPacket(packet=packet, proof_height=height, proof_commitment=path.a.prove(commitment(packet)))
        for packet in packets
    ]
    return [header, *found]


def sent_by_comet(path: Path, cast: Cast, count: int) -> list[channel.Packet]:
    comet = comet_of(path)
    comet.send(*[transfer(path.b, ALICE.text, cast.bob.text, (COMET_DENOM, n + 1)) for n in range(count)])
    return [packet_of(found) for found in comet.attributes("send_packet")]


def test_an_update_and_fifty_packets_fit_one_proposal(path, cast):
    packets = sent_by_comet(path, cast, 50)
    messages = batch(path, packets)
    before = grid_of(path).height
    responses = grid_of(path).deliver(*messages)
    assert grid_of(path).height == before + 1
    assert [each.result for each in responses[1:]] == [channel_tx.RESPONSE_RESULT_TYPE_SUCCESS] * 50
    acks = grid_of(path).attributes("write_acknowledgement")
    assert len(acks) == 50
    for packet, ack in zip(packets[:3], acks, strict=False):
        path.b.acknowledge(packet, bytes.fromhex(ack["packet_ack_hex"]))


def test_packets_that_were_here_are_refused_before_they_wait(path, cast):
    packets = sent_by_comet(path, cast, 3)
    grid_of(path).deliver(*batch(path, packets[:2]))
    with pytest.raises(ChaincodeRefusedError, match="channel/22: all 2 packets were relayed already"):
        grid_of(path).deliver(*batch(path, packets[:2]))
    grid_of(path).deliver(*batch(path, packets))


def test_two_relayers_bring_the_same_packet_in_one_tick(path, cast):
    """Both pass the dry run; in the tick the second one finds nothing to do."""
    grid = grid_of(path).grid
    messages = batch(path, sent_by_comet(path, cast, 1))
    mine, theirs = (grid.submit(who, *as_signer(messages, who.text)) for who in (cast.relayer, cast.alice))
    held = grid.balance(cast.bob, voucher_here(path))
    results = grid.tick(mine, theirs).results.tx_results
    assert [each.code for each in results] == [0, 0]
    assert grid.balance(cast.bob, voucher_here(path)) == held + 1


def as_signer(messages: list[object], signer: str) -> list[object]:
    for message in messages:
        message.signer = signer
    return messages


def voucher_here(path: Path) -> str:
    return Denom(COMET_DENOM, (("transfer", path.a.channel_id),)).ledger_name


def test_forged_proofs_are_refused_by_name(path, cast):
    (packet,) = sent_by_comet(path, cast, 1)
    update, receive = batch(path, [packet])
    forged = channel_tx.MsgRecvPacket()
    forged.CopyFrom(receive)
    forged.packet.data = packet.data.replace(b'"1"', b'"9"')
    with pytest.raises(ChaincodeRefusedError, match=r"response 400, [a-z0-9-]+/[0-9]+: .*message index: 1: "):
        grid_of(path).deliver(update, forged)
    forged.CopyFrom(receive)
    forged.proof_commitment = receive.proof_commitment[:-1] + b"\x00"
    with pytest.raises(ChaincodeRefusedError, match="response 400, "):
        grid_of(path).deliver(update, forged)
    grid_of(path).deliver(update, receive)


def test_a_transfer_to_the_other_side_times_out_by_time(path, cast):
    grid = grid_of(path)
    message = transfer(path.a, cast.alice.text, ALICE.text, (DENOM, 500))
    message.timeout_timestamp = path.a.chain.net.time_ns + 20 * SECOND_NS
    grid.send(cast.alice, message)
    packet = path.a.last_packet()
    with pytest.raises(ChaincodeRefusedError, match="channel/"):
        path.a.timeout(packet)
    path.b.chain.net.time_ns += 25 * SECOND_NS
    comet_of(path).block()
    assert path.a.timeout(packet) == channel_tx.RESPONSE_RESULT_TYPE_SUCCESS
    assert grid.grid.balance(cast.alice) == RICH


def test_a_transfer_to_here_times_out_by_an_attested_absence(path, cast):
    comet = comet_of(path)
    message = transfer(path.b, ALICE.text, cast.bob.text, (COMET_DENOM, 500))
    message.timeout_timestamp = path.b.chain.net.time_ns + 20 * SECOND_NS
    held = bank.balance(comet.view(), ALICE.raw, COMET_DENOM)
    comet.send(message)
    packet = path.b.last_packet()
    grid_of(path).net.time_ns += 25 * SECOND_NS
    grid_of(path).deliver()
    assert path.b.timeout(packet) == channel_tx.RESPONSE_RESULT_TYPE_SUCCESS
    assert held - bank.balance(comet.view(), ALICE.raw, COMET_DENOM) < 10_000  # fees
    with pytest.raises(ChaincodeRefusedError, match="channel/"):
        path.a.receive(packet)


def test_a_client_without_news_expires(pair, path, cast):
    (packet,) = sent_by_comet(path, cast, 1)
    pair.time_ns += 15 * 24 * HOUR_NS
    grid_of(path).deliver()
    path.b.chain.settle()
    with pytest.raises(ChaincodeRefusedError, match=r"client/.*Expired"):
        path.a.receive(packet)


def test_both_sides_survive_a_restart_of_the_chaincode(path, cast):
    grid = grid_of(path).grid
    (packet,) = sent_by_comet(path, cast, 1)
    grid.stop()
    grid.open()
    grid.load()
    path.relay(packet)
    assert grid.balance(cast.bob, voucher_here(path)) == 1
