"""Opening clients, a connection and channels between two chains, from whatever state they are in.

Both handshakes (ICS-03 and ICS-04) are the same table: the states of the two ends give the next message and its side.
All channels of a path take each step together, in the given order, so that their identifiers follow that order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from bsmg.client.errors import QueryNotFound
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import (
    Any,
    Message,
    channel,
    channel_query,
    channel_tx,
    connection,
    connection_query,
    connection_tx,
    pagination,
)
from ibc_core import paths
from ibc_core.light_client import Height
from ibc_core.state import connection_counterparty, height_message
from ibc_core.versions import supported
from ibc_relayer.chain import Chain, Party
from ibc_relayer.client_types import read_client_state
from ibc_relayer.clients import Ground, client_info, create_client, ground
from ibc_relayer.plan import ChannelState, End
from ibc_relayer.snapshot import CHANNEL, channel_end

log = logging.getLogger("ibc_relayer")

CONNECTION = "/ibc.core.connection.v1.Query/"
PREFIX = b"ibc"
ROUNDS_MAX = 12  # four are needed; the rest is for other relayers that interfere
PAGE_LIMIT = 1_000

NONE, INIT, TRYOPEN, OPEN = ChannelState.NONE, ChannelState.INIT, ChannelState.TRYOPEN, ChannelState.OPEN

# (state of side 0, state of side 1) -> (message, side that takes it). What is not here can't be opened further.
NEXT = {
    (NONE, NONE): ("init", 0),
    (INIT, NONE): ("try", 1),
    (NONE, INIT): ("try", 0),
    (INIT, TRYOPEN): ("ack", 0),
    (TRYOPEN, INIT): ("ack", 1),
    (OPEN, TRYOPEN): ("confirm", 1),
    (TRYOPEN, OPEN): ("confirm", 0),
}
Parties = tuple[Party, Party]
_TryOrAck = connection_tx.MsgConnectionOpenTry | connection_tx.MsgConnectionOpenAck


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """A channel that is wanted: its port on each side, version and ordering; `ids` where it is a certain one."""

    ports: tuple[str, str]
    version: str
    ordered: bool = False
    ids: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """Identifiers of the two ends of a connection or channel; empty: there is none yet."""

    sides: tuple[str, str] = ("", "")

    def with_side(self, side: int, identifier: str) -> Ids:
        """With one of them known."""
        sides = (identifier, self.sides[1]) if side == 0 else (self.sides[0], identifier)
        return Ids(sides=sides)


def next_step(states: tuple[ChannelState, ChannelState], what: str) -> tuple[str, int] | None:
    """(message, side) that comes next, None when both ends are open."""
    if states == (OPEN, OPEN):
        return None
    step = NEXT.get(states)
    if step is None:
        raise ToolError(f"{what}: expected states that lead to an open one, got {states[0].name} and {states[1].name}")
    return step


# Connections


async def connection_end(chain: Chain, connection_id: str) -> connection.ConnectionEnd | None:
    """A connection end as of now, None when there is none."""
    if not connection_id:
        return None
    request = connection_query.QueryConnectionRequest(connection_id=connection_id)
    try:
        answer = await chain.query(CONNECTION + "Connection", request, connection_query.QueryConnectionResponse)
    except QueryNotFound:
        return None
    return answer.connection


async def client_connections(chain: Chain, client_id: str) -> dict[str, connection.ConnectionEnd]:
    """Connections of a client by identifier."""
    request = connection_query.QueryClientConnectionsRequest(client_id=client_id)
    path = CONNECTION + "ClientConnections"
    try:
        answer = await chain.query(path, request, connection_query.QueryClientConnectionsResponse)
    except QueryNotFound:
        return {}
    ends = {name: await connection_end(chain, name) for name in sorted(answer.connection_paths)}
    return {name: end for name, end in ends.items() if end is not None}


async def find_connection(parties: Parties, clients: tuple[str, str]) -> Ids:
    """The most advanced connection between two clients, however far its handshake has come."""
    mine = await client_connections(parties[0].chain, clients[0])
    theirs = await client_connections(parties[1].chain, clients[1])
    pairs: list[tuple[int, tuple[str, str]]] = []
    for name, end in mine.items():
        if end.counterparty.client_id != clients[1]:
            continue
        partners = [
            other
            for other, peer in theirs.items()
            if _refer((name, end.counterparty.connection_id), (other, peer.counterparty.connection_id))
        ]
        pairs += [(end.state + theirs[other].state, (name, other)) for other in partners]
        if not partners and end.state == connection.STATE_INIT:
            pairs.append((end.state, (name, "")))
    for other, peer in theirs.items():
        if peer.state == connection.STATE_INIT and peer.counterparty.client_id == clients[0]:
            pairs.append((0, ("", other)))
    return Ids(sides=max(pairs)[1]) if pairs else Ids()


def _refer(mine: tuple[str, str], theirs: tuple[str, str]) -> bool:
    """Whether two (own id, counterparty id) name each other; an INIT end names nobody yet."""
    forth, back = mine[1] == theirs[0], theirs[1] == mine[0]
    return (forth and back) or (back and not mine[1]) or (forth and not theirs[1])


async def open_connection(parties: Parties, clients: tuple[str, str]) -> Ids:
    """Open a connection, or finish one that was begun; returns both identifiers."""
    ids = await find_connection(parties, clients)
    for _ in range(ROUNDS_MAX):
        ends = [await connection_end(party.chain, name) for party, name in zip(parties, ids.sides, strict=True)]
        states = tuple(ChannelState(end.state) if end is not None else NONE for end in ends)
        step = next_step((states[0], states[1]), f"connection {ids.sides}")
        if step is None:
            return ids
        ids = await _connection_step(parties, clients, ids, step)
    raise ToolError(f"connection {ids.sides}: expected to be open after {ROUNDS_MAX} messages")


async def _connection_step(parties: Parties, clients: tuple[str, str], ids: Ids, step: tuple[str, int]) -> Ids:
    kind, side = step
    host = parties[side]
    maker = _ConnectionMessages(parties, clients, ids, side)
    base, message = await maker.make(kind)
    outcome = await host.chain.submit([*base.updates, message])
    if not outcome.ok:
        again = await find_connection(parties, clients)
        if again != ids:
            return again  # somebody else took the step
        raise _refused(f"connection open {kind}", host.chain.chain_id, outcome)
    log.info("connection open %s on %s in block %d", kind, host.chain.chain_id, outcome.height)
    if ids.sides[side]:
        return ids
    return ids.with_side(side, _event_values(outcome, f"connection_open_{kind}", "connection_id")[0])


async def fresh_ground(host: Party, subject: Party, client_id: str, paths: Sequence[bytes]) -> Ground:
    """Ground on which everything is proven that the subject's state shows now."""
    head = await subject.chain.head()
    return await ground(host, subject, client_id, head.height + subject.prover.lag, paths)


