"""Transfers and packets that a stock client or relayer can send and no chain takes, and the ones that are no-ops."""

from __future__ import annotations

from cosmos_wire.protos import channel_tx, client, client_query, coin, commitment
from ibc_core import paths
from ibc_relayer.clients import client_info
from ibc_relayer.plan import Packet
from tests.interop.bad_txs import Case
from tests.interop.twins import Act, Seen, Side, Terms, edited

LONG_MEMO = "m" * 32_769


# transfers


def transfer(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        return await host.submit(host.transfer(peer, **changes))

    return act


async def late_by_height(host: Side, peer: Side) -> Seen:
    at = client.Height(revision_number=peer.client.revision, revision_height=2)
    return await host.submit(host.transfer(peer, timeout_height=at, timeout_timestamp=0))


async def out_of_gas_in_the_block(host: Side, peer: Side) -> Seen:
    """Enough for what CheckTx does, too little for the message."""
    return await host.submit(host.transfer(peer, memo="m" * 2_000), terms=Terms(gas=70_000))


TRANSFERS = [
    Case(name="amount 0", act=transfer(token__amount="0")),
    Case(name="amount negative", act=transfer(token__amount="-1")),
    Case(name="amount is no number", act=transfer(token__amount="x")),
    Case(name="denomination nobody has", act=transfer(token__denom="nosuchcoin")),
    Case(name="denomination empty", act=transfer(token__denom="")),
    Case(name="denomination with a space", act=transfer(token__denom="a b")),
    Case(name="voucher that is not known", act=transfer(token__denom="ibc/" + "A" * 64)),
    Case(name="voucher with a short hash", act=transfer(token__denom="ibc/ABC")),
    Case(name="voucher with a hash that is none", act=transfer(token__denom="ibc/" + "Z" * 64)),
    Case(name="no coin", act=transfer(token=coin.Coin(denom="", amount=""))),
    Case(name="more than there is", act=transfer(token__amount="9" * 40)),
    Case(name="receiver empty", act=transfer(receiver="")),
    Case(name="receiver blank", act=transfer(receiver="   ")),
    Case(name="receiver of 2049 characters", act=transfer(receiver="r" * 2_049)),
    Case(name="memo of 32769 characters", act=transfer(memo=LONG_MEMO)),
    Case(name="no timeout", act=transfer(timeout_timestamp=0)),
    Case(name="timeout time passed", act=transfer(timeout_timestamp=1)),
    Case(name="timeout height passed", act=late_by_height),
    Case(name="port that is not there", act=transfer(source_port="nosuchport")),
    Case(name="port of a bad form", act=transfer(source_port="a/b")),
    Case(name="port of one character", act=transfer(source_port="a")),
    Case(name="channel that is not there", act=transfer(source_channel="channel-99")),
    Case(name="channel of a bad form", act=transfer(source_channel="channel/0")),
    Case(name="channel of 65 characters", act=transfer(source_channel="c" * 65)),
    Case(name="channel of 4 characters", act=transfer(source_channel="chan")),
    Case(name="out of gas in the block", act=out_of_gas_in_the_block),
]

# packets


async def arrival(host: Side, peer: Side, **changes: object) -> tuple[channel_tx.MsgRecvPacket, Packet]:
    """An honest MsgRecvPacket for a fresh transfer of the peer."""
    packet, height = await peer.sent(peer.transfer(host, **changes))
    proof, at = await host.commitment_of(peer, packet, height)
    message = channel_tx.MsgRecvPacket(
        packet=packet.message(), proof_commitment=proof, proof_height=at, signer=host.address
    )
    return message, packet


def receive(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        message, _ = await arrival(host, peer)
        return await host.submit(edited(message, **changes))

    return act


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


async def forged_proof(host: Side, peer: Side) -> Seen:
    message, _ = await arrival(host, peer)
    return await host.submit(edited(message, proof_commitment=flipped(message.proof_commitment, 60)))


async def one_proof_of_two(host: Side, peer: Side) -> Seen:
    message, _ = await arrival(host, peer)
    proof = commitment.MerkleProof.FromString(message.proof_commitment)
    del proof.proofs[1]
    return await host.submit(edited(message, proof_commitment=proof.SerializeToString()))


async def proof_of_absence(host: Side, peer: Side) -> Seen:
    message, packet = await arrival(host, peer)
    path = paths.commitment(packet.source.port, packet.source.channel, packet.sequence + 77)
    proof, at = await host.proven(peer, path)
    return await host.submit(edited(message, proof_commitment=proof, proof_height=at))


async def height_of_another_root(host: Side, peer: Side) -> Seen:
    message, packet = await arrival(host, peer)
    proof, _ = await host.commitment_of(peer, packet, 0)
    at = await first_height(host, peer)
    return await host.submit(edited(message, proof_commitment=proof, proof_height=at))


async def first_height(host: Side, peer: Side) -> client.Height:
    """The oldest height that the client knows; its root is not the newest one's."""
    request = client_query.QueryConsensusStateHeightsRequest(client_id=host.client_id)
    path = "/ibc.core.client.v1.Query/ConsensusStateHeights"
    answer = await host.client.query(path, request, client_query.QueryConsensusStateHeightsResponse)
    return min(answer.consensus_state_heights, key=lambda each: each.revision_height)


async def proof_height_between(host: Side, peer: Side) -> Seen:
    """Below the newest height, and not known."""
    message, _ = await arrival(host, peer)
    return await host.submit(edited(message, proof_height=client.Height(revision_number=1, revision_height=1)))


async def twice_in_one(host: Side, peer: Side) -> Seen:
    message, _ = await arrival(host, peer)
    return await host.submit(message, message)


async def received_already(host: Side, peer: Side) -> Seen:
    message, _ = await arrival(host, peer)
    assert (await host.submit(message)).code == 0
    return await host.submit(message)


async def received_already_with_other_work(host: Side, peer: Side) -> Seen:
    """Redundant packets ride along with news: taken, a no-op."""
    message, _ = await arrival(host, peer)
    assert (await host.submit(message)).code == 0
    fresh, _ = await arrival(host, peer)
    return await host.submit(message, fresh)


async def late_packet(host: Side, peer: Side) -> Seen:
    """Sent while its timeout lay in the future; the host's clock has passed it by the time it comes."""
    head = await host.client.head()
    known = (await client_info(peer.party.chain, peer.client_id)).latest
    limit = max(head.height, known.height) + 2
    at = client.Height(revision_number=host.client.revision, revision_height=limit)
    message, _ = await arrival(host, peer, timeout_height=at, timeout_timestamp=0)
    while (await host.client.head()).height < limit:
        await host.client.feed.wait_above((await host.client.head()).height)
    return await host.submit(message)


RECEIVES = [
    Case(name="forged proof", act=forged_proof),
    Case(name="proof is no proof", act=receive(proof_commitment=b"proof")),
    Case(name="proof empty", act=receive(proof_commitment=b"")),
    Case(name="one proof of two", act=one_proof_of_two),
    Case(name="proof of absence", act=proof_of_absence),
    Case(name="proof height above the client's", act=receive(proof_height__revision_height=10**9)),
    Case(name="proof height that is not known", act=proof_height_between),
    Case(name="proof height of another root", act=height_of_another_root),
    Case(name="other data", act=receive(packet__data=b"other")),
    Case(name="no data", act=receive(packet__data=b"")),
    Case(name="sequence 0", act=receive(packet__sequence=0)),
    Case(name="other sequence", act=receive(packet__sequence=999)),
    Case(name="no timeout", act=receive(packet__timeout_timestamp=0)),
    Case(name="timeout time passed", act=receive(packet__timeout_timestamp=1)),
    Case(name="channel that is not there", act=receive(packet__destination_channel="channel-99")),
    Case(name="port that is not there", act=receive(packet__destination_port="nosuchport")),
    Case(name="source channel of another", act=receive(packet__source_channel="channel-99")),
    Case(name="port of a bad form", act=receive(packet__source_port="a/b")),
    Case(name="channel of a bad form", act=receive(packet__destination_channel="x")),
    Case(name="signer is no address", act=receive(signer="nobody")),
    Case(name="the same packet twice in one transaction", act=twice_in_one),
    Case(name="received already", act=received_already),
    Case(name="received already, beside a fresh one", act=received_already_with_other_work),
    Case(name="late by the host's height", act=late_packet),
]


async def answered(host: Side, peer: Side) -> channel_tx.MsgAcknowledgement:
    """An honest acknowledgement of a fresh transfer of the host."""
    packet, height = await host.sent(host.transfer(peer))
    proof, at = await peer.commitment_of(host, packet, height)
    arrived = channel_tx.MsgRecvPacket(
        packet=packet.message(), proof_commitment=proof, proof_height=at, signer=peer.address
    )
    arrived.signer = peer.party.chain.signer
    outcome = await peer.party.chain.submit([arrived])
    assert outcome.ok, outcome
    path = paths.acknowledgement(packet.destination.port, packet.destination.channel, packet.sequence)
    proof, at = await host.proven(peer, path, outcome.height + 1)
    return channel_tx.MsgAcknowledgement(
        packet=packet.message(),
        acknowledgement=b'{"result":"AQ=="}',
        proof_acked=proof,
        proof_height=at,
        signer=host.address,
    )


def acknowledge(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        return await host.submit(edited(await answered(host, peer), **changes))

    return act


async def acknowledged_already(host: Side, peer: Side) -> Seen:
    message = await answered(host, peer)
    assert (await host.submit(message)).code == 0
    return await host.submit(message)


async def acknowledged_twice_in_one(host: Side, peer: Side) -> Seen:
    message = await answered(host, peer)
    return await host.submit(message, message)


async def acknowledged_before_it_came(host: Side, peer: Side) -> Seen:
    packet, _ = await host.sent(host.transfer(peer))
    path = paths.acknowledgement(packet.destination.port, packet.destination.channel, packet.sequence)
    proof, at = await host.proven(peer, path)
    message = channel_tx.MsgAcknowledgement(
        packet=packet.message(), acknowledgement=b"{}", proof_acked=proof, proof_height=at, signer=host.address
    )
    return await host.submit(message)


ACKS = [
    Case(name="empty", act=acknowledge(acknowledgement=b"")),
    Case(name="another result", act=acknowledge(acknowledgement=b'{"result":"AA=="}')),
    Case(name="the same in other bytes", act=acknowledge(acknowledgement=b'{"result": "AQ=="}')),
    Case(name="an error instead", act=acknowledge(acknowledgement=b'{"error":"ABCI code: 1"}')),
    Case(name="no JSON", act=acknowledge(acknowledgement=b"ok")),
    Case(name="proof empty", act=acknowledge(proof_acked=b"")),
    Case(name="other data", act=acknowledge(packet__data=b"other")),
    Case(name="packet that was never sent", act=acknowledge(packet__sequence=999)),
    Case(name="acknowledged already", act=acknowledged_already),
    Case(name="twice in one transaction", act=acknowledged_twice_in_one),
    Case(name="before the packet came", act=acknowledged_before_it_came),
]


async def unreceived(host: Side, peer: Side, **changes: object) -> channel_tx.MsgTimeout:
    packet, _ = await host.sent(host.transfer(peer, **changes))
    path = paths.receipt(packet.destination.port, packet.destination.channel, packet.sequence)
    proof, at = await host.proven(peer, path)
    return channel_tx.MsgTimeout(
        packet=packet.message(), proof_unreceived=proof, proof_height=at, next_sequence_recv=1, signer=host.address
    )


def timeout(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        return await host.submit(edited(await unreceived(host, peer), **changes))

    return act


async def late_transfer(host: Side, peer: Side) -> channel_tx.MsgTimeout:
    """A timeout that is due, with the proof of it."""
    head = await peer.client.head()
    known = (await client_info(host.party.chain, host.client_id)).latest
    limit = max(head.height, known.height) + 2
    at = client.Height(revision_number=peer.client.revision, revision_height=limit)
    packet, _ = await host.sent(host.transfer(peer, timeout_height=at, timeout_timestamp=0))
    path = paths.receipt(packet.destination.port, packet.destination.channel, packet.sequence)
    proof, proof_height = await host.proven(peer, path, limit + 1)
    return channel_tx.MsgTimeout(
        packet=packet.message(),
        proof_unreceived=proof,
        proof_height=proof_height,
        next_sequence_recv=1,
        signer=host.address,
    )


async def due(host: Side, peer: Side) -> Seen:
    return await host.submit(await late_transfer(host, peer))


async def timed_out_already(host: Side, peer: Side) -> Seen:
    message = await late_transfer(host, peer)
    assert (await host.submit(message)).code == 0
    return await host.submit(message)


async def due_with_a_forged_proof(host: Side, peer: Side) -> Seen:
    message = await late_transfer(host, peer)
    return await host.submit(edited(message, proof_unreceived=flipped(message.proof_unreceived, 200)))


async def due_with_another_proof(host: Side, peer: Side) -> Seen:
    """Membership where absence is asked for."""
    message = await late_transfer(host, peer)
    proof, at = await host.proven(peer, paths.NEXT_CLIENT_SEQUENCE)
    return await host.submit(edited(message, proof_unreceived=proof, proof_height=at))


async def on_close_of_an_open_channel(host: Side, peer: Side) -> Seen:
    message = await unreceived(host, peer)
    path = paths.channel(peer.end.port, peer.end.channel)
    proof, at = await host.proven(peer, path)
    closing = channel_tx.MsgTimeoutOnClose(
        packet=message.packet,
        proof_unreceived=message.proof_unreceived,
        proof_close=proof,
        proof_height=at,
        next_sequence_recv=1,
        signer=host.address,
    )
    return await host.submit(closing)


TIMEOUTS = [
    Case(name="due", act=due),
    Case(name="before it is due", act=timeout()),
    Case(name="next sequence 0", act=timeout(next_sequence_recv=0)),
    Case(name="proof empty", act=timeout(proof_unreceived=b"")),
    Case(name="packet that was never sent", act=timeout(packet__sequence=999)),
    Case(name="proof height that is not known", act=timeout(proof_height__revision_height=1)),
    Case(name="proof height above the client's", act=timeout(proof_height__revision_height=10**9)),
    Case(name="timed out already", act=timed_out_already),
    Case(name="due, with a forged proof", act=due_with_a_forged_proof),
    Case(name="due, with a proof of membership", act=due_with_another_proof),
    Case(name="on close, of an open channel", act=on_close_of_an_open_channel),
]
