"""What a Fabric ledger has to do, case by case. Each runs on any network of its policy and says what became of it.

An outcome is JSON: results, error classes, gRPC codes, validation codes, and messages without what differs by run.
"""

from __future__ import annotations

import json
import time

from fabric_adapter.gateway import Checkpoint, Endorsed, Gateway
from fabric_adapter.proposal import Options
from fabric_wire.protos import common, proposal_response, transaction
from tests.fabric_conformance.case import BIG, ORG1, ORG2, PACKET_BYTES, PACKETS, args, case, verdict_only
from tests.fabric_conformance.world import AT_ONCE, NAME, Outcome, World, altered

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
