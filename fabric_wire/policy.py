"""Signature policies: who has to have signed. The evaluation is Fabric's (common/cauthdsl/cauthdsl.go), step for step.

A policy is a tree of `n out of` gates over principals. Each signer counts once: a gate gives its rules copies of the
list of used signers and keeps what a satisfied rule used, in the order of the rules, without going back. So a signer
who fits two rules may be spent on the first; that is Fabric's answer too, and validators and light client must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fabric_wire import strict
from fabric_wire.errors import InvalidPolicy, PolicyNotSatisfied
from fabric_wire.msp import Msp, Role
from fabric_wire.protos import msp_principal, policies

DEPTH_MAX, RULES_MAX, TEXT_MAX = 8, 256, 4096
MEMBER = "member"
PRINCIPALS = {
    MEMBER: msp_principal.MSPRole.MEMBER,
    "admin": msp_principal.MSPRole.ADMIN,
    "client": msp_principal.MSPRole.CLIENT,
    "peer": msp_principal.MSPRole.PEER,
    "orderer": msp_principal.MSPRole.ORDERER,
}
NAMES = {number: name for name, number in PRINCIPALS.items()}
_TOKEN = re.compile(r"\s*(?:([A-Za-z]+)\s*\(|'([^']*)'|\"([^\"]*)\"|([0-9]{1,4})|([,)]))")
_PRINCIPAL = re.compile(r"([A-Za-z0-9.-]+)\.(admin|member|client|peer|orderer)")


class Signer(Protocol):
    """What a policy asks of a member: the organisation, and the role in it."""

    @property
    def msp_id(self) -> str:
        """Of the organisation."""

    @property
    def role(self) -> Role | None:
        """None where the organisation has no roles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """`Org1MSP.peer`: any valid member of an organisation, or one in a role."""

    msp_id: str
    role: str  # a key of PRINCIPALS

    def fits(self, member: Signer) -> bool:
        """Whether the member is such a one."""
        if member.msp_id != self.msp_id:
            return False
        return self.role == MEMBER or member.role is Role(self.role)

    def __str__(self) -> str:
        return f"{self.msp_id}.{self.role}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """One signature of a principal, by its place in the policy's list."""

    principal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOf:
    """At least `count` of the rules."""

    count: int
    rules: tuple[Rule, ...]


Rule: TypeAlias = "SignedBy | OutOf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A signature policy."""

    principals: tuple[Principal, ...]
    rule: Rule

    def is_satisfied(self, signers: Sequence[Signer]) -> bool:
        """Whether these signers, in this order, satisfy it."""
        return _holds(self, self.rule, signers, [False] * len(signers))

    def require(self, signers: Sequence[Signer]) -> None:
        """Raise PolicyNotSatisfied unless they do."""
        if not self.is_satisfied(signers):
            got = [f"{s.msp_id}.{s.role.value if s.role else MEMBER}" for s in signers]
            raise PolicyNotSatisfied(f"expected endorsements by {self}, got {got}")

    def __str__(self) -> str:
        return _text(self, self.rule)


def _holds(policy: Policy, rule: Rule, signers: Sequence[Signer], used: list[bool]) -> bool:
    if isinstance(rule, SignedBy):
        principal = policy.principals[rule.principal]
        for index, signer in enumerate(signers):
            if not used[index] and principal.fits(signer):
                used[index] = True
                return True
        return False
    verified = 0
    for part in rule.rules:
        attempt = list(used)
        if _holds(policy, part, signers, attempt):
            verified += 1
            used[:] = attempt
    return verified >= rule.count


def _text(policy: Policy, rule: Rule) -> str:
    if isinstance(rule, SignedBy):
        return f"'{policy.principals[rule.principal]}'"
    parts = [_text(policy, part) for part in rule.rules]
    return f"OutOf({', '.join([str(rule.count), *parts])})"


def read_policy(data: bytes) -> Policy:
    """A SignaturePolicyEnvelope; raises InvalidPolicy."""
    message = strict.read(policies.SignaturePolicyEnvelope, data, InvalidPolicy)
    if message.version != 0:
        raise InvalidPolicy(f"expected version 0, got {message.version}")
    if len(message.identities) > RULES_MAX:
        raise InvalidPolicy(f"expected at most {RULES_MAX} principals, got {len(message.identities)}")
    principals = tuple(_read_principal(item) for item in message.identities)
    return Policy(principals=principals, rule=_read_rule(message.rule, len(principals), DEPTH_MAX))


def _read_principal(message: msp_principal.MSPPrincipal) -> Principal:
    if message.principal_classification != msp_principal.MSPPrincipal.ROLE:
        raise InvalidPolicy(f"expected a principal by role, got classification {message.principal_classification}")
    role = strict.read(msp_principal.MSPRole, message.principal, InvalidPolicy)
    if role.role not in NAMES:
        raise InvalidPolicy(f"expected a role of {sorted(PRINCIPALS)}, got number {role.role}")
    return Principal(msp_id=role.msp_identifier, role=NAMES[role.role])


def _read_rule(message: policies.SignaturePolicy, principals: int, depth: int) -> Rule:
    kind = message.WhichOneof("Type")
    if kind == "signed_by":
        if not 0 <= message.signed_by < principals:
            raise InvalidPolicy(f"expected a principal below {principals}, got {message.signed_by}")
        return SignedBy(principal=message.signed_by)
    if kind is None or depth == 0 or len(message.n_out_of.rules) > RULES_MAX:
        raise InvalidPolicy(f"expected a rule, gates at most {DEPTH_MAX} deep, with at most {RULES_MAX} rules each")
    rules = tuple(_read_rule(item, principals, depth - 1) for item in message.n_out_of.rules)
    return OutOf(count=message.n_out_of.n, rules=rules)


