"""CometBFT's JSON (RPC answers) to protobuf messages: headers, commits, validators, events."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any as Json

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Timestamp, cmt_keys, cmt_types, cmt_validator
from ibc_core.host import Event

ZERO_TIME_S = -62_135_596_800  # Go's zero time, year 1: the timestamp of an absent vote
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> tuple[int, int]:
    """(seconds, nanoseconds) since 1970 of an RFC 3339 time in UTC."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ToolError(f"time: expected RFC 3339 in UTC, got {text[:40]!r}")
    *parts, fraction = found.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    since = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    return since.days * 86_400 + since.seconds, int((fraction or "").ljust(9, "0"))


def time_ns(text: str) -> int:
    """Nanoseconds since 1970."""
    seconds, nanos = parse_time(text)
    return seconds * 1_000_000_000 + nanos


def _timestamp(text: str) -> Timestamp:
    seconds, nanos = parse_time(text)
    return Timestamp(seconds=seconds, nanos=nanos)


def block_id(doc: Mapping[str, Json]) -> cmt_types.BlockID:
    """BlockID; the part set header is always present, as gogoproto writes it."""
    made = cmt_types.BlockID(hash=bytes.fromhex(doc["hash"]))
    made.part_set_header.SetInParent()
    parts = doc["parts"]
    made.part_set_header.total = int(parts["total"])
    made.part_set_header.hash = bytes.fromhex(parts["hash"])
    return made


def header(doc: Mapping[str, Json]) -> cmt_types.Header:
    """Header of a block."""
    made = cmt_types.Header(
        chain_id=doc["chain_id"],
        height=int(doc["height"]),
        time=_timestamp(doc["time"]),
        last_block_id=block_id(doc["last_block_id"]),
        proposer_address=bytes.fromhex(doc["proposer_address"]),
    )
    made.version.SetInParent()
    made.version.block = int(doc["version"].get("block", 0))
    made.version.app = int(doc["version"].get("app", 0))
    for name in HEADER_HASHES:
        setattr(made, name, bytes.fromhex(doc[name]))
    return made


HEADER_HASHES = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
)


def commit(doc: Mapping[str, Json]) -> cmt_types.Commit:
    """Commit with one signature entry a validator."""
    return cmt_types.Commit(
        height=int(doc["height"]),
        round=int(doc["round"]),
        block_id=block_id(doc["block_id"]),
        signatures=[_commit_sig(item) for item in doc["signatures"]],
    )


def _commit_sig(doc: Mapping[str, Json]) -> cmt_types.CommitSig:
    return cmt_types.CommitSig(
        block_id_flag=cmt_validator.BlockIDFlag.ValueType(int(doc["block_id_flag"])),
        validator_address=bytes.fromhex(doc["validator_address"]),
        timestamp=_timestamp(doc["timestamp"]),
        signature=base64.b64decode(doc["signature"] or ""),
    )


def signed_header(doc: Mapping[str, Json]) -> cmt_types.SignedHeader:
    """Header and commit of an answer of `commit`."""
    return cmt_types.SignedHeader(header=header(doc["header"]), commit=commit(doc["commit"]))


_KEY_FIELDS = {"tendermint/PubKeyEd25519": "ed25519", "tendermint/PubKeySecp256k1": "secp256k1"}


def validator(doc: Mapping[str, Json]) -> cmt_validator.Validator:
    """One validator; proposer priority is kept as the node gives it."""
    kind = doc["pub_key"]["type"]
    if kind not in _KEY_FIELDS:
        raise ToolError(f"validator key: expected one of {sorted(_KEY_FIELDS)}, got {kind!r}")
    key = cmt_keys.PublicKey()
    setattr(key, _KEY_FIELDS[kind], base64.b64decode(doc["pub_key"]["value"]))
    return cmt_validator.Validator(
        address=bytes.fromhex(doc["address"]),
        pub_key=key,
        voting_power=int(doc["voting_power"]),
        proposer_priority=int(doc.get("proposer_priority", 0)),
    )


def validator_set(docs: Iterable[Mapping[str, Json]], proposer: bytes | None = None) -> cmt_validator.ValidatorSet:
    """A set in CometBFT's order; `proposer` is the address of the block's proposer."""
    members = [validator(doc) for doc in docs]
    made = cmt_validator.ValidatorSet(validators=members)
    chosen = next((member for member in members if member.address == proposer), members[0] if members else None)
    if chosen is not None:
        made.proposer.CopyFrom(chosen)
    made.total_voting_power = sum(member.voting_power for member in members)
    return made


def events(docs: Iterable[Mapping[str, Json]] | None) -> tuple[Event, ...]:
    """ABCI events; null attribute values become empty text."""
    return tuple(
        Event(doc["type"], tuple((item["key"], item.get("value") or "") for item in doc.get("attributes") or ()))
        for doc in docs or ()
    )
