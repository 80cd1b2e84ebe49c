"""What a thief could send: each forged packet message has a code and changes nothing; the true one then passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import pytest

from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import Message, channel, channel_tx, commitment, ics23
from ibc_core import paths
from ibc_relayer.events import Packet
from ibc_relayer.plan import Action
from microgrid.store import StateDb, StoreOptions
from tests.e2e import carrying
from tests.e2e.net import Net, Side, conserved, escrow_address, opened, quiet, transfer, until_time, voucher

pytestmark = pytest.mark.e2e
AMOUNT = 4_321
SOON_MS = 9_000  # block time: enough to be received by hand
M = TypeVar("M", bound=Message)
Forgery = Callable[[M], None]


def copy(message: M) -> M:
    made = type(message)()
    made.CopyFrom(message)
    return made


def forged(message: M, change: Forgery[M]) -> M:
    made = copy(message)
    change(made)
    assert made != message
    return made


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def greedier(data: bytes) -> bytes:
    """The packet's data with a thousand times the amount."""
    doc = json.loads(data)
    return json.dumps({**doc, "amount": doc["amount"] + "000"}, separators=(",", ":")).encode()


BAD_PROOF = ("commitment", 2)
BAD_PACKET = ("channel", 13)
NO_CHANNEL = ("channel", 3)
NO_STATE = ("client", 7)
REDUNDANT = ("channel", 22)
CODES: Mapping[str, tuple[str, int]] = {  # what does not stand here is a proof that leads elsewhere
    "packet: sequence zero": BAD_PACKET,
    "packet: source channel": BAD_PACKET,
    "packet: target channel": NO_CHANNEL,
    "packet: target port": NO_CHANNEL,
    "packet: no timeout": BAD_PACKET,
    "height: first": NO_STATE,
    "height: future": ("ibc", 9),
    "height: revision": ("ibc", 9),
    "height: zero": NO_STATE,
    "signer: none": ("ibc", 5),
    "received": ("channel", 39),
    "of another": ("channel", 39),
    "sooner": REDUNDANT,
    "borrowed": ("channel", 39),
    "hurried": BAD_PACKET,
    "ack: none": ("channel", 16),
    "packet: data": BAD_PACKET,
}


def own_tree(folder: Path, key: bytes, value: bytes) -> bytes:
    """Proof that `key` holds `value` (empty: nothing) in a state of the thief's own making, sound in itself."""
    entries = {key: value} if value else {}
    db = StateDb.open(folder, StoreOptions(versions_kept=4, map_size=1 << 26, sync=False))
    try:
        db.commit(db.put({"ibc": {b"a": b"1", b"z": b"1", **entries}, "app": {b"a": b"1"}}), 1, b"")
        with db.snapshot() as snapshot:
            held, operations = snapshot.prove("ibc", key)
            assert (held or b"") == value
    finally:
        db.close()
    proofs = [ics23.CommitmentProof.FromString(data) for _, _, data in operations]
    return commitment.MerkleProof(proofs=proofs).SerializeToString()


def commitment_of(packet: channel.Packet) -> bytes:
    """ICS-04: SHA-256 of timeout time, timeout height and the hash of the data."""
    height = packet.timeout_height
    numbers = (packet.timeout_timestamp, height.revision_number, height.revision_height)
    return sha256(b"".join(n.to_bytes(8, "big") for n in numbers) + sha256(packet.data).digest()).digest()


def never_sent(true: channel_tx.MsgRecvPacket, folder: Path) -> channel_tx.MsgRecvPacket:
    """A packet that its chain never sent, committed to in the thief's own tree."""
    made = copy(true)
    made.packet.sequence += 1_000
    made.packet.data = greedier(made.packet.data)
    key = paths.commitment(made.packet.source_port, made.packet.source_channel, made.packet.sequence)
    made.proof_commitment = own_tree(folder, key, commitment_of(made.packet))
    return made


