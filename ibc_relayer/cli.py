"""What `bsmg relayer ...` and `python -m ibc_relayer` call: async functions that return plain values to print."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from cosmos_wire.errors import ToolError
from ibc_relayer.book import Flow
from ibc_relayer.chain import Party
from ibc_relayer.clients import client_info, client_status
from ibc_relayer.config import PathConfig, RelayerConfig, load_config
from ibc_relayer.events import Acked, Sent, facts
from ibc_relayer.handshake import PathIds
from ibc_relayer.metrics import Metrics
from ibc_relayer.plan import ChannelState, End
from ibc_relayer.snapshot import channel_end, snapshot
from ibc_relayer.supervisor import Parties, Supervisor, path_spec, resolve
from ibc_relayer.worker import ORDERED, PathWorker

Doc = dict[str, object]
CLEAR_TURNS_MAX = 10_000
STATUS_TIMEOUT_S = 5.0
ENDING = (signal.SIGTERM, signal.SIGINT)


def set_up_logging() -> None:
    """One line an event, to standard output."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("grpc").setLevel(logging.CRITICAL)


async def start(config_path: Path) -> None:
    """Relay until SIGTERM or SIGINT."""
    supervisor = Supervisor(load_config(config_path))
    stop = _told_to_stop()
    running, stopped = asyncio.create_task(supervisor.run()), asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running.done():
        await running  # it never ends by itself but with an error
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    logging.getLogger("ibc_relayer").info("stopped")


def _told_to_stop() -> asyncio.Event:
    """Set by the first signal; from then on they are ignored: none interrupts the closing of connections.

    A loop's own handlers would be gone, and a second signal deadly, between the loop's end and that of the process.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def told(*_: object) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        loop.call_soon_threadsafe(stop.set)

    for number in ENDING:
        signal.signal(number, told)
    return stop


@asynccontextmanager
async def opened(config: RelayerConfig) -> AsyncIterator[Parties]:
    """Connected chains for one command."""
    parties = Parties(config)
    try:
        yield parties
    finally:
        await parties.close()


async def both(parties: Parties, path: PathConfig) -> tuple[Party, Party]:
    """The two sides of a path."""
    return await parties.party(path.chains[0]), await parties.party(path.chains[1])


async def path_create(config_path: Path) -> list[Doc]:
    """`path create`: make what is missing of every path; one document a path, as a link of testnet.json."""
    config = load_config(config_path)
    async with opened(config) as parties:
        return [(await resolve(await both(parties, path), path)).doc() for path in config.paths]


async def path_pending(config_path: Path) -> list[Doc]:
    """`path pending`: what is committed and not finished, by channel and direction."""
    config = load_config(config_path)
    made: list[Doc] = []
    async with opened(config) as parties:
        for path in config.paths:
            sides = await both(parties, path)
            ids = await resolve(sides, path)
            for ends in ids.channels:
                made += [await _pending(sides, ends, source) for source in (0, 1)]
    return made


async def _pending(sides: tuple[Party, Party], ends: tuple[End, End], source: int) -> Doc:
    sender, receiver = sides[source].chain, sides[1 - source].chain
    end = await channel_end(sender, ends[source])
    provers = (sides[source].prover, sides[1 - source].prover)
    heights = ((await sender.head()).height - provers[0].lag, (await receiver.head()).height - provers[1].lag)
    flow = Flow(source=ends[source], destination=ends[1 - source])
    found = await snapshot((sender, receiver), flow, heights, ordered=end.ordering == ORDERED)
    return {
        "chain": sender.chain_id,
        "channel": str(ends[source]),
        "state": ChannelState(end.state).name if end.state <= ChannelState.CLOSED else "OPEN",
        "unreceived": sorted(found.committed - found.received),
        "unacknowledged": sorted(found.acked),
    }


async def path_clear(config_path: Path) -> Doc:
    """`path clear`: relay what is pending now and return when nothing more can be done."""
    config = load_config(config_path)
    started = 0
    async with opened(config) as parties:
        for path in config.paths:
            sides = await both(parties, path)
            worker = PathWorker(sides, path_spec(parties, path, await resolve(sides, path)), Metrics())
            started += await clear(worker)
    return {"steps": started}


async def clear(worker: PathWorker) -> int:
    """Turns until one finds nothing to start and nothing runs."""
    total = 0
    for _ in range(CLEAR_TURNS_MAX):
        started = await worker.turn()
        total += started
        if not started and not worker.busy():
            return total
        await worker.settled()
        await worker.caught_up()
    raise ToolError(f"path {worker.spec.name}: expected nothing pending after {CLEAR_TURNS_MAX} turns")


async def path_trace(config_path: Path, source_chain: str, end: End, sequence: int) -> list[Doc]:
    """`path trace`: what both chains' events say of one packet."""
    config = load_config(config_path)
    made: list[Doc] = []
    async with opened(config) as parties:
        for path in config.paths:
            if source_chain in path.chains:
                sides = await both(parties, path)
                side = path.chains.index(source_chain)
                made += await _trace((sides[side], sides[1 - side]), end, sequence)
    return made


async def _trace(sides: tuple[Party, Party], end: End, sequence: int) -> list[Doc]:
    made: list[Doc] = []
    sent = await sides[0].chain.search("send_packet", end, (sequence, sequence))
    for fact in facts(sent):
        if isinstance(fact, Sent):
            packet = fact.packet
            made.append({"event": "send_packet", "chain": sides[0].chain.chain_id, "packet": str(packet)})
            answers = await sides[1].chain.search("write_acknowledgement", packet.destination, (sequence, sequence))
            acks = [item.ack.hex() for item in facts(answers) if isinstance(item, Acked)]
            made += [{"event": "write_acknowledgement", "chain": sides[1].chain.chain_id, "ack": a} for a in acks]
    return made


async def path_status(config_path: Path) -> list[Doc]:
    """`status`: clients, channels and balances of every path, from the chains alone."""
    config = load_config(config_path)
    made: list[Doc] = []
    async with opened(config) as parties:
        for path in config.paths:
            sides = await both(parties, path)
            ids = await resolve(sides, path)
            made += [await _side_status(sides, ids, side) for side in (0, 1)]
    return made


async def _side_status(sides: tuple[Party, Party], ids: PathIds, side: int) -> Doc:
    chain = sides[side].chain
    info = await client_info(chain, ids.clients[side])
    states = {str(ends[side]): ChannelState((await channel_end(chain, ends[side])).state).name for ends in ids.channels}
    return {
        "chain": chain.chain_id,
        "height": (await chain.head()).height,
        "client": ids.clients[side],
        "client_status": await client_status(chain, ids.clients[side]),
        "client_height": str(info.latest),
        "channels": states,
        "signer": chain.signer,
        "balance": await chain.spendable(),
    }


async def metrics_text(url: str) -> str:
    """The metrics of a running relayer."""
    try:
        limit = aiohttp.ClientTimeout(total=STATUS_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as answer:
            return await answer.text()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ToolError(f"metrics at {url}: expected a running relayer, got {error or type(error).__name__}") from error


def main(arguments: Sequence[str]) -> int:
    """`python -m ibc_relayer --config FILE`."""
    if len(arguments) != 2 or arguments[0] != "--config":
        sys.stderr.write("usage: python -m ibc_relayer --config FILE\n")
        return 2
    set_up_logging()
    try:
        asyncio.run(start(Path(arguments[1])))
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
