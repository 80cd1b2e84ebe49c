"""One lane a (chain, key): the only place that uses the key's sequence, for any number of concurrent callers.

`Lane` is what programs use of it on any ledger; `SigningLane` is CometBFT's. There transactions are pipelined (several
in flight, in order). Each carries a timeout height, so that its fate is always known in the end: in a block, refused,
or expired and safe to sign again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Protocol

from bsmg.client.comet_feed import tx_hash_of
from bsmg.client.errors import (
    BadAnswer,
    NodeError,
    QueryRefused,
    RpcRefused,
    SimulationFailed,
    TxExpired,
)
from bsmg.client.feed import Feed, Head, Inclusion, Ticket
from bsmg.client.grpc import QueryClient
from bsmg.client.keys import Key
from bsmg.client.rpc import Accepted, Rpc
from cosmos_wire import tx as wire
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, Message, auth, auth_query, tx_service
from ibc_core.host import Event

INFLIGHT_MAX = 8
TIMEOUT_BLOCKS = 30
REBROADCAST_BLOCKS = 4  # a node that restarted has lost its mempool
SEQUENCE_TRIES = 6
RESIGN_TRIES = 3  # after expiry
GAS_TRIES = 3  # each with twice the gas: a dry run is an estimate, state may have moved when the block comes
BROADCAST_TRIES = 4
BROADCAST_WAIT_S = 0.25
WRONG_SEQUENCE, MEMPOOL_FULL, IN_CACHE = ("sdk", 32), ("sdk", 20), ("sdk", 19)
OUT_OF_GAS = ("sdk", 11)
_EXPECTED = re.compile(r"account sequence mismatch, expected (\d+), got (\d+)")
_PRICE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z][a-zA-Z0-9/:._-]*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """What a transaction may cost. `fixed_gas` 0 means: simulate, then gas used x multiplier."""

    price: Decimal = Decimal(0)  # base units a gas unit
    denom: str = ""
    multiplier: Decimal = Decimal("1.3")
    fixed_gas: int = 0

    def fee(self, gas: int) -> tuple[tuple[str, int], ...]:
        """Fee of a gas limit, rounded up; nothing at price 0."""
        amount = int((self.price * gas).to_integral_value(rounding=ROUND_CEILING))
        return ((self.denom, amount),) if amount else ()


def parse_gas_price(text: str) -> tuple[Decimal, str]:
    """(price, denom) of `0.025bmga`; the denom may be missing when the price is 0."""
    found = _PRICE.fullmatch(text.strip())
    if found is None or (Decimal(found[1]) and not found[2]):
        raise ToolError(f"gas price: expected a form like 0.025bmga, got {text[:40]!r}")
    try:
        return Decimal(found[1]), found[2] or ""
    except InvalidOperation as error:
        raise ToolError(f"gas price: expected a decimal number, got {text[:40]!r}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class TxOutcome:
    """A transaction's end. Height 0: CheckTx refused it and no block holds it."""

    height: int
    code: int
    codespace: str
    log: str
    events: tuple[Event, ...]
    tx_hash: str
    gas_used: int = 0
    data: bytes = b""

    @property
    def ok(self) -> bool:
        """In a block with code 0."""
        return self.code == 0 and self.height > 0


class Lane(Protocol):
    """Submits messages as one account, for any number of concurrent callers."""

    address: str
    policy: FeePolicy
    waiting: int  # callers that wait for a place or an outcome

    async def submit(self, messages: Sequence[Message], memo: str = "") -> TxOutcome:
        """Sign, send and wait for the block. A refusal is an outcome with a code.

        Raises NodeError when nothing was sent, TxError when the messages are in no block.
        """


class LaneChain(Protocol):
    """What a lane needs of a chain; `bsmg.client.comet.CometClient` is one."""

    chain_id: str
    prefix: str
    rpc: Rpc
    queries: QueryClient
    feed: Feed


@dataclass(slots=True, kw_only=True)
class _Account:
    number: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    raw: bytes
    sequence: int
    ticket: Ticket


