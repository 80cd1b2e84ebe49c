"""CometBFT's JSON into its protobuf messages: hashes are hex there, other bytes base64, integers text."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from cosmos_wire.protos import Timestamp, abci, cmt_block, cmt_types
from microgrid.query.comet_services import HEADER_HASHES

Json = Mapping[str, Any]


def timestamp(text: str) -> Timestamp:
    """RFC 3339 with nanoseconds."""
    made = Timestamp()
    made.FromJsonString(text)
    return made


def block_id(doc: Json) -> cmt_types.BlockID:
    """`{"hash", "parts": {"total", "hash"}}`."""
    made = cmt_types.BlockID(hash=bytes.fromhex(doc["hash"]))
    made.part_set_header.total = int(doc["parts"]["total"])
    made.part_set_header.hash = bytes.fromhex(doc["parts"]["hash"])
    return made


def header(doc: Json) -> cmt_types.Header:
    """A block's header."""
    made = cmt_types.Header(chain_id=doc["chain_id"], height=int(doc["height"]), time=timestamp(doc["time"]))
    made.version.block = int(doc["version"]["block"])
    made.version.app = int(doc["version"].get("app", 0))
    made.last_block_id.CopyFrom(block_id(doc["last_block_id"]))
    for name in HEADER_HASHES:
        setattr(made, name, bytes.fromhex(doc[name]))
    made.proposer_address = bytes.fromhex(doc["proposer_address"])
    return made


def commit(doc: Json) -> cmt_types.Commit:
    """The signatures over a block."""
    made = cmt_types.Commit(height=int(doc["height"]), round=int(doc["round"]), block_id=block_id(doc["block_id"]))
    for item in doc["signatures"] or ():
        made.signatures.add(
            block_id_flag=item["block_id_flag"],
            validator_address=bytes.fromhex(item["validator_address"]),
            timestamp=timestamp(item["timestamp"]),
            signature=b64decode(item["signature"] or ""),
        )
    return made


def block(doc: Json) -> cmt_block.Block:
    """A block; its evidence is left to CometBFT's own RPC."""
    made = cmt_block.Block(header=header(doc["header"]))
    made.data.txs.extend(b64decode(item) for item in doc["data"]["txs"] or ())
    made.evidence.SetInParent()
    if doc.get("last_commit"):
        made.last_commit.CopyFrom(commit(doc["last_commit"]))
    return made


def events(docs: list[Json] | None) -> list[abci.Event]:
    """A transaction's events."""
    return [
        abci.Event(
            type=doc["type"],
            attributes=[
                abci.EventAttribute(key=item["key"], value=item["value"] or "", index=bool(item.get("index")))
                for item in doc["attributes"] or ()
            ],
        )
        for doc in docs or ()
    ]
