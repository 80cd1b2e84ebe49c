"""Whatever bytes come: nothing verifies that was not endorsed, and nothing is raised but a ChainError."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, fabric_client
from fabric_wire import strict
from fabric_wire.responses import Write
from ibc_core.fabric import build, records
from ibc_core.fabric.client import FabricClient
from ibc_core.fabric.membership import Members, check_membership, write_members
from ibc_core.fabric.wire import pack
from ibc_core.light_client import Proof
from tests.fabric_client.host import PATH, RECEIPT, Host, height
from tests.fabric_client.network import BOTH, ORG1, ORG2, SCOPE, members_of

VALUE = b"value"


@cache
def genuine() -> tuple[Host, bytes, bytes, bytes]:
    """A host at tick 3, a proof at tick 3, the bytes of a header and of a misbehaviour."""
    host = Host()
    host.net.put(PATH, VALUE)
    host.net.tick()
    host.follow()
    host.net.adopt(members_of(2, BOTH, ORG1, ORG2))
    host.net.tick()
    header = host.net.header(2)
    host.follow(membership_version=2)
    proof = build.proof(host.net.proof(PATH, RECEIPT))
    first = host.net.proof(PATH)
    host.net.put(PATH, b"lie")
    second = host.net.proof(PATH)
    host.net.put(PATH, VALUE)
    report = build.misbehaviour(host.client_id, first, second)
    return host, proof, header.SerializeToString(), report.SerializeToString()


def refusal(check: Callable[[], object]) -> str:
    """Text of the ChainError that a check raises, empty when it is content; anything else raised fails the test."""
    try:
        check()
    except ChainError as error:
        return str(error)
    return ""


def check_value(data: bytes, path: bytes, value: bytes) -> None:
    host, *_ = genuine()
    shown = Proof(height=height(3), data=data)
    host.client.verify_membership(host.ctx(), host.client_id, shown, path, value)


def holds(data: bytes) -> bool:
    """Whether the client takes other bytes than the genuine proof for one."""
    text = refusal(lambda: check_value(data, PATH, VALUE))
    assert not text or "xpected" in text, text
    return not text and data != genuine()[1]


@st.composite
def spoilt(draw: st.DrawFn, which: int) -> bytes:
    """Genuine bytes with flips, cuts, repeats, or noise put in."""
    data = bytearray(genuine()[which])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "cut", "drop", "repeat", "put"]))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == "repeat":
            data[at:at] = data[at : at + 40]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
    return bytes(data)


def test_the_genuine_bytes_are_taken():
    host, proof, header, report = genuine()
    check_value(proof, PATH, VALUE)
    for message in (fabric_client.Header.FromString(header), fabric_client.Misbehaviour.FromString(report)):
        assert not refusal(
            lambda message=message: host.client.verify_client_message(host.ctx(), host.client_id, pack(message))
        )


@given(spoilt(1))
def test_no_spoilt_proof_holds(data: bytes):
    assert not holds(data)


@given(spoilt(1))
def test_no_spoilt_proof_shows_what_is_not_so(data: bytes):
    for path, value in ((PATH, b"lie"), (RECEIPT, b"\x01")):
        assert refusal(lambda path=path, value=value: check_value(data, path, value))


def taken(which: int, data: bytes) -> bool:
    """Whether the client takes other bytes than the genuine message for one."""
    host, *_ = genuine()
    kind = {2: fabric_client.Header, 3: fabric_client.Misbehaviour}[which]
    message = Any(type_url="/" + kind.DESCRIPTOR.full_name, value=data)
    text = refusal(lambda: host.client.verify_client_message(host.ctx(), host.client_id, message))
    assert not text or "xpected" in text, text
    return not text and data != genuine()[which]


@given(spoilt(2))
def test_no_spoilt_header_is_taken(data: bytes):
    assert not taken(2, data)


@given(spoilt(3))
def test_no_spoilt_report_is_taken(data: bytes):
    assert not taken(3, data)


def parts(message: Message) -> list[tuple[Message, str]]:
    """Every field that is set, at every depth that protobuf sees."""
    found = []
    for field, value in message.ListFields():
        found.append((message, field.name))
        if field.message_type is not None:
            for each in [value] if isinstance(value, Message) else value:
                found += parts(each)
    return found


def test_no_field_can_be_left_out():
    """The reference's panics: every field of proof, header and report missing, one at a time."""
    count = 0
    for which, kind in ((1, fabric_client.EndorsedPayload), (2, fabric_client.Header), (3, fabric_client.Misbehaviour)):
        for index in range(len(parts(kind.FromString(genuine()[which])))):
            message = kind.FromString(genuine()[which])
            holder, name = parts(message)[index]
            holder.ClearField(name)
            data = message.SerializeToString()
            assert not (holds(data) if which == 1 else taken(which, data)), (kind, name)
            count += 1
    assert count > 25


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_random_bytes_make_a_client(state: bytes, consensus: bytes):
    host, *_ = genuine()
    packed = (
        Any(type_url=FabricClient.type_url, value=state),
        Any(type_url="/bsmg.fabric.v1.ConsensusState", value=consensus),
    )
    assert refusal(lambda: host.client.initialise(host.ctx(), "fabric-endorsement-1-9", *packed))


@given(st.integers(0, 1200), st.integers(1, 255))
def test_a_spoilt_membership_is_another_one_or_a_typed_refusal(at: int, mask: int):
    genuine_bytes = strict.write(write_members(members_of(1, BOTH, ORG1, ORG2)))
    raw = bytearray(genuine_bytes)
    raw[at % len(raw)] ^= mask
    found: list[Members] = []
    text = refusal(lambda: found.append(check_membership(strict.read(records.Membership, bytes(raw)))))
    assert text or strict.write(write_members(found[0])) == bytes(raw)


@given(st.binary(max_size=80))
def test_any_arguments_are_attested_or_refused(data: bytes):
    host, *_ = genuine()
    assert refusal(lambda: records.attest(SCOPE, data, host.net.ledger.get))


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=4), st.booleans(), st.integers(0, 2), st.integers(0, 4))
def test_good_arguments_are_attested(paths: list[bytes], tick: bool, version: int, number: int):
    host, *_ = genuine()
    _, data = records.attest_args(number, tuple(paths), tick=tick, membership_version=version)
    written: list[Write] = []
    text = refusal(lambda: written.extend(records.attest(SCOPE, data, host.net.ledger.get)))
    is_good = number == 3 and bool(paths or tick or version)
    assert bool(text) != is_good
    assert len(written) == is_good * (len(set(paths)) + tick + bool(version))
