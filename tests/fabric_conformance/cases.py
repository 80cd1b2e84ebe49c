"""What a Fabric ledger has to do, case by case. Each runs on any network of its policy and says what became of it.

An outcome is JSON: results, error classes, gRPC codes, validation codes, and messages without what differs by run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from fabric_adapter.gateway import Checkpoint, Endorsed, Gateway, text_args
from fabric_adapter.identity import Identity
from fabric_adapter.proposal import Call, Options, Proposed, propose, sign_envelope
from fabric_wire import p256
from fabric_wire.protos import common, proposal, proposal_response, transaction
from tests.fabric_conformance.world import AT_ONCE, NAME, REVOKED, Outcome, World, altered

Run = Callable[[World], Awaitable[Outcome]]
ORG1, ORG2 = Options(organizations=["Org1MSP"]), Options(organizations=["Org2MSP"])
BIG, PACKET_BYTES, PACKETS = 2 << 20, 4096, 50


@dataclass(frozen=True)
class Case:
    """`run` on any network of the policy."""

    name: str
    policy: str
    run: Run

    def play(self, world: World) -> Outcome:
        """In an event loop of its own, as JSON has it."""
        return asyncio.run(self.outcome(world))

    async def outcome(self, world: World) -> Outcome:
        """With keys that no other case has."""
        found: Outcome = json.loads(json.dumps(await self.run(world.fresh())))
        return found


CASES: list[Case] = []


def case(policy: str = "and") -> Callable[[Run], Run]:
    """Register a case under its function's name."""

    def add(run: Run) -> Run:
        CASES.append(Case(run.__name__, policy, run))
        return run

    return add


def args(*parts: str) -> list[bytes]:
    return text_args(*parts)


# the good way


@case()
async def put_is_read_on_both_peers(world: World) -> Outcome:
    key = world.key("k")
    async with world.client(1) as one, world.client(2) as two:
        done = await one.transact(NAME, args("put", key, "v"))
        await two.commit_status(done.tx_id)
        return {
            "put": await world.attempt(one.commit_status(done.tx_id)),
            "get 1": await world.attempt(one.evaluate(NAME, args("get", key), ORG1)),
            "get 2": await world.attempt(two.evaluate(NAME, args("get", key), ORG2)),
        }


@case()
async def delete_and_put_again(world: World) -> Outcome:
    key = world.key("k")
    async with world.client() as client:
        return {
            "delete of nothing": await world.attempt(client.transact(NAME, args("delete", key))),
            "put": await world.attempt(client.transact(NAME, args("put", key, "1"))),
            "delete": await world.attempt(client.transact(NAME, args("delete", key))),
            "get": await world.attempt(client.evaluate(NAME, args("get", key))),
            "again": await world.attempt(client.transact(NAME, args("put", key, "2"))),
            "get again": await world.attempt(client.evaluate(NAME, args("get", key))),
        }


@case()
async def ranges_have_their_bounds_and_order(world: World) -> Outcome:
    run = world.key("r")
    pairs = [word for name in ("b", "a", "d", "c", "aa") for word in (f"{run}/{name}", name)]
    async with world.client() as client:
        await client.transact(NAME, args("put", *pairs))
        asked = {"whole": ("/", "0"), "inner": ("/aa", "/d"), "none": ("/x", "/z"), "backwards": ("/d", "/a")}
        found = {
            name: await world.attempt(client.evaluate(NAME, args("range", run + start, run + end)))
            for name, (start, end) in asked.items()
        }
        found["limit"] = await world.attempt(client.evaluate(NAME, args("range", f"{run}/", f"{run}0", "2")))
        return found


@case()
async def blind_writes_of_one_block_are_both_valid(world: World) -> Outcome:
    key = world.key("k")
    async with world.client() as client:
        ready = [await client.endorse(NAME, args("put", key, value)) for value in ("1", "2")]
        for item in ready:
            await client.submit(item)
        return {item: await world.attempt(client.commit_status(ready[at].tx_id)) for at, item in enumerate("ab")} | {
            "last wins": await world.attempt(client.evaluate(NAME, args("get", key)))
        }


@case()
async def a_value_of_two_mebibytes(world: World) -> Outcome:
    key, value = world.key("big"), b"x" * BIG
    async with world.client() as client:
        put = await world.attempt(client.transact(NAME, [b"put", key.encode(), value]))
        return {"put": put, "same": "ok" in put and await client.evaluate(NAME, args("get", key)) == value}


