"""Configuration of the peers, the orderer and the channel. The files are JSON, which is YAML too."""

from __future__ import annotations

from pathlib import Path
from typing import Any as Json

from fabric_adapter.network.plan import BLOCK_POLICY, HOST, ORDERER, ORDERER_MSP, Home, Peer, Plan
from processes.files import write_json

PROFILE = "Microgrid"
CALLS_MAX = 5000  # at a time; Fabric's 500 would refuse the 501st that waits for its commit
GOSSIP_S = "1s"  # how soon the peers know of each other; before that the gateway can't find endorsers
SOFTWARE_KEYS = {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256, "FileKeyStore": {"KeyStore": ""}}}
PACKAGE_TYPE = "bsmg-service"
BYTES_MAX = 100 << 20

DETECT = f"""#!/bin/sh
# detect SOURCE METADATA: ours are the chaincodes that run as a service.
grep -q '"type": *"{PACKAGE_TYPE}"' "$2/metadata.json"
"""
BUILD = """#!/bin/sh
# build SOURCE METADATA OUTPUT: nothing to compile; keep the address.
cp "$1/connection.json" "$3/connection.json"
"""
RELEASE = """#!/bin/sh
# release OUTPUT RELEASE: where the peer looks for the address.
mkdir -p "$2/chaincode/server" && cp "$1/connection.json" "$2/chaincode/server/connection.json"
"""


def write_all(home: Home, plan: Plan) -> None:
    """Every configuration file of a network."""
    write_builder(home)
    for peer in plan.peers:
        write_json(home.node(peer.name) / "core.yaml", core(home, peer))
    write_json(home.node(ORDERER) / "orderer.yaml", orderer(home, plan))
    write_json(home.path / "channel" / "configtx.yaml", configtx(home, plan))


def builder_folder(home: Home) -> Path:
    """The external builder."""
    return home.path / "builder"


