"""Proofs that don't hold: each is refused by a typed error that says what was expected and what came.

Every case is one change to a genuine proof: in the proposal, in what the endorsers sign (they are the client's own
members, so only the content is wrong), or after they signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import fabric_client
from fabric_wire import errors as wire
from fabric_wire import p256, strict
from fabric_wire.proposals import Invocation, Parts
from fabric_wire.protos import common
from fabric_wire.responses import Action, Endorsement, NamespaceSet, Read, Write
from fabric_wire.x509 import read_identity, serialized_identity
from ibc_core import errors as core
from ibc_core.fabric import build, errors, records
from ibc_core.light_client import Proof
from tests.fabric_client.host import PATH, RECEIPT, Host, height
from tests.fabric_client.network import ORG1, ORG2, ORG3, SECOND_NS, START_NS, Spoil, own_set, peers
from tests.fabric_wire.authority import START_S, ca_of, peer, secret

VALUE = b"value"
KEY = records.RESERVED + records.state_key(PATH)
Change = Callable[[Action], Action]


def writes(change: Callable[[tuple[Write, ...]], Sequence[Write]]) -> Change:
    return lambda action: own_set(action, lambda own: replace(own, writes=tuple(change(own.writes))))


def reads(change: Callable[[tuple[Read, ...]], Sequence[Read]]) -> Change:
    return lambda action: own_set(action, lambda own: replace(own, reads=tuple(change(own.reads))))


def attestation(**changes: object) -> Change:
    """Every attestation with other fields."""

    def change(written: tuple[Write, ...]) -> list[Write]:
        return [replace(write, value=altered(write.value, changes)) for write in written]

    return writes(change)


def altered(value: bytes, changes: dict[str, object]) -> bytes:
    found = records.Attestation.FromString(value)
    for name, new in changes.items():
        setattr(found, name, new)
    return strict.write(found)


def action(**changes: object) -> Change:
    return lambda made: replace(made, **changes)


def more_sets(*sets: NamespaceSet) -> Change:
    return lambda made: replace(made, sets=(*made.sets, *sets))


def own(**changes: object) -> Change:
    return lambda made: own_set(made, lambda each: replace(each, **changes))


def asked(**changes: object) -> Callable[[Invocation], Invocation]:
    return lambda invocation: replace(invocation, **changes)


def other_key(endorsements: Sequence[Endorsement]) -> Sequence[Endorsement]:
    """A signature by somebody else's key."""
    return [replace(each, signature=p256.sign(secret("thief"), b"anything")) for each in endorsements]


def high_s(endorsements: Sequence[Endorsement]) -> Sequence[Endorsement]:
    def flip(signature: bytes) -> bytes:
        r, s = p256.read_signature(signature)
        return p256.write_signature(r, p256.ORDER - s)

    return [endorsements[0], replace(endorsements[1], signature=flip(endorsements[1].signature))]


def swapped(endorsements: Sequence[Endorsement]) -> Sequence[Endorsement]:
    """Each endorser's name over the other's signature."""
    first, second = endorsements
    return [replace(first, signature=second.signature), replace(second, signature=first.signature)]


