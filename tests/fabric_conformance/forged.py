"""Cases of those who may not, of what was altered, and of what was seen before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from fabric_adapter.gateway import Endorsed, Gateway
from fabric_adapter.identity import Identity
from fabric_adapter.proposal import Call, Proposed, propose, sign_envelope
from fabric_wire import p256
from fabric_wire.protos import common, proposal, transaction
from tests.fabric_conformance.case import ORG1, args, case, verdict_only
from tests.fabric_conformance.world import AT_ONCE, NAME, REVOKED, Outcome, World, altered

# who may


@case()
async def members_of_each_role(world: World) -> Outcome:
    found = {}
    for role in ("client", "admin", "peer", "orderer"):
        async with world.acting(world.stranger(role)) as client:
            found[role] = {
                "evaluate": await world.attempt(client.evaluate(NAME, args("ping"))),
                "transact": await world.attempt(client.transact(NAME, args("put", world.key(role), "v"))),
            }
    return found


@case()
async def who_is_no_member(world: World) -> Outcome:
    strangers = {
        "unknown organisation": world.stranger(msp_id="Org9MSP"),
        "another's authority": world.stranger(own=False),
        "expired": world.stranger(lifetime=timedelta(minutes=-1)),
    }
    async with world.client(1, REVOKED) as client, world.client() as member:
        strangers["revoked"] = client.identity
        await member.transact(NAME, args("emit", world.key("k"), "v", "something to hear"))
    found = {}
    for name, identity in strangers.items():
        async with world.acting(identity) as client:
            found[name] = {
                "evaluate": await world.attempt(client.evaluate(NAME, args("ping"))),
                "endorse": await world.attempt(client.endorse(NAME, args("ping"))),
                "status": await world.attempt(client.commit_status("0" * 64, 5)),
                "events": await world.attempt(anext(client.chaincode_events(NAME))),
            }
    return found


@case()
async def who_is_no_member_submits_nothing(world: World) -> Outcome:
    """Somebody honest had it endorsed; others sign the envelope."""
    async with world.client() as client, world.client(1, REVOKED) as revoked:
        ready = await client.endorse(NAME, args("put", world.key("k"), "v"))
        others = {
            "another member": world.stranger(),
            "another's authority": world.stranger(own=False),
            "revoked": revoked.identity,
        }
        return {
            name: await world.attempt(client.submit_envelope(ready.tx_id, sign_envelope(identity, ready.envelope)))
            for name, identity in others.items()
        }


def careless(identity: Identity) -> Identity:
    """Signs with the higher s."""

    def sign(message: bytes) -> bytes:
        r, s = p256.read_signature(identity.sign(message))
        return p256.write_signature(r, p256.ORDER - s)

    return replace(identity, sign=sign)


@case()
async def high_s(world: World) -> Outcome:
    async with world.client() as client, world.acting(careless(client.identity)) as other:
        ready = await client.endorse(NAME, args("put", world.key("k"), "v"))
        envelope = sign_envelope(other.identity, ready.envelope)

        def endorsement(_: common.Payload, action: transaction.ChaincodeActionPayload) -> None:
            r, s = p256.read_signature(action.action.endorsements[0].signature)
            action.action.endorsements[0].signature = p256.write_signature(r, p256.ORDER - s)

        return {
            "proposal": await world.attempt(other.endorse(NAME, args("ping"))),
            "envelope": await world.attempt(client.submit_envelope(ready.tx_id, envelope)),
            "endorsement": await world.attempt(client.settle(altered(ready, endorsement))),
        }


# altered on the way


def proposed(client: Gateway, *parts: str) -> Proposed:
    return propose(client.identity, Call(channel=client.channel, chaincode=NAME, args=args(*parts)))


@case()
async def a_proposal_that_was_altered(world: World) -> Outcome:
    async with world.client(patience=AT_ONCE) as client:

        def changed(change: Callable[[common.ChannelHeader], None], sign: bool) -> Proposed:
            made = proposed(client, "ping")
            whole = proposal.Proposal.FromString(made.signed.proposal_bytes)
            header = common.Header.FromString(whole.header)
            channel = common.ChannelHeader.FromString(header.channel_header)
            change(channel)
            header.channel_header = channel.SerializeToString()
            whole.header = header.SerializeToString()
            raw = whole.SerializeToString()
            signature = client.identity.sign(raw) if sign else made.signed.signature
            return replace(made, signed=proposal.SignedProposal(proposal_bytes=raw, signature=signature))

        def seconds(header: common.ChannelHeader) -> None:
            header.timestamp.seconds += 1

        def identifier(header: common.ChannelHeader) -> None:
            header.tx_id = "0" * 64

        def kind(header: common.ChannelHeader) -> None:
            header.type = common.MESSAGE

        def epoch(header: common.ChannelHeader) -> None:
            header.epoch = 1

        changes = {
            "unsigned": (seconds, False),
            "identifier": (identifier, True),
            "type": (kind, True),
            "epoch": (epoch, True),
        }
        return {
            name: await world.attempt(client.endorse_proposal(changed(change, sign)))
            for name, (change, sign) in changes.items()
        }


@case()
async def another_channel_or_chaincode(world: World) -> Outcome:
    async with world.client(patience=AT_ONCE) as client:
        found = {
            "chaincode, evaluate": await world.attempt(client.evaluate("other", args("ping"))),
            "chaincode, endorse": await world.attempt(client.endorse("other", args("ping"))),
        }
        client.channel = "elsewhere"
        found["channel, evaluate"] = await world.attempt(client.evaluate(NAME, args("ping")))
        found["channel, endorse"] = await world.attempt(client.endorse(NAME, args("ping")))
        found["channel, status"] = await world.attempt(client.commit_status("0" * 64, 5))
        return found


@case()
async def a_transaction_that_was_altered_after_its_endorsement(world: World) -> Outcome:
    found = {}
    async with world.client() as client:
        for change in (result, other_result, arguments, header_time, endorsements_gone):
            ready = await client.endorse(NAME, args("put", world.key(change.__name__), "honest"))
            thief = await client.endorse(NAME, args("put", world.key(change.__name__), "stolen"))
            forged = altered(ready, lambda body, action, change=change, thief=thief: change(body, action, thief))
            found[change.__name__] = await world.attempt(client.settle(forged))
            found[f"{change.__name__}, value"] = await world.attempt(
                client.evaluate(NAME, args("get", world.key(change.__name__)))
            )
    return found


def action_of(ready: Endorsed) -> transaction.ChaincodeActionPayload:
    deed = transaction.Transaction.FromString(common.Payload.FromString(ready.envelope).data)
    return transaction.ChaincodeActionPayload.FromString(deed.actions[0].payload)


def result(_: common.Payload, action: transaction.ChaincodeActionPayload, __: Endorsed) -> None:
    """Another value under the old signatures."""
    raw = action.action.proposal_response_payload
    action.action.proposal_response_payload = raw.replace(b"honest", b"stolen")


def other_result(_: common.Payload, action: transaction.ChaincodeActionPayload, thief: Endorsed) -> None:
    """What was endorsed for another proposal, with its signatures."""
    action.action.CopyFrom(action_of(thief).action)


def arguments(_: common.Payload, action: transaction.ChaincodeActionPayload, thief: Endorsed) -> None:
    """Another proposal's arguments beside this one's endorsement."""
    action.chaincode_proposal_payload = action_of(thief).chaincode_proposal_payload


def header_time(body: common.Payload, _: transaction.ChaincodeActionPayload, __: Endorsed) -> None:
    channel = common.ChannelHeader.FromString(body.header.channel_header)
    channel.timestamp.seconds -= 1
    body.header.channel_header = channel.SerializeToString()


def endorsements_gone(_: common.Payload, action: transaction.ChaincodeActionPayload, __: Endorsed) -> None:
    del action.action.endorsements[:]


@case()
async def endorsers_must_not_differ(world: World) -> Outcome:
    """An endorsement of something else, and the same endorser twice."""
    async with world.client() as client:
        first, second = [await client.endorse(NAME, args("put", world.key("k"), value)) for value in "12"]
        alone = await client.endorse(NAME, args("put", world.key("k"), "3"), ORG1)

        def mixed(_: common.Payload, action: transaction.ChaincodeActionPayload) -> None:
            action.action.endorsements[1].CopyFrom(action_of(second).action.endorsements[1])

        def twice(_: common.Payload, action: transaction.ChaincodeActionPayload) -> None:
            action.action.endorsements.append(action.action.endorsements[0])

        return {
            "mixed": await world.attempt(client.settle(altered(first, mixed))),
            "twice": await world.attempt(client.settle(altered(alone, twice))),
        }


@case()
async def an_envelope_that_is_none(world: World) -> Outcome:
    async with world.client(patience=AT_ONCE) as client:
        envelopes = {
            "empty": common.Envelope(),
            "rubbish": sign_envelope(client.identity, b"\xff\xff"),
            "no header": sign_envelope(client.identity, common.Payload(data=b"x").SerializeToString()),
        }
        return {
            name: verdict_only(await world.attempt(client.submit_envelope("0" * 64, envelope)))
            for name, envelope in envelopes.items()
        }


# replays


@case()
async def the_same_again(world: World) -> Outcome:
    key = world.key("n")
    async with world.client(patience=AT_ONCE) as client:
        made = proposed(client, "add", key, "1")
        ready = await client.endorse_proposal(made)
        envelope = sign_envelope(client.identity, ready.envelope)
        first = await world.attempt(client.settle(ready))
        await client.submit_envelope(ready.tx_id, envelope)
        marker = await client.transact(NAME, args("put", world.key("marker"), "v"))
        flags = await flags_from(client, marker.block)
        return {
            "first": first,
            "again": [transaction.TxValidationCode.Name(flag) for flag in flags if flag != transaction.VALID],
            "verdict stays": await world.attempt(client.commit_status(ready.tx_id)),
            "value": await world.attempt(client.evaluate(NAME, args("get", key))),
            "endorse again": await world.attempt(client.endorse_proposal(made)),
        }


async def flags_from(client: Gateway, last: int) -> list[transaction.TxValidationCode.ValueType]:
    """Validation codes of the last two blocks up to one."""
    found = []
    for number in (last - 1, last):
        raw = await client.evaluate("qscc", args("GetBlockByNumber", client.channel, str(number)))
        block = common.Block.FromString(raw)
        found += [
            transaction.TxValidationCode.ValueType(flag) for flag in block.metadata.metadata[common.TRANSACTIONS_FILTER]
        ]
    return found


@case()
async def one_identifier_in_one_block_twice(world: World) -> Outcome:
    key = world.key("n")
    async with world.client() as client:
        ready = await client.endorse(NAME, args("add", key, "1"))
        envelope = sign_envelope(client.identity, ready.envelope)
        await asyncio.gather(*(client.submit_envelope(ready.tx_id, envelope) for _ in range(3)))
        return {
            "verdict": await world.attempt(client.settle(ready)),
            "value": await world.attempt(client.evaluate(NAME, args("get", key))),
        }
