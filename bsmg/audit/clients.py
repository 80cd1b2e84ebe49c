"""What light clients took: every header has to be one that the chain which they follow has made."""

from __future__ import annotations

from bsmg.audit.fabric.blocks import action_of
from bsmg.audit.findings import Findings
from bsmg.audit.replay import Replay
from cosmos_wire import canonical
from cosmos_wire.protos import Any, fabric_client, tendermint_client

SUBJECT = "clients"
TICK = "attest/tick"


def check_client(findings: Findings, place: str, message: Any, followed: Replay) -> None:
    """A header that a client of `followed` took; what is later than the record is not looked at."""
    with findings.surviving(SUBJECT, place):
        if message.type_url.endswith(".tendermint.v1.Header"):
            _tendermint(findings, place, tendermint_client.Header.FromString(message.value), followed)
        elif message.type_url.endswith(".fabric.v1.Header"):
            _fabric(findings, place, fabric_client.Header.FromString(message.value).endorsed, followed)


def _tendermint(findings: Findings, place: str, found: tendermint_client.Header, followed: Replay) -> None:
    header = found.signed_header.header
    known = {block.height: block for block in followed.record.blocks}.get(header.height)
    if known is not None:
        findings.count(SUBJECT)
        expected = canonical.header_hash(known.header).hex()
        findings.equal(SUBJECT, f"{place} header {header.height}", expected, canonical.header_hash(header).hex())


def _fabric(findings: Findings, place: str, endorsed: fabric_client.EndorsedPayload, followed: Replay) -> None:
    """The tick that it attests is the ledger's, and the organisations' peers have signed it."""
    follower = followed.follower
    action = action_of(endorsed.response_payload)
    written = action.writes.get(followed.record.fabric.chaincode if followed.record.fabric else "", {})
    attestation = fabric_client.Attestation.FromString(written.get(TICK) or b"")
    tick = fabric_client.TickRecord.FromString(attestation.value)
    if follower is None or tick.height > follower.tick.height:
        return
    findings.count(SUBJECT)
    findings.equal(SUBJECT, f"{place} tick {tick.height}", follower.ticks.get(tick.height), tick)
    signed = [(item.endorser, item.signature) for item in endorsed.endorsements]
    follower.members_at(tick).require_endorsed(endorsed.response_payload, signed, tick.time_ns)