class _ConnectionMessages:
    def __init__(self, parties: Parties, clients: tuple[str, str], ids: Ids, side: int) -> None:
        self.host, self.subject = parties[side], parties[1 - side]
        self.client, self.other_client = clients[side], clients[1 - side]
        self.own, self.other = ids.sides[side], ids.sides[1 - side]
        self.signer = self.host.chain.signer
        self.other_path = paths.connection(self.other)

    async def make(self, kind: str) -> tuple[Ground, Message]:
        """The message of one step, and what it stands on."""
        if kind == "init":
            return Ground(proof_height=self.host.prover.height(0)), self._init()
        if kind == "confirm":
            base = await fresh_ground(self.host, self.subject, self.client, [self.other_path])
            return base, connection_tx.MsgConnectionOpenConfirm(
                connection_id=self.own,
                proof_ack=base.proof(self.other_path),
                proof_height=height_message(base.proof_height),
                signer=self.signer,
            )
        base, latest = await self._both_proven()
        message = self._try(base) if kind == "try" else self._ack(base)
        self._add_client_proofs(message, base, latest)
        return base, message

    def _init(self) -> Message:
        return connection_tx.MsgConnectionOpenInit(
            client_id=self.client,
            counterparty=connection_counterparty(self.other_client, "", PREFIX),
            version=supported()[0],
            signer=self.signer,
        )

    async def _both_proven(self) -> tuple[Ground, Height]:
        """Ground with the other end, the other client and its newest consensus state, and that state's height.

        The client may move between the question and the proof; then it is asked again.
        """
        client = paths.client_state(self.other_client)
        for _ in range(ROUNDS_MAX):
            latest = (await client_info(self.subject.chain, self.other_client)).latest
            needs = [self.other_path, client, paths.consensus_state(self.other_client, latest)]
            base = await fresh_ground(self.host, self.subject, self.client, needs)
            proven = read_client_state(self.other_client, Any.FromString(base.value(client)))
            if proven.latest == latest:
                return base, latest
        raise ToolError(f"client {self.other_client} on {self.subject.chain.chain_id}: expected it to rest, it moves")

    def _try(self, base: Ground) -> connection_tx.MsgConnectionOpenTry:
        end = self._other_end(base)
        return connection_tx.MsgConnectionOpenTry(
            client_id=self.client,
            counterparty=connection_counterparty(self.other_client, self.other, PREFIX),
            delay_period=end.delay_period,
            counterparty_versions=end.versions,
            proof_init=base.proof(self.other_path),
            signer=self.signer,
        )

    def _ack(self, base: Ground) -> connection_tx.MsgConnectionOpenAck:
        return connection_tx.MsgConnectionOpenAck(
            connection_id=self.own,
            counterparty_connection_id=self.other,
            version=self._other_end(base).versions[0],
            proof_try=base.proof(self.other_path),
            signer=self.signer,
        )

    def _other_end(self, base: Ground) -> connection.ConnectionEnd:
        end = connection.ConnectionEnd.FromString(base.value(self.other_path))
        if not end.versions:
            raise ToolError(f"connection {self.other}: expected an end with a version, got none")
        return end

    def _add_client_proofs(self, message: _TryOrAck, base: Ground, latest: Height) -> None:
        """The counterparty's client of the host: newer chains ignore it, older ones want it there."""
        client = paths.client_state(self.other_client)
        message.client_state.CopyFrom(Any.FromString(base.value(client)))
        message.proof_client = base.proof(client)
        message.proof_consensus = base.proof(paths.consensus_state(self.other_client, latest))
        message.consensus_height.CopyFrom(height_message(latest))
        message.proof_height.CopyFrom(height_message(base.proof_height))


