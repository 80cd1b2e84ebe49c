"""From a topology to files: ports, keys, genesis and configuration of every node, and the processes to run."""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos_wire.errors import ToolError
from processes import ports
from processes.files import ProcessSpec, write_json
from testnet.config import Node, app_config, comet_config
from testnet.files import Home
from testnet.genesis import CELL, Cell, ChainPlan, base_accounts, cell_specs, genesis_doc
from testnet.keys import (
    Account,
    Ed25519,
    new_account,
    new_ed25519,
    write_account,
    write_device,
    write_secret,
    write_validator_files,
)
from testnet.topology import Chain, Topology
from utility_cell.fleet import DEFAULT_FLEETS, load_fleet

SERVICES = ("rpc", "p2p", "metrics", "grpc", "rest")
COMETBFT = Path(__file__).resolve().parent.parent / ".tools" / "bin" / "cometbft"
RELAYER_ROUND, COMETBFT_ROUND, APP_ROUND = 0, 1, 2
NewAccount = Callable[[str, int, str, str], Account]  # name, amount, identity, device
HASH_SEED_STEP = 7919  # a prime: no two Python processes of a testnet share a hash seed


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeChain:
    """A chain whose files are written."""

    plan: ChainPlan
    nodes: tuple[Node, ...]
    fleet: str

    @property
    def chain(self) -> Chain:
        """Its part of the topology."""
        return self.plan.chain


def fleet_of(topology: Topology, number: int) -> str:
    """Profile of a chain by its place: the topology's word or its feeder's fleet, else two small ones take turns.

    The main grid has none.
    """
    if topology.chains[number].is_grid:
        return ""
    return topology.chains[number].profile or DEFAULT_FLEETS[number % len(DEFAULT_FLEETS)]


def make_chain(home: Home, topology: Topology, number: int, start_ms: int) -> MadeChain:
    """Write everything that a CometBFT chain needs; ports are leased to the home."""
    chain, fleet = topology.chains[number], fleet_of(topology, number)
    nodes = tuple(_node(home, chain, index) for index in range(chain.validators))
    plan = plan_chain(chain, fleet, topology.relayer.count, start_ms)
    write_keys(home.keys(chain.id), plan)
    write_json(home.genesis(chain.id), genesis_doc(plan))
    _write_nodes(home, nodes, plan.validators)
    return MadeChain(plan=plan, nodes=nodes, fleet=fleet)


def plan_chain(
    chain: Chain, fleet: str, relayers: int, start_ms: int, new_account: NewAccount = new_account
) -> ChainPlan:
    """Fresh keys and accounts for a chain."""
    cells = []
    titles = {"utility-cell": f"dno@{chain.name}"} if chain.is_grid else {}
    named = [new_account(name, amount, titles.get(name, ""), "") for name, amount in base_accounts(relayers)]
    for spec in cell_specs(chain, load_fleet(fleet)) if fleet else ():
        identity, device = f"{spec.name}@{chain.name}", f"{spec.name}-meter@{chain.name}"
        account = new_account(spec.name, CELL, identity, device)
        cells.append(Cell(spec=spec, account=account, meter=new_ed25519()))
    validators = 0 if chain.on_fabric else chain.validators
    return ChainPlan(
        chain=chain,
        start_ms=start_ms,
        validators=tuple((f"{chain.id}-{n}", new_ed25519()) for n in range(validators)),
        accounts=(*named, *(cell.account for cell in cells)),
        cells=tuple(cells),
    )


def _node(home: Home, chain: Chain, index: int) -> Node:
    host = _address(chain.hosts[index % len(chain.hosts)])
    leased = ports.lease(home.path, len(SERVICES), host)
    path = home.node(f"{chain.id}-{index}")
    return Node(chain=chain, index=index, home=path, host=host, ports=dict(zip(SERVICES, leased, strict=True)))