def write_policy(policy: Policy) -> bytes:
    """SignaturePolicyEnvelope."""
    message = policies.SignaturePolicyEnvelope(version=0, rule=_write_rule(policy.rule))
    for principal in policy.principals:
        role = msp_principal.MSPRole(msp_identifier=principal.msp_id, role=PRINCIPALS[principal.role])
        message.identities.add(principal_classification=msp_principal.MSPPrincipal.ROLE, principal=strict.write(role))
    return strict.write(message)


def _write_rule(rule: Rule) -> policies.SignaturePolicy:
    if isinstance(rule, SignedBy):
        return policies.SignaturePolicy(signed_by=rule.principal)
    gate = policies.SignaturePolicy.NOutOf(n=rule.count, rules=[_write_rule(part) for part in rule.rules])
    return policies.SignaturePolicy(n_out_of=gate)


def check_policy(policy: Policy, msps: Sequence[Msp]) -> None:
    """Whether a light client can live by it: every principal can sign, every gate can open, none opens by itself."""
    for principal in policy.principals:
        msp = next((msp for msp in msps if msp.msp_id == principal.msp_id), None)
        if msp is None:
            raise InvalidPolicy(f"{principal}: expected an organisation of {[m.msp_id for m in msps]}")
        if principal.role != MEMBER and not msp.node_ous:
            raise InvalidPolicy(f"{principal}: expected an organisation with node roles, got one without")
    for gate in _gates(policy.rule):
        if not 0 < gate.count <= len(gate.rules):
            raise InvalidPolicy(f"expected 1..{len(gate.rules)} out of {len(gate.rules)} rules, got {gate.count}")


def _gates(rule: Rule) -> Iterator[OutOf]:
    if isinstance(rule, OutOf):
        yield rule
        for part in rule.rules:
            yield from _gates(part)


def parse_policy(text: str) -> Policy:
    """A policy as Fabric's tools write it: `AND('Org1MSP.peer', OR(...))`, `OutOf(2, ...)`; raises InvalidPolicy."""
    if len(text) > TEXT_MAX:
        raise InvalidPolicy(f"expected at most {TEXT_MAX} characters, got {len(text)}")
    parser = _Parser(text)
    tree = parser.gate(DEPTH_MAX)
    parser.end()
    principals: list[Principal] = []
    rule = _numbered(tree, principals)
    return Policy(principals=tuple(principals), rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """A gate as it was written."""

    count: int
    parts: tuple[_Gate | Principal, ...]


def _numbered(gate: _Gate, principals: list[Principal]) -> OutOf:
    """The rule of a gate. Fabric's parser numbers the principals of inner gates before those beside them."""
    inner = {i: _numbered(part, principals) for i, part in enumerate(gate.parts) if isinstance(part, _Gate)}
    rules: list[Rule] = []
    for index, part in enumerate(gate.parts):
        if isinstance(part, Principal):
            principals.append(part)
            rules.append(SignedBy(principal=len(principals) - 1))
        else:
            rules.append(inner[index])
    return OutOf(count=gate.count, rules=tuple(rules))


class _Parser:
    """Recursive descent."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.at = 0

    def token(self) -> tuple[str, str, str, str]:
        """(gate, principal, number, punctuation), one of them not empty."""
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            raise self.refused("a gate, a principal in quotes, a number, a comma or a bracket")
        self.at = found.end()
        return found[1] or "", found[2] or found[3] or "", found[4] or "", found[5] or ""

    def refused(self, expected: str) -> Exception:
        return InvalidPolicy(f"expected {expected} before character {self.at}, got {self.text[:200]!r}")

    def gate(self, depth: int) -> _Gate:
        """The outermost one: Fabric takes no bare principal."""
        name = self.token()[0]
        if not name:
            raise self.refused("AND, OR or OutOf")
        return self.inside(name.lower(), depth)

    def part(self, depth: int) -> _Gate | Principal:
        name, text, _, _ = self.token()
        if name and depth:
            return self.inside(name.lower(), depth)
        found = _PRINCIPAL.fullmatch(text)
        if found is None:
            raise self.refused(f"a gate at most {DEPTH_MAX} deep or MSP.role with a role of {sorted(PRINCIPALS)}")
        return Principal(msp_id=found[1], role=found[2])

    def inside(self, name: str, depth: int) -> _Gate:
        if name not in {"and", "or", "outof"}:
            raise self.refused(f"AND, OR or OutOf instead of {name!r}")
        wanted = self.number() if name == "outof" else 1
        parts = [self.part(depth - 1)]
        while (mark := self.token()[3]) == ",":
            parts.append(self.part(depth - 1))
        count = len(parts) if name == "and" else wanted
        if mark != ")" or not 0 < count <= len(parts):
            raise self.refused(f"a closing bracket after at least {count} of {len(parts)} rules, at least 1")
        return _Gate(count=count, parts=tuple(parts))

    def number(self) -> int:
        digits, comma = self.token()[2], self.token()[3]
        if not digits or comma != ",":
            raise self.refused("a number and a comma")
        return int(digits)

    def end(self) -> None:
        if self.at != len(self.text):
            raise self.refused("the end")