@case()
async def fifty_packets_in_one_proposal(world: World) -> Outcome:
    pairs = [word for n in range(PACKETS) for word in (world.key(f"p{n}").encode(), b"%d" % n * PACKET_BYTES)]
    async with world.client() as client:
        return {"put": await world.attempt(client.transact(NAME, [b"put", *pairs]))}


@case()
async def the_chaincode_sees_creator_and_time(world: World) -> Outcome:
    found: Outcome = {}
    async with world.client() as client:
        for name, at_ns in {
            "now": time.time_ns(),
            "long ago": 1_000_000_001,
            "in a day": time.time_ns() + 86_400 * 10**9,
        }.items():
            ready = await world.endorsed(client.endorse(NAME, args("whoami"), Options(timestamp_ns=at_ns)))
            if not isinstance(ready, Endorsed):
                found[name] = ready
                continue
            doc = json.loads(ready.result)
            found[name] = {
                "time": doc["time_ns"] == at_ns,
                "creator": doc["creator"] == client.identity.serialized.hex(),
                "tx": doc["tx"] == ready.tx_id,
                "channel": doc["channel"],
                "valid": await world.attempt(client.settle(ready)),
            }
    return found


@case()
async def transient_values_do_not_reach_the_ledger(world: World) -> Outcome:
    options = Options(transient={"secret": b"x" * 20})
    async with world.client() as client:
        ready = await client.endorse(NAME, args("put", world.key("k"), "v"), options)
        return {"hidden": b"secret" not in ready.envelope, "valid": await world.attempt(client.settle(ready))}


@case()
async def events_go_on_behind_a_checkpoint(world: World) -> Outcome:
    name = world.key("told")
    async with world.client() as client:
        start = Checkpoint(block=await client.height())
        for number in range(5):
            await client.transact(NAME, args("emit", world.key(f"e{number}"), str(number), name))
        refused = await client.endorse(NAME, args("emit", world.key("e9"), "9", name), ORG1)
        invalid = await world.attempt(client.settle(refused))
        await client.transact(NAME, args("emit", world.key("e5"), "5", name))
        first = await heard(client, start, 2)
        rest = await heard(client, first[-1][1], 4)
        whole = await heard(client, start, 6)
        return {
            "invalid": invalid,
            "first": [payload for payload, _ in first],
            "rest": [payload for payload, _ in rest],
            "whole": [payload for payload, _ in whole],
        }


async def heard(client: Gateway, start: Checkpoint, count: int) -> list[tuple[str, Checkpoint]]:
    found: list[tuple[str, Checkpoint]] = []
    events = client.chaincode_events(NAME, start)
    while len(found) < count:
        event = await anext(events)
        found.append((event.payload.decode(), event.checkpoint))
    await events.aclose()
    return found


@case()
async def the_chain_can_be_asked(world: World) -> Outcome:
    async with world.client(patience=AT_ONCE) as client:
        done = await client.transact(NAME, args("put", world.key("k"), "v"))
        by_tx = await client.evaluate("qscc", args("GetBlockByTxID", client.channel, done.tx_id))
        by_number = await client.evaluate("qscc", args("GetBlockByNumber", client.channel, str(done.block)))
        block = common.Block.FromString(by_tx)
        flags = block.metadata.metadata[common.TRANSACTIONS_FILTER]
        return {
            "same": by_tx == by_number,
            "number": block.header.number == done.block,
            "valid": flags[-1] == transaction.VALID,
            "height": await client.height() > done.block,
            "no such block": verdict_only(
                await world.attempt(client.evaluate("qscc", args("GetBlockByNumber", client.channel, "99999999")))
            ),
            "no such transaction": verdict_only(
                await world.attempt(client.evaluate("qscc", args("GetBlockByTxID", client.channel, "0" * 64)))
            ),
        }


def verdict_only(found: Outcome) -> Outcome:
    """Class and code: the words are the node's own."""
    return {key: value for key, value in found.items() if key in {"error", "code"}}


# conflicts


@case()
async def two_that_read_one_version(world: World) -> Outcome:
    key = world.key("n")
    async with world.client() as client:
        await client.transact(NAME, args("put", key, "1"))
        ready = [await client.endorse(NAME, args("add", key, "1")) for _ in range(2)]
        return {
            "first": await world.attempt(client.settle(ready[0])),
            "second": await world.attempt(client.settle(ready[1])),
            "value": await world.attempt(client.evaluate(NAME, args("get", key))),
        }


@case()
async def two_that_read_nothing_there(world: World) -> Outcome:
    key = world.key("n")
    async with world.client() as client:
        ready = [await client.endorse(NAME, args("add", key, "1")) for _ in range(2)]
        return {str(at): await world.attempt(client.settle(item)) for at, item in enumerate(ready)}


