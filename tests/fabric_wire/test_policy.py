"""Signature policies: texts, bytes, and the evaluation beside an independent statement of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabric_wire.errors import InvalidPolicy, PolicyNotSatisfied
from fabric_wire.msp import Member, Role
from fabric_wire.policy import (
    OutOf,
    Policy,
    Principal,
    Rule,
    SignedBy,
    check_policy,
    parse_policy,
    read_policy,
    write_policy,
)
from fabric_wire.protos import msp_principal, policies
from tests.fabric_wire.authority import msp_of, peer_of
from tests.fabric_wire.vectors.cases import MSPS, PLAIN

ORGS = ("Org1MSP", "Org2MSP", "Org3MSP")
NAMES = ("member", "peer", "client", "admin", "orderer")


LONG = ", ".join(["'Org1MSP.peer'"] * 256)


def member(msp_id: str, role: str) -> Member:
    return Member(msp_id=msp_id, role=Role(role), certificate=peer_of("Org1MSP").certificate)


principals = st.builds(
    lambda org, role: Principal(msp_id=org, role=role), st.sampled_from(ORGS), st.sampled_from(NAMES)
)
members = st.builds(member, st.sampled_from(ORGS), st.sampled_from(NAMES[1:]))


@st.composite
def drawn_policies(draw: st.DrawFn) -> Policy:
    found = tuple(draw(st.lists(principals, min_size=1, max_size=4)))
    leaf = st.integers(0, len(found) - 1).map(lambda i: SignedBy(principal=i))

    def gate(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
        return st.lists(rules, min_size=1, max_size=3).flatmap(
            lambda parts: st.integers(1, len(parts)).map(lambda n: OutOf(count=n, rules=tuple(parts)))
        )

    return Policy(principals=found, rule=draw(st.recursive(leaf, gate, max_leaves=6)))


def spent(policy: Policy, rule: Rule, signers: list[Member], free: frozenset[int]) -> frozenset[int] | None:
    """Which of the free signers are left when a rule took its own, None when it can't: cauthdsl in other words."""
    if isinstance(rule, SignedBy):
        fitting = [i for i in sorted(free) if policy.principals[rule.principal].fits(signers[i])]
        return free - {fitting[0]} if fitting else None
    passed = 0
    for part in rule.rules:
        left = spent(policy, part, signers, free)
        if left is not None:
            free, passed = left, passed + 1
    return free if passed >= rule.count else None


@given(drawn_policies(), st.lists(members, max_size=6))
def test_evaluation(policy: Policy, signers: list[Member]):
    assert policy.is_satisfied(signers) == (
        spent(policy, policy.rule, signers, frozenset(range(len(signers)))) is not None
    )


@given(drawn_policies())
def test_bytes_go_round(policy: Policy):
    assert read_policy(write_policy(policy)) == policy


@given(drawn_policies(), st.lists(members, max_size=6), members)
def test_one_more_signer_at_the_end_never_hurts(policy: Policy, signers: list[Member], more: Member):
    flat = all(isinstance(rule, SignedBy) for rule in getattr(policy.rule, "rules", ()))
    if flat and policy.is_satisfied(signers):
        assert policy.is_satisfied([*signers, more])


@given(drawn_policies())
def test_nobody_satisfies_nothing(policy: Policy):
    assert not policy.is_satisfied([])


def test_a_refusal_names_the_policy_and_who_signed():
    policy = parse_policy("AND('Org1MSP.peer', 'Org2MSP.peer')")
    with pytest.raises(PolicyNotSatisfied, match=r"OutOf\(2, 'Org1MSP.peer', 'Org2MSP.peer'\), got \['Org1MSP.peer'\]"):
        policy.require([member("Org1MSP", "peer")])


@given(drawn_policies())
def test_the_text_of_a_policy_parses_to_the_same_rule(policy: Policy):
    if isinstance(policy.rule, OutOf):
        again = parse_policy(str(policy))
        assert str(again) == str(policy)


@pytest.mark.parametrize(
    "text",
    [
        "", "AND", "AND(", "AND()", "AND('Org1MSP.peer'", "AND('Org1MSP.peer',)", "AND('Org1MSP.peer') x",
        "XOR('Org1MSP.peer')", "'Org1MSP.peer'", "AND('Org1MSP.king')", "AND('Org1MSP')", "AND(Org1MSP.peer)",
        "OutOf('Org1MSP.peer')", "OutOf(0, 'Org1MSP.peer')", "OutOf(2, 'Org1MSP.peer')", "OutOf(-1, 'Org1MSP.peer')",
        "AND('Org1MSP.peer' 'Org2MSP.peer')", "OR(" * 9 + "'Org1MSP.peer'" + ")" * 9, "OR('a.peer'," * 5000,
        "AND('Org1MSP.peer' 7", "OutOf(,,'Org1MSP.peer')", "OutOf(1)'Org1MSP.peer')", f"OR({LONG})",
        "AND(1)", "AND(,)", "OR('Org1MSP.peer'))", "\x00",
    ],
)  # fmt: skip
def test_texts_that_are_no_policy(text: str):
    with pytest.raises(InvalidPolicy, match="expected"):
        parse_policy(text)


