"""A microgrid on an embedded ledger in this process: two organisations, a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any as Whatever
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, abci, bank_query, bank_tx, coin, fabric_client, fabric_microgrid
from cosmos_wire.tx import body_of
from energy.market import state
from energy.market.defaults import default_params, params_document
from energy.trade import params as trade_params
from fabric_adapter.embedded.disk import Disk, Place
from fabric_adapter.embedded.endorser import ANYBODY, Ready, Wanted
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Network, Node
from fabric_adapter.embedded.orderer import BatchRules
from fabric_adapter.microgrid import layout
from fabric_adapter.microgrid.chaincode import MicrogridChaincode
from fabric_wire import strict
from fabric_wire.msp import Msp
from fabric_wire.policy import parse_policy
from fabric_wire.proposals import Invocation, build_proposal, sign_proposal
from fabric_wire.protos import chaincode_event, common, transaction
from fabric_wire.responses import Action, read_action
from fabric_wire.x509 import address
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import Members, record
from ibc_core.fabric.records import Scope, TickRecord
from tests.app.chain import START_S
from tests.fabric_embedded.world import BOTH, NAME, envelope
from tests.fabric_wire.authority import YEAR_S, Plan, issue, root

CHAIN, DENOM = "mgf-1", "bmgf"
RICH, PLEDGED = 10**18, 10**16
SECOND_NS, VALID = 10**9, 0
SLOT_MS = 4_000
FIRST_SLOT = START_S * 1000 // SLOT_MS + 4
LIFE = {"first_s": START_S - 3 * YEAR_S, "last_s": START_S + 20 * YEAR_S}  # of certificates: now, and at the start
TickArgs, TickEvent = fabric_microgrid.TickArgs, fabric_microgrid.TickEvent
SCOPE = Scope(chain_id=CHAIN, channel_id="energy", namespace=NAME)
T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Org:
    """An organisation with its authority; the same keys and certificates every time."""

    def __init__(self, msp_id: str) -> None:
        self.msp_id = msp_id
        self.authority = root(f"ca.{msp_id}", **LIFE)

    def node(self, name: str, role: str) -> Node:
        holder = issue(Plan(name=f"{name}.{self.msp_id}", units=(role,), **LIFE), self.authority)
        return Node(msp_id=self.msp_id, name=name, identity=holder.serialized(self.msp_id), secret=holder.key)

    def member(self, name: str, role: str = "client") -> Member:
        return Member(self.node(name, role))

    @property
    def msp(self) -> Msp:
        return Msp(msp_id=self.msp_id, roots=(self.authority.certificate,))


class Member:
    """Somebody with a certificate, and the account of its key."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.raw = address(node.identity)
        self.text = to_bech32(self.raw)


class Cast:
    """Two organisations, their peers and who trades; made once for many worlds."""

    def __init__(self) -> None:
        self.orgs = Org("Org1MSP"), Org("Org2MSP")
        one, two = self.orgs
        self.network = Network(
            channel_id="energy",
            msps=(one.msp, two.msp),
            peers=(one.node("peer", "peer"), two.node("peer", "peer")),
            orderer=Org("OrdererMSP").node("orderer", "orderer"),
            policies={NAME: parse_policy(BOTH)},
        )
        self.alice, self.bob = one.member("alice"), two.member("bob")
        self.utility, self.relayer = one.member("utility"), two.member("relayer")
        self.writer, self.admin = Member(self.network.peers[0]), two.member("admin", "admin")
        self.cells = tuple(self.orgs[n % 2].member(f"cell{n}") for n in range(25))

    @property
    def members(self) -> Members:
        return Members(version=1, msps=self.network.msps, policy=parse_policy(BOTH))