def renamed(msp_id: str) -> Callable[[Sequence[Endorsement]], Sequence[Endorsement]]:
    """The second endorser says that it is of another organisation; the signature was made for that."""

    def change(endorsements: Sequence[Endorsement]) -> Sequence[Endorsement]:
        raw = read_identity(endorsements[1].endorser).certificate.raw
        return [endorsements[0], replace(endorsements[1], endorser=serialized_identity(msp_id, raw))]

    return change


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change, and the refusal."""

    name: str
    refusal: type[ChainError]
    text: str
    spoil: Spoil = field(default_factory=Spoil)
    signers: tuple[str, ...] = (ORG1, ORG2)


CASES = [
    # the proposal
    Case(
        name="wrong channel",
        refusal=errors.WrongChannel,
        text="channel of the proposal: expected 'energy', got 'other'",
        spoil=Spoil(invocation=asked(channel_id="other")),
    ),
    Case(
        name="wrong chaincode asked",
        refusal=errors.WrongNamespace,
        text="chaincode of the proposal: expected 'microgrid', got 'evil'",
        spoil=Spoil(invocation=asked(chaincode="evil")),
    ),
    Case(
        name="another function",
        refusal=errors.WrongFunction,
        text="function: expected b'Attest', got b'Tick'",
        spoil=Spoil(invocation=lambda it: replace(it, args=(b"Tick", *it.args[1:]))),
    ),
    Case(
        name="no function",
        refusal=errors.WrongFunction,
        text="function: expected b'Attest', got b''",
        spoil=Spoil(invocation=asked(args=())),
    ),
    Case(
        name="one argument more",
        refusal=errors.WrongFunction,
        text="number of arguments: expected 2, got 3",
        spoil=Spoil(invocation=lambda it: replace(it, args=(*it.args, b"x"))),
    ),
    Case(
        name="arguments of another height",
        refusal=errors.WrongHeight,
        text="height of the attestation: expected 1, got 2",
        spoil=Spoil(invocation=asked(args=records.attest_args(1, (PATH,)))),
    ),
    Case(
        name="arguments of another path",
        refusal=errors.ForeignWrite,
        text="expected the writes",
        spoil=Spoil(invocation=asked(args=records.attest_args(2, (RECEIPT,)))),
    ),
    Case(
        name="proposal of another result",
        refusal=errors.ProposalHashMismatch,
        text="proposal hash: expected",
        spoil=Spoil(parts=lambda parts: replace(parts, signature_header=resigned(parts))),
    ),
    Case(
        name="no proposal",
        refusal=wire.InvalidProposal,
        text="header type: expected 3, got 0",
        spoil=Spoil(parts=lambda _: Parts(channel_header=b"", signature_header=b"", payload=b"")),
    ),
    # the response
    Case(
        name="status",
        refusal=errors.InvalidResponse,
        text="status: expected 200, got 500",
        spoil=Spoil(action=action(status=500)),
    ),
    Case(
        name="status that is nearly right",
        refusal=errors.InvalidResponse,
        text="status: expected 200, got 201",
        spoil=Spoil(action=action(status=201)),
    ),
    Case(
        name="wrong chaincode ran",
        refusal=errors.WrongNamespace,
        text="chaincode of the response: expected 'microgrid', got 'evil'",
        spoil=Spoil(action=lambda it: replace(it, chaincode="evil")),
    ),
    Case(
        name="events",
        refusal=errors.InvalidResponse,
        text="bytes of chaincode events: expected 0, got 1",
        spoil=Spoil(action=action(events=b"e")),
    ),
    # the read-write set
    Case(
        name="wrong namespace wrote",
        refusal=errors.WrongNamespace,
        text=r"expected a set of 'microgrid', got \['_lifecycle', 'evil'\]",
        spoil=Spoil(action=own(namespace="evil")),
    ),
    Case(
        name="another namespace wrote too",
        refusal=errors.ForeignWrite,
        text="expected no namespace but 'microgrid' .*got 'evil' with 1 writes",
        spoil=Spoil(action=more_sets(NamespaceSet(namespace="evil", writes=(Write(key="k", value=b"v"),)))),
    ),
    Case(
        name="another namespace was read",
        refusal=errors.ForeignWrite,
        text="got 'evil' with 0 writes",
        spoil=Spoil(action=more_sets(NamespaceSet(namespace="evil", reads=(Read(key="k", version=None),)))),
    ),
    Case(
        name="the life cycle was written",
        refusal=errors.ForeignWrite,
        text="got '_lifecycle' with 1 writes",
        spoil=Spoil(
            action=lambda it: replace(
                it, sets=(replace(it.sets[0], writes=(Write(key="k", value=b"v"),)), *it.sets[1:])
            )
        ),
    ),
    Case(
        name="one write more",
        refusal=errors.ForeignWrite,
        text="expected the writes",
        spoil=Spoil(action=writes(lambda written: (*written, Write(key="app/00", value=b"v")))),
    ),
    Case(
        name="no write",
        refusal=errors.ForeignWrite,
        text="expected the writes",
        spoil=Spoil(action=writes(lambda _: ())),
    ),
    Case(
        name="the application's own key",
        refusal=errors.ForeignWrite,
        text="expected the writes",
        spoil=Spoil(action=writes(lambda written: [replace(written[0], key=records.state_key(PATH))])),
    ),
    Case(
        name="deletion",
        refusal=errors.InvalidAttestation,
        text="expected a value, got a deletion",
        spoil=Spoil(action=writes(lambda written: [replace(written[0], is_delete=True)])),
    ),
    Case(
        name="nothing read",
        refusal=errors.UncommittedRead,
        text="expected a read of 'tick'",
        spoil=Spoil(action=reads(lambda _: ())),
    ),
    Case(
        name="value not read",
        refusal=errors.UncommittedRead,
        text="expected a read of 'ibc/",
        spoil=Spoil(action=reads(lambda found: [read for read in found if read.key == "tick"])),
    ),
    Case(
        name="no tick committed",
        refusal=errors.UncommittedRead,
        text="expected a committed tick record, got none",
        spoil=Spoil(action=reads(lambda found: [replace(r, version=None) if r.key == "tick" else r for r in found])),
    ),
    Case(
        name="value not committed",
        refusal=errors.UncommittedRead,
        text="presence of ibc/.*: expected False, got True",
        spoil=Spoil(action=reads(lambda found: [r if r.key == "tick" else replace(r, version=None) for r in found])),
    ),
    # the attestation
    Case(
        name="no attestation",
        refusal=errors.InvalidAttestation,
        text="expected a protobuf message",
        spoil=Spoil(action=writes(lambda written: [replace(written[0], value=b"\xff")])),
    ),
    Case(
        name="unknown field",
        refusal=errors.InvalidAttestation,
        text="expected the canonical",
        spoil=Spoil(action=writes(lambda written: [replace(written[0], value=written[0].value + b"\x78\x01")])),
    ),
    Case(
        name="wrong chain",
        refusal=errors.WrongChain,
        text="chain id: expected 'mgf-1', got 'mgx-1'",
        spoil=Spoil(action=attestation(chain_id="mgx-1")),
    ),
    Case(
        name="wrong channel attested",
        refusal=errors.WrongChannel,
        text="channel of the attestation: expected 'energy', got 'other'",
        spoil=Spoil(action=attestation(channel_id="other")),
    ),
    Case(
        name="wrong chaincode attested",
        refusal=errors.WrongNamespace,
        text="chaincode of the attestation: expected 'microgrid', got 'evil'",
        spoil=Spoil(action=attestation(namespace="evil")),
    ),
    Case(
        name="wrong height attested",
        refusal=errors.WrongHeight,
        text="height of the attestation: expected 2, got 3",
        spoil=Spoil(action=attestation(height=3)),
    ),
    Case(
        name="wrong path attested",
        refusal=errors.InvalidAttestation,
        text="path: expected",
        spoil=Spoil(action=attestation(path=RECEIPT)),
    ),
    Case(
        name="wrong time attested",
        refusal=errors.WrongTime,
        text=f"expected the header's time {START_NS + 2 * SECOND_NS} ns, got {START_NS + 2 * SECOND_NS + 1}",
        spoil=Spoil(action=attestation(time_ns=START_NS + 2 * SECOND_NS + 1)),
    ),
    Case(
        name="no time attested",
        refusal=errors.WrongTime,
        text=r"expected one time of all attestations, got \[0\]",
        spoil=Spoil(action=attestation(time_ns=0)),
    ),
    Case(
        name="present without a value",
        refusal=errors.InvalidAttestation,
        text="expected a value when present",
        spoil=Spoil(action=attestation(value=b"")),
    ),
    Case(
        name="absent with a value",
        refusal=errors.InvalidAttestation,
        text="none when absent",
        spoil=Spoil(action=attestation(present=False)),
    ),
    Case(
        name="another value",
        refusal=errors.WrongValue,
        text=f"expected {VALUE.hex()}, got 6c6965",
        spoil=Spoil(action=attestation(value=b"lie")),
    ),
    # after signing
    Case(
        name="altered payload",
        refusal=wire.InvalidSignature,
        text="expected a signature of the key",
        spoil=Spoil(signed=lambda payload: payload.replace(b"1.0", b"1.1")),
    ),
    # who signed
    Case(
        name="too few endorsements",
        refusal=wire.PolicyNotSatisfied,
        text=r"expected endorsements by OutOf\(2, 'Org1MSP.peer', 'Org2MSP.peer'\), got \['Org1MSP.peer'\]",
        signers=(ORG1,),
    ),
    Case(
        name="two of one organisation",
        refusal=wire.PolicyNotSatisfied,
        text=r"got \['Org1MSP.peer', 'Org1MSP.peer'\]",
        signers=(ORG1, f"{ORG1}/1"),
    ),
    Case(
        name="no endorsement",
        refusal=errors.InvalidEndorsements,
        text="expected 1..32 endorsements, got 0",
        signers=(),
    ),
    Case(
        name="too many endorsements",
        refusal=errors.InvalidEndorsements,
        text="expected 1..32 endorsements, got 33",
        signers=(ORG1,) * 33,
    ),
    Case(
        name="one endorser twice",
        refusal=errors.DuplicateEndorser,
        text="expected each endorser once, got 'peer0.Org1MSP'",
        signers=(ORG1, ORG2, ORG1),
    ),
    Case(
        name="unknown organisation",
        refusal=wire.UnknownOrganisation,
        text=r"expected one of \['Org1MSP', 'Org2MSP'\], got 'Org3MSP'",
        signers=(ORG1, ORG2, ORG3),
    ),
    Case(
        name="a member who calls himself another's",
        refusal=wire.UntrustedCertificate,
        text="Org1MSP: expected one chain",
        spoil=Spoil(endorsements=renamed(ORG1)),
    ),
    Case(
        name="high-S",
        refusal=wire.HighS,
        text="expected s <= n/2, got s = ",
        spoil=Spoil(endorsements=high_s),
    ),
    Case(
        name="somebody else's signature",
        refusal=wire.InvalidSignature,
        text="expected a signature of the key",
        spoil=Spoil(endorsements=other_key),
    ),
    Case(
        name="signatures swapped",
        refusal=wire.InvalidSignature,
        text="expected a signature of the key",
        spoil=Spoil(endorsements=swapped),
    ),
    Case(
        name="no endorser",
        refusal=wire.InvalidCertificate,
        text="expected one PEM certificate, got b''",
        spoil=Spoil(endorsements=lambda each: [replace(each[0], endorser=b""), each[1]]),
    ),
]


def resigned(parts: Parts) -> bytes:
    """Another signature header with the same transaction id: the border between nonce and creator has moved."""
    header = common.SignatureHeader.FromString(parts.signature_header)
    moved = common.SignatureHeader(creator=header.creator[1:], nonce=header.nonce + header.creator[:1])
    return strict.write(moved)


@pytest.fixture
def host() -> Host:
    made = Host()
    made.net.put(PATH, VALUE)
    made.net.tick()
    made.follow()
    return made


def test_the_genuine_proof_holds(host: Host):
    host.check(host.net.proof(PATH), PATH, VALUE)
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_spoilt_proof(host: Host, case: Case):
    host.net.signers = peers(*case.signers)
    endorsed = host.net.proof(PATH, spoil=case.spoil)
    with pytest.raises(case.refusal, match=case.text) as caught:
        host.check(endorsed, PATH, VALUE)
    assert type(caught.value) is case.refusal


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_spoilt_proof_does_not_prove_absence_either(host: Host, case: Case):
    host.net.signers = peers(*case.signers)
    endorsed = host.net.proof(PATH, spoil=case.spoil)
    with pytest.raises(ChainError):
        host.check(endorsed, PATH, None)


def test_expired_and_future_certificates(host: Host):
    old = peer("old.Org1MSP", ca_of(ORG1), last_s=START_S + 1)
    new = peer("new.Org1MSP", ca_of(ORG1), first_s=START_S + 3)
    for holder, refusal in ((old, wire.CertificateExpired), (new, wire.CertificateNotValidYet)):
        host.net.signers = (replace(peers(ORG1)[0], holder=holder), *peers(ORG2))
        with pytest.raises(refusal, match=f"{holder.certificate.common_name}.*expected at {host.now_ns} ns"):
            host.check(host.net.proof(PATH), PATH, VALUE)


def test_a_key_of_an_expired_certificate_attests_nothing_in_hindsight(host: Host):
    """The proof is of a time when the certificate was valid; its key may have been sold since."""
    short = peer("short.Org1MSP", ca_of(ORG1), last_s=START_S + 60)
    host.net.signers = (replace(peers(ORG1)[0], holder=short), *peers(ORG2))
    endorsed = host.net.proof(PATH)
    host.check(endorsed, PATH, VALUE)
    host.now_ns += 61 * SECOND_NS
    with pytest.raises(wire.CertificateExpired, match=r"short.Org1MSP"):
        host.check(endorsed, PATH, VALUE)


def test_a_certificate_attests_nothing_of_before_its_time(host: Host):
    """Made later than the tick that it is to speak of: valid now, and not then."""
    young = peer("young.Org1MSP", ca_of(ORG1), first_s=START_S + 30)
    host.net.signers = (replace(peers(ORG1)[0], holder=young), *peers(ORG2))
    host.now_ns += 60 * SECOND_NS
    with pytest.raises(wire.CertificateNotValidYet, match=f"'young.Org1MSP'.*expected at {host.net.time_ns} ns"):
        host.check(host.net.proof(PATH), PATH, VALUE)


def test_attestations_of_one_payload_have_one_time(host: Host):
    def change(written: tuple[Write, ...]) -> list[Write]:
        return [replace(write, value=altered(write.value, {"time_ns": 5 + i})) for i, write in enumerate(written)]

    with pytest.raises(errors.WrongTime, match=r"expected one time of all attestations, got \[5, 6\]"):
        host.check(host.net.proof(PATH, RECEIPT, spoil=Spoil(action=writes(change))), PATH, VALUE)


def test_a_proof_of_another_path(host: Host):
    with pytest.raises(errors.PathNotAttested, match=r"expected receipts/.*, got \['commitments/"):
        host.check(host.net.proof(PATH), RECEIPT, None)


def test_a_proof_of_presence_is_none_of_absence(host: Host):
    with pytest.raises(errors.WrongValue, match=f"expected absence, got {VALUE.hex()}"):
        host.check(host.net.proof(PATH), PATH, None)
    with pytest.raises(errors.WrongValue, match=f"expected {VALUE.hex()}, got absence"):
        host.check(host.net.proof(RECEIPT), RECEIPT, VALUE)


def test_a_proof_is_good_for_its_own_height_only(host: Host):
    endorsed = host.net.proof(PATH)
    host.net.tick()
    host.follow()
    with pytest.raises(errors.WrongHeight, match="expected a proof at 1-3, got one at 1-2"):
        host.check(endorsed, PATH, VALUE)
    host.check(endorsed, PATH, VALUE, at=2)


def test_a_height_that_the_client_does_not_know(host: Host):
    host.net.tick()
    endorsed = host.net.proof(PATH)
    with pytest.raises(core.IbcInvalidHeight, match="1-2 < 1-3"):
        host.check(endorsed, PATH, VALUE)
    host.net.tick()
    host.follow()
    with pytest.raises(core.ConsensusStateNotFound, match="1-3"):
        host.check(endorsed, PATH, VALUE, at=3)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\x00", b"x" * 100])
def test_bytes_that_are_no_proof(host: Host, data: bytes):
    proof = Proof(height=height(2), data=data)
    for check in (
        lambda: host.client.verify_membership(host.ctx(), host.client_id, proof, PATH, VALUE),
        lambda: host.client.verify_non_membership(host.ctx(), host.client_id, proof, RECEIPT),
    ):
        with pytest.raises(ChainError, match="expected"):
            check()


@pytest.mark.parametrize("prefix", [b"", b"app", b"ibc/"])
def test_another_store(host: Host, prefix: bytes):
    proof = Proof(height=height(2), data=build.proof(host.net.proof(PATH)), prefix=prefix)
    with pytest.raises(errors.WrongPrefix, match="expected the store b'ibc'"):
        host.client.verify_membership(host.ctx(), host.client_id, proof, PATH, VALUE)


def test_a_header_is_no_proof_of_anything_else(host: Host):
    with pytest.raises(errors.PathNotAttested):
        host.check(host.net.header().endorsed, PATH, VALUE)


def test_many_paths_in_one_proof(host: Host):
    endorsed = host.net.proof(PATH, RECEIPT)
    host.check(endorsed, PATH, VALUE)
    host.check(endorsed, RECEIPT, None)
    assert isinstance(endorsed, fabric_client.EndorsedPayload)
