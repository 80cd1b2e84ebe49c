"""Messages that are written by hand have the protobuf library's bytes, and are read as strictly as by the library."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import example, given
from hypothesis import strategies as st

from fabric_wire import fields, proposals, strict
from fabric_wire.envelopes import transaction_payload
from fabric_wire.errors import InvalidProposal
from fabric_wire.proposals import Invocation, Parts, build_parts, build_proposal, read_proposal, transaction_id
from fabric_wire.protos import Timestamp, chaincode, common, proposal, proposal_response, transaction
from fabric_wire.responses import Endorsement

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
BLOBS = st.binary(max_size=300)
NANO = 10**9


@st.composite
def invocations(draw: st.DrawFn) -> Invocation:
    return Invocation(
        channel_id=draw(NAMES),
        chaincode=draw(NAMES),
        args=tuple(draw(st.lists(BLOBS, max_size=4))),
        creator=draw(BLOBS),
        nonce=draw(BLOBS),
        time_ns=draw(st.integers(-(2**62), 2**62)),
        header_type=draw(st.sampled_from([3, 3, 3, 0, 1, 7])),
    )


def by_library(asked: Invocation) -> Parts:
    name = chaincode.ChaincodeID(name=asked.chaincode)
    header = common.ChannelHeader(
        type=asked.header_type,
        timestamp=Timestamp(seconds=asked.time_ns // NANO, nanos=asked.time_ns % NANO),
        channel_id=asked.channel_id,
        tx_id=transaction_id(asked.nonce, asked.creator),
        extension=strict.write(proposal.ChaincodeHeaderExtension(chaincode_id=name)),
    )
    spec = chaincode.ChaincodeSpec(
        type=chaincode.ChaincodeSpec.GOLANG, chaincode_id=name, input=chaincode.ChaincodeInput(args=asked.args)
    )
    invocation = chaincode.ChaincodeInvocationSpec(chaincode_spec=spec)
    return Parts(
        channel_header=strict.write(header),
        signature_header=strict.write(common.SignatureHeader(creator=asked.creator, nonce=asked.nonce)),
        payload=strict.write(proposal.ChaincodeProposalPayload(input=strict.write(invocation))),
    )


@given(asked=invocations())
def test_a_proposal_is_the_librarys(asked: Invocation):
    parts = by_library(asked)
    assert build_parts(asked) == parts
    header = common.Header(channel_header=parts.channel_header, signature_header=parts.signature_header)
    whole = proposal.Proposal(header=strict.write(header), payload=parts.payload)
    assert build_proposal(asked) == strict.write(whole)


@given(number=st.integers(-(2**63), 2**63 - 1), data=st.binary(max_size=40_000))
@example(number=2**63 - 1, data=bytes(16_384))
@example(number=16_383, data=bytes(127))
def test_numbers_and_lengths_are_the_librarys(number: int, data: bytes):
    written = fields.number(1, number) + fields.data(2, data)
    stamp = Timestamp.FromString(fields.number(1, number))
    assert (stamp.seconds, strict.write(stamp)) == (number, fields.number(1, number))
    assert strict.write(common.Envelope(signature=data)) == written[len(fields.number(1, number)) :]


@given(asked=invocations(), place=st.integers(0), byte=st.integers(0, 255), kind=st.sampled_from(["set", "add", "cut"]))
@example(asked=Invocation(channel_id="c", chaincode="n", args=(b"a",), creator=b"x", nonce=b"y", time_ns=5), place=0,
         byte=10, kind="set")  # fmt: skip
def test_what_is_read_quickly_is_what_is_read_slowly(asked: Invocation, place: int, byte: int, kind: str):
    raw = bytearray(build_proposal(asked))
    at = place % len(raw)
    raw[at : at + (kind != "add")] = b"" if kind == "cut" else bytes([byte])
    for each in (bytes(raw), build_proposal(asked)):
        assert outcome(read_proposal, each) == outcome(proposals._read_slowly, each)


def outcome(read, raw: bytes) -> object:
    try:
        return read(raw)
    except InvalidProposal:
        return "refused"


@given(asked=invocations(), response=BLOBS, signed=st.lists(st.tuples(BLOBS, BLOBS), max_size=3))
def test_a_transaction_is_the_librarys(asked: Invocation, response: bytes, signed: list[tuple[bytes, bytes]]):
    parts, ends = build_parts(asked), [Endorsement(endorser=who, signature=sig) for who, sig in signed]
    endorsed = transaction.ChaincodeEndorsedAction(
        proposal_response_payload=response,
        endorsements=[proposal_response.Endorsement(endorser=who, signature=sig) for who, sig in signed],
    )
    action = transaction.ChaincodeActionPayload(chaincode_proposal_payload=parts.payload, action=endorsed)
    item = transaction.TransactionAction(header=parts.signature_header, payload=strict.write(action))
    header = common.Header(channel_header=parts.channel_header, signature_header=parts.signature_header)
    data = strict.write(transaction.Transaction(actions=[item]))
    assert transaction_payload(parts, response, ends) == strict.write(common.Payload(header=header, data=data))
    assert parts.hash == sha256(parts.channel_header + parts.signature_header + parts.payload).digest()