def app_state(cast: Cast) -> dict[str, Whatever]:
    """Alice, Bob, the utility and the cells are rich; the relayer has no account."""
    market = default_params(SLOT_MS, 12_000, DENOM, cast.utility.text, FIRST_SLOT)
    trade = trade_params.default_params(cast.utility.text, DENOM, "utility@mgf")
    trade.slot_ms, trade.window_ms = market.slot_ms, market.window_min_ms
    rich = [cast.alice, cast.bob, cast.utility, *cast.cells]
    held = [(each.text, RICH) for each in rich]
    held += [(to_bech32(state.COLLATERAL), PLEDGED * len(cast.cells)), (to_bech32(state.BALANCING), RICH)]
    return {
        "state_version": 1,
        "auth": {"accounts": [{"address": each.text, "kind": "base"} for each in rich]},
        "bank": {
            "balances": [{"address": text, "coins": [{"denom": DENOM, "amount": str(much)}]} for text, much in held]
        },
        "staking": {"unbonding_s": 1_814_400},
        "registry": {
            "params": {"utility": cast.utility.text, "microgrid": "mgf"},
            "cells": [_cell(number, cell) for number, cell in enumerate(cast.cells, 1)],
            "devices": [_device(number) for number in range(1, len(cast.cells) + 1)],
        },
        "market": {"params": params_document(market)},
        "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
    }


def _cell(number: int, cell: Member) -> dict[str, Whatever]:
    rating = {"max_import_W": 10_000, "max_export_W": 10_000}
    return {"id": f"cell{number}@mgf", "address": cell.text, "bus": number, "collateral": str(PLEDGED), **rating}


def meter_key(number: int) -> Ed25519PrivateKey:
    """Of a cell's device."""
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


def _device(number: int) -> dict[str, Whatever]:
    public = b64encode(meter_key(number).public_key().public_bytes_raw()).decode()
    return {"id": f"meter{number}@mgf", "cell": f"cell{number}@mgf", "pubkey": public}


