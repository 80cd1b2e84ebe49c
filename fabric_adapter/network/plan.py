"""What a network is made of: organisations, names, ports, folders. Pure values, kept as JSON beside the network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any as Json

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.chaincodes import KEY_VALUE
from fabric_wire.msp import Role
from fabric_wire.policy import parse_policy
from processes import files

CHANNEL = "energy"
CHAINCODE = "microgrid"
CHANNEL_NAME, CHANNEL_MAX = re.compile(r"[a-z][a-z0-9.-]*"), 249
CHAINCODE_NAME = re.compile(r"[a-zA-Z0-9]+(?:[-_][a-zA-Z0-9]+)*")
ORGS_MAX = 16
REAL, EMBEDDED = "fabric", "fabric-embedded"  # kinds of ledgers
ORDERER, LEDGER = "orderer", "ledger"  # ledger: the one process of an embedded network
HOST = "127.0.0.1"
ORDERER_MSP = "OrdererMSP"
BLOCK_POLICY = f"OR('{ORDERER_MSP}.orderer')"  # BlockValidation: whose signature makes a block
DEFAULT_USERS = ("admin", "writer", "relayer", "user")


@dataclass(frozen=True, slots=True)
class Home(files.Home):
    """Where the parts of a network are."""

    @property
    def document(self) -> Path:
        """What other programs read."""
        return self.path / "fabric.json"

    @property
    def plan(self) -> Path:
        """What it was made from."""
        return self.path / "plan.json"

    def crypto(self, org: str) -> Path:
        """Certificate authorities, members and MSP of an organisation."""
        return self.path / "crypto" / org

    def node(self, name: str) -> Path:
        """Configuration, data and log of a node."""
        return self.path / "nodes" / name

    @property
    def block(self) -> Path:
        """The channel's first block."""
        return self.path / "channel" / "genesis.block"

    @property
    def package(self) -> Path:
        """The chaincode's package."""
        return self.path / "channel" / "chaincode.tgz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """When the orderer cuts a block."""

    timeout_ms: int = 200
    messages_max: int = 500
    bytes_max: int = 10 << 20


USUAL_BATCH: Mapping[str, Batch] = {REAL: Batch(), EMBEDDED: Batch(timeout_ms=10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What `up` is asked for; `endorsement` empty: every organisation's peer; `batch` None: as the kind has it.

    `factory`: a chaincode of `fabric_adapter.chaincodes`, or MODULE:NAME of one.
    """

    kind: str = REAL
    orgs: int = 2
    channel: str = CHANNEL
    chaincode: str = CHAINCODE
    factory: str = KEY_VALUE
    endorsement: str = ""
    batch: Batch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One organisation's peer."""

    number: int
    ports: Mapping[str, int]  # peer, chaincode, operations

    @property
    def org(self) -> str:
        """Short name of the organisation."""
        return f"org{self.number}"

    @property
    def msp_id(self) -> str:
        """Its membership service provider."""
        return msp_id_of(self.number)

    @property
    def name(self) -> str:
        """Of its process."""
        return f"peer{self.number}"

    @property
    def address(self) -> str:
        """Where it serves the gateway."""
        return f"{HOST}:{self.ports['peer']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A network whose ports are leased."""

    wish: Wish
    peers: tuple[Peer, ...]
    orderer: Mapping[str, int]  # orderer, admin, operations
    chaincode_port: int

    @property
    def endorsement(self) -> str:
        """Endorsement policy of the chaincode, as text."""
        peers = ", ".join(f"'{peer.msp_id}.peer'" for peer in self.peers)
        return self.wish.endorsement or f"AND({peers})"

    @property
    def batch(self) -> Batch:
        """When the orderer cuts a block."""
        return self.wish.batch or USUAL_BATCH[self.wish.kind]

    @property
    def orderer_address(self) -> str:
        """Where the orderer takes transactions."""
        return f"{HOST}:{self.orderer['orderer']}"

    @property
    def chaincode_address(self) -> str:
        """Where the chaincode serves the peers."""
        return f"{HOST}:{self.chaincode_port}"

    @property
    def chaincode_process(self) -> str:
        """Name of the chaincode's process."""
        return "chaincode"

    def doc(self) -> Json:
        """JSON form."""
        return asdict(self)

    @classmethod
    def of_doc(cls, doc: Mapping[str, Json]) -> Plan:
        """From the JSON form."""
        wish = dict(doc["wish"])
        return cls(
            wish=Wish(**{**wish, "batch": Batch(**wish["batch"]) if wish["batch"] else None}),
            peers=tuple(Peer(**peer) for peer in doc["peers"]),
            orderer=doc["orderer"],
            chaincode_port=doc["chaincode_port"],
        )


