"""The topology file: which chains, links and relayers make up a testnet. Every key but `id` and `kind` has a default.

    [[chain]]
    id = "mga-1"            kind = "cometbft"      validators = 4       block_time_ms = 1000
    slot_s = 4              denom = "bmga"         hosts = ["local"]    min_gas_price = "0"
    feeder = "sce56"        security = "chain"     vmin_permille = 970  vmax_permille = 1030
    [[chain]]
    id = "mgf-1"            kind = "fabric-embedded"                    organisations = 3
    endorsement = "OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')"
    [[link]]
    a = "mga-1"             b = "mgf-1"            channels = ["transfer", "trade"]        ibc_v2 = false
    [relayer]
    count = 1

Without a file: two chains of four validators, linked, with one relayer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any as Toml

from cosmos_wire.errors import ChainError, ToolError
from energy.registry.identity import ID_LENGTH_MAX
from fabric_adapter.network.plan import require_endorsement
from ibc_core.transfer import denom as ibc_denom
from physics.feeders import FEEDERS

CHAIN_ID = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?-[1-9][0-9]*")
CHAIN_ID_MAX = 40  # CometBFT takes 50
NAME_MAX = ID_LENGTH_MAX // 2  # identities carry the name behind an @
REVISION_MAX = 2**64 - 1  # IBC's heights carry it as uint64
DENOM = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}")
PRICE = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[a-zA-Z][a-zA-Z0-9/:._-]*)?")
COMETBFT, FABRIC, FABRIC_EMBEDDED = "cometbft", "fabric", "fabric-embedded"
KINDS = (COMETBFT, FABRIC, FABRIC_EMBEDDED)
MICROGRID, GRID = "microgrid", "grid"
ROLES = (MICROGRID, GRID)  # the main grid's chain has no cells: it trades at level 3 only
CHANNELS = ("transfer", "trade")  # opened in this order
INDEXERS = ("kv", "null")
SECURITIES = ("chain", "ballot")
SUBSIDISED = ("VICKREY", "VCG")
MECHANISMS = (
    "UNIFORM_K", "TRADE_REDUCTION", "PAY_AS_BID", "LAO", "FRO", "DISCRIMINATORY_K", "GREEDY", "TARIFF", "MUDA", "HUANG",
    *SUBSIDISED,
)  # fmt: skip
GATE_NAMES = ("OPEN", "BID", "CLEAR", "SECURE", "SEAL", "METER_CLOSE", "SETTLE", "CLOSE")
HOUR_MS = 3_600_000
LEAD_MS = 30_000  # two linked chains and their channels are ready this long after genesis on two cores
LEAD_STEP_MS = 5_000  # a chain or a link more
PRODUCTION_SLOT_MS = 900_000
SHORT_WINDOW_LINKED_MS, SHORT_WINDOW_ALONE_MS = 120_000, 12_000
VALIDATORS_MAX, ORGANISATIONS_MAX, CELLS_MAX, RELAYERS_MAX, CHAINS_MAX = 100, 16, 10_000, 16, 200
BLOCK_TIME_MS = (500, 600_000)
VOLTAGES = (0, 2_000)  # permille
FILE_BYTES_MAX = 1 << 20
SHOWN_MAX = 200  # characters of a refused value


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What a chain's market does otherwise than by default; prices in 1e-4 token per kWh."""

    mechanism: str = "UNIFORM_K"
    k_num: int = 1
    k_den: int = 2
    fit_e4: int = 20_000
    cap_e4: int = 80_000
    tariff_e4: int = 50_000  # of TARIFF
    subsidy_max: int = 10**14  # base units a slot, of VICKREY and VCG


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Lengths in ms: the least window of the gates and the long windows after delivery; offsets in permille by gate."""

    window_min_ms: int
    meter_ms: int
    disp_ms: int
    close_ms: int
    max_skew_s: int
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain."""

    id: str
    kind: str
    denom: str
    gates: Gates
    market: Market
    profile: str = ""
    validators: int = 4
    block_time_ms: int = 1000
    slot_ms: int = 4000
    hosts: tuple[str, ...] = ("local",)
    min_gas_price: str = "0"
    unbonding_s: int = 1_814_400
    versions_kept: int = 1000
    indexer: str = "kv"
    cells: int = 0  # 0: all of the profile's
    lead_ms: int = LEAD_MS  # from genesis until everything is up: the first slot's bidding comes after it
    organisations: int = 2  # of a Fabric chain; each has a peer and a node front
    endorsement: str = ""  # policy of a Fabric chain's chaincode; empty: every organisation's peer
    role: str = MICROGRID
    grid: str = ""  # id of the main grid's chain, its own for that chain; empty: there is none
    feeder: str = ""  # of physics.feeders; empty: nothing is checked
    security: str = "chain"  # who judges schedules: the chain's own certificate, or its validators' votes
    vmin_permille: int = 0  # voltage limits of the feeder, 0: those that its fleet is made for
    vmax_permille: int = 0

    @property
    def is_grid(self) -> bool:
        """Whether it is the main grid's."""
        return self.role == GRID

    @property
    def on_fabric(self) -> bool:
        """Whether its ledger is Fabric's, real or embedded."""
        return self.kind != COMETBFT

    @property
    def name(self) -> str:
        """The microgrid's name: the chain id without its revision."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two chains to be linked, the applications that get a channel, and whether there is a path of IBC v2 too."""

    a: str
    b: str
    channels: tuple[str, ...] = CHANNELS
    ibc_v2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayers:
    """How many relayer processes, and how they work."""

    count: int = 1
    max_msgs: int = 50
    clear_interval_s: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A whole testnet."""

    chains: tuple[Chain, ...]
    links: tuple[Link, ...]
    relayer: Relayers


DEFAULT = """
[[chain]]
id = "mga-1"
kind = "cometbft"
[[chain]]
id = "mgb-1"
kind = "cometbft"
[[link]]
a = "mga-1"
b = "mgb-1"
"""

COMMON_KEYS = (
    "id", "kind", "block_time_ms", "slot_s", "slot_ms", "denom", "unbonding_s", "versions_kept", "cells", "profile",
    "market", "gates", "feeder", "security", "vmin_permille", "vmax_permille",
)  # fmt: skip
OWN_KEYS = {  # what only means something on one kind of ledger
    COMETBFT: ("role", "validators", "hosts", "min_gas_price", "indexer"),
    FABRIC: ("organisations", "endorsement"),
    FABRIC_EMBEDDED: ("organisations", "endorsement"),
}


def load_topology(path: Path | None, relayers: int | None = None) -> Topology:
    """Read a topology file, or the default topology; raises ToolError naming the file and the place in it.

    `relayers` takes the place of the file's `relayer.count`.
    """
    found = parse_topology(DEFAULT, "default topology") if path is None else _read_topology(path)
    return found if relayers is None else replace(found, relayer=replace(found.relayer, count=relayers))


def _read_topology(path: Path) -> Topology:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ToolError(f"topology {path}: expected a readable file, got {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ToolError(f"topology {path}: expected at most {FILE_BYTES_MAX} bytes, got more")
    try:
        return parse_topology(data.decode(), str(path))
    except UnicodeDecodeError as error:
        raise ToolError(f"topology {path}: expected UTF-8, got other bytes at {error.start}") from error


def parse_topology(text: str, where: str) -> Topology:
    """Check a topology and fill in its defaults."""
    top = Table(_toml(text, where), where)
    top.only("chain", "link", "relayer")
    links = tuple(_link(Table(item, f"{where}: link {n}")) for n, item in enumerate(top.tables("link"), 1))
    linked = [end for link in links for end in (link.a, link.b)]  # an id may still be anything, so no set
    tables = [Table(item, f"{where}: chain {n}") for n, item in enumerate(top.tables("chain"), 1)]
    lead_ms = LEAD_MS + LEAD_STEP_MS * (max(0, len(tables) - 2) + max(0, len(links) - 1))
    chains = tuple(replace(_chain(table, table.doc.get("id") in linked), lead_ms=lead_ms) for table in tables)
    chains = _with_grid(chains, where)
    topology = Topology(chains=chains, links=links, relayer=_relayer(top.table("relayer")))
    _check_whole(topology, where)
    return topology


def _toml(text: str, where: str) -> dict[str, Toml]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML; a number of thousands of digits; nested too deeply
        raise ToolError(f"{where}: expected TOML, got {error}") from error


def _with_grid(chains: tuple[Chain, ...], where: str) -> tuple[Chain, ...]:
    """Every chain knows the main grid's."""
    grids = [chain.id for chain in chains if chain.is_grid]
    if len(grids) > 1:
        raise ToolError(f"{where}: expected at most one chain of role grid, got {', '.join(grids)}")
    return tuple(replace(chain, grid="".join(grids)) for chain in chains)


