"""Whether a channel's orderers signed its blocks: the audit's own check of Fabric's block signatures.

Metadata 0 of a block holds a value and signatures; each is over that value, the header that names the signer, and the
block's header in ASN.1. Enough orderers for the policy BlockValidation have to have signed; a signature that does not
hold counts for nothing. Block 0 is signed by nobody: it may hold the channel's configuration alone. Certificates are
judged as of their own beginning, for a block has no time of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bsmg.audit.fabric.blocks import header_bytes
from bsmg.audit.fabric.members import ROLE_OF, DoubtError, Member, Membership, identity, require_signature
from bsmg.audit.findings import Findings
from bsmg.audit.record import Orderers
from cosmos_wire.protos import fabric_client
from fabric_wire.protos import DecodeError, common, msp_principal, policies

SUBJECT = "orderers"
UNKNOWN = "the orderers' signatures of blocks: whose they have to be is not known"
UPDATES = "changes of the channel's configuration: orderers are those of the network's document throughout"
ANY_ROLE = "member"
TOKEN = re.compile(r"\s*(?:'([^']+)\.(\w+)'|(AND|OR|OutOf)\s*\(|(\d+)|([,)]))")


def check_orderers(said: Orderers | None, blocks: Sequence[common.Block], findings: Findings) -> None:
    """Every block from number 1 on; differences go to the findings."""
    if said is None:
        findings.notes.append(UNKNOWN)
        return
    members = Membership(membership_of(said))
    for block in blocks:
        findings.count(SUBJECT)
        place = f"ledger block {block.header.number}"
        with findings.surviving(SUBJECT, place):
            kinds = _kinds(said.channel, block)
            if block.header.number == 0:
                findings.equal(SUBJECT, f"{place} envelopes", [common.CONFIG], kinds)
                continue
            if common.CONFIG in kinds and UPDATES not in findings.notes:
                findings.notes.append(UPDATES)
            members.require_satisfied(signers_of(members, said.consenters, block))


def _kinds(channel: str, block: common.Block) -> list[int]:
    """Kinds of a block's envelopes, which all have to be of the channel; raises DoubtError, DecodeError."""
    found = []
    for data in block.data.data:
        payload = common.Payload.FromString(common.Envelope.FromString(data).payload)
        header = common.ChannelHeader.FromString(payload.header.channel_header)
        if header.channel_id != channel:
            raise DoubtError(f"channel: expected {channel}, got {header.channel_id[:80]!r}")
        found.append(int(header.type))
    return found


def signers_of(members: Membership, consenters: Mapping[int, bytes], block: common.Block) -> list[Member]:
    """Members whose signatures of a block hold, each once; raises DecodeError."""
    parts = block.metadata.metadata
    said = fabric_client.BlockSignatures.FromString(parts[common.SIGNATURES] if parts else b"")
    found: dict[bytes, Member] = {}
    for item in said.signatures:
        message = said.value + (item.signature_header or item.identifier_header) + header_bytes(block.header)
        try:
            creator = _creator(item, consenters)
            member = members.member(creator, members.since(creator))
            require_signature(identity(creator)[1], message, item.signature)
        except (DoubtError, DecodeError):
            continue
        found[member.key] = member
    return list(found.values())


def _creator(item: fabric_client.BlockSignature, consenters: Mapping[int, bytes]) -> bytes:
    """Who says to have signed; orderers of Fabric 3 may name themselves by number."""
    if item.signature_header:
        return common.SignatureHeader.FromString(item.signature_header).creator
    number = fabric_client.IdentifierHeader.FromString(item.identifier_header).identifier
    if number not in consenters:
        raise DoubtError(f"orderer: expected one of {sorted(consenters)}, got number {number}")
    return consenters[number]


def membership_of(said: Orderers) -> fabric_client.Membership:
    """The orderers' organisations as a membership record, certificates with roles."""
    made = fabric_client.Membership(policy=policy_of(said.policy).SerializeToString(deterministic=True))
    for msp_id, roots in sorted(said.roots.items()):
        serials = [serial.to_bytes(20, "big") for serial in said.revoked.get(msp_id, ())]
        made.msps.add(msp_id=msp_id, root_certificates=roots, revoked_serials=serials, node_ous=True)
    return made


# --- policies as text ---------------------------------------------------------------------------------------------


def policy_of(text: str) -> policies.SignaturePolicyEnvelope:
    """`AND('A.orderer', OutOf(1, 'B.member', ...))` as Fabric's message; raises DoubtError."""
    tokens = _tokens(text)
    made = policies.SignaturePolicyEnvelope()
    made.rule.CopyFrom(_rule(tokens, made))
    if tokens:
        raise DoubtError(f"policy: expected its end, got {tokens[:4]} in {text!r}")
    return made


def _tokens(text: str) -> list[tuple[str, ...]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if match is None:
            raise DoubtError(f"policy: expected AND, OR, OutOf or 'MSP.role', got {text[at : at + 40]!r}")
        found.append(tuple(part or "" for part in match.groups()))
        at = match.end()
    return found


def _rule(tokens: list[tuple[str, ...]], made: policies.SignaturePolicyEnvelope) -> policies.SignaturePolicy:
    msp_id, role, gate, _, _ = _taken(tokens)
    if msp_id:
        roles = {name: number for number, name in ROLE_OF.items()} | {ANY_ROLE: msp_principal.MSPRole.MEMBER}
        if role not in roles:
            raise DoubtError(f"policy: expected one of the roles {sorted(roles)}, got {role!r}")
        who = msp_principal.MSPRole(msp_identifier=msp_id, role=roles[role])
        made.identities.add(principal=who.SerializeToString(deterministic=True))
        return policies.SignaturePolicy(signed_by=len(made.identities) - 1)
    if not gate:
        raise DoubtError("policy: expected AND, OR, OutOf or 'MSP.role', got something else")
    return _gate(gate, tokens, made)


def _gate(gate: str, tokens: list[tuple[str, ...]], made: policies.SignaturePolicyEnvelope) -> policies.SignaturePolicy:
    wanted = 1
    if gate == "OutOf":
        wanted = int(_taken(tokens)[3] or 0)
        _taken(tokens)  # a comma
    rules = [_rule(tokens, made)]
    while (mark := _taken(tokens)[4]) == ",":
        rules.append(_rule(tokens, made))
    wanted = len(rules) if gate == "AND" else wanted
    if mark != ")" or not 1 <= wanted <= len(rules):
        raise DoubtError(f"policy: expected {gate} of 1 to {len(rules)} rules and its end, got {wanted} and {mark!r}")
    return policies.SignaturePolicy(n_out_of=policies.SignaturePolicy.NOutOf(n=wanted, rules=rules))


def _taken(tokens: list[tuple[str, ...]]) -> tuple[str, ...]:
    if not tokens:
        raise DoubtError("policy: expected more, got its end")
    return tokens.pop(0)