def recv_forgeries(other: bytes) -> Mapping[str, Forgery[channel_tx.MsgRecvPacket]]:
    """`other`: a genuine proof of another key."""
    return {
        "proof: one bit": lambda m: setattr(
            m, "proof_commitment", flipped(m.proof_commitment, len(m.proof_commitment) // 2)
        ),
        "proof: cut": lambda m: setattr(m, "proof_commitment", m.proof_commitment[:-7]),
        "proof: none": lambda m: setattr(m, "proof_commitment", b""),
        "proof: rubbish": lambda m: setattr(m, "proof_commitment", b"\x0a\xff" * 40),
        "proof: of another key": lambda m: setattr(m, "proof_commitment", other),
        "packet: amount": lambda m: setattr(m.packet, "data", greedier(m.packet.data)),
        "packet: data of no form": lambda m: setattr(m.packet, "data", b"\xff\x00"),
        "packet: sequence": lambda m: setattr(m.packet, "sequence", m.packet.sequence + 1000),
        "packet: sequence zero": lambda m: setattr(m.packet, "sequence", 0),
        "packet: source channel": lambda m: setattr(m.packet, "source_channel", "channel-1"),
        "packet: target channel": lambda m: setattr(m.packet, "destination_channel", "channel-77"),
        "packet: target port": lambda m: setattr(m.packet, "destination_port", "trade"),
        "packet: longer timeout": lambda m: setattr(m.packet, "timeout_timestamp", m.packet.timeout_timestamp + 1),
        "packet: no timeout": lambda m: setattr(m.packet, "timeout_timestamp", 0),
        "height: first": lambda m: setattr(m.proof_height, "revision_height", 1),  # before any client was made
        "height: future": lambda m: setattr(m.proof_height, "revision_height", m.proof_height.revision_height + 10**6),
        "height: revision": lambda m: setattr(m.proof_height, "revision_number", 9),
        "height: zero": lambda m: m.ClearField("proof_height"),
        "signer: none": lambda m: setattr(m, "signer", ""),
    }


async def state_of(a: Side, b: Side, packet: Packet) -> tuple[object, ...]:
    """Everything that a packet message could change."""
    money = [
        (await side.balance(side.faucet.address), await side.balance(side.faucet.address, denom))
        for side, denom in ((a, voucher(a, b.denom)), (b, voucher(b, a.denom)))
    ]
    return (
        *money,
        await a.balance(escrow_address(a.channel())),
        await b.supply(voucher(b, a.denom)),
        await a.pending(),
        await b.pending(),
        await carrying.has_receipt(b, packet),
    )


async def submit_all(host: Side, forgeries: Mapping[str, Message]) -> None:
    """Each alone; each has ibc-go's code, and a reason."""

    async def one(name: str, message: Message) -> tuple[str, TxOutcome]:
        return name, await host.faucet.submit([message])

    for name, outcome in await asyncio.gather(*(one(name, message) for name, message in forgeries.items())):
        assert not outcome.ok, f"{name} was taken"
        assert (outcome.codespace, outcome.code) == CODES.get(name, BAD_PROOF), f"{name}: {outcome.log}"
        assert outcome.log, name
        assert "Traceback" not in outcome.log, name


async def test_forged_packets_proofs_timeouts_and_acknowledgements(net: Net, tmp_path: Path) -> None:
    async with opened(net) as (a, b):
        await quiet(a, b)
        async with net.without_relayers():
            packet = carrying.packet_of(await transfer(a, b, (a.denom, AMOUNT)))
            other = carrying.packet_of(await transfer(a, b, (a.denom, AMOUNT)))
            before = await state_of(a, b, packet)
            true = await carrying.message(Action.RECV, packet, b, a)
            assert isinstance(true, channel_tx.MsgRecvPacket)
            foreign = await carrying.message(Action.RECV, other, b, a)
            assert isinstance(foreign, channel_tx.MsgRecvPacket)
            forgeries = recv_forgeries(foreign.proof_commitment)
            made_up = {"never sent": never_sent(true, tmp_path / "state")}
            await submit_all(b, {name: forged(true, change) for name, change in forgeries.items()} | made_up)
            assert await state_of(a, b, packet) == before
            received = await b.faucet.submit([true])
            ack = carrying.ack_of(received)
            assert await carrying.has_receipt(b, packet)
            await _again(b, true)
            await _forged_timeouts(a, b, packet)
            await _forged_acks(a, b, packet, ack)
        await quiet(a, b)
        assert await conserved(a, b)


async def _again(b: Side, true: channel_tx.MsgRecvPacket) -> None:
    """A second delivery credits nothing: refused as redundant, with ibc-go's words."""
    denom = voucher(b, true.packet.source_channel and "bmga")
    held = await b.supply(denom)
    again = await b.faucet.submit([true])
    assert (again.codespace, again.height) == ("channel", 0)
    assert "redundant" in again.log
    assert await b.supply(denom) == held


async def _forged_timeouts(a: Side, b: Side, packet: Packet) -> None:
    """The packet was received: no proof can say otherwise. Its receipt's proof and an absence proof of another one."""
    before = await state_of(a, b, packet)
    exists = await carrying.message(Action.TIMEOUT, packet, a, b)
    assert isinstance(exists, channel_tx.MsgTimeout)
    never = Packet(
        sequence=packet.sequence + 1000,
        source=packet.source,
        destination=packet.destination,
        data=packet.data,
        timeout_height=packet.timeout_height,
        timeout_ns=packet.timeout_ns,
    )
    absent = await carrying.message(Action.TIMEOUT, never, a, b)
    assert isinstance(absent, channel_tx.MsgTimeout)
    sooner = forged(absent, lambda m: setattr(m.packet, "timeout_timestamp", 1))
    borrowed = forged(exists, lambda m: setattr(m, "proof_unreceived", absent.proof_unreceived))
    hurried = forged(borrowed, lambda m: setattr(m.packet, "timeout_timestamp", 1))
    wanted = {"received": exists, "of another": absent, "sooner": sooner, "borrowed": borrowed, "hurried": hurried}
    await submit_all(a, wanted)
    assert await state_of(a, b, packet) == before


async def _forged_acks(a: Side, b: Side, packet: Packet, ack: bytes) -> None:
    """A success can't become a refund."""
    before = await state_of(a, b, packet)
    true = await carrying.message(Action.ACK, packet, a, b, ack)
    assert isinstance(true, channel_tx.MsgAcknowledgement)
    error = b'{"error":"ABCI code: 1: error handling packet: see events for details"}'
    forgeries: Mapping[str, Forgery[channel_tx.MsgAcknowledgement]] = {
        "ack: an error": lambda m: setattr(m, "acknowledgement", error),
        "ack: one bit": lambda m: setattr(m, "acknowledgement", flipped(m.acknowledgement, 3)),
        "ack: none": lambda m: setattr(m, "acknowledgement", b""),
        "proof: one bit": lambda m: setattr(m, "proof_acked", flipped(m.proof_acked, len(m.proof_acked) // 2)),
        "packet: data": lambda m: setattr(m.packet, "data", greedier(m.packet.data)),
        "height: first": lambda m: setattr(m.proof_height, "revision_height", 1),  # before any client was made
    }
    await submit_all(a, {name: forged(true, change) for name, change in forgeries.items()})
    assert await state_of(a, b, packet) == before
    taken = await a.faucet.submit([true])
    assert taken.ok, taken.log
    assert packet.sequence not in await a.pending()


async def test_what_arrived_cannot_time_out(net: Net, tmp_path: Path) -> None:
    """The theft that matters most: credited there, and asked back here once the timeout has passed."""
    async with opened(net) as (a, b):
        await quiet(a, b)
        async with net.without_relayers():
            timeout_ms = await b.time_ms() + SOON_MS
            packet = carrying.packet_of(await transfer(a, b, (a.denom, AMOUNT), timeout_ms=timeout_ms))
            assert (await carrying.receive(packet, b, a)).ok
            await until_time(b, timeout_ms + 1)
            before = await state_of(a, b, packet)
            exists = await carrying.message(Action.TIMEOUT, packet, a, b)
            absent = await carrying.message(Action.TIMEOUT, replace(packet, sequence=10**9), a, b)
            assert isinstance(exists, channel_tx.MsgTimeout)
            assert isinstance(absent, channel_tx.MsgTimeout)
            key = paths.receipt(packet.destination.port, packet.destination.channel, packet.sequence)
            await submit_all(
                a,
                {
                    "receipt": exists,
                    "absence of another": forged(exists, lambda m: _with_proof(m, absent.proof_unreceived)),
                    "thief's own absence": forged(exists, lambda m: _with_proof(m, own_tree(tmp_path / "s", key, b""))),
                },
            )
            assert await state_of(a, b, packet) == before
        await quiet(a, b)
        assert await conserved(a, b)


def _with_proof(message: channel_tx.MsgTimeout, proof: bytes) -> None:
    message.proof_unreceived = proof
