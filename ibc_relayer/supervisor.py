"""All paths of a configuration, for as long as the process lives: connects, finds or makes paths, runs workers."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from cosmos_wire.errors import ToolError
from ibc_relayer.batch import Limits
from ibc_relayer.chain import Party
from ibc_relayer.config import PathConfig, RelayerConfig
from ibc_relayer.connect import CONNECTIONS, Connection
from ibc_relayer.discover import find_path, path_of_channel, unused_client
from ibc_relayer.handshake import PathIds, create_path
from ibc_relayer.metrics import Metrics, serve
from ibc_relayer.v2 import path as v2
from ibc_relayer.worker import PathSpec, PathWorker

log = logging.getLogger("ibc_relayer")

RETRY_S, RETRY_S_MAX = 1.0, 15.0


class Parties:
    """Connected chains of a configuration; one client and one lane a chain, shared by all paths."""

    def __init__(self, config: RelayerConfig) -> None:
        self.config = config
        self.connections: dict[str, Connection] = {}
        self.limits: dict[str, Limits] = {}
        self._known: dict[str, Party] = {}
        self._making = asyncio.Lock()

    async def party(self, chain_id: str) -> Party:
        """A chain, connected at first use; raises NodeError while its node does not answer."""
        async with self._making:
            if chain_id not in self.connections:
                config = self.config.chain(chain_id)
                self.connections[chain_id] = CONNECTIONS[config.kind](config)
            connection = self.connections[chain_id]
            await connection.client.connect()
            if chain_id not in self._known:
                self._known[chain_id], self.limits[chain_id] = await connection.party()
            return self._known[chain_id]

    async def close(self) -> None:
        """Close every connection."""
        for connection in self.connections.values():
            await connection.client.close()


async def resolve(parties: tuple[Party, Party], path: PathConfig) -> PathIds:
    """The path's identifiers: as written, or found on the chains and made where missing."""
    if path.version == 2:
        return await v2.resolve(parties, path.clients, create=path.create)
    if path.complete:
        return _written(path)
    by_id = next((item for item in path.channels if all(item.ids)), None)
    if by_id is not None:
        found = await path_of_channel(parties, by_id.ends)
        log.info("path %s: clients %s lie under %s", path.name, found.clients, by_id.ends[0])
        path = replace(path, clients=found.clients, connections=found.connections)
        if path.complete:
            return _written(path)
    elif not all(path.clients):
        existing = await find_path(parties, path.clients)
        if existing is not None:
            log.info("path %s: found clients %s", path.name, existing.clients)
            path = replace(path, clients=existing.clients)
        else:
            path = replace(path, clients=await _unused(parties, path.clients))
    specs = tuple(replace(item.spec, ids=item.ids) for item in path.channels)
    return await create_path(*parties, specs, path.clients, path.connections)


async def _unused(parties: tuple[Party, Party], clients: tuple[str, str]) -> tuple[str, str]:
    """The given ids, and an unused client where none is given."""
    first = clients[0] or await unused_client(*parties)
    return first, clients[1] or await unused_client(parties[1], parties[0])


def _written(path: PathConfig) -> PathIds:
    return PathIds(
        chains=path.chains,
        clients=path.clients,
        connections=path.connections,
        channels=tuple(item.ends for item in path.channels),
        specs=tuple(item.spec for item in path.channels),
    )


def path_spec(parties: Parties, path: PathConfig, ids: PathIds) -> PathSpec:
    """What a worker is told; both chains are connected."""
    return PathSpec(
        name=path.name,
        clients=ids.clients,
        channels=ids.channels,
        packets=path.packets,
        limits=(parties.limits[path.chains[0]], parties.limits[path.chains[1]]),
        clear_interval_s=parties.config.clear_interval_s,
    )


class Supervisor:
    """Runs every path of a configuration until cancelled; a path that can't start is tried again."""

    def __init__(self, config: RelayerConfig) -> None:
        if not config.paths:
            raise ToolError("relayer configuration: expected at least one [[path]], got none")
        self.config = config
        self.metrics = Metrics()
        self.parties = Parties(config)
        self.metrics_url = ""

    async def run(self) -> None:
        """Until cancelled; then everything is closed."""
        runner = None
        if self.config.metrics:
            host, _, port = self.config.metrics.rpartition(":")
            runner, bound = await serve(self.metrics, host, int(port))
            self.metrics_url = f"http://{host}:{bound}/metrics"
            log.info("metrics at %s", self.metrics_url)
        try:
            async with asyncio.TaskGroup() as group:
                for path in self.config.paths:
                    group.create_task(self._path(path))
        finally:
            if runner is not None:
                await runner.cleanup()
            await self.parties.close()

    async def _path(self, path: PathConfig) -> None:
        worker = await self._started(path)
        await worker.run()

    async def _started(self, path: PathConfig) -> PathWorker:
        wait_s = RETRY_S
        while True:
            try:
                both = (await self.parties.party(path.chains[0]), await self.parties.party(path.chains[1]))
                ids = await resolve(both, path)
                log.info("path %s: clients %s, channels %s", path.name, ids.clients, _names(ids))
                return PathWorker(both, path_spec(self.parties, path, ids), self.metrics)
            except ToolError as error:
                self.metrics.errors.labels(path.name).inc()
                log.warning("path %s: %s; again in %.0f s", path.name, error, wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_S_MAX)


def _names(ids: PathIds) -> str:
    return ", ".join(f"{one} - {other}" for one, other in ids.channels)