PEER_PORTS = ("peer", "chaincode", "operations")
ORDERER_PORTS = ("orderer", "admin", "operations")


def ports_needed(wish: Wish) -> int:
    """How many ports a network takes."""
    return wish.orgs * len(PEER_PORTS) + len(ORDERER_PORTS) + 1


def make_plan(wish: Wish, ports: Sequence[int]) -> Plan:
    """A plan on leased ports; raises ToolError when the wish can't be granted."""
    if wish.kind not in USUAL_BATCH:
        raise ToolError(f"kind: expected one of {', '.join(USUAL_BATCH)}, got {wish.kind!r}")
    if not 1 <= wish.orgs <= ORGS_MAX:
        raise ToolError(f"organisations: expected 1 to {ORGS_MAX}, got {wish.orgs}")
    _require_names(wish)
    left = iter(ports)
    peers = tuple(
        Peer(number=number, ports={name: next(left) for name in PEER_PORTS}) for number in range(1, wish.orgs + 1)
    )
    plan = Plan(
        wish=wish,
        peers=peers,
        orderer={name: next(left) for name in ORDERER_PORTS},
        chaincode_port=next(left),
    )
    require_endorsement(plan.endorsement, wish.orgs)
    return plan


def _require_names(wish: Wish) -> None:
    """Those that Fabric takes (configtx/validator.go, core/chaincode/lifecycle)."""
    if len(wish.channel) > CHANNEL_MAX or not CHANNEL_NAME.fullmatch(wish.channel):
        raise ToolError(
            f"channel: expected a name of the form {CHANNEL_NAME.pattern} with at most {CHANNEL_MAX} characters, "
            f"got {wish.channel!r}"
        )
    if not CHAINCODE_NAME.fullmatch(wish.chaincode):
        raise ToolError(f"chaincode: expected a name of the form {CHAINCODE_NAME.pattern}, got {wish.chaincode!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorser:
    """An organisation's peer, as a policy sees it."""

    msp_id: str
    role: Role | None = Role.PEER


def require_endorsement(text: str, orgs: int) -> None:
    """Raise ToolError for a policy that a network of so many organisations with a peer each can't ever satisfy."""
    try:
        policy = parse_policy(text)
    except ChainError as error:
        raise ToolError(f"endorsement: {error}") from error
    peers = [Endorser(msp_id=msp_id_of(number)) for number in range(1, orgs + 1)]
    known = [peer.msp_id for peer in peers]
    strangers = sorted({each.msp_id for each in policy.principals} - set(known))
    if strangers:
        raise ToolError(f"endorsement: expected organisations of {', '.join(known)}, got {', '.join(strangers)}")
    if not policy.is_satisfied(peers):
        raise ToolError(
            f"endorsement: expected a policy that one peer of each of {', '.join(known)} can satisfy, got {policy}"
        )


def can_spare(text: str, msp_ids: Sequence[str]) -> bool:
    """Whether a policy is satisfied by the peers of all organisations but one; raises ChainError for no policy."""
    policy, peers = parse_policy(text), [Endorser(msp_id=msp_id) for msp_id in msp_ids]
    return any(policy.is_satisfied([peer for peer in peers if peer != left]) for left in peers)


def msp_id_of(number: int) -> str:
    """Of the organisation with this number, from 1 on."""
    return f"Org{number}MSP"


def read_plan(home: Home) -> Plan:
    """The plan of a network; raises ToolError when there is none."""
    return Plan.of_doc(files.read_json(home.plan))