def document(cast: Cast, **changes: Whatever) -> bytes:
    """The genesis document."""
    began = datetime.fromtimestamp(START_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    doc = {
        "chain_id": CHAIN,
        "genesis_time": began,
        "app_state": app_state(cast),
        "membership": record(cast.members).hex(),
    }
    return json.dumps({**doc, **changes}).encode()


class Grid:
    """The ledger and its clock; a step that is not VALID, or refused, raises. `close` it."""

    def __init__(self, cast: Cast, path: Path) -> None:
        self.cast, self.path = cast, path
        self.now_ns = START_S * SECOND_NS
        self.ahead_ns = 0  # of the proposer's clock
        self._count = 0
        self.tickets: dict[str, bytes] = {}
        self._runner = asyncio.Runner()
        self.open()

    def open(self) -> None:
        """Start the ledger, with chaincodes that know nothing yet."""
        self.programs = {node.msp_id: self.program() for node in self.cast.network.peers}
        chaincodes = {NAME: self.programs}
        rules = BatchRules(wait_s=0.001)
        self.ledger = self.wait(self._made(chaincodes, rules))

    def program(self) -> MicrogridChaincode:
        return MicrogridChaincode(lambda: self.now_ns)

    async def _made(self, chaincodes: Whatever, rules: BatchRules) -> Ledger:
        ledger = Ledger(self.cast.network, Disk(self.path, sync=False), chaincodes, rules)
        await ledger.start()
        return ledger

    def wait(self, work: Coroutine[Whatever, Whatever, T]) -> T:
        return self._runner.run(work)

    def stop(self) -> None:
        """End the ledger's process; `open` starts it again."""
        self.wait(self.ledger.close())

    def close(self) -> None:
        self.stop()
        self._runner.close()

    # proposals

    def asked(self, who: Member, *args: bytes) -> Invocation:
        self._count += 1
        return Invocation(
            channel_id="energy",
            chaincode=NAME,
            args=args,
            creator=who.node.identity,
            nonce=sha256(b"nonce %d" % self._count).digest()[:24],
            time_ns=self.now_ns + self.ahead_ns,
        )

    def endorse(self, who: Member, *args: bytes, organisations: Sequence[str] = ()) -> Ready:
        signed = sign_proposal(who.node.secret, build_proposal(self.asked(who, *args)))
        endorsers = self.ledger.endorsers
        wanted = Wanted(organisations=tuple(organisations or self.programs))
        accepted = endorsers.accept(signed, self.now_ns)
        self.tickets[accepted.tx_id] = layout.ticket(accepted.asked.time_ns, accepted.tx_id)
        return endorsers.endorse(accepted, wanted)

    def order(self, *signed: tuple[Member, Ready]) -> list[Place]:
        """Order endorsed transactions together; where each stands."""

        async def ordered() -> list[Place]:
            for who, ready in signed:
                self.ledger.submit(envelope(who.node, ready))
            return [await self.ledger.wait_place(ready.accepted.tx_id) for _, ready in signed]

        return self.wait(ordered())

    def transact(self, who: Member, *args: bytes) -> str:
        ready = self.endorse(who, *args)
        (place,) = self.order((who, ready))
        assert place.code == VALID, place
        return ready.accepted.tx_id

    def evaluate(self, who: Member, *args: bytes) -> bytes:
        signed = sign_proposal(who.node.secret, build_proposal(self.asked(who, *args)))
        endorsers = self.ledger.endorsers
        return endorsers.evaluate(endorsers.accept(signed, self.now_ns), ANYBODY).payload

    # the chaincode's functions

    def found(self, data: bytes = b"") -> None:
        self.transact(self.cast.admin, b"Genesis", data or document(self.cast))
        self.load()

    def load(self) -> None:
        """Each organisation's process gets its image, as the driver has it evaluated on each peer."""
        for msp_id in self.programs:
            self.endorse(self.cast.admin, b"Load", organisations=(msp_id,))

    def submit(self, who: Member, *messages: Message, memo: str = "") -> str:
        return self.transact(who, b"Submit", body_of(messages, memo=memo))

    def inbox_key(self, tx_id: str) -> str:
        return layout.inbox_key(self.tickets[tx_id])

    def tick_args(self, *tx_ids: str, height: int = 0, seen: bool = False) -> bytes:
        tickets = [self.tickets.get(tx_id) or bytes.fromhex(tx_id) for tx_id in tx_ids]
        return strict.write(TickArgs(height=height or self.record.height + 1, tickets=tickets, seen=seen))

    def tick(self, *tx_ids: str, step_ns: int = SECOND_NS) -> TickEvent:
        self.now_ns += step_ns
        self.transact(self.cast.writer, b"Tick", self.tick_args(*tx_ids))
        return self.last_event()

    def run(self, who: Member, *messages: Message) -> abci.ExecTxResult:
        """Submit and tick; the transaction's result."""
        event = self.tick(self.submit(who, *messages))
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

    def actions(self, number: int) -> list[Action]:
        """What the valid transactions of a block did."""
        block = self.ledger.block(number)
        assert block is not None
        flags = block.metadata.metadata[common.TRANSACTIONS_FILTER]
        return [action_of(data) for data, flag in zip(block.data.data, flags, strict=True) if flag == VALID and number]

    def last_event(self) -> TickEvent:
        (action,) = [each for each in self.actions(self.ledger.height() - 1) if each.events]
        event = chaincode_event.ChaincodeEvent.FromString(action.events)
        assert event.event_name == "tick"
        return TickEvent.FromString(event.payload)

    def ask(self, path: str, request: Message, kind: type[M]) -> M:
        """A query by the chaincode."""
        return kind.FromString(self.evaluate(self.cast.alice, b"Query", path.encode(), request.SerializeToString()))

    def balance(self, who: Member, denom: str = DENOM) -> int:
        request = bank_query.QueryBalanceRequest(address=who.text, denom=denom)
        answer = self.ask("/cosmos.bank.v1beta1.Query/Balance", request, bank_query.QueryBalanceResponse)
        return int(answer.balance.amount)


def action_of(envelope_bytes: bytes) -> Action:
    payload = common.Payload.FromString(common.Envelope.FromString(envelope_bytes).payload)
    body = transaction.Transaction.FromString(payload.data)
    action = transaction.ChaincodeActionPayload.FromString(body.actions[0].payload).action
    return read_action(action.proposal_response_payload)


def send(sender: Member, recipient: Member, amount: int = 1) -> bank_tx.MsgSend:
    return bank_tx.MsgSend(
        from_address=sender.text, to_address=recipient.text, amount=[coin.Coin(denom=DENOM, amount=str(amount))]
    )
