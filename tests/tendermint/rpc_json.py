"""Light blocks out of the JSON that CometBFT's RPC and the vectors use."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from cosmos_wire.canonical import YEAR_ONE_S
from cosmos_wire.protos import Timestamp, cmt_keys, cmt_types, cmt_validator, cmt_version
from ibc_core.tendermint import build
from ibc_core.tendermint.times import time_ns

HASHES = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)


def stamp(text: str) -> Timestamp:
    """RFC 3339 with up to nine digits of a second."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(
        (datetime.fromisoformat(whole).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    )
    return Timestamp(seconds=seconds, nanos=int((fraction or "0").ljust(9, "0")))


def moment_ns(text: str) -> int:
    return time_ns(stamp(text))


def block_id(doc: dict[str, Any] | None) -> cmt_types.BlockID:
    made = cmt_types.BlockID()
    made.part_set_header.SetInParent()
    if doc:
        parts = doc.get("part_set_header") or doc.get("parts") or {}
        made.hash = bytes.fromhex(doc["hash"])
        made.part_set_header.total = int(parts.get("total", 0))
        made.part_set_header.hash = bytes.fromhex(parts.get("hash", ""))
    return made


def header(doc: dict[str, Any]) -> cmt_types.Header:
    version = doc["version"]
    return cmt_types.Header(
        version=cmt_version.Consensus(block=int(version["block"]), app=int(version.get("app", 0))),
        chain_id=doc["chain_id"],
        height=int(doc["height"]),
        time=stamp(doc["time"]),
        last_block_id=block_id(doc["last_block_id"]),
        **{name: bytes.fromhex(doc.get(name) or "") for name in HASHES},
    )


def commit_sig(doc: dict[str, Any]) -> cmt_types.CommitSig:
    made = cmt_types.CommitSig(
        block_id_flag=doc["block_id_flag"],
        validator_address=bytes.fromhex(doc.get("validator_address") or ""),
        signature=base64.b64decode(doc.get("signature") or ""),
    )
    if doc["block_id_flag"] == cmt_validator.BLOCK_ID_FLAG_ABSENT:
        made.timestamp.seconds = YEAR_ONE_S
    else:
        made.timestamp.CopyFrom(stamp(doc["timestamp"]))
    return made


def signed_header(doc: dict[str, Any]) -> cmt_types.SignedHeader:
    commit = doc["commit"]
    return cmt_types.SignedHeader(
        header=header(doc["header"]),
        commit=cmt_types.Commit(
            height=int(commit["height"]),
            round=int(commit["round"]),
            block_id=block_id(commit["block_id"]),
            signatures=[commit_sig(each) for each in commit["signatures"] or []],
        ),
    )


def validator(doc: dict[str, Any]) -> cmt_validator.Validator:
    key = cmt_keys.PublicKey(ed25519=base64.b64decode(doc["pub_key"]["value"]))
    power = int(doc.get("voting_power") or doc.get("power") or 0)
    return cmt_validator.Validator(address=bytes.fromhex(doc["address"]), pub_key=key, voting_power=power)


def validator_set(doc: dict[str, Any] | None) -> cmt_validator.ValidatorSet:
    """In CometBFT's order, which the RPC keeps and some vectors don't."""
    members = [validator(each) for each in (doc or {}).get("validators") or []]
    return build.validator_set(sorted(members, key=lambda each: (-each.voting_power, each.address)))
