"""Endorsement policies as Fabric's tools write them: `AND('Org1MSP.peer', OR('Org2MSP.peer', 'Org3MSP.peer'))`.

Source: fabric common/policydsl. AND, OR and OutOf(n, ...) may be nested; a principal is MSP id and role.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cosmos_wire.errors import ToolError
from fabric_wire.protos import msp_principal, policies

ROLES = {
    "member": msp_principal.MSPRole.MEMBER,
    "admin": msp_principal.MSPRole.ADMIN,
    "client": msp_principal.MSPRole.CLIENT,
    "peer": msp_principal.MSPRole.PEER,
    "orderer": msp_principal.MSPRole.ORDERER,
}
TOKEN = re.compile(r"\s*(?:(AND|OR|OutOf)\s*\(|'([^']*)\.(\w+)'|(\d+)|([,)])|(\S))")
DEPTH_MAX = 16


def all_of(msp_ids: Sequence[str]) -> str:
    """Policy that wants a peer of every organisation."""
    peers = ", ".join(f"'{msp_id}.peer'" for msp_id in msp_ids)
    return f"AND({peers})"


class _Reader:
    """Tokens of a policy's text, and the principals that it names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [match for match in TOKEN.finditer(text) if match.group(0).strip()]
        self.place = 0
        self.principals: list[tuple[str, int]] = []

    def wrong(self, wanted: str) -> ToolError:
        """What is there instead."""
        found = self.tokens[self.place].group(0).strip() if self.place < len(self.tokens) else "its end"
        return ToolError(f"policy {self.text!r}: expected {wanted}, got {found}")

    def next(self, wanted: str) -> re.Match[str]:
        """Next token."""
        if self.place >= len(self.tokens):
            raise self.wrong(wanted)
        self.place += 1
        return self.tokens[self.place - 1]

    def rule(self, depth: int = 0) -> policies.SignaturePolicy:
        """A principal or a gate with its arguments."""
        token = self.next("a principal, AND, OR or OutOf")
        if token[2] is not None and token[3] in ROLES:
            return policies.SignaturePolicy(signed_by=self.principal(token[2], ROLES[token[3]]))
        if token[1] is None or depth >= DEPTH_MAX:
            self.place -= 1
            raise self.wrong(f"a principal ('Org1MSP.{'|'.join(ROLES)}'), AND, OR or OutOf")
        return self.gate(token[1], depth)

    def gate(self, kind: str, depth: int) -> policies.SignaturePolicy:
        """The arguments of AND, OR or OutOf."""
        need = int(self.number()) if kind == "OutOf" else 1
        rules = [self.rule(depth + 1)]
        while (mark := self.next("',' or ')'")[5]) == ",":
            rules.append(self.rule(depth + 1))
        if mark != ")":
            self.place -= 1
            raise self.wrong("',' or ')'")
        need = len(rules) if kind == "AND" else need
        if not 1 <= need <= len(rules):
            raise ToolError(f"policy {self.text!r}: expected OutOf 1 to {len(rules)}, got {need}")
        return policies.SignaturePolicy(n_out_of=policies.SignaturePolicy.NOutOf(n=need, rules=rules))

    def number(self) -> str:
        """The number of OutOf and the comma behind it."""
        token = self.next("a number")
        if token[4] is None or self.next("','")[5] != ",":
            raise self.wrong("a number and a comma")
        return token[4]

    def principal(self, msp_id: str, role: int) -> int:
        """Index of a principal, the same one for the same words."""
        if (msp_id, role) not in self.principals:
            self.principals.append((msp_id, role))
        return self.principals.index((msp_id, role))


def parse(text: str) -> policies.SignaturePolicyEnvelope:
    """The policy that a text means; raises ToolError that says what was expected where."""
    reader = _Reader(text)
    rule = reader.rule()
    if reader.place != len(reader.tokens):
        raise reader.wrong("its end")
    identities = [
        msp_principal.MSPPrincipal(
            principal_classification=msp_principal.MSPPrincipal.ROLE,
            principal=msp_principal.MSPRole(
                msp_identifier=msp_id, role=msp_principal.MSPRole.MSPRoleType.ValueType(role)
            ).SerializeToString(),
        )
        for msp_id, role in reader.principals
    ]
    return policies.SignaturePolicyEnvelope(version=0, rule=rule, identities=identities)