# Channels


async def connection_channels(chain: Chain, connection_id: str) -> dict[End, channel.IdentifiedChannel]:
    """Channels on a connection by end."""
    found: dict[End, channel.IdentifiedChannel] = {}
    key = b""
    for _ in range(ROUNDS_MAX):
        request = channel_query.QueryConnectionChannelsRequest(
            connection=connection_id, pagination=pagination.PageRequest(key=key, limit=PAGE_LIMIT)
        )
        path = CHANNEL + "ConnectionChannels"
        answer = await chain.query(path, request, channel_query.QueryConnectionChannelsResponse)
        found.update({End(item.port_id, item.channel_id): item for item in answer.channels})
        key = answer.pagination.next_key
        if not key:
            break
    return found


async def find_channel(parties: Parties, connections: Ids, spec: ChannelSpec) -> Ids:
    """The most advanced channel of a spec on a connection; closed ones are not considered."""
    if all(spec.ids):
        return Ids(sides=spec.ids)
    sides = []
    for side in (0, 1):
        known = await connection_channels(parties[side].chain, connections.sides[side])
        sides.append({end: item for end, item in known.items() if _fits(end, item, spec, side)})
    pairs: list[tuple[int, tuple[str, str]]] = []
    for end, item in sides[0].items():
        partners = [
            other
            for other, peer in sides[1].items()
            if _refer((end.channel, item.counterparty.channel_id), (other.channel, peer.counterparty.channel_id))
        ]
        pairs += [(item.state + sides[1][other].state, (end.channel, other.channel)) for other in partners]
        if not partners and item.state == channel.STATE_INIT:
            pairs.append((item.state, (end.channel, "")))
    lone = [other for other, peer in sides[1].items() if peer.state == channel.STATE_INIT]
    pairs += [(0, ("", other.channel)) for other in lone]
    return Ids(sides=max(pairs)[1]) if pairs else Ids()