@case()
async def a_range_that_grew_shrank_or_changed(world: World) -> Outcome:
    found = {}
    async with world.client() as client:
        for name, change in {
            "grew": ("put", "/b", "v"),
            "shrank": ("delete", "/a"),
            "changed": ("put", "/a", "w"),
            "beside": ("put", "0", "v"),
        }.items():
            run = world.key(name)
            await client.transact(NAME, args("put", f"{run}/a", "v", f"{run}/c", "v"))
            ready = await client.endorse(NAME, args("range", f"{run}/", f"{run}0"))
            verb, where, *value = change
            await client.transact(NAME, args(verb, run + where, *value))
            found[name] = await world.attempt(client.settle(ready))
    return found


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


# refusals of the chaincode


@case()
async def what_a_chaincode_refuses(world: World) -> Outcome:
    async with world.client(patience=AT_ONCE) as client:
        calls = {
            "evaluate": client.evaluate(NAME, args("refuse", "no sun")),
            "endorse": client.endorse(NAME, args("refuse", "no sun")),
            "unknown key": client.evaluate(NAME, args("get", world.key("never"))),
            "breaks, evaluate": client.evaluate(NAME, args("fail", "broken")),
            "breaks, endorse": client.endorse(NAME, args("fail", "broken")),
            "empty value": client.endorse(NAME, [b"put", b"k", b""]),
            "empty key": client.endorse(NAME, [b"put", b"", b"v"]),
            "composite key": client.endorse(NAME, [b"put", b"\x00k", b"v"]),
            "event without a name": client.endorse(NAME, args("emit", "k", "v", "")),
            "no arguments": client.endorse(NAME, []),
        }
        return {name: await world.attempt(call) for name, call in calls.items()}


# whose endorsements


@case()
async def organisations_by_name(world: World) -> Outcome:
    async with world.client(2, patience=AT_ONCE) as client:
        nobody = Options(organizations=["Org9MSP"])
        some = Options(organizations=["Org1MSP", "Org9MSP"])
        return {
            "unknown, endorse": await world.attempt(client.endorse(NAME, args("ping"), nobody)),
            "one of two unknown, endorse": await world.attempt(client.endorse(NAME, args("ping"), some)),
            "unknown, evaluate": await world.attempt(client.evaluate(NAME, args("ping"), nobody)),
            "the other, evaluate": await world.attempt(client.evaluate(NAME, args("ping"), ORG1)),
            "the other, endorse": await world.attempt(client.endorse(NAME, args("ping"), ORG1)),
        }


async def each_choice(world: World, choices: dict[str, Options]) -> Outcome:
    found = {}
    async with world.client(2) as client:
        for name, options in choices.items():
            ready = await client.endorse(NAME, args("put", world.key(name), "v"), options)
            found[name] = {
                "endorsements": len(ready.endorsements),
                "verdict": await world.attempt(client.settle(ready)),
            }
    return found


def of(*msp_ids: str) -> Options:
    return Options(organizations=msp_ids)


@case()
async def both_must_endorse(world: World) -> Outcome:
    return await each_choice(world, {"free": of(), "first": ORG1, "second": ORG2, "both": of("Org1MSP", "Org2MSP")})


@case("or")
async def either_may_endorse(world: World) -> Outcome:
    return await each_choice(world, {"free": of(), "first": ORG1, "second": ORG2, "both": of("Org1MSP", "Org2MSP")})


@case("two-of-three")
async def two_of_three_must_endorse(world: World) -> Outcome:
    return await each_choice(
        world,
        {
            "free": of(),
            "one": of("Org3MSP"),
            "first and third": of("Org1MSP", "Org3MSP"),
            "second and third": of("Org2MSP", "Org3MSP"),
            "all": of("Org1MSP", "Org2MSP", "Org3MSP"),
        },
    )


@case("or")
async def none_is_too_few_even_of_either(world: World) -> Outcome:
    async with world.client() as client:
        ready = await client.endorse(NAME, args("put", world.key("none"), "v"))

        def none(_: common.Payload, action: transaction.ChaincodeActionPayload) -> None:
            del action.action.endorsements[:]

        def by_a_client(_: common.Payload, action: transaction.ChaincodeActionPayload) -> None:
            raw = action.action.proposal_response_payload
            signature = client.identity.sign(raw + client.identity.serialized)
            made = proposal_response.Endorsement(endorser=client.identity.serialized, signature=signature)
            del action.action.endorsements[:]
            action.action.endorsements.append(made)

        return {
            "none": await world.attempt(client.settle(altered(ready, none))),
            "a client's": await world.attempt(client.settle(altered(ready, by_a_client))),
        }
