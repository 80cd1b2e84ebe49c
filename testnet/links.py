"""Opens a testnet's links and writes what its relayers are started with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any as Json

from ibc_relayer.config import PathConfig, load_config
from ibc_relayer.handshake import PathIds
from ibc_relayer.supervisor import Parties, resolve
from ibc_relayer.v2.path import ClientPath
from processes.files import ProcessSpec
from processes.ports import LOOPBACK, lease
from testnet.chains import Made
from testnet.fabric import MadeFabric
from testnet.files import Home
from testnet.keys import account_file
from testnet.nodes import RELAYER_ROUND, hash_seed
from testnet.topology import Link, Relayers, Topology

TRUSTING_NUM, TRUSTING_DEN = 2, 3  # of unbonding, as for clients of CometBFT chains
HASH_SEED_BASE = 1 << 16  # above those of the nodes


def relayer_config(home: Home, made: Sequence[Made], number: int, port: int, relayers: Relayers) -> str:
    """Head and chains of relayer `number`'s file; each relayer has an account and a node of its own."""
    head = f'[relayer]\nmetrics = "{LOOPBACK}:{port}"\nclear_interval_s = {relayers.clear_interval_s}\n'
    return head + "".join(_chain_table(home, item, number, relayers.max_msgs) for item in made)


def _chain_table(home: Home, made: Made, number: int, max_msgs: int) -> str:
    if isinstance(made, MadeFabric):
        return _fabric_table(made, number, max_msgs)
    node = made.nodes[number % len(made.nodes)]
    price = made.chain.min_gas_price
    return f"""
[[chain]]
id = "{made.chain.id}"
kind = "{made.chain.kind}"
rpc = "http://{node.at("rpc")}"
grpc = "{node.at("grpc")}"
key = "{account_file(home.keys(made.chain.id), f"relayer-{number}")}"
bech32_prefix = "bsmg"
gas_price = "{price if price.strip("0.") == "" or price[-1].isalpha() else price + made.chain.denom}"
max_msgs = {max_msgs}
"""


def _fabric_table(made: MadeFabric, number: int, max_msgs: int) -> str:
    node, account = made.nodes[number % len(made.nodes)], made.plan.account(f"relayer-{number}")
    return f"""
[[chain]]
id = "{made.chain.id}"
kind = "{made.chain.kind}"
grpc = "{node.at("grpc")}"
peer = "{node.peer.address}"
tls_ca = "{made.home.crypto(node.peer.org) / "tlsca.crt"}"
msp_id = "{account.msp_id}"
certificate = "{account.certificate}"
key = "{account.key}"
channel = "{made.network.wish.channel}"
chaincode = "{made.network.wish.chaincode}"
trusting_period_s = {max(1, made.chain.unbonding_s * TRUSTING_NUM // TRUSTING_DEN)}
max_msgs = {max_msgs}
"""


def _new_path(link: Link) -> str:
    channels = ", ".join(f'"{name}"' for name in link.channels)
    return f'\n[[path]]\na = "{link.a}"\nb = "{link.b}"\ncreate = true\nchannels = [{channels}]\n'


def _new_v2_path(link: Link) -> str:
    return f'\n[[path]]\na = "{link.a}"\nb = "{link.b}"\nversion = 2\ncreate = true\n'


def _open_path(ids: PathIds) -> str:
    if isinstance(ids, ClientPath):
        return _open_v2_path(ids)
    channels = ",\n    ".join(
        f'{{ a_port = "{a.port}", b_port = "{b.port}", a_channel = "{a.channel}", b_channel = "{b.channel}", '
        f'version = "{spec.version}", ordered = {str(spec.ordered).lower()} }}'
        for (a, b), spec in zip(ids.channels, ids.specs, strict=True)
    )
    return f"""
[[path]]
a = "{ids.chains[0]}"
b = "{ids.chains[1]}"
a_client = "{ids.clients[0]}"
b_client = "{ids.clients[1]}"
a_connection = "{ids.connections[0]}"
b_connection = "{ids.connections[1]}"
channels = [
    {channels},
]
"""


def _open_v2_path(ids: ClientPath) -> str:
    return f"""
[[path]]
a = "{ids.chains[0]}"
b = "{ids.chains[1]}"
version = 2
a_client = "{ids.clients[0]}"
b_client = "{ids.clients[1]}"
"""


async def open_links(home: Home, topology: Topology, made: Sequence[Made]) -> list[PathIds]:
    """Clients, connections and channels of every link, with relayer 0's keys; links of different chains at once.

    Paths of IBC v2 come after all others, so that their clients are their own.
    """
    path = home.relayer(0) / "create.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = relayer_config(home, made, 0, 0, topology.relayer)
    text += "".join(map(_new_path, topology.links))
    text += "".join(_new_v2_path(link) for link in topology.links if link.ibc_v2)
    path.write_text(text, encoding="utf-8")
    config = load_config(path)
    parties = Parties(config)
    try:
        for chain in config.chains:
            await parties.party(chain.id)
        made_v1 = await _resolve(parties, [item for item in config.paths if item.version == 1])
        return [*made_v1, *await _resolve(parties, [item for item in config.paths if item.version == 2])]
    finally:
        await parties.close()


async def _resolve(parties: Parties, paths: Sequence[PathConfig]) -> list[PathIds]:
    both = [(await parties.party(item.chains[0]), await parties.party(item.chains[1])) for item in paths]
    pairs = zip(both, paths, strict=True)
    return list(await asyncio.gather(*(resolve(pair, item) for pair, item in pairs)))


def write_relayers(
    home: Home, topology: Topology, made: Sequence[Made], ids: Sequence[PathIds]
) -> list[tuple[ProcessSpec, str]]:
    """Every relayer's file, process and metrics address."""
    relayers = []
    for number in range(topology.relayer.count):
        (port,) = lease(home.path, 1)
        path = home.relayer(number) / "relayer.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = relayer_config(home, made, number, port, topology.relayer)
        path.write_text(text + "".join(map(_open_path, ids)), encoding="utf-8")
        relayers.append((_spec(number, path), f"http://{LOOPBACK}:{port}/metrics"))
    return relayers


def _spec(number: int, path: Path) -> ProcessSpec:
    return ProcessSpec(
        name=f"relayer-{number}/relayer",
        argv=(sys.executable, "-m", "ibc_relayer", "--config", str(path)),
        env=hash_seed(HASH_SEED_BASE + number),
        log=str(path.with_name("relayer.log")),
        stop_round=RELAYER_ROUND,
    )


def link_docs(ids: Sequence[PathIds]) -> list[dict[str, Json]]:
    """Links as testnet.json writes them; a side of a link that has IBC v2 too names its client as `v2_client_id`."""
    docs: dict[tuple[str, str], dict[str, Json]] = {}
    for item in ids:
        if isinstance(item, ClientPath):
            for side, client_id in zip(("a", "b"), item.clients, strict=True):
                docs[item.chains][side]["v2_client_id"] = client_id
        else:
            docs[item.chains] = dict(item.doc())
    return list(docs.values())
