"""The prover of a Fabric microgrid: what its members attest of the last tick, and of that one alone.

A header and the proofs that go with it come from attestations of one and the same tick. They stay true when the next
tick comes: a light client that took the header checks them at its height. Between two ticks there is time for a few
attestations; where the tick moved meanwhile, all are asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol, TypeVar

from bsmg.client.errors import NodeError
from bsmg.client.feed import BlockRecord, Head
from cosmos_wire.errors import ChainError, ToolError
from cosmos_wire.protos import Any, DecodeError, fabric_client
from ibc_core.fabric import build, misbehaviour, verifier
from ibc_core.fabric.membership import Members, read_members
from ibc_core.fabric.records import Membership, Scope
from ibc_core.fabric.verifier import Attested, Trust
from ibc_core.fabric.wire import ClientState, EndorsedPayload, pack, scope_of
from ibc_core.light_client import Height
from ibc_relayer.chain import Evidence, FirstStates, Need, NotNowError, Proof
from ibc_relayer.client_types import FABRIC_CLIENT_URL, FABRIC_HEADER_URL, NS, ClientInfo
from ibc_relayer.clients import MAX_CLOCK_DRIFT_S

log = logging.getLogger("ibc_relayer")

K = TypeVar("K")
V = TypeVar("V")

PATHS_PER_ATTESTATION = 10  # each proof carries its whole attestation: 50 proofs of 10 paths are 360 kB, of 50 1.3 MB
TRIES = 8  # of one tick; each takes a few round trips, a tick lasts about a second
MEMBERSHIPS_MAX = 16  # that a client can be behind and is brought up in one transaction
WITNESSED_KEPT = 4_096  # ticks, about an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be attested of the last tick. `msp_ids`: whose endorsements, where it matters."""

    paths: tuple[bytes, ...] = ()
    tick: bool = False
    membership_version: int = 0
    msp_ids: tuple[str, ...] = ()


class Ledger(Protocol):
    """What the prover needs of a chain."""

    chain_id: str
    scope: Scope

    async def head(self) -> Head:
        """The newest tick that is known."""

    async def record(self, height: int) -> BlockRecord:
        """A tick with its time."""

    async def attest(self, wish: Wish) -> EndorsedPayload:
        """What the members attest of their last tick now; raises ToolError when they can't be asked or refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An attestation with what it says."""

    payload: EndorsedPayload
    said: Attested


class UnbelievedError(ToolError):
    """An attestation that a client with certain members would not take; `msp_ids`: their organisations."""

    def __init__(self, members: Members, detail: str) -> None:
        super().__init__(detail)
        self.msp_ids = tuple(msp.msp_id for msp in members.msps)


class TickMovedError(NotNowError):
    """Attestations that have to belong together are of two ticks."""


