"""A real network as a back end: orderer, peers and the chaincode's server, each a process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from cosmos_wire.errors import ToolError
from fabric_adapter.network import admin, build, config, package
from fabric_adapter.network.backends import Made, Say
from fabric_adapter.network.build import Binaries
from fabric_adapter.network.plan import HOST, ORDERER, Home, Peer, Plan
from processes.files import ProcessSpec

CHAINCODE_ROUND, PEER_ROUND, ORDERER_ROUND = 0, 1, 2
LOG_LEVEL = "warning:gossip=error:comm.grpc=error:orderer.consensus.etcdraft=warning"
LOG_FORMAT = "%{time:2006-01-02 15:04:05.000} %{level:.4s} [%{module}] %{message}"  # without colours


class Real:
    """Hyperledger Fabric's own programs."""

    def prepare(self, say: Say) -> None:
        """Build them, once."""
        build.ensure(say)

    def write(self, home: Home, plan: Plan) -> Made:
        """Configuration, first block, package."""
        binaries = build.ensure(lambda _: None)
        config.write_all(home, plan)
        _first_block(home, plan, binaries)
        package_id, archive = package.make(home, plan)
        home.package.write_bytes(archive)
        return Made(specs=_specs(home, plan, binaries, package_id), package_id=package_id)

    def addresses(self, plan: Plan) -> Mapping[str, Sequence[str]]:
        """Peers that join before every port listens find each other late."""
        found = {peer.name: [peer.address] for peer in plan.peers}
        found[ORDERER] = [plan.orderer_address, f"{HOST}:{plan.orderer['admin']}"]
        return {**found, plan.chaincode_process: [plan.chaincode_address]}

    async def join(self, home: Home, plan: Plan, package_id: str) -> None:
        """Channel and chaincode."""
        await admin.join_orderer(home, plan)
        await asyncio.gather(*(_equip(home, peer) for peer in plan.peers))
        await admin.deploy(home, plan, package_id)


async def _equip(home: Home, peer: Peer) -> None:
    await admin.join_peer(home, peer)
    await admin.install(home, peer)


def _first_block(home: Home, plan: Plan, binaries: Binaries) -> None:
    command = [binaries["configtxgen"], "-profile", config.PROFILE, "-channelID", plan.wish.channel]
    done = subprocess.run(
        [*command, "-configPath", str(home.block.parent), "-outputBlock", str(home.block)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FABRIC_LOGGING_SPEC": "warning"},
    )
    if done.returncode:
        reason = done.stderr.partition("goroutine 1")[0].strip()[-2000:]
        raise ToolError(f"configtxgen: expected the channel's first block, got:\n{reason}")


def _specs(home: Home, plan: Plan, binaries: Binaries, package_id: str) -> list[ProcessSpec]:
    """The processes."""
    nodes = [_node(home, ORDERER, (binaries["orderer"], "start"), ORDERER_ROUND)]
    nodes += [_node(home, peer.name, (binaries["peer"], "node", "start"), PEER_ROUND) for peer in plan.peers]
    return [*nodes, _chaincode(home, plan, package_id)]


def _node(home: Home, name: str, argv: Sequence[str], stop_round: int) -> ProcessSpec:
    folder = home.node(name)
    return ProcessSpec(
        name=name,
        argv=tuple(argv),
        env=(
            ("FABRIC_CFG_PATH", str(folder)),
            ("FABRIC_LOGGING_FORMAT", LOG_FORMAT),
            ("FABRIC_LOGGING_SPEC", LOG_LEVEL),
        ),
        log=str(folder / "log"),
        stop_round=stop_round,
    )


def _chaincode(home: Home, plan: Plan, package_id: str) -> ProcessSpec:
    keys = home.crypto(plan.peers[0].org)
    options = {
        "--address": plan.chaincode_address,
        "--package-id": package_id,
        "--chaincode": plan.wish.factory,
        "--tls-certificate": str(keys / "tls" / "chaincode.crt"),
        "--tls-key": str(keys / "tls" / "chaincode.key"),
        "--client-roots": str(keys / "tlsca.crt"),
    }
    words = [word for pair in options.items() for word in pair]
    return ProcessSpec(
        name=plan.chaincode_process,
        argv=(sys.executable, "-m", "fabric_adapter.shim", *words),
        env=(),
        log=str(home.node(plan.chaincode_process) / "log"),
        stop_round=CHAINCODE_ROUND,
    )