def _fits(end: End, item: channel.IdentifiedChannel, spec: ChannelSpec, side: int) -> bool:
    ports = (spec.ports[side], spec.ports[1 - side])
    alive = item.state in (channel.STATE_INIT, channel.STATE_TRYOPEN, channel.STATE_OPEN)
    ordering = channel.ORDER_ORDERED if spec.ordered else channel.ORDER_UNORDERED
    return alive and (end.port, item.counterparty.port_id) == ports and item.ordering == ordering


async def open_channels(
    parties: Parties, clients: tuple[str, str], connections: Ids, specs: Sequence[ChannelSpec]
) -> list[Ids]:
    """Open channels in the given order, or finish those that were begun."""
    ids = [await find_channel(parties, connections, spec) for spec in specs]
    for _ in range(ROUNDS_MAX):
        steps = [await _channel_next(parties, spec, known) for spec, known in zip(specs, ids, strict=True)]
        if not any(steps):
            return ids
        side = min(step[1] for step in steps if step is not None)
        turn = [at for at, step in enumerate(steps) if step is not None and step[1] == side]
        works = [_ChannelWork(at=at, kind=_kind(steps[at]), spec=specs[at], ids=ids[at]) for at in turn]
        for at, known in (await _channel_round(_Round(parties, clients, connections, side), works)).items():
            ids[at] = known
    raise ToolError(f"channels {[known.sides for known in ids]}: expected to be open after {ROUNDS_MAX} rounds")


def _kind(step: tuple[str, int] | None) -> str:
    return step[0] if step is not None else ""


