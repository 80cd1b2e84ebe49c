"""The whole way of a transaction on a real network: what is endorsed, ordered, valid and seen."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fabric_adapter.errors import CommitError, EndorseError, EvaluateError, EventsError, SubmitError
from fabric_adapter.gateway import Checkpoint, Endorsed, Gateway, Patience, text_args
from fabric_adapter.identity import Identity, signer
from fabric_adapter.network import crypto
from fabric_adapter.network.crypto import Subject
from fabric_adapter.network.plan import Home
from fabric_adapter.proposal import Options, sign_envelope
from fabric_wire import p256
from fabric_wire.protos import common, kvrwset, proposal, proposal_response, rwset, transaction
from tests.fabric_net.conftest import CHAINCODE, Net, fresh, values_of

pytestmark = pytest.mark.fabric

CONCURRENT = 200
YEAR, EXPIRED = timedelta(days=365), timedelta(minutes=-1)
AT_ONCE = Patience(total_s=0.1)
PAGE = 100  # how many keys a peer puts into one answer


async def put(client: Gateway, *pairs: str) -> None:
    await client.transact(CHAINCODE, text_args("put", *pairs))


async def get(client: Gateway, key: str) -> str:
    return (await client.evaluate(CHAINCODE, text_args("get", key))).decode()


async def test_what_is_put_is_read_on_both_peers(net: Net, client: Gateway):
    key = fresh("k")
    done = await client.transact(CHAINCODE, text_args("put", key, "v"))
    assert done.validation_code == transaction.VALID
    for org in (1, 2):
        async with net.client(org) as other:
            await other.commit_status(done.tx_id)
            found = await other.evaluate(CHAINCODE, text_args("get", key), Options(organizations=[f"Org{org}MSP"]))
            assert found == b"v"


async def test_what_is_deleted_is_gone(client: Gateway):
    key = fresh("k")
    await put(client, key, "v")
    await client.transact(CHAINCODE, text_args("delete", key))
    with pytest.raises(EvaluateError, match="expected a known key") as refused:
        await get(client, key)
    assert refused.value.refusal is not None
    assert refused.value.refusal.status == 400


async def test_the_chaincode_sees_who_asks_and_when(client: Gateway):
    now = time.time_ns()
    ready = await client.endorse(CHAINCODE, text_args("whoami"), Options(timestamp_ns=now))
    doc = json.loads(ready.result)
    assert doc == {
        "channel": "energy",
        "tx": ready.tx_id,
        "time_ns": now,
        "creator": client.identity.serialized.hex(),
    }


async def test_both_organisations_sign_the_same_payload(client: Gateway):
    key = fresh("k")
    ready = await client.endorse(CHAINCODE, text_args("put", key, "v"))
    assert len(ready.endorsements) == 2
    answer = proposal_response.ProposalResponsePayload.FromString(ready.payload)
    results = rwset.TxReadWriteSet.FromString(proposal.ChaincodeAction.FromString(answer.extension).results)
    written = {item.namespace: kvrwset.KVRWSet.FromString(item.rwset).writes for item in results.ns_rwset}
    assert [(write.key, write.value) for write in written[CHAINCODE]] == [(key, b"v")]


async def test_200_at_a_time_are_each_valid_once(client: Gateway):
    run = fresh("run")
    start = Checkpoint(block=await client.height())
    calls = (client.transact(CHAINCODE, text_args("emit", f"{run}-{n}", str(n), run)) for n in range(CONCURRENT))
    done = await asyncio.gather(*calls)
    assert len({item.tx_id for item in done}) == CONCURRENT
    assert await values_of(client, run, start, CONCURRENT) == sorted(map(str, range(CONCURRENT)))


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 2 * PAGE + 57])
async def test_a_range_comes_whole_whatever_its_pages(client: Gateway, count: int):
    run = fresh("r")
    keys = [f"{run}/{n:05}" for n in range(count)]
    if keys:
        await put(client, *(word for key in keys for word in (key, "v")))
    await put(client, f"{run}0", "behind the range")
    rows = json.loads(await client.evaluate(CHAINCODE, text_args("range", f"{run}/", f"{run}0")))
    assert rows == [[key, b"v".hex()] for key in keys]


async def test_a_range_that_is_left_early_is_closed(client: Gateway):
    run = fresh("r")
    await put(client, *(word for n in range(3 * PAGE) for word in (f"{run}/{n:05}", "v")))
    rows = json.loads(await client.evaluate(CHAINCODE, text_args("range", f"{run}/", f"{run}0", "5")))
    assert len(rows) == 5
    assert await get(client, f"{run}/00299") == "v"


async def test_a_value_as_large_as_fifty_packets_fits(client: Gateway):
    key, value = fresh("large"), b"\x00\xff" * (2 << 20)
    await client.transact(CHAINCODE, [b"put", key.encode(), value])
    assert await client.evaluate(CHAINCODE, text_args("get", key)) == value


async def test_two_that_read_the_same_version_conflict(client: Gateway):
    key = fresh("counter")
    await put(client, key, "1")
    first = await client.endorse(CHAINCODE, text_args("add", key, "1"))
    second = await client.endorse(CHAINCODE, text_args("add", key, "1"))
    await client.settle(first)
    with pytest.raises(CommitError, match="MVCC_READ_CONFLICT") as conflict:
        await client.settle(second)
    assert conflict.value.validation_code == transaction.MVCC_READ_CONFLICT
    assert await get(client, key) == "2"


async def test_a_key_that_appears_in_a_range_that_was_read_conflicts(client: Gateway):
    run = fresh("r")
    await put(client, f"{run}/1", "v")
    ready = await client.endorse(CHAINCODE, text_args("range", f"{run}/", f"{run}0"))
    await put(client, f"{run}/2", "v")
    with pytest.raises(CommitError, match="PHANTOM_READ_CONFLICT"):
        await client.settle(ready)


async def test_one_endorsement_of_two_changes_nothing(client: Gateway):
    key = fresh("k")
    ready = await client.endorse(CHAINCODE, text_args("put", key, "v"), Options(organizations=["Org1MSP"]))
    assert len(ready.endorsements) == 1
    with pytest.raises(CommitError, match="ENDORSEMENT_POLICY_FAILURE"):
        await client.settle(ready)
    with pytest.raises(EvaluateError, match="expected a known key"):
        await get(client, key)


async def test_an_unknown_organisation_is_named(net: Net):
    async with net.client(patience=AT_ONCE) as client:
        with pytest.raises(EndorseError, match="Org9MSP"):
            await client.endorse(CHAINCODE, text_args("ping"), Options(organizations=["Org9MSP"]))


async def test_the_chaincodes_refusal_comes_with_its_words(client: Gateway):
    with pytest.raises(EndorseError, match="no sun today") as refused:
        await client.endorse(CHAINCODE, text_args("refuse", "no sun today"))
    assert refused.value.refusal is not None
    assert refused.value.refusal.message == "no sun today"
    assert [node.msp_id for node in refused.value.nodes] == ["Org1MSP"]


async def test_a_chaincode_that_breaks_goes_on_serving(client: Gateway):
    with pytest.raises(EndorseError, match="RuntimeError: broken"):
        await client.endorse(CHAINCODE, text_args("fail", "broken"))
    assert await client.evaluate(CHAINCODE, text_args("ping")) == b"pong"


def with_result(ready: Endorsed, value: bytes) -> bytes:
    """The payload of an endorsed put with another value in the response, as a thief would make it."""
    body = common.Payload.FromString(ready.envelope)
    deed = transaction.Transaction.FromString(body.data)
    action = transaction.ChaincodeActionPayload.FromString(deed.actions[0].payload)
    changed = action.action.proposal_response_payload.replace(b"honest", value)
    assert changed != action.action.proposal_response_payload
    action.action.proposal_response_payload = changed
    deed.actions[0].payload = action.SerializeToString()
    body.data = deed.SerializeToString()
    return body.SerializeToString()


async def test_what_was_altered_after_the_endorsement_is_invalid(client: Gateway):
    key = fresh("k")
    ready = await client.endorse(CHAINCODE, text_args("put", key, "honest"))
    with pytest.raises(CommitError, match="ENDORSEMENT_POLICY_FAILURE"):
        await client.settle(replace(ready, envelope=with_result(ready, b"stolen")))
    with pytest.raises(EvaluateError):
        await get(client, key)


async def test_an_envelope_that_its_creator_did_not_sign_is_not_taken(net: Net, client: Gateway):
    ready = await client.endorse(CHAINCODE, text_args("put", fresh("k"), "v"))
    async with net.client(2) as thief:
        with pytest.raises(SubmitError, match="FORBIDDEN"):
            await client.submit_envelope(ready.tx_id, sign_envelope(thief.identity, ready.envelope))


async def test_a_high_s_signature_is_refused(net: Net, client: Gateway):
    async with net.client() as careless:
        careless.identity = Identity(
            msp_id=client.identity.msp_id,
            certificate=client.identity.certificate,
            sign=lambda message: high_s(client.identity.sign(message)),
        )
        with pytest.raises(EndorseError, match="access denied"):
            await careless.endorse(CHAINCODE, text_args("ping"))


def high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, p256.ORDER - s)


def stranger(home: Home, own_authority: bool, subject: Subject) -> Identity:
    """Somebody who says to be of Org1: with a certificate of its authority, or of another one of the same name."""
    folder = home.crypto("org1")
    authority = crypto.read_pair(folder, "ca") if own_authority else crypto.make_authority("ca.org1")
    made = crypto.issue(authority, subject)
    return Identity(msp_id="Org1MSP", certificate=made.certificate_pem, sign=signer(made.key))


@pytest.mark.parametrize(
    ("own_authority", "role", "lifetime", "words"),
    [
        (False, "client", YEAR, "access denied"),
        (True, "client", EXPIRED, "expired"),
        (True, "orderer", YEAR, "Failed evaluating policy"),
    ],
)
async def test_who_is_no_valid_member_gets_nothing_endorsed(
    net: Net, own_authority: bool, role: str, lifetime: timedelta, words: str
):
    async with net.client(patience=AT_ONCE) as client:
        client.identity = stranger(net.home, own_authority, Subject(name="somebody", role=role, lifetime=lifetime))
        with pytest.raises(EndorseError, match=words) as refused:
            await client.endorse(CHAINCODE, text_args("put", fresh("k"), "v"))
        assert not refused.value.is_passing


async def test_a_stranger_learns_nothing(net: Net):
    async with net.client(patience=AT_ONCE) as client:
        client.identity = stranger(net.home, False, Subject(name="somebody", role="client"))
        with pytest.raises(EvaluateError, match="access denied"):
            await client.evaluate(CHAINCODE, text_args("ping"))
        with pytest.raises(EventsError, match="PERMISSION_DENIED"):
            await anext(client.chaincode_events(CHAINCODE))


async def test_the_same_envelope_twice_counts_once(client: Gateway):
    run = fresh("run")
    start = Checkpoint(block=await client.height())
    ready = await client.endorse(CHAINCODE, text_args("emit", run, "once", run))
    envelope = sign_envelope(client.identity, ready.envelope)
    await asyncio.gather(*(client.submit_envelope(ready.tx_id, envelope) for _ in range(3)))
    await client.settle(ready)
    assert await values_of(client, run, start, 1) == ["once"]
    assert (await client.commit_status(ready.tx_id)).validation_code == transaction.VALID


async def test_another_channel_is_not_served(net: Net):
    async with net.client(patience=AT_ONCE) as client:
        client.channel = "elsewhere"
        with pytest.raises(EvaluateError, match="channel"):
            await client.evaluate(CHAINCODE, text_args("ping"))


async def test_events_go_on_behind_a_checkpoint(net: Net, client: Gateway):
    run = fresh("run")
    start = Checkpoint(block=await client.height())
    await asyncio.gather(*(client.transact(CHAINCODE, text_args("emit", f"{run}-{n}", str(n), run)) for n in range(30)))
    seen, point = [], start
    while len(seen) < 30:
        async with net.client(2) as other:  # each time a new connection, to the other organisation's peer
            events = other.chaincode_events(CHAINCODE, point)
            for _ in range(7):
                event = await anext(events)
                point = event.checkpoint
                if event.name == run:
                    seen.append(event.payload.decode())
                if len(seen) == 30:
                    break
            await events.aclose()
    assert sorted(seen, key=int) == [str(n) for n in range(30)]