def _address(host: str) -> str:
    """`local` is loopback; anything else has to be an address of this machine."""
    if host == "local":
        return ports.LOOPBACK
    try:
        address = str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise ToolError(f"hosts: expected 'local' or an IPv4 address of this machine, got {host!r}") from error
    if not ports.is_free(0, address):  # port 0: the kernel finds one, unless the address is not ours
        raise ToolError(f"hosts: expected an IPv4 address of this machine, got {host!r}")
    return address


def write_keys(folder: Path, plan: ChainPlan) -> None:
    """Key files of accounts that have words, and of the meters."""
    folder.mkdir(parents=True, exist_ok=True)
    for account in plan.accounts:
        if account.mnemonic:
            write_account(folder, account)
    for cell in plan.cells:
        write_device(folder, cell.account.device, cell.meter)


def _write_nodes(home: Home, nodes: Sequence[Node], validators: Sequence[tuple[str, Ed25519]]) -> None:
    node_keys = [new_ed25519() for _ in nodes]
    peers = [f"{key.address.hex()}@{node.at('p2p')}" for key, node in zip(node_keys, nodes, strict=True)]
    for node, key, (_, validator) in zip(nodes, node_keys, validators, strict=True):
        for folder in ("config", "data", "logs"):
            (node.home / folder).mkdir(parents=True, exist_ok=True)
        node.socket("abci").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = [peer for peer in peers if not peer.endswith(f"@{node.at('p2p')}")]
        write_validator_files(node.home, validator, key)
        write_config(node, ",".join(others))
        genesis = node.home / "config" / "genesis.json"
        genesis.write_bytes(home.genesis(node.chain.id).read_bytes())


def write_config(node: Node, peers: str) -> None:
    """Both configuration files of a node."""
    (node.home / "config" / "config.toml").write_text(comet_config(node, peers), encoding="utf-8")
    (node.home / "config" / "app.toml").write_text(app_config(node), encoding="utf-8")


def node_specs(node: Node, seed: int) -> list[ProcessSpec]:
    """The three processes of a node; `seed` makes its hash seeds differ from every other node's."""
    home = str(node.home)
    app = [sys.executable, "-m", "abci_app.node", "--home", home, "--query-socket", str(node.socket("query"))]
    query = ["--grpc", node.at("grpc"), "--rest", node.at("rest"), "--rpc", f"http://{node.at('rpc')}"]
    commands = {
        "app": ([*app, "--role", "app", "--abci", node.abci], APP_ROUND),
        "query": ([*app, "--role", "query", *query], APP_ROUND),
        "cometbft": ([str(COMETBFT), "start", "--home", home], COMETBFT_ROUND),
    }
    return [
        ProcessSpec(
            name=f"{node.moniker}/{role}",
            argv=tuple(argv),
            env=hash_seed(2 * seed + number),
            log=str(node.home / "logs" / f"{role}.log"),
            stop_round=round_,
        )
        for number, (role, (argv, round_)) in enumerate(commands.items())
    ]


def hash_seed(number: int) -> tuple[tuple[str, str], ...]:
    """A hash seed of its own for each process: an order that depends on it must not reach state."""
    return (("PYTHONHASHSEED", str(1 + number * HASH_SEED_STEP % 4_294_967_291)),)


def all_specs(chains: Sequence[MadeChain]) -> list[ProcessSpec]:
    """Processes of CometBFT chains, applications first: CometBFT tries again only after three seconds."""
    nodes = [node for made in chains for node in made.nodes]
    specs = [spec for number, node in enumerate(nodes) for spec in node_specs(node, number)]
    order = ("app", "cometbft", "query")
    return sorted(specs, key=lambda spec: order.index(spec.name.partition("/")[2]))


def write_secret_json(path: Path, doc: object) -> None:
    """JSON that holds mnemonics, readable by its owner only."""
    write_secret(path, json.dumps(doc, indent=1) + "\n")