@given(st.text(alphabet="ANDORoutf()',.0123456789 Org1MSP.peer", max_size=60))
def test_any_text_is_a_policy_or_refused(text: str):
    try:
        policy = parse_policy(text)
    except InvalidPolicy:
        return
    assert read_policy(write_policy(policy)) == policy


@given(st.binary(max_size=60))
def test_any_bytes_are_a_policy_or_refused(data: bytes):
    try:
        policy = read_policy(data)
    except InvalidPolicy:
        return
    assert write_policy(policy) == data


def wide(size: int) -> policies.SignaturePolicy:
    rules = [policies.SignaturePolicy(signed_by=0)] * size
    return policies.SignaturePolicy(n_out_of=policies.SignaturePolicy.NOutOf(n=1, rules=rules))


def envelope(rule: policies.SignaturePolicy | None, *kinds: int, version: int = 0, role: int = 0) -> bytes:
    role = msp_principal.MSPRole(msp_identifier="Org1MSP", role=role).SerializeToString()
    message = policies.SignaturePolicyEnvelope(version=version, rule=rule)
    for kind in kinds:
        message.identities.add(principal_classification=kind, principal=role)
    return message.SerializeToString(deterministic=True)


def nested(depth: int) -> policies.SignaturePolicy:
    rule = policies.SignaturePolicy(signed_by=0)
    for _ in range(depth):
        rule = policies.SignaturePolicy(n_out_of=policies.SignaturePolicy.NOutOf(n=1, rules=[rule]))
    return rule


def deeper_than_protobuf_goes() -> bytes:
    rule = b"\x08\x00"
    for _ in range(150):
        gate = b"\x08\x01\x12" + varint(len(rule)) + rule
        rule = b"\x12" + varint(len(gate)) + gate
    return b"\x12" + varint(len(rule)) + rule


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (envelope(nested(0), 0, version=1), "expected version 0, got 1"),
        (envelope(nested(0), 1), "expected a principal by role"),
        (envelope(nested(0)), "expected a principal below 0, got 0"),
        (envelope(policies.SignaturePolicy(signed_by=-1), 0), "expected a principal below 1, got -1"),
        (envelope(None, 0), "expected a rule"),
        (envelope(nested(9), 0), "at most 8 deep"),
        (deeper_than_protobuf_goes(), "expected a protobuf message"),
        (envelope(nested(0), *[0] * 257), "expected at most 256 principals, got 257"),
        (envelope(nested(0), 0) + b"\x20\x01", "expected the canonical"),
        (envelope(wide(257), 0), "at most 256 rules each"),
        (envelope(nested(0), 0, role=9), "expected a role of .*, got number 9"),
    ],
)
def test_envelopes_that_are_no_policy(data: bytes, text: str):
    with pytest.raises(InvalidPolicy, match=text):
        read_policy(data)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (parse_policy("AND('Org9MSP.peer')"), "Org9MSP.peer: expected an organisation of"),
        (parse_policy(f"AND('{PLAIN}.peer')"), "expected an organisation with node roles"),
        (Policy(principals=(), rule=OutOf(count=0, rules=())), r"expected 1..0 out of 0 rules, got 0"),
        (
            Policy(
                principals=(Principal(msp_id="Org1MSP", role="peer"),),
                rule=OutOf(count=1, rules=(SignedBy(principal=0), OutOf(count=0, rules=(SignedBy(principal=0),)))),
            ),
            r"expected 1..1 out of 1 rules, got 0",
        ),
        (
            Policy(
                principals=(Principal(msp_id="Org1MSP", role="peer"),),
                rule=OutOf(count=2, rules=(SignedBy(principal=0),)),
            ),
            r"expected 1..1 out of 1 rules, got 2",
        ),
    ],
)
def test_policies_that_nobody_can_live_by(policy: Policy, text: str):
    check_policy(parse_policy(f"AND('Org1MSP.peer', '{PLAIN}.member')"), MSPS)
    with pytest.raises(InvalidPolicy, match=text):
        check_policy(policy, MSPS)


def test_a_member_without_a_role_is_a_member():
    signer = Member(msp_id=PLAIN, role=None, certificate=peer_of("Org1MSP").certificate)
    assert parse_policy(f"OR('{PLAIN}.member')").is_satisfied([signer])
    assert not parse_policy(f"OR('{PLAIN}.peer')").is_satisfied([signer])
    assert msp_of(PLAIN).node_ous
