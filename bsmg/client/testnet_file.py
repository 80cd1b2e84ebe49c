"""Typed reading of `testnet.json`, the file by which a running testnet tells programs where everything is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any as Json

from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ToolError

FILE_NAME = "testnet.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """One node's listeners and processes. On Fabric: an organisation's front, its peer and the roots of its TLS."""

    moniker: str
    rpc: str = ""
    grpc: str = ""
    rest: str = ""
    p2p: str = ""
    metrics: str = ""
    home: str = ""
    peer: str = ""
    msp_id: str = ""
    tls_ca: str = ""
    pids: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """An account with what it signs with: words, or on Fabric the files of a certificate and its key.

    `identity` is `stakeholder@microgrid` for cells.
    """

    name: str
    address: str
    mnemonic: str = ""
    identity: str = ""
    msp_id: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainInfo:
    """One microgrid's chain."""

    chain_id: str
    kind: str
    bech32_prefix: str
    denom: str
    nodes: tuple[NodeInfo, ...]
    accounts: tuple[AccountInfo, ...]
    slot_s: float = 0
    first_slot: int = 0
    gates_ms: Mapping[str, int] = field(default_factory=dict)
    genesis: str = ""
    channel: str = ""
    chaincode: str = ""
    fabric: str = ""  # folder of fabric.json
    doc: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def account(self, name: str) -> AccountInfo:
        """An account by name."""
        for item in self.accounts:
            if item.name == name:
                return item
        names = ", ".join(item.name for item in self.accounts[:20])
        raise ToolError(f"account on {self.chain_id}: expected one of {names}, got {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelInfo:
    """One end of a channel."""

    channel_id: str
    ordering: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnd:
    """One side of a link; channels by port. `v2_client_id`: where it has a path of IBC v2, the client of that."""

    chain_id: str
    client_id: str
    connection_id: str
    channels: Mapping[str, ChannelInfo]
    v2_client_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkInfo:
    """Two chains that are linked by IBC."""

    a: LinkEnd
    b: LinkEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerInfo:
    """A relayer process of the testnet."""

    pid: int
    metrics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestnetFile:
    """The whole file; `doc` is the parsed JSON for what is not typed here."""

    __test__ = False  # not a test case, whatever its name says to pytest

    home: str
    chains: tuple[ChainInfo, ...]
    relayers: tuple[RelayerInfo, ...]
    links: tuple[LinkInfo, ...]
    doc: Mapping[str, Json] = field(repr=False)

    def chain(self, chain_id: str) -> ChainInfo:
        """A chain by id."""
        for item in self.chains:
            if item.chain_id == chain_id:
                return item
        raise ToolError(f"chain: expected one of {', '.join(c.chain_id for c in self.chains)}, got {chain_id!r}")

    def link(self, a: str, b: str) -> LinkInfo:
        """The link between two chains, with `a` as its first side whichever way it is written."""
        for item in self.links:
            if (item.a.chain_id, item.b.chain_id) == (a, b):
                return item
            if (item.b.chain_id, item.a.chain_id) == (a, b):
                return LinkInfo(a=item.b, b=item.a)
        raise ToolError(f"link: expected one between {a} and {b}, got none")


def load_testnet(path: Path) -> TestnetFile:
    """Read the file, or the file in a testnet's home folder."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        doc = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolError(f"{file}: expected a running testnet's file, got {error.strerror}") from error
    except ValueError as error:
        raise ToolError(f"{file}: expected JSON, got something else: {error}") from error
    return parse_testnet(doc, str(file))


def parse_testnet(doc: Json, where: str = FILE_NAME) -> TestnetFile:
    """Typed form of the parsed JSON."""
    if not isinstance(doc, dict) or doc.get("version", VERSION) != VERSION:
        raise ToolError(f"{where}: expected version {VERSION}, got {str(doc)[:60]}")
    try:
        found = TestnetFile(
            home=doc.get("home", ""),
            chains=tuple(_chain(item, doc) for item in doc["chains"]),
            relayers=tuple(
                RelayerInfo(pid=int(item["pid"]), metrics=item.get("metrics", "")) for item in doc.get("relayers", ())
            ),
            links=tuple(LinkInfo(a=_end(item["a"]), b=_end(item["b"])) for item in doc.get("links", ())),
            doc=doc,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolError(f"{where}: expected the form of version {VERSION}, {type(error).__name__}: {error}") from error
    if not found.chains or not all(chain.nodes for chain in found.chains):
        raise ToolError(
            f"{where}: expected chains with nodes, got {[len(chain.nodes) for chain in found.chains]} nodes"
        )
    return found


def _chain(item: Mapping[str, Json], doc: Mapping[str, Json]) -> ChainInfo:
    return ChainInfo(
        chain_id=item["chain_id"],
        kind=item["kind"],
        bech32_prefix=item.get("bech32_prefix", PREFIX),
        denom=item.get("denom", ""),
        nodes=tuple(_node(node, doc) for node in item["nodes"]),
        accounts=tuple(_account(account, doc) for account in item.get("accounts", ())),
        slot_s=item.get("slot_s", doc.get("slot_s", 0)),
        first_slot=int(item.get("first_slot", doc.get("first_slot", 0))),
        gates_ms=dict(item.get("gates_ms", doc.get("gates_ms", {}))),
        genesis=str(item.get("genesis", "")),
        channel=item.get("channel", ""),
        chaincode=item.get("chaincode", ""),
        fabric=_path(doc, item.get("fabric", "")),
        doc=item,
    )


def _node(item: Mapping[str, Json], doc: Mapping[str, Json]) -> NodeInfo:
    names = ("rpc", "grpc", "rest", "p2p", "metrics", "home", "peer", "msp_id")
    texts = {name: item.get(name, "") for name in names}
    roots = _path(doc, item.get("tls_ca", ""))
    return NodeInfo(moniker=item["moniker"], pids=dict(item.get("pids", {})), tls_ca=roots, **texts)


def _account(item: Mapping[str, Json], doc: Mapping[str, Json]) -> AccountInfo:
    return AccountInfo(
        name=item["name"],
        address=item["address"],
        mnemonic=item.get("mnemonic", ""),
        identity=item.get("identity", ""),
        msp_id=item.get("msp_id", ""),
        certificate=_path(doc, item.get("certificate", "")),
        key=_path(doc, item.get("key", "")),
    )


def _path(doc: Mapping[str, Json], text: str) -> str:
    """A path of the file: absolute, or relative to the testnet's home; empty stays empty."""
    return str(Path(str(doc.get("home", ""))) / text) if text else ""


def _end(item: Mapping[str, Json]) -> LinkEnd:
    details = item.get("channel_details", {})
    channels = {port: _channel(value, details.get(port, {})) for port, value in item["channels"].items()}
    return LinkEnd(
        chain_id=item["chain_id"],
        client_id=item["client_id"],
        connection_id=item["connection_id"],
        channels=channels,
        v2_client_id=item.get("v2_client_id", ""),
    )


def _channel(value: Json, details: Mapping[str, Json]) -> ChannelInfo:
    """A channel id as text, or an object with `id`; ordering and version beside it or in `channel_details`."""
    known = {**details, **(value if isinstance(value, dict) else {"id": value})}
    channel_id = known.get("id") or known["channel_id"]
    return ChannelInfo(
        channel_id=channel_id,
        ordering=known.get("ordering", ""),
        version=known.get("version", ""),
    )
