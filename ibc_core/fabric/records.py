"""What a Fabric microgrid keeps and attests: keys on its ledger, and the values that its `Attest` function writes.

On the ledger: `tick` (TickRecord), `membership/<version, 16 hex digits>` (Membership), `ibc/<hex of an ICS-24 path>`.
Reserved for attestations, and never submitted: `attest/tick`, `attest/membership`, `attest/ibc/<hex of the path>`.
`attest` is what the chaincode runs; the light client expects exactly its writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cosmos_wire.protos import fabric_client
from fabric_wire import strict
from fabric_wire.responses import Write
from ibc_core.fabric.errors import InvalidAttestation

FUNCTION = b"Attest"
STORE = b"ibc"  # commitment prefix of a Fabric microgrid
TICK, MEMBERSHIP, IBC, RESERVED = "tick", "membership", "ibc", "attest/"
PATHS_MAX = 128  # of one attestation
PATH_BYTES_MAX = 512

Attestation = fabric_client.Attestation
AttestArgs = fabric_client.AttestArgs
TickRecord = fabric_client.TickRecord
Membership = fabric_client.Membership
Lookup = Callable[[str], "bytes | None"]  # committed value of a ledger key


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which state machine speaks: chain id, channel, chaincode name."""

    chain_id: str
    channel_id: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing to attest: the ledger's key, the reserved key, the ICS-24 path (empty for records)."""

    state_key: str
    reserved_key: str
    path: bytes = b""


def state_key(path: bytes) -> str:
    """Ledger key of an ICS-24 path."""
    return f"{IBC}/{path.hex()}"


def membership_key(version: int) -> str:
    """Ledger key of a membership record."""
    return f"{MEMBERSHIP}/{version:016x}"


def attest_args(
    height: int, paths: tuple[bytes, ...] = (), *, tick: bool = False, membership_version: int = 0
) -> tuple[bytes, ...]:
    """Arguments of the proposal that asks for an attestation at a height."""
    wanted = AttestArgs(height=height, tick=tick, membership_version=membership_version, paths=sorted(set(paths)))
    return FUNCTION, strict.write(wanted)


def read_args(data: bytes) -> AttestArgs:
    """The second argument; raises InvalidAttestation."""
    args = strict.read(AttestArgs, data, InvalidAttestation)
    paths = list(args.paths)
    if paths != sorted(set(paths)) or len(paths) > PATHS_MAX:
        raise InvalidAttestation(f"expected at most {PATHS_MAX} paths, ascending, each once, got {len(paths)}")
    for path in paths:
        if not 0 < len(path) <= PATH_BYTES_MAX:
            raise InvalidAttestation(f"path: expected 1..{PATH_BYTES_MAX} bytes, got {len(path)}")
    if not args.height or not (paths or args.tick or args.membership_version):
        raise InvalidAttestation(f"expected a height and something to attest, got height {args.height} and nothing")
    return args


def asked(args: AttestArgs) -> Iterator[Asked]:
    """What the arguments ask for."""
    if args.tick:
        yield Asked(state_key=TICK, reserved_key=RESERVED + TICK)
    if args.membership_version:
        yield Asked(state_key=membership_key(args.membership_version), reserved_key=RESERVED + MEMBERSHIP)
    for path in args.paths:
        yield Asked(state_key=state_key(path), reserved_key=RESERVED + state_key(path), path=path)


def attest(scope: Scope, data: bytes, lookup: Lookup) -> tuple[Write, ...]:
    """What `Attest` writes for its second argument; raises InvalidAttestation, also when the height is not the last.

    `lookup` reads committed state only; it is asked for `tick` and for every key that is attested.
    """
    args = read_args(data)
    tick = strict.read(TickRecord, lookup(TICK) or b"", InvalidAttestation)
    if tick.height != args.height:
        raise InvalidAttestation(f"expected the last height {tick.height}, got {args.height}")
    return tuple(
        Write(key=item.reserved_key, value=strict.write(_attestation(scope, tick, item, lookup(item.state_key))))
        for item in asked(args)
    )


def _attestation(scope: Scope, tick: TickRecord, item: Asked, value: bytes | None) -> Attestation:
    return Attestation(
        chain_id=scope.chain_id,
        channel_id=scope.channel_id,
        namespace=scope.namespace,
        height=tick.height,
        time_ns=tick.time_ns,
        path=item.path,
        present=value is not None,
        value=value or b"",
    )
