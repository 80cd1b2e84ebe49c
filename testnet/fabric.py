"""A microgrid on Fabric: its network's plan and members, genesis, node fronts, and the processes to run.

The network's folder is `HOME/fabric/CHAIN`, as `bsmg fabric up` would make it; its processes are kept by the testnet's
supervisor. Accounts are members of the organisations, which take turns; keys are P-256, addresses by ADR-028.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any as Json

from google.protobuf import json_format

from cosmos_wire.address import to_bech32
from fabric_adapter.chaincodes import MICROGRID
from fabric_adapter.embedded.serve import load_network
from fabric_adapter.network import admin, document, members
from fabric_adapter.network.crypto import read_pair
from fabric_adapter.network.lifecycle import back_end
from fabric_adapter.network.plan import Batch, Peer, Plan, Wish, make_plan, ports_needed
from fabric_adapter.network.plan import Home as NetworkHome
from fabric_wire import p256
from ibc_core.fabric.membership import Members, write_members
from processes import ports
from processes.files import ProcessSpec, read_json, write_json
from processes.watch import accepts
from testnet.files import Home
from testnet.genesis import ChainPlan, app_state, genesis_time
from testnet.keys import Account
from testnet.nodes import APP_ROUND, COMETBFT_ROUND, fleet_of, hash_seed, plan_chain, write_keys
from testnet.topology import FABRIC, Chain, Topology

SERVICES = ("grpc", "rest")
STANDBY_TICKS = 5  # a front that is not the first writes when so many ticks were missed
BATCH = Batch(timeout_ms=100)  # a Tick and the packets for it pass the orderer well within a tick's interval
FRONT_ROUND, LEDGER_ROUND = COMETBFT_ROUND, APP_ROUND
HASH_SEED_BASE = 1 << 17  # above those of nodes and relayers


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """An organisation's node: its peer's gateway, and where its queries are served."""

    chain: Chain
    peer: Peer
    home: Path
    ports: dict[str, int]  # grpc, rest

    @property
    def moniker(self) -> str:
        """`mgf-1-org1`."""
        return f"{self.chain.id}-{self.peer.org}"

    def at(self, service: str) -> str:
        """`host:port` of a service."""
        return f"{ports.LOOPBACK}:{self.ports[service]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFabric:
    """A chain whose files are written."""

    plan: ChainPlan
    nodes: tuple[Front, ...]
    fleet: str
    home: NetworkHome
    network: Plan

    @property
    def chain(self) -> Chain:
        """Its part of the topology."""
        return self.plan.chain


def make_chain(home: Home, topology: Topology, number: int, start_ms: int) -> MadeFabric:
    """Write everything that a chain on Fabric needs; ports are leased to the testnet."""
    chain, fleet = topology.chains[number], fleet_of(topology, number)
    place = NetworkHome(home.network(chain.id))
    batch = BATCH if chain.kind == FABRIC else None
    wish = Wish(
        kind=chain.kind,
        orgs=chain.organisations,
        factory=MICROGRID,
        endorsement=chain.endorsement,
        batch=batch,
    )
    network = make_plan(wish, ports.lease(home.path, ports_needed(wish)))
    write_json(place.plan, network.doc())
    members.make_all(place, network)
    plan = plan_chain(chain, fleet, topology.relayer.count, start_ms, Enrolment(place, network))
    write_keys(home.keys(chain.id), plan)
    write_json(home.genesis(chain.id), genesis_doc(plan, place, network))
    made = MadeFabric(
        plan=plan,
        nodes=tuple(_front(home, chain, peer) for peer in network.peers),
        fleet=fleet,
        home=place,
        network=network,
    )
    document.write(place, document.made(place, network, ""))
    return made


def _front(home: Home, chain: Chain, peer: Peer) -> Front:
    leased = ports.lease(home.path, len(SERVICES))
    path = home.node(f"{chain.id}-{peer.org}")
    (path / "logs").mkdir(parents=True, exist_ok=True)
    return Front(chain=chain, peer=peer, home=path, ports=dict(zip(SERVICES, leased, strict=True)))


class Enrolment:
    """Accounts as members: each call enrols the next one, with the organisations taking turns."""

    def __init__(self, home: NetworkHome, network: Plan) -> None:
        self.home, self.network, self.count = home, network, 0

    def __call__(self, name: str, amount: int, identity: str, device: str) -> Account:
        """A member with `amount` base units in genesis; a relayer belongs to the organisation whose node it uses."""
        peer = self.network.peers[self._turn(name) % len(self.network.peers)]
        folder = self.home.crypto(peer.org) / "members"
        if not (folder / f"{name}.crt").exists():
            members.add_member(self.home, peer.org, name)
        key = read_pair(folder, name).key
        return Account(
            name=name,
            address=to_bech32(p256.address(p256.public_key(key))),
            amount=amount,
            identity=identity,
            device=device,
            msp_id=peer.msp_id,
            certificate=str(folder / f"{name}.crt"),
            key=str(folder / f"{name}.key"),
        )

    def _turn(self, name: str) -> int:
        kind, _, number = name.rpartition("-")
        if kind == "relayer" and number.isdigit():
            return int(number)
        self.count += 1
        return self.count - 1


def genesis_doc(plan: ChainPlan, home: NetworkHome, network: Plan) -> dict[str, Json]:
    """What the chaincode's `Genesis` takes: a CometBFT chain's document, with a membership in place of validators."""
    return {
        "genesis_time": genesis_time(plan.start_ms),
        "chain_id": plan.chain.id,
        "app_state": app_state(plan),
        "membership": membership_doc(home, network),
    }


def membership_doc(home: NetworkHome, network: Plan) -> dict[str, Json]:
    """Version 1: the organisations' roots and the chaincode's endorsement policy, as protobuf JSON."""
    found = load_network(home, network)
    first = Members(version=1, msps=found.msps, policy=found.policies[network.wish.chaincode])
    return dict(json_format.MessageToDict(write_members(first), preserving_proto_field_name=True))


def ledger_specs(made: MadeFabric, say: Callable[[str], None]) -> list[ProcessSpec]:
    """Processes below the fronts: the embedded ledger, or orderer, peers and chaincode. Builds Fabric where it must."""
    ledger = back_end(made.chain.kind)
    ledger.prepare(say)
    written = ledger.write(made.home, made.network)
    document.write(made.home, document.made(made.home, made.network, written.package_id))
    return [replace(spec, name=process_name(made, spec.name), stop_round=LEDGER_ROUND) for spec in written.specs]


def process_name(made: MadeFabric, name: str) -> str:
    """`peer1` is a process of its organisation's node, the others are nodes of their own."""
    for peer in made.network.peers:
        if name == peer.name:
            return f"{made.chain.id}-{peer.org}/peer"
    return f"{made.chain.id}-{name}/{name}"