@dataclass(frozen=True, slots=True)
class Table:
    """A TOML table and where it stands; its readers raise ToolError with what was expected and what came."""

    doc: Mapping[str, Toml]
    where: str

    def only(self, *known: str) -> None:
        """Refuse a key that isn't known, naming the nearest one."""
        for key in self.doc:
            if key not in known:
                near = get_close_matches(key, known, n=1, cutoff=0.0)
                raise ToolError(f"{self.where}: unknown key {key!r}; nearest is {near[0]!r}")

    def wrong(self, key: str, expected: str) -> ToolError:
        """The error for a value."""
        return ToolError(f"{self.where}: {key}: expected {expected}, got {_shown(self.doc.get(key))}")

    def integer(self, key: str, default: int, bounds: tuple[int, int]) -> int:
        """A whole number within bounds."""
        value = self.doc.get(key, default)
        if type(value) is not int or not bounds[0] <= value <= bounds[1]:
            raise self.wrong(key, f"a whole number from {bounds[0]} to {bounds[1]}")
        return value

    def text(self, key: str, default: str, form: re.Pattern[str]) -> str:
        """A text of a form."""
        value = self.doc.get(key, default)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise self.wrong(key, f"text of the form {form.pattern}")
        return value

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        """One of some words."""
        value = self.doc.get(key, default)
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)}")
        return str(value)

    def words(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts, not empty and without repetition."""
        value = self.doc.get(key, list(default))
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self.wrong(key, "a list of texts")
        if len(dict.fromkeys(value)) != len(value):
            raise self.wrong(key, "a list without repetition")
        return tuple(value)

    def truth(self, key: str, *, default: bool) -> bool:
        """A truth value."""
        value = self.doc.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def table(self, key: str) -> Table:
        """A table within, empty if left out."""
        value = self.doc.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, "a table")
        return Table(value, f"{self.where}: {key}")

    def tables(self, key: str) -> list[Mapping[str, Toml]]:
        """A list of tables, empty if left out."""
        value = self.doc.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, f"tables written [[{key}]]")
        return value


def _shown(value: Toml) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of thousands of digits, hexadecimal ones come in
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def _chain(table: Table, linked: bool) -> Chain:  # noqa: FBT001  (private, one caller)
    for key in ("id", "kind"):
        if key not in table.doc:
            raise ToolError(f"{table.where}: {key}: expected, got nothing")
    kind, chain_id = table.choice("kind", "", KINDS), _chain_id(table)
    table = replace(table, where=f"{table.where} ({chain_id})")
    table.only(*COMMON_KEYS, *OWN_KEYS[kind])
    slot_ms, role = _slot_ms(table), table.choice("role", MICROGRID, ROLES)
    for key in ("cells", "profile", "feeder"):
        if role == GRID and key in table.doc:
            raise table.wrong(key, "nothing, since a chain of role grid has no cells")
    feeder = table.choice("feeder", "", ("", *sorted(FEEDERS)))
    chain = Chain(
        role=role,
        id=chain_id,
        kind=kind,
        organisations=table.integer("organisations", 2, (1, ORGANISATIONS_MAX)),
        endorsement=_endorsement(table),
        validators=table.integer("validators", 4, (1, VALIDATORS_MAX)),
        block_time_ms=table.integer("block_time_ms", 1000, BLOCK_TIME_MS),
        slot_ms=slot_ms,
        denom=_denom(table, default_denom(chain_id.rpartition("-")[0])),
        hosts=table.words("hosts", ("local",)),
        min_gas_price=_gas_price(table, default_denom(chain_id.rpartition("-")[0])),
        unbonding_s=table.integer("unbonding_s", 1_814_400, (1, 10 * 365 * 86_400)),
        versions_kept=table.integer("versions_kept", 1000, (2, 10_000_000)),
        indexer=table.choice("indexer", "kv", INDEXERS),
        cells=table.integer("cells", 0, (0, CELLS_MAX)),
        profile=table.text("profile", feeder, re.compile(r"[a-z0-9_-]{0,40}")),
        market=_market(table.table("market")),
        gates=_gates(table, slot_ms, linked=linked),
        feeder=feeder,
        security=table.choice("security", "chain", SECURITIES),
        vmin_permille=table.integer("vmin_permille", 0, VOLTAGES),
        vmax_permille=table.integer("vmax_permille", 0, VOLTAGES),
    )
    for key in ("security", "vmin_permille", "vmax_permille"):
        if not feeder and key in table.doc:
            raise table.wrong(key, "a feeder beside it, on which schedules are judged")
    return chain


def _chain_id(table: Table) -> str:
    """A chain id that CometBFT, IBC's heights and identities take."""
    chain_id = table.text("id", "", CHAIN_ID)
    name, _, revision = chain_id.rpartition("-")
    if len(chain_id) > CHAIN_ID_MAX or len(name) > NAME_MAX:
        raise table.wrong("id", f"at most {CHAIN_ID_MAX} characters, {NAME_MAX} of them before the revision")
    if int(revision) > REVISION_MAX:
        raise table.wrong("id", f"a revision of at most {REVISION_MAX}")
    return chain_id


def _denom(table: Table, default: str) -> str:
    """A denomination that no other chain's coin can be taken for."""
    denom = table.text("denom", default, DENOM)
    try:
        foreign = denom == "ibc" or denom.startswith(ibc_denom.PREFIX) or bool(ibc_denom.parse(denom).trace)
    except ChainError:
        foreign = True
    if foreign:
        raise table.wrong("denom", "a denomination of the chain's own, not one of a coin that came by IBC")
    return denom


def _gas_price(table: Table, default: str) -> str:
    """A price in the chain's own denomination, since nobody holds another when it begins."""
    price, denom = table.text("min_gas_price", "0", PRICE), _denom(table, default)
    if price.lstrip("0123456789.") not in ("", denom):
        raise table.wrong("min_gas_price", f"a decimal, alone or with {denom}")
    return price


def _endorsement(table: Table) -> str:
    """A policy in Fabric's words that the chain's organisations can satisfy."""
    if "endorsement" not in table.doc:
        return ""
    text = table.text("endorsement", "", re.compile(r"[^\n]+"))
    try:
        require_endorsement(text, table.integer("organisations", 2, (1, ORGANISATIONS_MAX)))
    except ToolError as error:
        raise ToolError(f"{table.where}: {error}") from error
    return text


def default_denom(name: str) -> str:
    """`b<name>`; a denomination has three characters at least."""
    return f"b{name}" if len(name) > 1 else f"bsmg{name}"


def _slot_ms(table: Table) -> int:
    """`slot_s` and `slot_ms` are one parameter."""
    if "slot_s" in table.doc and "slot_ms" in table.doc:
        raise ToolError(f"{table.where}: slot_s and slot_ms are one parameter: expected one of them, got both")
    if "slot_ms" not in table.doc:
        return table.integer("slot_s", 4, (1, 86_400)) * 1000
    slot_ms = table.integer("slot_ms", 4000, (1000, 86_400_000))
    if slot_ms % 1000:
        raise table.wrong("slot_ms", "a multiple of 1000")
    return slot_ms


def _market(table: Table) -> Market:
    table.only("mechanism", "k_num", "k_den", "fit_e4", "cap_e4", "tariff_e4", "subsidy_max")
    market = Market(
        mechanism=table.choice("mechanism", "UNIFORM_K", MECHANISMS),
        k_num=table.integer("k_num", 1, (0, 1_000_000)),
        k_den=table.integer("k_den", 2, (1, 1_000_000)),
        fit_e4=table.integer("fit_e4", 20_000, (0, 10**9)),
        cap_e4=table.integer("cap_e4", 80_000, (1, 10**9)),
        tariff_e4=table.integer("tariff_e4", 50_000, (0, 10**9)),
        subsidy_max=table.integer("subsidy_max", 10**14, (1, 10**17)),
    )
    if market.k_num > market.k_den:
        raise ToolError(f"{table.where}: expected k_num <= k_den, got {market.k_num} / {market.k_den}")
    if market.fit_e4 > market.cap_e4:
        raise ToolError(f"{table.where}: expected fit_e4 <= cap_e4, got {market.fit_e4} > {market.cap_e4}")
    return market


def _gates(table: Table, slot_ms: int, *, linked: bool) -> Gates:
    """`short`, `production`, or a table of what differs from the one that fits the slot's length."""
    fitting = "production" if slot_ms >= PRODUCTION_SLOT_MS else "short"
    value = table.doc.get("gates", fitting)
    if isinstance(value, str):
        return _named_gates(table.choice("gates", fitting, ("short", "production")), linked=linked)
    base, inner = _named_gates(fitting, linked=linked), table.table("gates")
    inner.only("window_min_ms", "meter_ms", "disp_ms", "close_ms", "max_skew_s", *GATE_NAMES)
    day = 365 * 86_400_000
    gates = Gates(
        window_min_ms=inner.integer("window_min_ms", base.window_min_ms, (1000, 86_400_000)),
        meter_ms=inner.integer("meter_ms", base.meter_ms, (1, day)),
        disp_ms=inner.integer("disp_ms", base.disp_ms, (1, day)),
        close_ms=inner.integer("close_ms", base.close_ms, (1, day)),
        max_skew_s=inner.integer("max_skew_s", base.max_skew_s, (0, 86_400)),
        offsets={name: inner.integer(name, 0, (-1000, 100_000)) for name in GATE_NAMES if name in inner.doc},
    )
    if gates.window_min_ms % 1000:
        raise inner.wrong("window_min_ms", "a multiple of 1000")
    if not gates.meter_ms < gates.disp_ms < gates.close_ms - 2000 * gates.max_skew_s + 1:
        raise ToolError(f"{inner.where}: expected meter_ms < disp_ms <= close_ms - 2 x max_skew_s, got {gates}")
    return gates


def _named_gates(name: str, *, linked: bool) -> Gates:
    """The two tables: months of patience in production, a minute in tests."""
    if name == "production":
        long = {"meter_ms": 36 * HOUR_MS, "disp_ms": 60 * HOUR_MS, "close_ms": 84 * HOUR_MS}
        return Gates(window_min_ms=SHORT_WINDOW_ALONE_MS, max_skew_s=120, offsets={}, **long)
    window = SHORT_WINDOW_LINKED_MS if linked else SHORT_WINDOW_ALONE_MS
    return Gates(window_min_ms=window, meter_ms=20_000, disp_ms=40_000, close_ms=60_000, max_skew_s=10, offsets={})


def _link(table: Table) -> Link:
    table.only("a", "b", "channels", "ibc_v2")
    link = Link(
        a=table.text("a", "", CHAIN_ID),
        b=table.text("b", "", CHAIN_ID),
        channels=table.words("channels", CHANNELS),
        ibc_v2=table.truth("ibc_v2", default=False),
    )
    if link.a == link.b:
        raise ToolError(f"{table.where}: expected two chains, got {link.a} twice")
    for channel in link.channels:
        if channel not in CHANNELS:
            raise table.wrong("channels", f"of {', '.join(CHANNELS)}")
    return replace(link, channels=tuple(name for name in CHANNELS if name in link.channels))


def _relayer(table: Table) -> Relayers:
    table.only("count", "max_msgs", "clear_interval_s")
    return Relayers(
        count=table.integer("count", 1, (0, RELAYERS_MAX)),
        max_msgs=table.integer("max_msgs", 50, (1, 1000)),
        clear_interval_s=table.integer("clear_interval_s", 30, (1, 86_400)),
    )


def _check_whole(topology: Topology, where: str) -> None:
    """What only shows when the parts are together."""
    ids = [chain.id for chain in topology.chains]
    if not 1 <= len(ids) <= CHAINS_MAX:
        raise ToolError(f"{where}: expected 1 to {CHAINS_MAX} tables [[chain]], got {len(ids)}")
    names = [chain.name for chain in topology.chains]
    for name in names:
        if names.count(name) > 1:
            raise ToolError(f"{where}: expected chains that differ by name, not by revision, got {name!r} twice")
    pairs = [frozenset((link.a, link.b)) for link in topology.links]
    slots = {chain.id: (chain.slot_ms, max(chain.slot_ms, chain.gates.window_min_ms)) for chain in topology.chains}
    for link, pair in zip(topology.links, pairs, strict=True):
        for end in (link.a, link.b):
            if end not in ids:
                near = get_close_matches(end, ids, n=1, cutoff=0.0)[0]
                raise ToolError(f"{where}: link {link.a} - {link.b}: no chain {end!r}; nearest is {near!r}")
        if pairs.count(pair) > 1:
            raise ToolError(f"{where}: expected one link between {link.a} and {link.b}, got {pairs.count(pair)}")
        _check_terms(link, topology, where)
        if slots[link.a] != slots[link.b]:
            raise ToolError(
                f"{where}: link {link.a} - {link.b}: expected equal slot and window, got {slots[link.a]} ms and "
                f"{slots[link.b]} ms"
            )


def _check_terms(link: Link, topology: Topology, where: str) -> None:
    """Two chains that trade need the same terms: a seller refuses every contract with others."""
    a, b = (next(chain for chain in topology.chains if chain.id == end) for end in (link.a, link.b))
    for key in ("meter_ms", "disp_ms", "close_ms", "max_skew_s") if "trade" in link.channels else ():
        of_a, of_b = getattr(a.gates, key), getattr(b.gates, key)
        if of_a != of_b:
            raise ToolError(f"{where}: link {a.id} - {b.id}: expected equal gates.{key}, got {of_a} and {of_b}")