async def _channel_next(parties: Parties, spec: ChannelSpec, ids: Ids) -> tuple[str, int] | None:
    states = []
    for side in (0, 1):
        states.append(NONE)
        if ids.sides[side]:
            found = await channel_end(parties[side].chain, End(spec.ports[side], ids.sides[side]))
            states[side] = ChannelState(found.state)
    return next_step((states[0], states[1]), f"channel {ids.sides} on port {spec.ports[0]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChannelWork:
    at: int
    kind: str
    spec: ChannelSpec
    ids: Ids


@dataclass(frozen=True, slots=True)
class _Round:
    parties: Parties
    clients: tuple[str, str]
    connections: Ids
    side: int


async def _channel_round(turn: _Round, works: Sequence[_ChannelWork]) -> dict[int, Ids]:
    """One step of each channel that is due on a side, in one transaction."""
    host, subject = turn.parties[turn.side], turn.parties[1 - turn.side]
    base = Ground(proof_height=host.prover.height(0))
    if needs := [_peer_path(turn, work) for work in works if work.kind != "init"]:
        base = await fresh_ground(host, subject, turn.clients[turn.side], needs)
    built = [_channel_message(turn, work, base) for work in works]
    outcome = await host.chain.submit([*base.updates, *built])
    if not outcome.ok:
        found = {work.at: await find_channel(turn.parties, turn.connections, work.spec) for work in works}
        if any(found[work.at] != work.ids for work in works):
            return found  # somebody else took a step
        raise _refused("channel handshake", host.chain.chain_id, outcome)
    log.info("channel open %s on %s in block %d", works[0].kind, host.chain.chain_id, outcome.height)
    return _with_new_ids(turn.side, works, outcome)


def _with_new_ids(side: int, works: Sequence[_ChannelWork], outcome: TxOutcome) -> dict[int, Ids]:
    made = {}
    making = sorted({work.kind for work in works if work.kind in ("init", "try")})
    fresh = {kind: iter(_event_values(outcome, f"channel_open_{kind}", "channel_id")) for kind in making}
    for work in works:
        new = work.kind in fresh and not work.ids.sides[side]
        made[work.at] = work.ids.with_side(side, next(fresh[work.kind])) if new else work.ids
    return made


def _peer_path(turn: _Round, work: _ChannelWork) -> bytes:
    """Where the counterparty keeps its end."""
    return paths.channel(work.spec.ports[1 - turn.side], work.ids.sides[1 - turn.side])


def _channel_message(turn: _Round, work: _ChannelWork, base: Ground) -> Message:
    port, peer_port = work.spec.ports[turn.side], work.spec.ports[1 - turn.side]
    own, other = work.ids.sides[turn.side], work.ids.sides[1 - turn.side]
    ordering = channel.ORDER_ORDERED if work.spec.ordered else channel.ORDER_UNORDERED
    end = channel.Channel(
        state=channel.STATE_INIT if work.kind == "init" else channel.STATE_TRYOPEN,
        ordering=ordering,
        counterparty=channel.Counterparty(port_id=peer_port, channel_id=other),
        connection_hops=[turn.connections.sides[turn.side]],
        version=work.spec.version,
    )
    signer = turn.parties[turn.side].chain.signer
    if work.kind == "init":
        return channel_tx.MsgChannelOpenInit(port_id=port, channel=end, signer=signer)
    path = _peer_path(turn, work)
    proof, theirs = base.proof(path), channel.Channel.FromString(base.value(path))
    at = height_message(base.proof_height)
    if work.kind == "try":
        return channel_tx.MsgChannelOpenTry(
            port_id=port, channel=end, counterparty_version=theirs.version, proof_init=proof,
            proof_height=at, signer=signer,
        )  # fmt: skip
    if work.kind == "ack":
        return channel_tx.MsgChannelOpenAck(
            port_id=port, channel_id=own, counterparty_channel_id=other, counterparty_version=theirs.version,
            proof_try=proof, proof_height=at, signer=signer,
        )  # fmt: skip
    return channel_tx.MsgChannelOpenConfirm(
        port_id=port, channel_id=own, proof_ack=proof, proof_height=at, signer=signer
    )


# Whole paths


@dataclass(frozen=True, slots=True, kw_only=True)
class PathIds:
    """Everything that names a path, side a first. Channels in the given order, as ends of both sides."""

    chains: tuple[str, str]
    clients: tuple[str, str]
    connections: tuple[str, str]
    channels: tuple[tuple[End, End], ...]
    specs: tuple[ChannelSpec, ...]

    def doc(self) -> dict[str, object]:
        """As testnet.json writes a link."""
        return {"a": self._side(0), "b": self._side(1)}

    def _side(self, side: int) -> dict[str, object]:
        details = {
            ends[side].port: {
                "ordering": "ORDERED" if spec.ordered else "UNORDERED",
                "version": spec.version,
            }
            for ends, spec in zip(self.channels, self.specs, strict=True)
        }
        return {
            "chain_id": self.chains[side],
            "client_id": self.clients[side],
            "connection_id": self.connections[side],
            "channels": {ends[side].port: ends[side].channel for ends in self.channels},
            "channel_details": details,
        }


async def create_path(
    a: Party,
    b: Party,
    channels: Sequence[ChannelSpec],
    clients: tuple[str, str] = ("", ""),
    connections: tuple[str, str] = ("", ""),
) -> PathIds:
    """Make what is missing of a path: clients and connection (unless given), channels."""
    parties = (a, b)
    made = await asyncio.gather(_client(a, b, clients[0]), _client(b, a, clients[1]))
    known = Ids(sides=connections) if all(connections) else await open_connection(parties, (made[0], made[1]))
    opened = await open_channels(parties, (made[0], made[1]), known, channels)
    ends = tuple(
        (End(spec.ports[0], ids.sides[0]), End(spec.ports[1], ids.sides[1]))
        for spec, ids in zip(channels, opened, strict=True)
    )
    return PathIds(
        chains=(a.chain.chain_id, b.chain.chain_id),
        clients=(made[0], made[1]),
        connections=known.sides,
        channels=ends,
        specs=tuple(channels),
    )


async def _client(host: Party, subject: Party, known: str) -> str:
    if known:
        return known
    made = await create_client(host, subject)
    log.info("client %s of %s created on %s", made, subject.chain.chain_id, host.chain.chain_id)
    return made


def _event_values(outcome: TxOutcome, kind: str, key: str) -> list[str]:
    found = [dict(item.attributes).get(key, "") for item in outcome.events if item.type == kind]
    if not found or not all(found):
        raise ToolError(f"transaction {outcome.tx_hash}: expected {kind} events with {key}, got {found}")
    return found


def _refused(what: str, chain_id: str, outcome: TxOutcome) -> ToolError:
    return ToolError(f"{what} on {chain_id}: expected code 0, got {outcome.codespace}/{outcome.code}: {outcome.log}")
