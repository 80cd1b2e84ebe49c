"""The chains of a topology, of any kind: their files, their processes, and when they work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.network import build
from processes.files import ProcessSpec
from testnet import fabric, nodes
from testnet.fabric import MadeFabric
from testnet.files import Home
from testnet.nodes import MadeChain
from testnet.ready import applications_listen
from testnet.topology import FABRIC, Topology

Made = MadeChain | MadeFabric
Say = Callable[[str], None]


def make_chains(home: Home, topology: Topology, start_ms: int) -> list[Made]:
    """Write everything that the chains need; ports are leased to the home. Raises ToolError that names the chain."""
    return [_make_chain(home, topology, number, start_ms) for number in range(len(topology.chains))]


def _make_chain(home: Home, topology: Topology, number: int, start_ms: int) -> Made:
    chain = topology.chains[number]
    try:
        return (fabric.make_chain if chain.on_fabric else nodes.make_chain)(home, topology, number, start_ms)
    except (ChainError, ToolError) as error:  # genesis says which parameter, not whose
        raise ToolError(f"chain {chain.id}: {error}") from error


def of_comet(made: Sequence[Made]) -> list[MadeChain]:
    """Those on CometBFT."""
    return [item for item in made if isinstance(item, MadeChain)]


def of_fabric(made: Sequence[Made]) -> list[MadeFabric]:
    """Those on Fabric."""
    return [item for item in made if isinstance(item, MadeFabric)]


def build_tools(topology: Topology, say: Say) -> None:
    """Fabric's programs, where a chain needs them: minutes, once on a machine."""
    if any(chain.kind == FABRIC for chain in topology.chains):
        build.ensure(say)


def first_specs(made: Sequence[Made], say: Say) -> list[ProcessSpec]:
    """Processes that others dial at their start: applications and ledgers."""
    applications = [spec for spec in nodes.all_specs(of_comet(made)) if is_first(spec)]
    return [*applications, *(spec for item in of_fabric(made) for spec in fabric.ledger_specs(item, say))]


def later_specs(made: Sequence[Made]) -> list[ProcessSpec]:
    """Consensus, query processes and fronts."""
    rest = [spec for spec in nodes.all_specs(of_comet(made)) if not is_first(spec)]
    fronts = [fabric.front_specs(item, number) for number, item in enumerate(of_fabric(made))]
    return [*rest, *(spec for specs in fronts for spec in specs)]


def is_first(spec: ProcessSpec) -> bool:
    """Whether a process is started before those that dial it."""
    return spec.name.partition("/")[2] not in {"cometbft", "query", "front", "relayer"}


async def first_listen(made: Sequence[Made]) -> None:
    """Wait until applications and ledgers take connections."""
    comet = [node for item in of_comet(made) for node in item.nodes]
    await asyncio.gather(applications_listen(comet), *(fabric.ledger_listens(item) for item in of_fabric(made)))


async def begin(home: Home, made: Sequence[Made]) -> None:
    """Genesis, where it is a transaction."""
    await asyncio.gather(*(fabric.begin(home, item) for item in of_fabric(made)))
