"""What a node's public RPC says of a chain: genesis, blocks, results, and the state at one height. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any as Json
from typing import Protocol

from cosmos_wire.protos import cmt_types, cmt_validator, registry, trade
from fabric_wire.protos import common

NS_PER_MS = 1_000_000


class EventLike(Protocol):
    """An ABCI event."""

    @property
    def type(self) -> str:
        """Its kind."""

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """Keys and values in order; a key may come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TxRecord:
    """A transaction and its result."""

    raw: bytes
    code: int
    codespace: str
    data: bytes
    gas_wanted: int
    gas_used: int
    events: tuple[EventLike, ...]
    tx_hash: str = ""  # upper-case hex


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """A block with its results; `last_commit` signs the block before."""

    header: cmt_types.Header
    txs: tuple[TxRecord, ...]
    hook_events: tuple[EventLike, ...]
    last_commit: cmt_types.Commit | None = None

    @property
    def height(self) -> int:
        """Its height."""
        return self.header.height

    @property
    def time_ns(self) -> int:
        """Block time."""
        return self.header.time.seconds * 1_000_000_000 + self.header.time.nanos

    @property
    def time_ms(self) -> int:
        """Block time in whole milliseconds, as gates count."""
        return self.time_ns // NS_PER_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalState:
    """What ABCI queries said as of one height."""

    height: int
    balances: Mapping[tuple[str, str], int]  # (address, denomination) -> base units
    supply: Mapping[str, int]
    accounts: Mapping[str, int] = field(default_factory=dict)  # address -> account number; empty: not asked for
    cells: tuple[registry.Cell, ...] = ()
    sold: tuple[trade.SellerContract, ...] = ()
    bought: tuple[trade.BuyerContract, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A record of the store and what the node gave as its proof, which may be anything."""

    key: bytes
    value: bytes
    proofs: tuple[bytes, ...]  # of the key in its store, of the store in the state


@dataclass(frozen=True, slots=True, kw_only=True)
class StateProofs:
    """Proofs of the end state; their root is in the header after the last block."""

    signed: cmt_types.SignedHeader
    records: tuple[Proven, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orderers:
    """Whose signatures make a block of a channel, as the network's own document says."""

    channel: str
    policy: str  # as Fabric writes policies: OR('OrdererMSP.orderer')
    roots: Mapping[str, tuple[bytes, ...]]  # certificates in DER by MSP id
    revoked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # serial numbers
    consenters: Mapping[int, bytes] = field(default_factory=dict)  # SerializedIdentity by number, where they use those


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricRecord:
    """The ledger below a Fabric microgrid: every block from number 0 on, as a peer gave them."""

    chaincode: str
    blocks: tuple[common.Block, ...]
    orderers: Orderers | None = None  # None: not known who they are


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecord:
    """All of one chain that the audit looks at; `blocks` run to `final.height`, from 1 on or, on Fabric, from 2 on.

    On Fabric a header has chain id, height and time alone; `fabric` is None when the ledger was not read.
    """

    chain_id: str
    genesis: Mapping[str, Json] = field(repr=False)
    blocks: tuple[BlockRecord, ...] = field(repr=False)
    final: FinalState = field(repr=False)
    validators: Mapping[bytes, cmt_validator.ValidatorSet] = field(default_factory=dict, repr=False)  # by their hash
    last_commit: cmt_types.Commit | None = field(default=None, repr=False)  # of the last block
    proofs: StateProofs | None = field(default=None, repr=False)
    on_fabric: bool = False
    fabric: FabricRecord | None = field(default=None, repr=False)

    @property
    def app_state(self) -> Mapping[str, Json]:
        """The application's part of genesis."""
        state: Mapping[str, Json] = self.genesis["app_state"]
        return state


def values_of(event: EventLike) -> dict[str, str]:
    """Attributes of an event, the last value of a repeated key."""
    return dict(event.attributes)


def of_kind(events: Iterable[EventLike], *kinds: str) -> list[dict[str, str]]:
    """Attributes of the events of some kinds, in order."""
    return [values_of(event) for event in events if event.type in kinds]
