"""Reads the genesis document: that of a CometBFT chain, with the first membership."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any as Json

from google.protobuf import json_format

from cosmos_wire.errors import ChainError
from fabric_adapter.microgrid.errors import InvalidGenesis
from fabric_wire import strict
from ibc_core.fabric.membership import check_membership
from ibc_core.fabric.records import Membership
from microgrid.block import app_state
from microgrid.errors import GenesisError

SECOND_NS = 10**9
CHAIN_ID_BYTES_MAX = 50
NANO_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """What the document says."""

    chain_id: str
    time_ns: int
    app_state: dict[str, object]
    membership: Membership


def read_genesis(data: bytes) -> Genesis:
    """The document; raises InvalidGenesis saying what was expected and what came."""
    try:
        doc = json.loads(data)
    except ValueError as error:
        raise InvalidGenesis(f"expected JSON, got {data[:60]!r}") from error
    if not isinstance(doc, dict):
        raise InvalidGenesis(f"expected an object, got {type(doc).__name__}")
    chain_id = doc.get("chain_id")
    if not isinstance(chain_id, str) or not 0 < len(chain_id.encode()) <= CHAIN_ID_BYTES_MAX:
        raise InvalidGenesis(f"chain_id: expected 1..{CHAIN_ID_BYTES_MAX} bytes of text, got {str(chain_id)[:80]!r}")
    try:
        state = app_state(json.dumps(doc.get("app_state")).encode())
    except GenesisError as error:
        raise InvalidGenesis(str(error)) from error
    return Genesis(
        chain_id=chain_id,
        time_ns=_time_ns(doc.get("genesis_time")),
        app_state=state,
        membership=_membership(doc.get("membership")),
    )


def _time_ns(text: Json) -> int:
    """Of RFC 3339 in UTC, as CometBFT writes it: up to nanoseconds."""
    whole, _, rest = str(text).removesuffix("Z").partition(".")
    try:
        moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        nanos = int(rest.ljust(NANO_DIGITS, "0")) if rest else 0
    except ValueError as error:
        raise InvalidGenesis(f"genesis_time: expected 2030-01-01T00:00:00.000Z, got {str(text)[:60]!r}") from error
    if not str(text).endswith("Z") or not 0 <= nanos < SECOND_NS:
        raise InvalidGenesis(f"genesis_time: expected 2030-01-01T00:00:00.000Z, got {str(text)[:60]!r}")
    return int(moment.timestamp()) * SECOND_NS + nanos


def _membership(found: Json) -> Membership:
    """Hex of the record's bytes, or its JSON."""
    try:
        record = _read_membership(found)
        check_membership(record)
    except ChainError as error:
        raise InvalidGenesis(f"membership: {error}") from error
    except (ValueError, TypeError, AttributeError, json_format.ParseError) as error:
        raise InvalidGenesis(f"membership: expected hex or JSON of a fabric.v1.Membership, got {error}") from error
    if record.version != 1:
        raise InvalidGenesis(f"membership: expected version 1, got {record.version}")
    return record


def _read_membership(found: Json) -> Membership:
    if isinstance(found, str):
        return strict.read(Membership, bytes.fromhex(found))
    return json_format.ParseDict(found, Membership())
