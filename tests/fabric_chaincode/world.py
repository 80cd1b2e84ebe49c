"""A microgrid on an embedded ledger in this process: two organisations, a clock that is moved by hand."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any as Whatever

from google.protobuf.json_format import MessageToDict

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, abci, bank_query, bank_tx, coin, fabric_client, fabric_microgrid
from cosmos_wire.tx import body_of
from energy.market.defaults import default_params, params_document
from energy.trade import params as trade_params
from fabric_adapter.embedded.disk import Place
from fabric_adapter.embedded.endorser import Ready
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Network, Node
from fabric_adapter.embedded.service import events_of
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_adapter.stub import Chaincode
from fabric_wire import strict
from fabric_wire.policy import parse_policy
from fabric_wire.proposals import Invocation, build_proposal, sign_proposal
from fabric_wire.x509 import address
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import Members, record
from ibc_core.fabric.records import Scope, TickRecord
from tests.fabric_embedded.world import BOTH, NAME, Org, envelope, make_network, make_org, running

CHAIN, DENOM = "mgf-1", "bmgf"
RICH = 10**18
SECOND_NS, VALID = 10**9, 0
START_S = int(time.time())
SLOT_MS = 4_000
TickArgs, TickEvent = fabric_microgrid.TickArgs, fabric_microgrid.TickEvent
SCOPE = Scope(chain_id=CHAIN, channel_id="energy", namespace=NAME)


class Member:
    """Somebody with a certificate, and the account of its key."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.raw = address(node.identity)
        self.text = to_bech32(self.raw)


class Cast:
    """Two organisations, their peers and who trades; made once for many worlds."""

    def __init__(self) -> None:
        self.orgs: tuple[Org, ...] = (make_org("Org1MSP"), make_org("Org2MSP"))
        self.network: Network = make_network(self.orgs)
        one, two = self.orgs
        self.alice, self.bob = Member(one.node("client")), Member(two.node("client"))
        self.utility, self.relayer = Member(one.node("client")), Member(two.node("client"))
        self.writer, self.admin = Member(one.node("peer")), Member(two.node("admin"))

    @property
    def members(self) -> Members:
        return Members(version=1, msps=tuple(org.msp() for org in self.orgs), policy=parse_policy(BOTH))


