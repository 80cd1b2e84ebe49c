"""Submits messages to a Fabric microgrid as one member: endorsed, ordered, committed, then executed by a Tick.

There is no sequence and no fee: the transaction id, which the proposal's nonce makes, is what runs at most once. Until
a transaction is handed to the orderer it may be made anew as often as needed. From then on it is the same envelope that
is handed over again, of which Fabric makes at most one valid, until a block holds it or patience ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Protocol

import grpc

from bsmg.client.errors import GatewayRefused, NodeError, NodeTimeout, NodeUnreachable, TxInvalid, TxUnknown
from bsmg.client.feed import Feed, Inclusion, Ticket
from bsmg.client.lane import FeePolicy, TxOutcome, outcome_of
from cosmos_wire import tx as wire
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message
from fabric_adapter.errors import CommitError, EndorseError, FabricError
from fabric_adapter.gateway import Endorsed, Gateway, Patience
from fabric_adapter.identity import Identity
from fabric_wire import p256
from fabric_wire.x509 import read_identity

SUBMIT = b"Submit"
NEVER = 2**63  # a transaction that the ledger has taken does not expire
RESEND_TRIES = 5  # of messages whose transaction was invalid for a reason that passes
SETTLE_S = 120.0  # how long an envelope without a verdict is handed over again
SETTLE_PAUSE_S = 1.0
EXECUTION_S = 300.0  # from the commit to the Tick; whoever writes the Ticks may be away
LAG_S = (0.1, 0.2, 0.4, 0.8)  # a peer of another organisation may be that far behind the one that we follow
PASSING_VERDICTS = ("MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT", "EXPIRED_CHAINCODE", "CHAINCODE_VERSION_CONFLICT")
DUPLICATE = "DUPLICATE_TXID"  # a second copy of the envelope: the first one counts
IMAGE_NOT_LOADED = "image not loaded"  # by a chaincode that has just started; whoever writes the Ticks has it load
_REFUSAL = re.compile(r"\s*([A-Za-z][\w.-]*)/(\d+): (.*)", re.DOTALL)


class LaneLedger(Protocol):
    """What a lane needs of a chain; `bsmg.client.fabric.FabricClient` is one."""

    chain_id: str
    prefix: str
    feed: Feed
    chaincode: str
    msp_id: str  # of the peer that is asked
    patience: Patience
    gate: asyncio.Semaphore  # calls that the peer answers at a time

    def gateway(self, identity: Identity) -> Gateway:
        """A member's connection to the peer."""


