"""Finding a path that exists already, so that a relayer that makes what is missing makes it only once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bsmg.client.errors import BadAnswer, NodeError, QueryNotFound, QueryRefused, RpcRefused
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel, client_query, pagination
from ibc_relayer.chain import Chain, Party
from ibc_relayer.client_types import CLIENT_TYPES, read_client_state
from ibc_relayer.clients import CLIENT, client_info, client_status, consensus_state
from ibc_relayer.handshake import Parties, client_connections, connection_end
from ibc_relayer.plan import ChannelState, End
from ibc_relayer.snapshot import channel_end
from ibc_relayer.v2.queries import named

log = logging.getLogger("ibc_relayer")

PAGE_LIMIT = 200
PAGES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A pair of clients that follow each other's chains, joined by a connection."""

    clients: tuple[str, str]
    connections: tuple[str, str]


async def clients_of(host: Chain, chain_id: str) -> list[str]:
    """Clients on the host that follow a chain id, in the order of the host's answer."""
    found: list[str] = []
    key = b""
    for _ in range(PAGES_MAX):
        request = client_query.QueryClientStatesRequest(pagination=pagination.PageRequest(key=key, limit=PAGE_LIMIT))
        answer = await host.query(CLIENT + "ClientStates", request, client_query.QueryClientStatesResponse)
        for item in answer.client_states:
            if item.client_state.type_url not in CLIENT_TYPES:
                continue
            if read_client_state(item.client_id, item.client_state).chain_id == chain_id:
                found.append(item.client_id)
        key = answer.pagination.next_key
        if not key:
            return found
    raise ToolError(f"clients on {host.chain_id}: expected at most {PAGES_MAX} pages, got more")


async def genuine(host: Party, subject: Party, client_id: str) -> bool:
    """Whether an active client follows the very chain that we see, not another one with the same id."""
    if await client_status(host.chain, client_id) != "Active":
        return False
    info = await client_info(host.chain, client_id)
    newest = await consensus_state(host.chain, client_id, info.latest)
    try:
        return await subject.prover.is_genuine(info, newest)
    except ToolError as error:
        if isinstance(error, NodeError) and not isinstance(error, RpcRefused | BadAnswer):
            raise  # to be asked again: that a node is away says nothing of the client
        log.warning("client %s on %s: cannot be compared: %s", client_id, host.chain.chain_id, error)
        return False


async def find_path(parties: Parties, wanted: tuple[str, str] = ("", "")) -> Found | None:
    """An existing pair of genuine clients with a connection between them; an open one first, and the oldest.

    `wanted`: client ids that are fixed.
    """
    candidates: list[tuple[int, Found]] = []
    for client_id in await clients_of(parties[0].chain, parties[1].chain.chain_id):
        for name, end in (await client_connections(parties[0].chain, client_id)).items():
            clients = (client_id, end.counterparty.client_id)
            if any(one not in ("", other) for one, other in zip(wanted, clients, strict=True)):
                continue
            found = Found(clients=clients, connections=(name, end.counterparty.connection_id))
            if await _both_genuine(parties, clients):
                candidates.append((int(end.state), found))
    best = max((state for state, _ in candidates), default=ChannelState.NONE)
    chosen = [found for state, found in candidates if state == best]
    return min(chosen, key=lambda found: _age(parties, found)) if chosen else None


def _age(parties: Parties, found: Found) -> list[tuple[str, int, str]]:
    """Orders paths by their age, the same for a relayer that names the two chains the other way about."""
    sides = zip(parties, found.connections, strict=True)
    return sorted((party.chain.chain_id, len(name), name) for party, name in sides)


async def _both_genuine(parties: Parties, clients: tuple[str, str]) -> bool:
    try:
        known = (await client_info(parties[1].chain, clients[1])).chain_id
    except QueryRefused:
        return False
    if known != parties[0].chain.chain_id:
        return False
    first = await genuine(parties[0], parties[1], clients[0])
    return first and await genuine(parties[1], parties[0], clients[1])


async def unused_client(host: Party, subject: Party) -> str:
    """A client like one that we would make and that serves nothing yet: what a relayer that was stopped left behind.

    Without it each new try would leave one more. Empty when there is none.
    """
    for client_id in reversed(await clients_of(host.chain, subject.chain.chain_id)):
        if await client_connections(host.chain, client_id) or await _serves_v2(host.chain, client_id):
            continue
        if not await genuine(host, subject, client_id):
            continue
        if await subject.prover.is_own_form(await client_info(host.chain, client_id)):
            log.info("client %s of %s on %s is unused", client_id, subject.chain.chain_id, host.chain.chain_id)
            return client_id
    return ""


async def _serves_v2(chain: Chain, client_id: str) -> bool:
    try:
        return bool(await named(chain, client_id))
    except QueryRefused:
        return False  # a chain without v2
    except ToolError:
        return True  # registered with a prefix that is not ours


async def path_of_channel(parties: Parties, ends: tuple[End, End]) -> Found:
    """Clients and connections under a channel that is known by its two ends, whoever made it."""
    found = [await _under(party.chain, end) for party, end in zip(parties, ends, strict=True)]
    for side, (_, _, item) in enumerate(found):
        named = End(item.counterparty.port_id, item.counterparty.channel_id)
        if item.counterparty.channel_id and named != ends[1 - side]:
            where = f"channel {ends[side]} on {parties[side].chain.chain_id}"
            raise ToolError(f"{where}: expected counterparty {ends[1 - side]}, got {named}")
    return Found(clients=(found[0][0], found[1][0]), connections=(found[0][1], found[1][1]))


async def _under(chain: Chain, end: End) -> tuple[str, str, channel.Channel]:
    """(client, connection, channel) of an end."""
    where = f"channel {end} on {chain.chain_id}"
    try:
        item = await channel_end(chain, end)
    except QueryNotFound as error:
        raise ToolError(f"{where}: expected to exist: {error}") from error
    name = item.connection_hops[0] if item.connection_hops else ""
    below = await connection_end(chain, name)
    if below is None:
        raise ToolError(f"{where}: expected a connection under it, got {name!r}")
    return below.client_id, name, item
