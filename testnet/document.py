"""testnet.json: what programs read to find everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any as Json

from processes.files import read_json
from testnet.chains import Made
from testnet.config import Node
from testnet.fabric import Front, MadeFabric
from testnet.files import Home
from testnet.genesis import gates_ms, market_params, market_trade_params
from testnet.keys import Account
from testnet.nodes import write_secret_json

VERSION = 1
ROLES = ("cometbft", "app", "query", "front", "peer")
SHARED = ("ledger", "orderer", "chaincode")  # processes of a Fabric chain that serve every organisation


def chain_doc(home: Home, made: Made) -> dict[str, Json]:
    """One chain, without pids."""
    if isinstance(made, MadeFabric):
        nodes = [front_doc(made, front) for front in made.nodes]
        return {**_chain_doc(home, made), **_network_doc(made), "nodes": nodes}
    return {**_chain_doc(home, made), "nodes": [node_doc(node) for node in made.nodes]}


def _network_doc(made: MadeFabric) -> dict[str, Json]:
    """What only a chain on Fabric has; `fabric` is the folder with fabric.json."""
    wish = made.network.wish
    return {"channel": wish.channel, "chaincode": wish.chaincode, "fabric": str(made.home.path), "pids": {}}


def _chain_doc(home: Home, made: Made) -> dict[str, Json]:
    utility = made.plan.account("utility-cell").address
    params = market_params(made.chain, utility, made.plan.start_ms)
    trade = market_trade_params(made.chain, params, utility)
    return {
        "chain_id": made.chain.id,
        "kind": made.chain.kind,
        "role": made.chain.role,
        "grid": made.chain.grid,
        "bech32_prefix": "bsmg",
        "denom": made.chain.denom,
        "genesis": str(home.genesis(made.chain.id)),
        "slot_s": params.slot_ms // 1000,
        "slot_ms": params.slot_ms,
        "window_ms": trade.window_ms,
        "first_slot": params.first_slot,
        "gates_ms": gates_ms(params, trade),
        "block_time_ms": made.chain.block_time_ms,
        "min_gas_price": made.chain.min_gas_price,
        "profile": made.fleet,
        "feeder": made.chain.feeder,
        "accounts": [account_doc(home, made.chain.id, account) for account in made.plan.accounts],
    }


def node_doc(node: Node) -> dict[str, Json]:
    """One node's listeners."""
    return {
        "moniker": node.moniker,
        "home": str(node.home),
        "rpc": f"http://{node.at('rpc')}",
        "grpc": node.at("grpc"),
        "rest": f"http://{node.at('rest')}",
        "p2p": f"tcp://{node.at('p2p')}",
        "metrics": f"http://{node.at('metrics')}/metrics",
        "pids": {},
    }


def front_doc(made: MadeFabric, front: Front) -> dict[str, Json]:
    """An organisation's node: its front's listeners, and its peer with the gateway."""
    return {
        "moniker": front.moniker,
        "home": str(front.home),
        "grpc": front.at("grpc"),
        "rest": f"http://{front.at('rest')}",
        "peer": front.peer.address,
        "msp_id": front.peer.msp_id,
        "tls_ca": str(made.home.crypto(front.peer.org) / "tlsca.crt"),
        "pids": {},
    }


def account_doc(home: Home, chain_id: str, account: Account) -> dict[str, Json]:
    """One account; a cell's also with its identity, its meter and the meter's key file."""
    doc = {"name": account.name, "address": account.address}
    if account.msp_id:
        doc |= {"msp_id": account.msp_id, "certificate": account.certificate, "key": account.key}
    else:
        doc["mnemonic"] = account.mnemonic
    if not account.identity:
        return doc
    if not account.device:
        return {**doc, "identity": account.identity}
    key = home.keys(chain_id) / f"{account.device}.ed25519"
    return {**doc, "identity": account.identity, "device": account.device, "device_key": str(key)}


def testnet_doc(home: Home, chains: Sequence[dict[str, Json]]) -> dict[str, Json]:
    """The whole file before links; slot and genesis of the first chain stand for all in a testnet of equal ones."""
    first = chains[0]
    return {
        "version": VERSION,
        "home": str(home.path),
        "genesis": {chain["chain_id"]: chain["genesis"] for chain in chains},
        "slot_s": first["slot_s"],
        "first_slot": first["first_slot"],
        "gates_ms": first["gates_ms"],
        "chains": list(chains),
        "relayers": [],
        "links": [],
    }


def with_pids(doc: dict[str, Json], processes: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """The file with the pids of processes that run now."""
    for chain in doc["chains"]:
        for node in chain["nodes"]:
            found = {role: processes.get(f"{node['moniker']}/{role}") for role in ROLES}
            node["pids"] = {role: item["pid"] for role, item in found.items() if item}
        if "fabric" in chain:
            shared = {name: processes.get(f"{chain['chain_id']}-{name}/{name}") for name in SHARED}
            chain["pids"] = {name: item["pid"] for name, item in shared.items() if item}
    for relayer in doc["relayers"]:
        item = processes.get(f"{relayer['name']}/relayer")
        relayer["pid"] = item["pid"] if item else 0
    return doc


def save(home: Home, doc: dict[str, Json], processes: Mapping[str, Mapping[str, Json]]) -> dict[str, Json]:
    """Write testnet.json whole; it holds mnemonics, so only its owner may read it."""
    beside = home.testnet.with_name(".testnet.json.new")
    write_secret_json(beside, with_pids(doc, processes))
    beside.replace(home.testnet)
    return doc


def refresh(home: Home, processes: Mapping[str, Mapping[str, Json]]) -> None:
    """New pids after a restart."""
    if home.testnet.exists():
        save(home, read_json(home.testnet), processes)