class FabricLane:
    """Submits messages as one member, any number at a time; they are executed in the order of the ledger."""

    def __init__(self, chain: LaneLedger, identity: Identity) -> None:
        self.chain, self.identity = chain, identity
        self.address = address_of(identity, chain.prefix)
        self.policy = FeePolicy()
        self.waiting = 0

    async def submit(self, messages: Sequence[Message], memo: str = "") -> TxOutcome:
        """Have it endorsed and ordered, and wait for the Tick. A refusal is an outcome with a code.

        Raises NodeError when nothing was ordered, TxInvalid, and TxUnknown when it may still be executed.
        """
        self.waiting += 1
        try:
            return await self._until_final((SUBMIT, wire.body_of(messages, memo=memo)))
        finally:
            self.waiting -= 1

    async def _until_final(self, args: Sequence[bytes]) -> TxOutcome:
        for attempt in range(1, RESEND_TRIES + 1):
            async with self.chain.gate:
                ready = await self._endorsed(args)
            if isinstance(ready, TxOutcome):
                return ready
            try:
                return await self._settled(ready)
            except TxInvalid as error:
                if attempt == RESEND_TRIES or error.verdict not in PASSING_VERDICTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _endorsed(self, args: Sequence[bytes]) -> Endorsed | TxOutcome:
        """Endorsements of the messages, or the chaincode's refusal."""
        pauses, lag = iter(self.chain.patience.pauses()), iter(LAG_S)
        while True:
            try:
                return await self.chain.gateway(self.identity).endorse(self.chain.chaincode, args)
            except EndorseError as error:
                refused = refusal_of(error)
                if refused is not None:
                    pause = None if self._is_own(error) else next(lag, None)
                else:
                    pause = next(pauses, None) if is_loading(error) else None
                if pause is None and refused is not None:
                    return refused
                if pause is None:
                    raise node_error(error, self.chain.chain_id) from error
            await asyncio.sleep(pause)

    def _is_own(self, error: EndorseError) -> bool:
        """Whether the peer that we follow has refused: what we know of the chain, it knows."""
        said = {node.msp_id for node in error.nodes}
        return not said or self.chain.msp_id in said

    async def _settled(self, ready: Endorsed) -> TxOutcome:
        """Hand it over and wait for its end; the blocks are watched from the start."""
        if self.chain.feed.head is None:
            await self.chain.feed.start()
        ticket = self.chain.feed.expect(ready.tx_id.upper(), NEVER)
        sending = asyncio.create_task(self._committed(ready))
        try:
            either: set[asyncio.Future[Inclusion] | asyncio.Task[None]] = {sending, ticket.found}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not ticket.found.done():
                sending.result()
                await self._executed(ticket)
            return outcome_of(ticket.found.result(), ticket.tx_hash)
        finally:
            sending.cancel()
            self.chain.feed.forget(ticket)

    async def _committed(self, ready: Endorsed) -> None:
        """Until the transaction is in a block of the ledger; raises TxInvalid, TxUnknown."""
        loop, tx_hash = asyncio.get_running_loop(), ready.tx_id.upper()
        end = loop.time() + SETTLE_S
        while True:
            try:
                return await self._ordered(ready)
            except CommitError as error:
                if error.name != DUPLICATE:
                    raise TxInvalid(self.chain.chain_id, tx_hash, error.name) from error
                return None
            except FabricError as error:
                if loop.time() >= end:
                    raise TxUnknown(self.chain.chain_id, tx_hash, str(error)) from error
            await asyncio.sleep(SETTLE_PAUSE_S)

    async def _ordered(self, ready: Endorsed) -> None:
        async with self.chain.gate:
            await self.chain.gateway(self.identity).settle(ready)

    async def _executed(self, ticket: Ticket) -> None:
        try:
            async with asyncio.timeout(EXECUTION_S):
                await asyncio.shield(ticket.found)
        except TimeoutError as error:
            detail = f"the ledger holds it, but no Tick has executed it in {EXECUTION_S:.0f} s"
            raise TxUnknown(self.chain.chain_id, ticket.tx_hash, detail) from error


def address_of(identity: Identity, prefix: str) -> str:
    """A member as an account: ADR-028 on its certificate's P-256 key; raises ChainError for other certificates."""
    return to_bech32(p256.address(read_identity(identity.serialized).certificate.key), prefix)


def refusal_of(error: FabricError) -> TxOutcome | None:
    """The chaincode's `codespace/code: log` as an outcome of no block; None for any other failure."""
    said = error.refusal
    found = _REFUSAL.match(said.message) if said else None
    if found is None:
        return None
    return TxOutcome(
        height=0, code=int(found[2]), codespace=found[1], log=found[3], events=(), tx_hash=error.tx_id.upper()
    )


def is_loading(error: FabricError) -> bool:
    """Whether a chaincode has not read its state yet."""
    return error.refusal is not None and IMAGE_NOT_LOADED in error.refusal.message


def node_error(error: FabricError, node: str) -> NodeError:
    """A gateway's failure as an error of the client library."""
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NodeTimeout(error.stage, node, str(error))
    kind = NodeUnreachable if error.code is grpc.StatusCode.UNAVAILABLE else GatewayRefused
    return kind(error.stage, node, str(error))