def front_specs(made: MadeFabric, seed: int) -> list[ProcessSpec]:
    """The node fronts; the first one writes Ticks, the others stand by."""
    tick_s = made.chain.block_time_ms / 1000
    specs = []
    for number, front in enumerate(made.nodes):
        options = {
            "--fabric": str(made.home.document),
            "--org": front.peer.org,
            "--home": str(front.home),
            "--grpc": front.at("grpc"),
            "--rest": front.at("rest"),
            "--tick-s": str(tick_s),
            "--writer-delay": str(number * STANDBY_TICKS * tick_s),
        }
        words = [word for pair in options.items() for word in pair]
        specs.append(
            ProcessSpec(
                name=f"{front.moniker}/front",
                argv=(sys.executable, "-m", "fabric_adapter.node", *words),
                env=hash_seed(HASH_SEED_BASE + seed + number),
                log=str(front.home / "logs" / "front.log"),
                stop_round=FRONT_ROUND,
            )
        )
    return specs


async def ledger_listens(made: MadeFabric) -> None:
    """Wait until whatever the fronts and clients dial takes connections."""
    addresses = back_end(made.chain.kind).addresses(made.network).values()
    await asyncio.gather(*(accepts(f"tcp://{address}") for each in addresses for address in each))


async def begin(home: Home, made: MadeFabric) -> None:
    """Join peers and chaincode where they are real, then give the chaincode its genesis: the tick of height 1."""
    package_id = read_json(made.home.document)["package_id"]
    await back_end(made.chain.kind).join(made.home, made.network, package_id)
    doc = dict(read_json(home.genesis(made.chain.id)))
    doc["genesis_time"] = genesis_time(int(time.time() * 1000))  # endorsers refuse one that lies far from their clocks
    write_json(home.genesis(made.chain.id), doc)
    args = (b"Genesis", json.dumps(doc, separators=(",", ":")).encode())
    async with admin.gateway(made.home, made.network, made.network.peers[0]) as client:
        await client.transact(made.network.wish.chaincode, args)