def write_builder(home: Home) -> None:
    """Its three scripts; there is no `run`, because the chaincode runs by itself."""
    folder = builder_folder(home) / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("detect", DETECT), ("build", BUILD), ("release", RELEASE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def core(home: Home, peer: Peer) -> dict[str, Json]:
    """core.yaml."""
    folder, keys = home.node(peer.name), home.crypto(peer.org)
    return {
        "peer": {
            "id": peer.name,
            "networkId": "bsmg",
            "listenAddress": peer.address,
            "address": peer.address,
            "chaincodeListenAddress": f"{HOST}:{peer.ports['chaincode']}",  # else every peer wants port 7052
            "localMspId": peer.msp_id,
            "mspConfigPath": str(keys / "peer-msp"),
            "fileSystemPath": str(folder / "data"),
            "BCCSP": SOFTWARE_KEYS,
            "gateway": {"enabled": True, "endorsementTimeout": "30s", "broadcastTimeout": "10s", "dialTimeout": "5s"},
            "gossip": _gossip(peer),
            "tls": _peer_tls(keys),
            "authentication": {"timewindow": "15m"},
            "keepalive": {"minInterval": "10s"},
            "client": {"connTimeout": "3s"},
            "deliveryclient": {
                "blockGossipEnabled": True,
                "reconnectTotalTimeThreshold": "3600s",
                "connTimeout": "1s",
                "reConnectBackoffThreshold": "1s",  # how long a peer waits at most to find a restarted orderer
            },
            "handlers": {
                "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
            "discovery": {"enabled": True, "authCacheEnabled": True, "authCacheMaxSize": 1000},
            "limits": {
                "concurrency": {
                    "endorserService": CALLS_MAX,
                    "deliverService": CALLS_MAX,
                    "gatewayService": CALLS_MAX,
                }
            },
            "maxRecvMsgSize": BYTES_MAX,
            "maxSendMsgSize": BYTES_MAX,
        },
        "vm": {"endpoint": ""},
        "chaincode": _chaincode(home),
        "ledger": _ledger(folder),
        "operations": {"listenAddress": f"{HOST}:{peer.ports['operations']}", "tls": {"enabled": False}},
        "metrics": {"provider": "prometheus"},
    }


def _peer_tls(keys: Path) -> dict[str, Json]:
    return {
        "enabled": True,
        "clientAuthRequired": False,
        "cert": {"file": str(keys / "tls" / "peer.crt")},
        "key": {"file": str(keys / "tls" / "peer.key")},
        "rootcert": {"file": str(keys / "tlsca.crt")},
    }


def _gossip(peer: Peer) -> dict[str, Json]:
    return {
        "bootstrap": peer.address,  # one peer an organisation; the anchor peers lead to the others
        "useLeaderElection": False,
        "orgLeader": True,
        "endpoint": peer.address,
        "externalEndpoint": peer.address,  # else the other organisations never see it
        "reconnectInterval": GOSSIP_S,
        "requestStateInfoInterval": GOSSIP_S,
        "publishStateInfoInterval": GOSSIP_S,
        "aliveTimeInterval": GOSSIP_S,
        "aliveExpirationTimeout": "5s",
        "membershipTrackerInterval": "5s",
        "maxConnectionAttempts": 120,
        "state": {"enabled": True, "checkInterval": GOSSIP_S},
        "pvtData": {
            "pullRetryThreshold": "5s",
            "transientstoreMaxBlockRetention": 1000,
            "pushAckTimeout": "1s",
            "btlPullMargin": 10,
            "reconcileBatchSize": 10,
            "reconcileSleepInterval": "1m",
            "reconciliationEnabled": True,
            "implicitCollectionDisseminationPolicy": {"requiredPeerCount": 0, "maxPeerCount": 1},
        },
    }


def _chaincode(home: Home) -> dict[str, Json]:
    return {
        "mode": "net",
        "keepalive": 0,
        "executetimeout": "30s",
        "startuptimeout": "5s",  # a chaincode that is away fails the call, the client tries again
        "installTimeout": "30s",
        "externalBuilders": [{"name": "bsmg", "path": str(builder_folder(home)), "propagateEnvironment": []}],
        "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
        "logging": {"level": "info", "shim": "warning"},
    }


def _ledger(folder: Path) -> dict[str, Json]:
    return {
        "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 1_000_000},
        "history": {"enableHistoryDatabase": False},
        "pvtdataStore": {
            "collElgProcMaxDbBatchSize": 5000,
            "collElgProcDbBatchesInterval": 1000,
            "deprioritizedDataReconcilerInterval": "60m",
            "purgeInterval": 100,
        },
        "snapshots": {"rootDir": str(folder / "data" / "snapshots")},
    }


def orderer(home: Home, plan: Plan) -> dict[str, Json]:
    """orderer.yaml."""
    folder, keys = home.node(ORDERER), home.crypto(ORDERER)
    tls = {
        "Enabled": True,
        "Certificate": str(keys / "tls" / "orderer.crt"),
        "PrivateKey": str(keys / "tls" / "orderer.key"),
        "RootCAs": [str(keys / "tlsca.crt")],
    }
    return {
        "General": {
            "ListenAddress": HOST,
            "ListenPort": plan.orderer["orderer"],
            "TLS": {**tls, "ClientAuthRequired": False},
            "Keepalive": {"ServerMinInterval": "10s", "ServerInterval": "7200s", "ServerTimeout": "20s"},
            "MaxRecvMsgSize": BYTES_MAX,
            "MaxSendMsgSize": BYTES_MAX,
            "Cluster": {
                "SendBufferSize": 100,
                "ClientCertificate": tls["Certificate"],
                "ClientPrivateKey": tls["PrivateKey"],
            },
            "BootstrapMethod": "none",
            "LocalMSPDir": str(keys / "orderer-msp"),
            "LocalMSPID": ORDERER_MSP,
            "BCCSP": SOFTWARE_KEYS,
            "Authentication": {"TimeWindow": "15m"},
        },
        "FileLedger": {"Location": str(folder / "data" / "ledger")},
        "Operations": {"ListenAddress": f"{HOST}:{plan.orderer['operations']}", "TLS": {"Enabled": False}},
        "Metrics": {"Provider": "prometheus"},
        "Admin": {
            "ListenAddress": f"{HOST}:{plan.orderer['admin']}",
            "TLS": {**tls, "ClientAuthRequired": True, "ClientRootCAs": tls["RootCAs"]},
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "10 MB"},
        "Consensus": {
            "WALDir": str(folder / "data" / "wal"),
            "SnapDir": str(folder / "data" / "snap"),
        },
    }


def _signed_by(rule: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": rule}


def _meta(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def _org(home: Home, peer: Peer) -> dict[str, Json]:
    member = peer.msp_id
    return {
        "Name": member,
        "ID": member,
        "MSPDir": str(home.crypto(peer.org) / "msp"),
        "Policies": {
            "Readers": _signed_by(f"OR('{member}.admin', '{member}.peer', '{member}.client')"),
            "Writers": _signed_by(
                f"OR('{member}.admin', '{member}.peer', '{member}.client')"
            ),  # a peer may write Ticks
            "Admins": _signed_by(f"OR('{member}.admin')"),
            "Endorsement": _signed_by(f"OR('{member}.peer')"),
        },
        "AnchorPeers": [{"Host": HOST, "Port": peer.ports["peer"]}],
    }


def _orderer_org(home: Home, plan: Plan) -> dict[str, Json]:
    return {
        "Name": ORDERER_MSP,
        "ID": ORDERER_MSP,
        "MSPDir": str(home.crypto(ORDERER) / "msp"),
        "Policies": {
            "Readers": _signed_by(f"OR('{ORDERER_MSP}.member')"),
            "Writers": _signed_by(f"OR('{ORDERER_MSP}.member')"),
            "Admins": _signed_by(f"OR('{ORDERER_MSP}.admin')"),
        },
        "OrdererEndpoints": [plan.orderer_address],
    }


def configtx(home: Home, plan: Plan) -> dict[str, Json]:
    """configtx.yaml: the channel as it begins."""
    common = {"Readers": _meta("ANY Readers"), "Writers": _meta("ANY Writers"), "Admins": _meta("MAJORITY Admins")}
    lifecycle = {"LifecycleEndorsement": _meta("MAJORITY Endorsement"), "Endorsement": _meta("MAJORITY Endorsement")}
    profile = {
        "Policies": common,
        "Capabilities": {"V2_0": True},
        "Orderer": {
            **_ordering(home, plan),
            "Organizations": [_orderer_org(home, plan)],
            "Policies": {**common, "BlockValidation": _signed_by(BLOCK_POLICY)},
            "Capabilities": {"V2_0": True},
        },
        "Application": {
            "Organizations": [_org(home, peer) for peer in plan.peers],
            "Policies": {**common, **lifecycle},
            "Capabilities": {"V2_5": True},
        },
    }
    return {"Profiles": {PROFILE: profile}}


def _ordering(home: Home, plan: Plan) -> dict[str, Json]:
    batch = plan.batch
    certificate = str(home.crypto(ORDERER) / "tls" / "orderer.crt")
    return {
        "OrdererType": "etcdraft",
        "BatchTimeout": f"{batch.timeout_ms}ms",
        "BatchSize": {
            "MaxMessageCount": batch.messages_max,
            "AbsoluteMaxBytes": batch.bytes_max,
            "PreferredMaxBytes": batch.bytes_max,
        },
        "EtcdRaft": {
            "Consenters": [
                {
                    "Host": HOST,
                    "Port": plan.orderer["orderer"],
                    "ClientTLSCert": certificate,
                    "ServerTLSCert": certificate,
                }
            ],
            "Options": {
                "TickInterval": "100ms",  # a leader a second after the start
                "ElectionTick": 10,
                "HeartbeatTick": 1,
                "MaxInflightBlocks": 5,
                "SnapshotIntervalSize": "16 MB",
            },
        },
    }
