"""Transactions that a ledger put together itself come back: they are judged as those of others are."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fabric_adapter.embedded import committer
from fabric_adapter.embedded.desk import Desk, RefusedError
from fabric_adapter.embedded.endorser import Ready
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Node
from fabric_wire import strict
from fabric_wire.envelopes import sign_envelope
from fabric_wire.proposals import build_proposal, sign_proposal
from fabric_wire.protos import common, gateway, transaction
from tests.fabric_embedded.test_ledger import ledger, network, orgs, user  # noqa: F401  (fixtures)
from tests.fabric_embedded.world import asked, endorse, running

T = transaction
YEAR_NS = 366 * 86_400 * 10**9


@pytest.fixture
def desk(ledger):  # noqa: F811
    made = Desk(ledger, "127.0.0.1:1", "Org1MSP")
    yield made
    made.close()


async def prepared(desk: Desk, creator: Node, *args: bytes) -> common.Envelope:
    signed = sign_proposal(creator.secret, build_proposal(asked(creator, *args)))
    answer = await desk.endorse(gateway.EndorseRequest(proposed_transaction=signed))
    return sign_envelope(creator.secret, answer.prepared_transaction.payload)


def request(envelope: common.Envelope) -> gateway.SubmitRequest:
    return gateway.SubmitRequest(prepared_transaction=envelope)


def ours(ledger: Ledger, creator: Node, ready: Ready) -> bytes:  # noqa: F811
    """Its envelope, which the ledger takes for checked."""
    payload = ready.transaction(ledger.way)
    raw = strict.write(sign_envelope(creator.secret, payload))
    known = ledger.way.prepared(payload)
    assert known is not None
    ledger.way.signed(payload, raw, known)
    return raw


async def test_what_comes_back_is_known_and_valid(ledger, desk, user):  # noqa: F811
    envelope = await prepared(desk, user, b"put", b"a", b"1")
    assert ledger.way.prepared(envelope.payload) is not None
    assert (await desk.settle(request(envelope))).result == T.VALID
    assert ledger.way.prepared(envelope.payload) is None
    assert ledger.way.taken(strict.write(envelope)) is None
    again = await desk.settle(request(envelope))  # no longer known: its verdict is the first one's
    assert (again.result, ledger.place(again_id(envelope)).code) == (T.VALID, T.VALID)


def again_id(envelope: common.Envelope) -> str:
    payload = common.Payload.FromString(envelope.payload)
    return common.ChannelHeader.FromString(payload.header.channel_header).tx_id


async def test_a_known_payload_is_its_creators_to_sign(ledger, desk, user, orgs):  # noqa: F811
    envelope = await prepared(desk, user, b"put", b"a", b"1")
    for signature in (sign_envelope(orgs[1].node("client").secret, envelope.payload).signature, b"x"):
        with pytest.raises(RefusedError, match="ABORTED"):
            await desk.submit(request(common.Envelope(payload=envelope.payload, signature=signature)))
    assert ledger.height() == 1
    assert (await desk.settle(request(envelope))).result == T.VALID


async def test_a_signature_beside_the_known_one_is_checked_in_the_block(ledger, desk, user):  # noqa: F811
    envelope = await prepared(desk, user, b"put", b"a", b"1")
    await desk.submit(request(envelope))
    other = common.Envelope(payload=envelope.payload, signature=envelope.signature[:-1] + b"\0")
    assert ledger._committer._judge(strict.write(other)).code == T.BAD_CREATOR_SIGNATURE


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda ready: ready, T.VALID),
        (lambda ready: replace(ready, endorsements=ready.endorsements[:1]), T.ENDORSEMENT_POLICY_FAILURE),
        (lambda ready: replace(ready, endorsements=ready.endorsements[:1] * 2), T.ENDORSEMENT_POLICY_FAILURE),
        (lambda ready: replace(ready, payload=b"\xff"), T.BAD_RESPONSE_PAYLOAD),
    ],
)
async def test_verdicts_of_ours_are_those_of_others(ledger, user, change, code):  # noqa: F811
    ready = change(endorse(ledger, user, asked(user, b"put", b"a", b"1")))
    raw = ours(ledger, user, ready)
    first = ledger._committer._judge(raw)
    assert ledger.way.taken(raw) is None  # judged as anybody's from now on
    assert first.code == ledger._committer._judge(raw).code == code


async def test_another_proposals_answer_is_found_out(ledger, user):  # noqa: F811
    one, two = (endorse(ledger, user, asked(user, b"put", b"a", b"1")) for _ in range(2))
    raw = ours(ledger, user, replace(one, payload=two.payload, endorsements=two.endorsements))
    assert ledger._committer._judge(raw).code == T.INVALID_ENDORSER_TRANSACTION


async def test_a_certificate_that_ended_on_the_way_is_no_members(network, user, tmp_path, monkeypatch):  # noqa: F811
    async with running(network, tmp_path) as made:
        raw = ours(made, user, endorse(made, user, asked(user, b"put", b"a", b"1")))
        later = time.time_ns() + 100 * YEAR_NS
        monkeypatch.setattr(committer.time, "time_ns", lambda: later)
        assert made._committer._judge(raw).code == T.BAD_CREATOR_SIGNATURE
