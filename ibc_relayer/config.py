"""The relayer's TOML file: all that it needs to start again.

    [relayer]                            # optional
    metrics = "127.0.0.1:0"              # host:port of /metrics, port 0: a free one, printed; "" off
    clear_interval_s = 60                # full queries of what is pending
    key_dir = "."                        # relative key files; default: the folder of this file

    [[chain]]
    id = "mga-1"
    kind = "cometbft"                    # or "fabric", "fabric-embedded", which have other keys: see below
    rpc = "http://127.0.0.1:26657"
    grpc = "127.0.0.1:9090"              # optional: without it, queries go through the RPC
    key = "relayer.key"                  # file with a mnemonic
    bech32_prefix = "bsmg"
    gas_price = "0bmga"                  # 0: no fee, fixed gas instead of a dry run
    gas_multiplier = 1.3
    fixed_gas = 0                        # > 0: no dry run at any price
    max_msgs = 50
    max_tx_bytes = 700000                # in base64 it has to fit into the node's max_body_bytes

    [[chain]]
    id = "mgf-1"
    kind = "fabric"                      # a microgrid on Hyperledger Fabric, through one organisation
    grpc = "127.0.0.1:9190"              # its front
    peer = "127.0.0.1:7051"              # its peer's gateway
    tls_ca = "org1/tlsca.pem"            # roots of the peer's TLS; "": none
    msp_id = "Org1MSP"
    certificate = "relayer.pem"          # of the member that signs, and ...
    key = "relayer.key.pem"              # ... its key
    channel = "energy"
    chaincode = "microgrid"
    trusting_period_s = 1209600          # of clients that are made of this chain elsewhere

    [[path]]
    a = "mga-1"
    b = "mgb-1"
    a_client = "07-tendermint-0"         # all by id; or the channels alone, the rest is found under them ...
    b_client = "07-tendermint-0"
    a_connection = "connection-0"
    b_connection = "connection-0"
    create = true                        # ... or found on the chains and made where missing
    channels = [{a_port = "transfer", b_port = "transfer", a_channel = "channel-0", b_channel = "channel-0",
                 version = "ics20-1", ordered = false}, "trade"]
    version = 1                          # of IBC; 2: clients alone, no connections and channels (docs/interop.md)
    [path.filter]
    channels = ["transfer/*"]            # patterns; default all; on a path of version 2: port/client
    deny = []
    sequences = ["1-100", "200-"]
    memo_bytes_max = 32768
    receiver_bytes_max = 2048

A channel written as text is a port that both sides have. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any as Json

from bsmg.client.keys import Key, read_key_file
from bsmg.client.lane import FeePolicy, parse_gas_price
from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ToolError
from ibc_relayer.batch import Limits
from ibc_relayer.filter import MEMO_BYTES_MAX, RECEIVER_BYTES_MAX, PacketFilter, parse_ranges
from ibc_relayer.handshake import ChannelSpec
from ibc_relayer.plan import End

COMETBFT = "cometbft"
FABRIC_KINDS = ("fabric", "fabric-embedded")
KINDS = (COMETBFT, *FABRIC_KINDS)
TRUSTING_PERIOD_S = 1_209_600  # two weeks: as long as a client of a CometBFT chain that unbonds in three
VERSIONS_OF_IBC = (1, 2)
FREE_GAS = 100_000_000  # gas limit where gas costs nothing
VERSIONS = {"transfer": "ics20-1", "trade": "bsmg-trade-1"}  # of well-known ports, when none is written


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricConfig:
    """Where a Fabric microgrid is, and as whom: files of certificates, `tls_ca` empty for a peer without TLS."""

    peer: str = ""
    tls_ca: str = ""
    msp_id: str = ""
    certificate: Path = Path()
    channel: str = "energy"
    chaincode: str = "microgrid"
    trusting_period_s: int = TRUSTING_PERIOD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainConfig:
    """One chain. `rpc` and `fees` are CometBFT's, `fabric` is Fabric's."""

    id: str
    kind: str = COMETBFT
    rpc: str = ""
    grpc: str = ""
    key: Path
    bech32_prefix: str = PREFIX
    fees: FeePolicy = field(default_factory=FeePolicy)
    limits: Limits = field(default_factory=Limits)
    fabric: FabricConfig = field(default_factory=FabricConfig)

    def fees_within(self, block_gas: int) -> FeePolicy:
        """Where gas is free and a block's is limited (-1: it is not): a dry run instead of a fixed limit above it."""
        free = self.fees.fixed_gas == FREE_GAS and not self.fees.price
        return replace(self.fees, fixed_gas=0) if free and 0 <= block_gas < FREE_GAS else self.fees

    def signing_key(self) -> Key:
        """The key of the file."""
        return read_key_file(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """One channel of a path; without ids it is found or made."""

    spec: ChannelSpec
    ids: tuple[str, str] = ("", "")

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends, when the ids are written."""
        return End(self.spec.ports[0], self.ids[0]), End(self.spec.ports[1], self.ids[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class PathConfig:
    """One path between two chains."""

    chains: tuple[str, str]
    clients: tuple[str, str] = ("", "")
    connections: tuple[str, str] = ("", "")
    channels: tuple[ChannelConfig, ...]
    create: bool = False
    packets: PacketFilter = field(default_factory=PacketFilter)
    version: int = 1  # of IBC

    @property
    def name(self) -> str:
        """For logs and metrics."""
        return f"{self.chains[0]}~{self.chains[1]}" + (" v2" if self.version == 2 else "")

    @property
    def complete(self) -> bool:
        """Whether every id is written."""
        return all(self.clients) and all(all(item.ids) for item in self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayerConfig:
    """The whole file."""

    chains: tuple[ChainConfig, ...]
    paths: tuple[PathConfig, ...]
    metrics: str = "127.0.0.1:0"
    clear_interval_s: int = 60

    def chain(self, chain_id: str) -> ChainConfig:
        """A chain by id."""
        for item in self.chains:
            if item.id == chain_id:
                return item
        raise ToolError(f"chain: expected one of {', '.join(item.id for item in self.chains)}, got {chain_id!r}")


class Table:
    """A TOML table that is read key by key; what is left over in the end is unknown."""

    def __init__(self, doc: Json, where: str) -> None:
        if not isinstance(doc, dict):
            raise ToolError(f"{where}: expected a table, got {doc!r}")
        self.doc: Mapping[str, Json] = doc
        self.where = where
        self.known: set[str] = set()

    def get(self, key: str, default: Json) -> Json:
        """A value of the default's type."""
        self.known.add(key)
        value = self.doc.get(key, default)
        if not isinstance(value, type(default)) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ToolError(f"{self.where}.{key}: expected {type(default).__name__}, got {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Text; required without a default."""
        if default is None and key not in self.doc:
            raise ToolError(f"{self.where}: expected a key {key}, got {', '.join(self.doc) or 'nothing'}")
        return str(self.get(key, default or ""))

    def positive(self, key: str, default: int) -> int:
        """An integer above 0."""
        value = int(self.get(key, default))
        if value <= 0:
            raise ToolError(f"{self.where}.{key}: expected more than 0, got {value}")
        return value

    def decimal(self, key: str, default: str) -> Decimal:
        """A number of at least 1."""
        self.known.add(key)
        value = self.doc.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ToolError(f"{self.where}.{key}: expected a number, got {value!r}")
        made = Decimal(str(value))
        if made < 1:
            raise ToolError(f"{self.where}.{key}: expected at least 1, got {value!r}")
        return made

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.get(key, [])
        if not all(isinstance(item, str) for item in value):
            raise ToolError(f"{self.where}.{key}: expected a list of texts, got {value!r}")
        return tuple(value)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for key in self.doc:
            if key not in self.known:
                near = get_close_matches(key, sorted(self.known), n=1, cutoff=0.0)
                raise ToolError(f"{self.where}: unknown key {key!r}; the nearest known one is {near[0]!r}")


def load_config(path: Path) -> RelayerConfig:
    """Read a file; key files are relative to its folder."""
    try:
        doc = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolError(f"{path}: expected a readable file, got {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ToolError(f"{path}: expected TOML, got something else: {error}") from error
    return parse_config(doc, path.parent)


def parse_config(doc: Mapping[str, Json], folder: Path) -> RelayerConfig:
    """Typed form of the parsed TOML."""
    top = Table(dict(doc), "relayer configuration")
    own = Table(top.get("relayer", {}), "[relayer]")
    base = folder / own.text("key_dir", ".")
    chains = tuple(_chain(Table(item, f"[[chain]] {at}"), base) for at, item in enumerate(top.get("chain", [])))
    paths = tuple(_path(Table(item, f"[[path]] {at}")) for at, item in enumerate(top.get("path", [])))
    made = RelayerConfig(
        chains=chains,
        paths=paths,
        metrics=own.text("metrics", "127.0.0.1:0"),
        clear_interval_s=own.positive("clear_interval_s", 60),
    )
    _require_address(made.metrics)
    own.done()
    top.done()
    _check(made)
    return made


def _require_address(text: str) -> None:
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise ToolError(f"[relayer].metrics: expected host:port or nothing, got {text!r}")


def _check(config: RelayerConfig) -> None:
    names = [item.id for item in config.chains]
    for name in names:
        if names.count(name) > 1:
            raise ToolError(f"[[chain]]: expected each id once, got {name} {names.count(name)} times")
    for path in config.paths:
        for chain_id in path.chains:
            config.chain(chain_id)
        if path.chains[0] == path.chains[1]:
            raise ToolError(f"[[path]]: expected two different chains, got {path.chains[0]} twice")


def _chain(table: Table, base: Path) -> ChainConfig:
    kind = table.text("kind", COMETBFT)
    if kind not in KINDS:
        raise ToolError(f"{table.where}.kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    default = Limits()
    common = ChainConfig(
        id=table.text("id"),
        kind=kind,
        grpc=table.text("grpc", "" if kind == COMETBFT else None),
        key=base / table.text("key"),
        bech32_prefix=table.text("bech32_prefix", PREFIX),
        limits=Limits(
            max_msgs=table.positive("max_msgs", default.max_msgs),
            max_tx_bytes=table.positive("max_tx_bytes", default.max_tx_bytes),
        ),
    )
    if kind == COMETBFT:
        made = replace(common, rpc=table.text("rpc"), fees=_fees(table))
    else:
        made = replace(common, fabric=_fabric(table, base))
    table.done()
    return made


def _fees(table: Table) -> FeePolicy:
    price, denom = parse_gas_price(table.text("gas_price", "0"))
    fixed_gas = int(table.get("fixed_gas", 0)) or (0 if price else FREE_GAS)
    return FeePolicy(price=price, denom=denom, multiplier=table.decimal("gas_multiplier", "1.3"), fixed_gas=fixed_gas)


def _fabric(table: Table, base: Path) -> FabricConfig:
    default, roots = FabricConfig(), table.text("tls_ca", "")
    return FabricConfig(
        peer=table.text("peer"),
        tls_ca=str(base / roots) if roots else "",
        msp_id=table.text("msp_id"),
        certificate=base / table.text("certificate"),
        channel=table.text("channel", default.channel),
        chaincode=table.text("chaincode", default.chaincode),
        trusting_period_s=table.positive("trusting_period_s", default.trusting_period_s),
    )


def _path(table: Table) -> PathConfig:
    channels = tuple(_channel(item, f"{table.where}.channels") for item in table.get("channels", []))
    create = bool(table.get("create", False))
    made = PathConfig(
        chains=(table.text("a"), table.text("b")),
        clients=(table.text("a_client", ""), table.text("b_client", "")),
        connections=(table.text("a_connection", ""), table.text("b_connection", "")),
        channels=channels,
        create=create,
        packets=_filter(Table(table.get("filter", {}), f"{table.where}.filter")),
        version=int(table.get("version", 1)),
    )
    table.done()
    _check_version(made, table.where)
    by_id = made.complete or (made.version == 1 and all(all(item.ids) for item in channels))
    if not (create or by_id):
        raise ToolError(f"{table.where}: expected channel or client ids of both sides, or create = true")
    return made


def _check_version(path: PathConfig, where: str) -> None:
    """v1 has connections and channels, v2 has clients alone."""
    if path.version not in VERSIONS_OF_IBC:
        raise ToolError(f"{where}.version: expected 1 or 2, got {path.version}")
    if path.version == 1 and not path.channels:
        raise ToolError(f"{where}.channels: expected at least one channel, got none")
    if path.version == 2 and (path.channels or any(path.connections)):
        raise ToolError(f"{where}: expected no connections and no channels on a path of version 2, got some")


def _channel(item: Json, where: str) -> ChannelConfig:
    if isinstance(item, str):
        item = {"port": item}
    table = Table(item, where)
    port = table.text("port", "")
    ports = (table.text("a_port", port), table.text("b_port", port))
    if not all(ports):
        raise ToolError(f"{where}: expected port, or a_port and b_port, got {item!r}")
    spec = ChannelSpec(
        ports=ports,
        version=table.text("version", VERSIONS.get(ports[0], "")),
        ordered=bool(table.get("ordered", False)),
    )
    made = ChannelConfig(spec=spec, ids=(table.text("a_channel", ""), table.text("b_channel", "")))
    table.done()
    if any(made.ids) and not all(made.ids):
        raise ToolError(f"{where}: expected both a_channel and b_channel, or neither, got {made.ids}")
    return made


def _filter(table: Table) -> PacketFilter:
    made = PacketFilter(
        channels=table.texts("channels"),
        deny=table.texts("deny"),
        sequences=parse_ranges(table.texts("sequences")),
        memo_bytes_max=table.positive("memo_bytes_max", MEMO_BYTES_MAX),
        receiver_bytes_max=table.positive("receiver_bytes_max", RECEIVER_BYTES_MAX),
    )
    table.done()
    return made
