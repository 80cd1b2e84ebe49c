"""What accepted packet messages rest on where they come from a Fabric microgrid: attestations of its members.

A packet is received, acknowledged or timed out by a proof of one ICS-24 path at one height. From Fabric that is an
attestation: it has to be of this chain, path, height and that tick's time, to say what the message says, and to be
endorsed as the policy of the membership in force asked. That what is attested is also true the ledger shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from bsmg.audit.fabric.blocks import action_of
from bsmg.audit.fabric.check import Follower
from bsmg.audit.fabric.members import DoubtError
from bsmg.audit.findings import Findings
from bsmg.audit.packets import Rests
from cosmos_wire.protos import channel, channel_tx, fabric_client

SUBJECT = "attestations"


def of_receipt(msg: channel_tx.MsgRecvPacket) -> Rests:
    """The sender's commitment of the packet."""
    packet = msg.packet
    return Rests(
        end=(packet.destination_port, packet.destination_channel),
        path=_path("commitments", (packet.source_port, packet.source_channel), packet),
        value=commitment(packet),
        height=msg.proof_height.revision_height,
        proof=msg.proof_commitment,
    )


def of_answer(msg: channel_tx.MsgAcknowledgement) -> Rests:
    """The receiver's hash of its acknowledgement."""
    packet = msg.packet
    return Rests(
        end=(packet.source_port, packet.source_channel),
        path=_path("acks", (packet.destination_port, packet.destination_channel), packet),
        value=sha256(msg.acknowledgement).digest(),
        height=msg.proof_height.revision_height,
        proof=msg.proof_acked,
    )


def of_timeout(msg: channel_tx.MsgTimeout | channel_tx.MsgTimeoutOnClose) -> Rests:
    """No receipt on the other chain: its channels here are unordered."""
    packet = msg.packet
    return Rests(
        end=(packet.source_port, packet.source_channel),
        path=_path("receipts", (packet.destination_port, packet.destination_channel), packet),
        value=None,
        height=msg.proof_height.revision_height,
        proof=msg.proof_unreceived,
    )


def _path(kind: str, end: tuple[str, str], packet: channel.Packet) -> bytes:
    return f"{kind}/ports/{end[0]}/channels/{end[1]}/sequences/{packet.sequence}".encode()


def commitment(packet: channel.Packet) -> bytes:
    """What ICS-04 keeps of a packet: SHA-256 of its timeouts and of the hash of its data."""
    timeout = packet.timeout_height
    numbers = packet.timeout_timestamp, timeout.revision_number, timeout.revision_height
    head = b"".join(number.to_bytes(8, "big") for number in numbers)
    return sha256(head + sha256(packet.data).digest()).digest()


def check_attestations(findings: Findings, rests: Iterator[tuple[str, Rests]], chain: tuple[str, Follower]) -> None:
    """Of (place, proof) those that a Fabric microgrid's peers have to have signed; later ones are not looked at."""
    for place, item in rests:
        if item.height <= chain[1].tick.height:
            findings.count(SUBJECT)
            with findings.surviving(SUBJECT, place):
                _require(item, *chain)


def _require(item: Rests, chain_id: str, follower: Follower) -> None:
    """Raises DoubtError, DecodeError."""
    endorsed = fabric_client.EndorsedPayload.FromString(item.proof)
    written = action_of(endorsed.response_payload).writes.get(follower.fabric.chaincode, {})
    said = fabric_client.Attestation.FromString(written.get(f"attest/ibc/{item.path.hex()}") or b"")
    tick = follower.ticks[item.height]
    wanted = chain_id, item.path, item.height, tick.time_ns, item.value
    got = said.chain_id, said.path, said.height, said.time_ns, said.value if said.present else None
    if wanted != got:
        raise DoubtError(f"attestation: expected {wanted}, got {got}")
    signed = [(one.endorser, one.signature) for one in endorsed.endorsements]
    follower.members_at(tick).require_endorsed(endorsed.response_payload, signed, tick.time_ns)
