"""Forged statements about a chain on Fabric, offered to one on CometBFT, and the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cosmos_wire.protos import channel_tx, client_tx, fabric_client
from fabric_wire import p256
from ibc_core.fabric.wire import pack
from ibc_relayer.plan import Action
from tests.e2e import carrying
from tests.e2e.net import Net, Side, conserved, opened, quiet, transfer, voucher
from tests.e2e.test_forged import BAD_PROOF, copy, flipped, state_of

AMOUNT = 4_321
OURS = "fabric-endorsement-1"
Payload = fabric_client.EndorsedPayload
Change = Callable[[Payload], None]


def drop_one(payload: Payload) -> None:
    del payload.endorsements[1]


def one_twice(payload: Payload) -> None:
    payload.endorsements[1].CopyFrom(payload.endorsements[0])


def swapped(payload: Payload) -> None:
    first, second = payload.endorsements
    first.signature, second.signature = second.signature, first.signature


def high_s(payload: Payload) -> None:
    r, s = p256.read_signature(payload.endorsements[0].signature)
    payload.endorsements[0].signature = p256.write_signature(r, p256.ORDER - s)


def other_words(payload: Payload) -> None:
    payload.response_payload = flipped(payload.response_payload, len(payload.response_payload) - 9)


def other_proposal(payload: Payload) -> None:
    payload.proposal_payload = flipped(payload.proposal_payload, len(payload.proposal_payload) - 2)


def nobody(payload: Payload) -> None:
    del payload.endorsements[:]


FORGERIES: Mapping[str, Change] = {
    "too few endorsements": drop_one,
    "one organisation twice": one_twice,
    "signatures of each other": swapped,
    "high S": high_s,
    "another payload": other_words,
    "another proposal": other_proposal,
    "nobody": nobody,
}


def altered(payload: bytes, change: Change) -> bytes:
    made = Payload.FromString(payload)
    change(made)
    assert made.SerializeToString() != payload
    return made.SerializeToString()


async def test_what_fabric_never_said_is_refused_on_cometbft(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        async with mixed.without_relayers():
            packet = carrying.packet_of(await transfer(fabric, comet, (fabric.denom, AMOUNT)))
            other = carrying.packet_of(await transfer(fabric, comet, (fabric.denom, AMOUNT)))
            true = await carrying.message(Action.RECV, packet, comet, fabric)
            foreign = await carrying.message(Action.RECV, other, comet, fabric)
            assert isinstance(true, channel_tx.MsgRecvPacket)
            assert isinstance(foreign, channel_tx.MsgRecvPacket)
            before = await state_of(fabric, comet, packet)
            proofs = {name: altered(true.proof_commitment, change) for name, change in FORGERIES.items()}
            proofs |= {"of another key, of a later tick": foreign.proof_commitment, "none": b"", "rubbish": b"\x0a\xff"}
            for name, proof in proofs.items():
                message = copy(true)
                message.proof_commitment = proof
                outcome = await comet.faucet.submit([message])
                assert not outcome.ok, f"{name} was taken"
                assert outcome.log, name
                assert "Traceback" not in outcome.log, name
            assert await state_of(fabric, comet, packet) == before
            assert (await comet.faucet.submit([true])).ok
            assert await carrying.has_receipt(comet, packet)
        await quiet(comet, fabric)
        assert await conserved(fabric, comet)


async def again(fabric: Side, true: channel_tx.MsgRecvPacket) -> None:
    """A second delivery: refused as redundant, or executed without effect where peers tried it on the state before."""
    outcome = await fabric.faucet.submit([true])
    if outcome.ok:
        assert not any(event.type == "write_acknowledgement" for event in outcome.events)
    else:
        assert (outcome.codespace, outcome.code) == ("channel", 22), outcome.log


async def test_a_forged_header_moves_no_client(mixed: Net) -> None:
    async with opened(mixed) as (comet, fabric), mixed.without_relayers():
        base = await carrying.grounded(comet, fabric)
        (true,) = base.updates
        assert isinstance(true, client_tx.MsgUpdateClient)
        header = fabric_client.Header.FromString(true.client_message.value)
        for name, change in FORGERIES.items():
            forged = copy(header)
            change(forged.endorsed)
            outcome = await comet.faucet.submit([with_header(true, forged)])
            assert not outcome.ok, f"{name} was taken"
            assert "Traceback" not in outcome.log, name
        assert (await comet.faucet.submit([true])).ok


def with_header(true: client_tx.MsgUpdateClient, header: fabric_client.Header) -> client_tx.MsgUpdateClient:
    made = copy(true)
    made.client_message.CopyFrom(pack(header))
    return made


async def test_what_cometbft_never_said_is_refused_on_fabric(mixed: Net) -> None:
    """The chaincode's own check, before anything is ordered: no block of Fabric's has the transaction."""
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        async with mixed.without_relayers():
            packet = carrying.packet_of(await transfer(comet, fabric, (comet.denom, AMOUNT)))
            before = await state_of(comet, fabric, packet)
            true = await carrying.message(Action.RECV, packet, fabric, comet)
            assert isinstance(true, channel_tx.MsgRecvPacket)
            forgeries = []
            for at in (len(true.proof_commitment) // 2, len(true.proof_commitment) - 9):
                message = copy(true)
                message.proof_commitment = flipped(true.proof_commitment, at)
                forgeries.append(message)
            outcomes = await asyncio.gather(*(fabric.faucet.submit([message]) for message in forgeries))
            for outcome in outcomes:
                assert (outcome.codespace, outcome.code, outcome.height) == (*BAD_PROOF, 0), outcome.log
            assert await state_of(comet, fabric, packet) == before
            assert (await fabric.faucet.submit([true])).ok
            held = await fabric.supply(voucher(fabric, comet.denom))
            await again(fabric, true)
            assert await fabric.supply(voucher(fabric, comet.denom)) == held
        await quiet(comet, fabric)
        assert await conserved(comet, fabric)
