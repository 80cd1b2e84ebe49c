"""Proofs of a Fabric microgrid in a file: an attestation that its organisations' peers signed, checked offline.

    {"chain_id": "mgf-1", "channel": "energy", "chaincode": "microgrid", "key": "...", "value": "<hex>" | null,
     "height": 12, "endorsed": "<hex of bsmg.fabric.v1.EndorsedPayload>", "membership": "<hex of ...Membership>"}

`membership` says who may endorse and under which policy; whoever verifies compares it with the one that he trusts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any as Json

from bsmg.audit.proof_file import key_bytes
from bsmg.client.fabric import FabricClient
from cosmos_wire.errors import ChainError, ToolError
from fabric_wire import strict
from fabric_wire.x509 import read_identity
from ibc_core.fabric.membership import Members, check_membership
from ibc_core.fabric.records import Membership, Scope
from ibc_core.fabric.verifier import Attested, Trust, verify
from ibc_core.fabric.wire import EndorsedPayload

FIELD = "endorsed"  # by which a file of this form is known
HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)")
NS_PER_S = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a file says; `value` is None for absence."""

    scope: Scope
    height: int
    key: bytes
    value: bytes | None
    endorsed: EndorsedPayload
    membership: Membership


def read_claim(doc: Mapping[str, Json]) -> Claim:
    """Read a parsed file; raises ToolError naming the field."""
    height = _field(doc, "height")
    if not isinstance(height, int) or height < 1:
        raise ToolError(f"proof file: height: expected a whole number above 0, got {str(height)[:40]!r}")
    names = [_text(doc, name) for name in ("chain_id", "channel", "chaincode")]
    return Claim(
        scope=Scope(chain_id=names[0], channel_id=names[1], namespace=names[2]),
        height=height,
        key=key_bytes(_text(doc, "key")),
        value=None if doc.get("value") is None else _hex(doc, "value"),
        endorsed=_message(doc, FIELD, EndorsedPayload),
        membership=_message(doc, "membership", Membership),
    )


def _field(doc: Mapping[str, Json], name: str) -> Json:
    if name not in doc:
        raise ToolError(f"proof file: expected a field {name!r}, got none")
    return doc[name]


def _text(doc: Mapping[str, Json], name: str) -> str:
    found = _field(doc, name)
    if not isinstance(found, str):
        raise ToolError(f"proof file: {name}: expected text, got {str(found)[:40]!r}")
    return found


def _hex(doc: Mapping[str, Json], name: str) -> bytes:
    found = HEX.fullmatch(_text(doc, name))
    if found is None:
        raise ToolError(f"proof file: {name}: expected hexadecimal digits, got {_text(doc, name)[:60]!r}")
    return bytes.fromhex(found[1])


def _message(doc: Mapping[str, Json], name: str, kind: type[strict.M]) -> strict.M:
    try:
        return strict.read(kind, _hex(doc, name))
    except ChainError as error:
        raise ToolError(f"proof file: {name}: {error}") from error


def require_valid(claim: Claim, now_ns: int) -> tuple[Attested, Members]:
    """The attestation holds and says what the file says; raises ChainError, ToolError."""
    members = check_membership(claim.membership)
    found = verify(Trust(scope=claim.scope, members=members, now_ns=now_ns), claim.endorsed)
    if found.height != claim.height:
        raise ToolError(f"height: expected an attestation of tick {claim.height}, got one of {found.height}")
    if claim.key not in found.values:
        raise ToolError(f"key: expected an attestation of it, got one of {len(found.values)} other keys")
    if found.values[claim.key] != claim.value:
        raise ToolError(
            f"value: expected {_shown(claim.value)}, the attestation says {_shown(found.values[claim.key])}"
        )
    return found, members


def _shown(value: bytes | None) -> str:
    return "absence" if value is None else f"{len(value)} bytes {value[:32].hex()}"


def verdict(claim: Claim) -> list[str]:
    """Lines of a proof that holds at this moment; raises ChainError, ToolError for one that does not."""
    found, members = require_valid(claim, time.time_ns())
    held = "is absent" if claim.value is None else f"holds {_shown(claim.value)},"
    moment = datetime.fromtimestamp(found.time_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    signers = sorted(read_identity(item.endorser).msp_id for item in claim.endorsed.endorsements)
    prints = [root.fingerprint.hex()[:16] for msp in members.msps for root in msp.roots]
    return [
        f"VALID: ibc/0x{claim.key.hex()} {held} at tick {found.height} of {claim.scope.chain_id}, {moment} UTC",
        f"signed by {', '.join(signers)}, which satisfies {members.policy}",
        f"membership version {members.version}, SHA-256 {sha256(strict.write(claim.membership)).hexdigest()}, "
        f"roots {', '.join(prints)}: compare with those you trust; they are trusted, not a consensus of validators",
    ]


async def fetch(client: FabricClient, key: bytes) -> dict[str, Json]:
    """A proof file's content from the organisations' peers, as of the last tick."""
    membership = await client.membership()
    found = await client.attest([key], tick=False)
    value = found.values[key]
    return {
        "chain_id": client.chain_id,
        "channel": client.channel,
        "chaincode": client.chaincode,
        "height": found.height,
        "key": "0x" + key.hex(),
        "value": None if value is None else value.hex(),
        FIELD: strict.write(found.endorsed).hex(),
        "membership": strict.write(membership).hex(),
    }