class FabricProver:
    """Ticks and proofs of a Fabric microgrid: tick n proves the state after tick n."""

    lag = 0

    def __init__(self, ledger: Ledger, trusting_ns: int) -> None:
        self.ledger, self.trusting_ns = ledger, trusting_ns
        self.chain_id = ledger.chain_id
        self._ticks: OrderedDict[int, Statement] = OrderedDict()  # our own attestations, for conviction
        self._made: OrderedDict[bytes, None] = OrderedDict()  # SHA-256 of response payloads of ours
        self._version = 1  # newest membership that was seen
        self._endorsers: tuple[str, ...] = ()  # whom a client wants beyond whom the chaincode's policy asks
        self._blind = False  # whether the last tick could not be witnessed

    def height(self, number: int) -> Height:
        """IBC height of a tick."""
        return build.height_in(self.chain_id, number)

    # Attestations

    async def _state(self, wish: Wish) -> Statement:
        """One attestation, read; raises ToolError, also for one that is not of our chain."""
        payload = await self.ledger.attest(wish)
        try:
            said = verifier.read(self.ledger.scope, payload)
        except ChainError as error:
            raise ToolError(f"attestation of {self.chain_id}: expected one that can be read: {error}") from error
        _keep(self._made, _digest(payload), None)
        if said.tick is not None:
            self._version = max(self._version, said.tick.membership_version)
            _keep(self._ticks, said.height, Statement(payload=payload, said=said))
        return Statement(payload=payload, said=said)

    def _for(self, members: Members, statement: Statement) -> Statement:
        """The statement with the endorsements of those members alone; raises UnbelievedError where they are too few."""
        time_ns = statement.said.time_ns
        trust = Trust(scope=self.ledger.scope, members=members, now_ns=time_ns)
        payload = verifier.of_members(trust, statement.payload, time_ns)
        try:
            verifier.check_endorsements(trust, payload, time_ns)
        except ChainError as error:
            where = f"attestation of {self.chain_id} at {statement.said.height}"
            raise UnbelievedError(
                members, f"{where}: expected membership {members.version} to be satisfied: {error}"
            ) from error
        return Statement(payload=payload, said=statement.said)

    async def _endorsed_for(self, members: Members, wish: Wish) -> Statement:
        """By whom the chaincode's policy asks; by all of the members' organisations where those don't do."""
        try:
            return self._for(members, await self._state(wish))
        except UnbelievedError as error:
            return self._for(members, await self._state(replace(wish, msp_ids=error.msp_ids)))

    # Proofs

    async def prove(self, need: Need) -> Evidence:
        """Proofs of the last tick, with the headers that bring the client there, through all newer memberships."""
        state = self._client_state(need.client)
        for _ in range(TRIES):
            try:
                return await self._prove_once(need, state)
            except TickMovedError as error:
                failure: ToolError = error
            except UnbelievedError as error:
                if self._endorsers == error.msp_ids:
                    raise
                self._endorsers, failure = error.msp_ids, error
            except NodeError:
                self._endorsers = ()
                raise
        raise failure

    def _client_state(self, client: ClientInfo) -> ClientState:
        if client.state.type_url != FABRIC_CLIENT_URL:
            raise ToolError(f"client of {self.chain_id}: expected {FABRIC_CLIENT_URL}, got {client.state.type_url!r}")
        state = fabric_client.ClientState.FromString(client.state.value)
        if scope_of(state) != self.ledger.scope:
            raise ToolError(f"client of {self.chain_id}: expected one of {self.ledger.scope}, got {scope_of(state)}")
        return state

    async def _prove_once(self, need: Need, state: ClientState) -> Evidence:
        groups, asked = _groups(need.paths), self._endorsers
        wishes = [Wish(paths=paths, tick=not at, msp_ids=asked) for at, paths in enumerate(groups)]
        stated = await asyncio.gather(*(self._state(wish) for wish in wishes))
        first = stated[0].said
        self._together(stated, need.least)
        headers, members = await self._learned(state, first)
        made = [self._for(members, statement) for statement in stated]
        if not headers and first.height != need.client.latest.height:
            headers = [made[0]]
        return Evidence(
            height=self.height(first.height),
            time_ns=first.time_ns,
            headers=tuple(pack(build.header(statement.payload)) for statement in headers),
            proofs=dict(_proofs(made)),
        )

    def _together(self, made: Sequence[Statement], least: int) -> None:
        heights = sorted({statement.said.height for statement in made})
        if len(heights) > 1 or heights[0] < least:
            raise TickMovedError(f"attestations of {self.chain_id}: expected one tick from {least} on, got {heights}")

    async def _learned(self, state: ClientState, at: Attested) -> tuple[list[Statement], Members]:
        """Headers that teach a client the memberships it does not know, one after the other, and the last of them.

        Each is endorsed by members of the one before: those are the only ones that the client believes.
        """
        assert at.tick is not None, "the first group asks for it"
        version, headers = state.membership.version, []
        members = self._members(state.membership)
        if at.tick.membership_version - version > MEMBERSHIPS_MAX:
            raise ToolError(
                f"client of {self.chain_id}: expected it at most {MEMBERSHIPS_MAX} memberships behind "
                f"{at.tick.membership_version}, got {version}"
            )
        while members.version < at.tick.membership_version:
            wish = Wish(tick=True, membership_version=members.version + 1)
            statement = await self._endorsed_for(members, wish)
            if statement.said.height != at.height:
                raise TickMovedError(
                    f"membership of {self.chain_id}: expected tick {at.height}, got {statement.said.height}"
                )
            headers.append(statement)
            assert statement.said.membership is not None, "it was asked for"
            members = self._members(statement.said.membership)
        return headers, members

    def _members(self, membership: Membership) -> Members:
        try:
            return read_members(membership)
        except ChainError as error:
            raise ToolError(f"membership {membership.version} of {self.chain_id}: {error}") from error

    # Clients

    async def first_states(self) -> FirstStates:
        """At the last tick, with the membership in force."""
        statement = await self._with_membership()
        said = statement.said
        assert said.membership is not None, "it was asked for"
        state = build.client_state(self.ledger.scope, said.height, said.membership, self._terms())
        consensus = build.consensus_state(said.time_ns, said.membership.version)
        return FirstStates(client=pack(state), consensus=pack(consensus), time_ns=said.time_ns)

    def _terms(self) -> build.Terms:
        return build.Terms(trusting_period_ns=self.trusting_ns, max_clock_drift_ns=MAX_CLOCK_DRIFT_S * NS)

    async def _with_membership(self) -> Statement:
        """The tick with the membership in force."""
        for _ in range(TRIES):
            version = self._version
            statement = await self._state(Wish(tick=True, membership_version=version))
            if statement.said.tick is not None and statement.said.tick.membership_version == version:
                return statement
        raise ToolError(f"membership of {self.chain_id}: expected it to rest, it changed {TRIES} times")

    async def is_genuine(self, client: ClientInfo, consensus: Any) -> bool:
        """By the time of the tick at its newest height, and by its membership, which our members have to know."""
        if client.state.type_url != FABRIC_CLIENT_URL:
            return False
        state = fabric_client.ClientState.FromString(client.state.value)
        if scope_of(state) != self.ledger.scope:
            return False
        known = fabric_client.ConsensusState.FromString(consensus.value)
        if (await self.ledger.record(client.latest.height)).time_ns != known.timestamp_ns:
            return False
        return await self._is_ours(state.membership)

    async def _is_ours(self, membership: Membership) -> bool:
        statement = await self._state(Wish(tick=True))
        if statement.said.tick is None or membership.version > statement.said.tick.membership_version:
            return False
        statement = await self._state(Wish(tick=True, membership_version=membership.version))
        return statement.said.membership == membership

    async def is_own_form(self, client: ClientInfo) -> bool:
        """By what we would write at its height, whatever its membership."""
        state = self._client_state(client)
        own = build.client_state(self.ledger.scope, client.latest.height, state.membership, self._terms())
        return bool(own == state)

    # Misbehaviour

    def is_behind(self, client: ClientInfo) -> bool:
        """Where it lacks a membership that we have seen: the members of the one before may be gone one day."""
        return self._version > self._client_state(client).membership.version

    async def witness(self, head: Head) -> None:
        """Have the tick attested while it is the last one: later nobody attests it any more."""
        if head.height in self._ticks:
            return
        try:
            await self._state(Wish(tick=True, msp_ids=self._endorsers))
        except ToolError as error:
            if not self._blind:
                log.warning("ticks of %s can't be witnessed: %s", self.chain_id, error)
            self._blind = True
        else:
            self._blind = False

    async def conflict(self, client: ClientInfo, header: bytes) -> Any | None:
        """Misbehaviour: the header and an attestation of ours that contradicts it."""
        payload = parse_header(header)
        if _digest(payload) in self._made:
            return None
        try:
            said = verifier.read(self.ledger.scope, payload)
        except ChainError as error:
            raise ToolError(f"header of {self.chain_id}: expected one that can be read: {error}") from error
        async for own in self._rivals(said):
            if misbehaviour.conflict(own.said, said):
                members = self._members(self._client_state(client).membership)
                both = (Statement(payload=payload, said=said), own)
                theirs, ours = (self._for(members, each).payload for each in both)  # else it would be no evidence
                return pack(build.misbehaviour(client.client_id, theirs, ours))
        real = (await self.ledger.record(said.height)).time_ns
        if real == said.time_ns:
            return None
        raise ToolError(
            f"header of tick {said.height}: expected the time {real} ns, got {said.time_ns}; "
            "no attestation of ours is at hand that contradicts it"
        )

    async def _rivals(self, said: Attested) -> AsyncIterator[Statement]:
        """Attestations of ours that could contradict a header: what we witnessed, then what is attested now."""
        witnessed = self._ticks.get(said.height)
        if witnessed is not None:
            yield witnessed
        version = said.membership.version if said.membership is not None else 0
        last = (await self.ledger.head()).height
        if witnessed is None or version or (said.values and last == said.height):
            paths = tuple(sorted(said.values)) if last == said.height else ()
            known = min(version, self._version)  # what the ledger does not have can't be attested
            wish = Wish(paths=paths, tick=True, membership_version=known, msp_ids=self._endorsers)
            yield await self._state(wish)


