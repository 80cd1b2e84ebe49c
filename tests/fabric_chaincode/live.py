"""A microgrid on a running network, real or embedded, driven by gateways as everybody's programs do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, bank_query, bank_tx, coin, fabric_microgrid
from cosmos_wire.tx import body_of
from fabric_adapter.embedded.serve import load_network
from fabric_adapter.errors import EndorseError
from fabric_adapter.gateway import Committed, Endorsed, Gateway, Patience
from fabric_adapter.microgrid import layout
from fabric_adapter.network import lifecycle
from fabric_adapter.network.document import connect
from fabric_adapter.network.plan import Home, read_plan
from fabric_adapter.proposal import Options
from fabric_wire import strict
from fabric_wire.proposals import read_proposal
from fabric_wire.responses import Endorsement
from fabric_wire.x509 import address
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import Members, record
from ibc_core.fabric.verifier import Attested, Trust, verify
from tests.fabric_chaincode.world import DENOM, RICH, SCOPE, Cast, app_state

NAME = "microgrid"
LONG = Patience(total_s=120, status_s=240)  # for processes that are killed and started again
BALANCE = b"/cosmos.bank.v1beta1.Query/Balance"
TickArgs = fabric_microgrid.TickArgs
ROLES = ("user", "relayer", "writer", "admin")


class Live:
    """Members of both organisations; `admin` of the first writes the ticks."""

    def __init__(self, members: Members, gateways: dict[tuple[int, str], Gateway]) -> None:
        self.members, self.gateways = members, gateways
        self.user, self.admin = gateways[1, "user"], gateways[1, "admin"]
        self.height = 0
        self.tickets: dict[str, bytes] = {}

    def text(self, who: Gateway) -> str:
        return to_bech32(address(who.identity.serialized))

    def genesis(self) -> bytes:
        """Every member is rich."""
        state = app_state(Cast())
        for each in map(self.text, self.gateways.values()):
            state["auth"]["accounts"].append({"address": each, "kind": "base"})
            held = [{"denom": DENOM, "amount": str(RICH)}]
            state["bank"]["balances"].append({"address": each, "coins": held})
        began = datetime.fromtimestamp(int(time.time()) - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        doc = {"chain_id": SCOPE.chain_id, "genesis_time": began, "app_state": state}
        return json.dumps({**doc, "membership": record(self.members).hex()}).encode()

    async def found(self) -> None:
        await self.admin.transact(NAME, [b"Genesis", self.genesis()])
        await self.load()

    async def load(self) -> None:
        for msp in self.members.msps:
            found = await self.admin.evaluate(NAME, [b"Load"], Options(organizations=(msp.msp_id,)))
            self.height = int(found)

    async def submit(self, who: Gateway, *messages: Message) -> str:
        options = Options(timestamp_ns=time.time_ns())
        done = await who.transact(NAME, [b"Submit", body_of(messages)], options)
        self.tickets[done.tx_id] = layout.ticket(options.timestamp_ns or 0, done.tx_id)
        return done.tx_id

    async def tick(self, *tx_ids: str, writer: Gateway | None = None) -> Committed:
        ready = await self.ready_tick(*tx_ids, writer=writer)
        done = await (writer or self.admin).settle(ready)
        self.height += 1
        return done

    async def ready_tick(self, *tx_ids: str, writer: Gateway | None = None) -> Endorsed:
        args = strict.write(TickArgs(height=self.height + 1, tickets=[self.tickets[each] for each in tx_ids]))
        return await (writer or self.admin).endorse(NAME, [b"Tick", args])

    async def balance(self, of: Gateway, by: Gateway) -> int:
        request = bank_query.QueryBalanceRequest(address=self.text(of), denom=DENOM)
        answer = await by.evaluate(NAME, [b"Query", BALANCE, request.SerializeToString()])
        return int(bank_query.QueryBalanceResponse.FromString(answer).balance.amount)

    async def attested(self, *paths: bytes) -> Attested:
        """What a light client believes of an attestation of the last tick and these paths."""
        ready = await self.gateways[2, "relayer"].endorse(NAME, records.attest_args(self.height, paths, tick=True))
        parts, _ = read_proposal(ready.proposal_bytes)
        signed = [Endorsement(endorser=who, signature=signature) for who, signature in ready.endorsements]
        trust = Trust(scope=SCOPE, members=self.members, now_ns=time.time_ns())
        return verify(trust, build.endorsed_payload(parts, ready.payload, signed))

    def send(self, sender: Gateway, recipient: Gateway, amount: int) -> bank_tx.MsgSend:
        made = bank_tx.MsgSend(from_address=self.text(sender), to_address=self.text(recipient))
        made.amount.append(coin.Coin(denom=DENOM, amount=str(amount)))
        return made


@asynccontextmanager
async def microgrid(home: Home, patience: Patience | None = None) -> AsyncIterator[Live]:
    """Clients of a network that runs the chaincode, before its genesis."""
    plan = read_plan(home)
    network = load_network(home, plan)
    members = Members(version=1, msps=network.msps, policy=network.policies[NAME])
    async with AsyncExitStack() as stack:
        gateways = {
            (org, role): await stack.enter_async_context(connect(home.document, org, role, patience))
            for org in (1, 2)
            for role in ROLES
        }
        yield Live(members, gateways)


async def one_day(live: Live) -> Attested:
    """Genesis to attestation, with 200 transactions at a time; every step has to hold on any ledger."""
    await live.found()
    one, two = live.gateways[1, "user"], live.gateways[2, "user"]
    await live.tick(await live.submit(one, live.send(one, two, 5)))
    assert await live.balance(two, by=one) == RICH + 5
    members = [gateway for (_, role), gateway in live.gateways.items() if role != "user"]
    flights = [live.submit(members[n % 6], live.send(members[n % 6], two, n + 1)) for n in range(200)]
    sent = await asyncio.gather(*flights)
    await live.tick(*sent[:150])
    await live.tick(*sent)
    assert await live.balance(two, by=two) == RICH + 5 + sum(range(1, 201))
    seen = await live.attested(b"clients/07-tendermint-0/clientState")
    assert seen.height == live.height
    assert seen.tick is not None
    assert seen.tick.membership_version == 1
    assert seen.values == {b"clients/07-tendermint-0/clientState": None}
    return seen


async def killed_and_loaded(live: Live, home: Home, victim: str) -> int:
    """What waits when the chaincode's process dies is executed when it is back; what was paid: 1 + 2 + 3, then 10."""
    one, two = live.gateways[1, "user"], live.gateways[2, "user"]
    waiting = [await live.submit(one, live.send(one, two, n + 1)) for n in range(3)]
    held = await live.balance(two, by=one)
    await asyncio.to_thread(lifecycle.kill, home, victim)
    await lifecycle.restart(home, victim)
    with pytest.raises(EndorseError, match="image not loaded"):
        await live.submit(one, live.send(one, two, 1))
    before = live.height
    await live.load()
    assert live.height == before
    await live.tick(*waiting)
    await live.tick(await live.submit(one, live.send(one, two, 10)))
    return await live.balance(two, by=one) - held
