"""A v2 path: two clients that name each other. Found on the chains, finished where somebody stopped, or made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import client_v2_tx
from ibc_relayer.chain import Chain
from ibc_relayer.clients import client_info, create_client
from ibc_relayer.discover import clients_of, genuine
from ibc_relayer.handshake import Parties, PathIds, client_connections
from ibc_relayer.v2.packet import client_end
from ibc_relayer.v2.queries import PREFIX, ForeignPrefixError, created_by_us, may_relay, named, require_v2

log = logging.getLogger("ibc_relayer")

R = TypeVar("R")
FREE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPath(PathIds):
    """The identifiers of a v2 path: clients alone."""

    def doc(self) -> dict[str, object]:
        """As testnet.json writes a link; `channels` is empty, packets go by the clients' names."""
        sides = (
            {"chain_id": chain_id, "client_id": client_id, "ibc_version": 2, "channels": {}}
            for chain_id, client_id in zip(self.chains, self.clients, strict=True)
        )
        return dict(zip(("a", "b"), sides, strict=True))


async def resolve(parties: Parties, clients: tuple[str, str], *, create: bool) -> ClientPath:
    """The path between clients as written; with `create`, what is missing is found or made."""
    await _both(require_v2(parties[0].chain), require_v2(parties[1].chain))
    if create:
        if not all(clients):
            clients = await find(parties, clients) or await _create(parties, clients)
        await _both(_register(parties, clients, 0), _register(parties, clients, 1))
    else:
        await _both(_require_registered(parties, clients, 0), _require_registered(parties, clients, 1))
    for party, client_id in zip(parties, clients, strict=True):
        if not await may_relay(party.chain, client_id):
            where = f"client {client_id} on {party.chain.chain_id}"
            raise ToolError(f"{where}: expected {party.chain.signer} among its allowed relayers, got others")
    return client_path((parties[0].chain.chain_id, parties[1].chain.chain_id), clients)


def client_path(chains: tuple[str, str], clients: tuple[str, str]) -> ClientPath:
    """The path of two clients that are known to name each other."""
    ends = (client_end(clients[0]), client_end(clients[1]))
    return ClientPath(chains=chains, clients=clients, connections=("", ""), channels=(ends,), specs=())


async def find(parties: Parties, wanted: tuple[str, str] = ("", "")) -> tuple[str, str] | None:
    """A genuine pair: registered with each other, else one that only we can finish. `wanted`: ids that are fixed."""
    known = [await _candidates(parties, wanted[side], side) for side in (0, 1)]
    ranked = []
    for mine, theirs in product(known[0].items(), known[1].items()):
        pair = (mine[0], theirs[0])
        if mine[1] in (FREE, pair[1]) and theirs[1] in (FREE, pair[0]):
            ranked.append(((mine[1] == FREE) + (theirs[1] == FREE), pair))
    for missing, pair in sorted(ranked, key=lambda item: item[0]):
        if await genuine(parties[0], parties[1], pair[0]) and await genuine(parties[1], parties[0], pair[1]):
            log.info("found clients %s of a v2 path, %d of 2 registered", pair, 2 - missing)
            return pair
    return None


async def _candidates(parties: Parties, wanted: str, side: int) -> dict[str, str]:
    """Clients of the other chain with the client that they name; FREE: none, and it is ours to register."""
    chain, other = parties[side].chain, parties[1 - side].chain
    found: dict[str, str] = {}
    for client_id in [wanted] if wanted else await clients_of(chain, other.chain_id):
        try:
            name = await named(chain, client_id)
        except ForeignPrefixError as error:
            log.warning("%s", error)
            continue
        if name or await _finishable(chain, client_id):
            found[client_id] = name
    return found


async def _finishable(chain: Chain, client_id: str) -> bool:
    """Whether an unregistered client is left over from a path that we began; one with connections serves v1."""
    return await created_by_us(chain, client_id) and not await client_connections(chain, client_id)


async def _create(parties: Parties, clients: tuple[str, str]) -> tuple[str, str]:
    """Clients where none is given; a given one has to be ours to register, else each try would leave one behind."""
    for party, known in zip(parties, clients, strict=True):
        if known:
            await _require_free(party.chain, known)

    async def one(side: int) -> str:
        host, subject = parties[side], parties[1 - side]
        made = clients[side] or await _leftover(parties, side) or await create_client(host, subject)
        log.info("client %s of %s on %s", made, subject.chain.chain_id, host.chain.chain_id)
        return made

    first, second = await _both(one(0), one(1))
    return first, second


async def _leftover(parties: Parties, side: int) -> str:
    """A client that an earlier try made before it broke off, empty when there is none."""
    for client_id, name in (await _candidates(parties, "", side)).items():
        if name == FREE and await genuine(parties[side], parties[1 - side], client_id):
            return client_id
    return ""


async def _both(one: Awaitable[R], other: Awaitable[R]) -> tuple[R, R]:
    """Both results; when one fails, not before the other has ended: what it sent must not surprise the next try."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


async def _require_free(chain: Chain, client_id: str) -> None:
    where = f"client {client_id} on {chain.chain_id}"
    if name := await named(chain, client_id):
        raise ToolError(f"{where}: expected its counterparty {name} to be usable, got one that is not")
    if not await created_by_us(chain, client_id):
        raise ToolError(f"{where}: expected a registered client, or one that {chain.signer} created, got neither")


async def _register(parties: Parties, clients: tuple[str, str], side: int) -> None:
    """Name the counterparty, unless that was done; raises ToolError when it is another one."""
    chain, mine, theirs = parties[side].chain, clients[side], clients[1 - side]
    if await _is_registered(chain, mine, theirs):
        return
    await client_info(chain, mine)  # raises where there is no such client
    message = client_v2_tx.MsgRegisterCounterparty(
        client_id=mine, counterparty_merkle_prefix=PREFIX, counterparty_client_id=theirs, signer=chain.signer
    )
    outcome = await chain.submit([message])
    if not outcome.ok and not await _is_registered(chain, mine, theirs):
        got = f"{outcome.codespace}/{outcome.code}: {outcome.log}"
        raise ToolError(f"counterparty of {mine} on {chain.chain_id}: expected {theirs} to be registered, got {got}")
    log.info("client %s on %s registered with %s", mine, chain.chain_id, theirs)


async def _require_registered(parties: Parties, clients: tuple[str, str], side: int) -> None:
    chain, mine, theirs = parties[side].chain, clients[side], clients[1 - side]
    if not await _is_registered(chain, mine, theirs):
        raise ToolError(
            f"counterparty of {mine} on {chain.chain_id}: expected {theirs}, got none; create = true registers it"
        )


async def _is_registered(chain: Chain, mine: str, theirs: str) -> bool:
    known = await named(chain, mine)
    if known not in (FREE, theirs):
        raise ToolError(f"counterparty of {mine} on {chain.chain_id}: expected {theirs}, got {known}")
    return known == theirs