def parse_header(data: bytes) -> EndorsedPayload:
    """The endorsed payload of the header in an Any, as update_client events carry it."""
    try:
        item = Any.FromString(data)
        if item.type_url != FABRIC_HEADER_URL:
            raise ToolError(f"client message: expected {FABRIC_HEADER_URL}, got {item.type_url!r}")
        return fabric_client.Header.FromString(item.value).endorsed
    except DecodeError as error:
        raise ToolError(f"client message: expected an Any with a header, got {len(data)} other bytes") from error


def _digest(payload: EndorsedPayload) -> bytes:
    return sha256(payload.response_payload).digest()


def _groups(paths: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Paths by attestation; at least one, for the tick."""
    size = PATHS_PER_ATTESTATION
    return [tuple(paths[at : at + size]) for at in range(0, len(paths), size)] or [()]


def _proofs(made: Sequence[Statement]) -> Iterator[tuple[bytes, Proof]]:
    for statement in made:
        data = build.proof(statement.payload)
        for path, value in statement.said.values.items():
            yield path, Proof(value=value or b"", data=data)


def _keep(known: OrderedDict[K, V], key: K, value: V) -> None:
    """Add the newest, forget the oldest."""
    known[key] = value
    while len(known) > WITNESSED_KEPT:
        known.popitem(last=False)