def app_state(cast: Cast, cells: Sequence[Member] = ()) -> dict[str, Whatever]:
    """Alice, Bob and the utility are rich; the relayer has no account; `cells` are registered and may trade."""
    market = default_params(SLOT_MS, 12_000, DENOM, cast.utility.text, START_S * 1000 // SLOT_MS + 4)
    trade = trade_params.default_params(cast.utility.text, DENOM, "utility@mgf")
    trade.slot_ms, trade.window_ms = market.slot_ms, market.window_min_ms
    rich = [cast.alice, cast.bob, cast.utility, *(cell for cell in cells if cell not in (cast.alice, cast.bob))]
    collateral = 10**16
    balances = [{"address": each.text, "coins": [{"denom": DENOM, "amount": str(RICH)}]} for each in rich]
    if cells:
        from energy.market import state

        pledged = str(collateral * len(cells))
        balances += [
            {"address": to_bech32(state.COLLATERAL), "coins": [{"denom": DENOM, "amount": pledged}]},
            {"address": to_bech32(state.BALANCING), "coins": [{"denom": DENOM, "amount": str(RICH)}]},
        ]
    return {
        "state_version": 1,
        "auth": {"accounts": [{"address": each.text, "kind": "base"} for each in rich]},
        "bank": {"balances": balances},
        "staking": {"unbonding_s": 1_814_400},
        "registry": {
            "params": {"utility": cast.utility.text, "microgrid": "mgf"},
            "cells": [
                {
                    "id": f"cell{n}@mgf",
                    "address": cell.text,
                    "bus": n,
                    "max_import_W": 10_000,
                    "max_export_W": 10_000,
                    "collateral": str(collateral),
                }
                for n, cell in enumerate(cells, 1)
            ],
        },
        "market": {"params": params_document(market)},
        "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
    }


def document(cast: Cast, cells: Sequence[Member] = (), **changes: Whatever) -> bytes:
    """The genesis document."""
    began = datetime.fromtimestamp(START_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    doc = {
        "chain_id": CHAIN,
        "genesis_time": began,
        "app_state": app_state(cast, cells),
        "membership": record(cast.members).hex(),
    }
    return json.dumps({**doc, **changes}).encode()


class Grid:
    """The ledger and its clock; a step that is not VALID, or refused, raises."""

    def __init__(self, cast: Cast, ledger: Ledger, programs: dict[str, Chaincode]) -> None:
        self.cast, self.ledger, self.programs = cast, ledger, programs
        self.now_ns = START_S * SECOND_NS

    # proposals

    def asked(self, who: Member, *args: bytes) -> Invocation:
        return Invocation(
            channel_id="energy",
            chaincode=NAME,
            args=args,
            creator=who.node.identity,
            nonce=os.urandom(24),
            time_ns=self.now_ns,
        )

    def endorse(self, who: Member, *args: bytes, organisations: Sequence[str] = ()) -> Ready:
        signed = sign_proposal(who.node.secret, build_proposal(self.asked(who, *args)))
        endorsers = self.ledger.endorsers
        return endorsers.endorse(endorsers.accept(signed, self.now_ns), organisations)

    async def order(self, who: Member, ready: Ready) -> Place:
        self.ledger.submit(envelope(who.node, ready))
        return await self.ledger.wait_place(ready.accepted.tx_id)

    async def transact(self, who: Member, *args: bytes) -> str:
        ready = self.endorse(who, *args)
        place = await self.order(who, ready)
        assert place.code == VALID, place
        return ready.accepted.tx_id

    def evaluate(self, who: Member, *args: bytes) -> bytes:
        signed = sign_proposal(who.node.secret, build_proposal(self.asked(who, *args)))
        endorsers = self.ledger.endorsers
        return endorsers.evaluate(endorsers.accept(signed, self.now_ns)).payload

    # the chaincode's functions

    async def found(self, data: bytes) -> None:
        await self.transact(self.cast.admin, b"Genesis", data)
        self.load()

    def load(self) -> None:
        """Each organisation's process gets its image, as the driver has it evaluated on each peer."""
        for msp_id in self.programs:
            self.endorse(self.cast.admin, b"Load", organisations=(msp_id,))

    async def submit(self, who: Member, *messages: Message, memo: str = "") -> str:
        return await self.transact(who, b"Submit", body_of(messages, memo=memo))

    def tick_args(self, *tx_ids: str, height: int = 0) -> bytes:
        return strict.write(TickArgs(height=height or self.record.height + 1, tx_ids=tx_ids))

    async def tick(self, *tx_ids: str, step_ns: int = SECOND_NS) -> TickEvent:
        self.now_ns += step_ns
        await self.transact(self.cast.writer, b"Tick", self.tick_args(*tx_ids))
        return self.last_event()

    async def run(self, who: Member, *messages: Message) -> abci.ExecTxResult:
        """Submit and tick; the transaction's result."""
        event = await self.tick(await self.submit(who, *messages))
        return event.results.tx_results[0]

    def attest(self, *paths: bytes, tick: bool = False, membership_version: int = 0) -> fabric_client.EndorsedPayload:
        args = records.attest_args(self.record.height, paths, tick=tick, membership_version=membership_version)
        ready = self.endorse(self.cast.relayer, *args)
        return build.endorsed_payload(ready.accepted.parts, ready.payload, ready.endorsements)

    # what is on the ledger

    def value(self, key: str) -> bytes | None:
        with self.ledger._disk.view() as view:
            found = view.get(NAME, key)
        return None if found is None else found.value

    def pairs(self, start: str = "", end: str = "") -> dict[str, bytes]:
        with self.ledger._disk.view() as view:
            return {key: entry.value for key, entry in view.range(NAME, start, end)}

    @property
    def record(self) -> TickRecord:
        found = self.value(records.TICK)
        assert found is not None
        return TickRecord.FromString(found)

    def last_event(self) -> TickEvent:
        block = self.ledger.block(self.ledger.height() - 1)
        assert block is not None
        (event,) = [each for each in events_of(block, NAME) if each.event_name == "tick"]
        return TickEvent.FromString(event.payload)

    def balance(self, who: Member, denom: str = DENOM) -> int:
        request = bank_query.QueryBalanceRequest(address=who.text, denom=denom)
        path = b"/cosmos.bank.v1beta1.Query/Balance"
        answer = self.evaluate(self.cast.alice, b"Query", path, request.SerializeToString())
        return int(bank_query.QueryBalanceResponse.FromString(answer).balance.amount)


def send(sender: Member, recipient: Member, amount: int = 1) -> bank_tx.MsgSend:
    return bank_tx.MsgSend(
        from_address=sender.text, to_address=recipient.text, amount=[coin.Coin(denom=DENOM, amount=str(amount))]
    )


@asynccontextmanager
async def grid(cast: Cast, path: Path, data: bytes | None = None) -> AsyncIterator[Grid]:
    """A founded microgrid."""
    made: list[Grid] = []
    clock = lambda: made[0].now_ns  # noqa: E731  (the chaincodes are made before the grid)
    programs: dict[str, Chaincode] = {node.msp_id: MicrogridChaincode(clock) for node in cast.network.peers}
    async with running(cast.network, path, programs) as ledger:
        made.append(Grid(cast, ledger, programs))
        await made[0].found(data or document(cast))
        yield made[0]