class SigningLane:
    """Submits messages under one key, in order."""

    def __init__(self, chain: LaneChain, key: Key, policy: FeePolicy, inflight_max: int = INFLIGHT_MAX) -> None:
        self.chain, self.key, self.policy = chain, key, policy
        self.address = key.address(chain.prefix)
        self.waiting = 0  # callers that wait for a place or an outcome
        self._slots = asyncio.Semaphore(inflight_max)
        self._turn = asyncio.Lock()
        self._account: _Account | None = None
        self._inflight: dict[int, _Sent] = {}

    async def submit(self, messages: Sequence[Message], memo: str = "") -> TxOutcome:
        """Sign, broadcast and wait for the block. A refusal is an outcome with a code.

        Raises NodeError when nothing was sent, SimulationFailed, TxExpired after several expiries.
        """
        self.waiting += 1
        try:
            async with self._slots:
                return await self._until_enough_gas(messages, memo)
        finally:
            self.waiting -= 1

    async def _until_enough_gas(self, messages: Sequence[Message], memo: str) -> TxOutcome:
        outcome = await self._until_final(messages, memo, 1)
        for attempt in range(1, GAS_TRIES):
            if self.policy.fixed_gas or (outcome.codespace, outcome.code) != OUT_OF_GAS:
                break
            outcome = await self._until_final(messages, memo, 2**attempt)
        return outcome

    async def _until_final(self, messages: Sequence[Message], memo: str, gas_factor: int) -> TxOutcome:
        for attempt in range(RESIGN_TRIES):
            async with self._turn:
                sent = await self._send(messages, memo, gas_factor)
            if isinstance(sent, TxOutcome):
                return sent
            try:
                return outcome_of(await self._included(sent), sent.ticket.tx_hash)
            except TxExpired:
                self._account = None
                if attempt == RESIGN_TRIES - 1:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _send(self, messages: Sequence[Message], memo: str, gas_factor: int) -> _Sent | TxOutcome:
        try:
            account = await self._known_account()
            gas = self.policy.fixed_gas or gas_factor * await self._simulated_gas(messages, memo, account)
            for attempt in range(1, SEQUENCE_TRIES + 1):
                sent, accepted = await self._broadcast_once(messages, memo, (account, gas))
                if accepted is None or _is_in(accepted):
                    self._inflight[sent.sequence] = sent
                    account.sequence = sent.sequence + 1
                    return sent
                self.chain.feed.forget(sent.ticket)
                if attempt == SEQUENCE_TRIES or not await self._recovered(accepted, account):
                    return _refused(accepted)
        except BaseException:
            self._account = None  # whatever was interrupted: ask the chain again
            raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _broadcast_once(
        self, messages: Sequence[Message], memo: str, terms: tuple[_Account, int]
    ) -> tuple[_Sent, Accepted | None]:
        account, gas = terms
        head = self.chain.feed.head or await self.chain.feed.start()
        timeout = head.height + TIMEOUT_BLOCKS
        auth_info = wire.auth_info_of(self.key.public, account.sequence, gas=gas, fee=self.policy.fee(gas))
        signer = wire.SignerData(chain_id=self.chain.chain_id, account_number=account.number, sign=self.key.sign)
        raw = wire.signed(wire.body_of(messages, memo=memo, timeout_height=timeout), auth_info, signer)
        ticket = self.chain.feed.expect(tx_hash_of(raw), timeout)
        sent = _Sent(raw=raw, sequence=account.sequence, ticket=ticket)
        return sent, await self._broadcast(raw, account.sequence)

    async def _broadcast(self, raw: bytes, sequence: int) -> Accepted | None:
        """CheckTx's answer; None when the node could not say, so that only the blocks will tell."""
        doubtful = False
        for attempt in range(BROADCAST_TRIES):
            try:
                accepted = await self.chain.rpc.broadcast_tx_sync(raw)
            except RpcRefused as error:
                if "already exists in cache" in error.detail:
                    return Accepted(code=0, codespace="", log="", tx_hash=tx_hash_of(raw))
                if "mempool is full" in error.detail:
                    code = MEMPOOL_FULL[1]
                    return Accepted(code=code, codespace="sdk", log=error.detail, tx_hash=tx_hash_of(raw))
                raise
            except NodeError:
                doubtful = True
                await asyncio.sleep(BROADCAST_WAIT_S * 2**attempt)
                continue
            if doubtful and expected_sequence(accepted.log) == sequence + 1:
                return None  # the attempt without an answer may have got in
            return accepted
        return None

    async def _recovered(self, accepted: Accepted, account: _Account) -> bool:
        """Whether it makes sense to sign and send again."""
        kind = (accepted.codespace, accepted.code)
        if kind == MEMPOOL_FULL:
            head = self.chain.feed.head or await self.chain.feed.start()
            await self.chain.feed.wait_above(head.height)
            return True
        if kind != WRONG_SEQUENCE:
            return False
        expected = expected_sequence(accepted.log)
        if expected is None:
            fresh = await self._fetch_account()
            expected = fresh.sequence
        if expected < account.sequence and await self._resent(expected):
            return True
        account.sequence = expected
        return True

    async def _resent(self, first: int) -> bool:
        """Hand the transactions in flight to a node that lost them; whether the chain took all of them."""
        lost = [self._inflight[sequence] for sequence in sorted(self._inflight) if sequence >= first]
        if not lost or lost[0].sequence != first:
            return False
        answers = [await self._broadcast(sent.raw, sent.sequence) for sent in lost]
        return all(answer is None or _is_in(answer) for answer in answers)

    async def _included(self, sent: _Sent) -> Inclusion:
        feed = self.chain.feed
        found = sent.ticket.found
        try:
            while True:
                assert feed.head is not None
                later = asyncio.create_task(feed.wait_above(feed.head.height + REBROADCAST_BLOCKS - 1))
                either: set[asyncio.Future[Inclusion] | asyncio.Task[Head]] = {found, later}
                try:
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    later.cancel()
                if found.done():
                    return found.result()
                await self._again(sent.raw)
        finally:
            self._inflight.pop(sent.sequence, None)
            feed.forget(sent.ticket)

    async def _again(self, raw: bytes) -> None:
        try:
            await self.chain.rpc.broadcast_tx_sync(raw)
        except NodeError:
            return  # in the cache already, or the node is away: the blocks will tell

    async def _known_account(self) -> _Account:
        if self._account is None:
            self._account = await self._fetch_account()
        return self._account

    async def _fetch_account(self) -> _Account:
        path = "/cosmos.auth.v1beta1.Query/Account"
        request = auth_query.QueryAccountRequest(address=self.address)
        answer = await self.chain.queries.query(path, request, auth_query.QueryAccountResponse)
        try:
            base = auth.BaseAccount.FromString(answer.account.value)
        except DecodeError as error:
            kind = answer.account.type_url
            raise BadAnswer(path, self.chain.rpc.url, f"expected a BaseAccount, got {kind!r}") from error
        return _Account(number=base.account_number, sequence=base.sequence)

    async def _simulated_gas(self, messages: Sequence[Message], memo: str, account: _Account) -> int:
        sequence = account.sequence
        for _ in range(SEQUENCE_TRIES):
            try:
                return await self._simulate(messages, memo, sequence)
            except QueryRefused as error:
                # The dry run may see the committed state alone, without what is in flight.
                expected = expected_sequence(error.detail)
                if expected is None or expected == sequence:
                    raise SimulationFailed(self.chain.chain_id, error.detail) from error
                sequence = expected
        raise SimulationFailed(self.chain.chain_id, f"account sequence of {self.address} moved meanwhile")

    async def _simulate(self, messages: Sequence[Message], memo: str, sequence: int) -> int:
        # Paying a fee costs gas itself, so that a dry run without one comes out too low.
        fee = ((self.policy.denom, 1),) if self.policy.price else ()
        auth_info = wire.auth_info_of(self.key.public, sequence, gas=0, fee=fee)
        raw = wire.unsigned(wire.body_of(messages, memo=memo), auth_info)
        request = tx_service.SimulateRequest(tx_bytes=raw)
        path = "/cosmos.tx.v1beta1.Service/Simulate"
        answer = await self.chain.queries.query(path, request, tx_service.SimulateResponse)
        return int(self.policy.multiplier * answer.gas_info.gas_used)


def expected_sequence(log: str) -> int | None:
    """The sequence that the chain expects, from its refusal."""
    found = _EXPECTED.search(log)
    return int(found[1]) if found else None


def _is_in(accepted: Accepted) -> bool:
    return accepted.code == 0 or (accepted.codespace, accepted.code) == IN_CACHE


def _refused(accepted: Accepted) -> TxOutcome:
    return TxOutcome(
        height=0,
        code=accepted.code,
        codespace=accepted.codespace,
        log=accepted.log,
        events=(),
        tx_hash=accepted.tx_hash,
    )


def outcome_of(found: Inclusion, tx_hash: str) -> TxOutcome:
    """A transaction that is in a block."""
    result = found.result
    return TxOutcome(
        height=found.height,
        code=result.code,
        codespace=result.codespace,
        log=result.log,
        events=result.events,
        tx_hash=tx_hash,
        gas_used=result.gas_used,
        data=result.data,
    )
