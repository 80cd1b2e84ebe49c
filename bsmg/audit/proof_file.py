"""A proof in a file: what it claims, read from JSON without judging it.

    {"chain_id": "mga-1", "store": "ibc", "key": "...", "value": "<hex>" | null, "proof": ..., one of the roots}

key: text, or hexadecimal behind `0x`      value: hexadecimal; null claims that the key is absent
proof: MerkleProof as hexadecimal or base64, or proof operations as `abci_query` answers them (a list, or {"ops": [..]})
root: `root` or `app_hash` (hexadecimal), `header`, or `signed_header` with `validators` (CometBFT's JSON)
`response`, an answer of `abci_query` as it came, may stand for key, value and proof.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any as Json

from bsmg.client import comet_json
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import DecodeError, cmt_types, cmt_validator, commitment, ics23

HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})*)")
FAULTS = (KeyError, TypeError, ValueError, AttributeError, binascii.Error, DecodeError, ToolError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a file says; `value` is None for absence."""

    store: str
    key: bytes
    value: bytes | None
    proof: bytes  # MerkleProof
    root: bytes
    root_from: str  # which field gave the root
    signed: cmt_types.SignedHeader | None = None
    validators: cmt_validator.ValidatorSet | None = None


def read_claim(doc: Json) -> Claim:
    """Read a parsed file; raises ToolError naming the field."""
    if not isinstance(doc, dict):
        raise ToolError(f"proof file: expected a JSON object, got {type(doc).__name__}")
    filled = {**_of_response(doc.get("response", doc.get("result"))), **doc}
    signed = _field("signed_header", comet_json.signed_header, filled) if "signed_header" in filled else None
    root, origin = _root(filled, signed)
    members = filled.get("validators")
    return Claim(
        store=str(filled.get("store", "ibc")),
        key=_field("key", key_bytes, filled),
        value=None if filled.get("value") is None else _field("value", _hex, filled),
        proof=_field("proof", _proof, filled),
        root=root,
        root_from=origin,
        signed=signed,
        validators=None if members is None else _field("validators", comet_json.validator_set, filled),
    )


def _of_response(answer: Json) -> dict[str, Json]:
    """Key, value and proof of an `abci_query` answer."""
    if answer is None:
        return {}
    try:
        whole = answer.get("result", answer)  # of a JSON-RPC answer
        inner = whole.get("response", whole)
        value = base64.b64decode(inner.get("value") or "")
        key = base64.b64decode(inner["key"])
        return {
            "key": "0x" + key.hex(),
            "value": value.hex() if value else None,
            "proof": (inner.get("proofOps") or inner["proof_ops"])["ops"],
        }
    except FAULTS as error:
        raise ToolError(f"proof file: response: expected an answer of abci_query, {_said(error)}") from error


def _root(doc: Mapping[str, Json], signed: cmt_types.SignedHeader | None) -> tuple[bytes, str]:
    if signed is not None:
        return signed.header.app_hash, "signed_header"
    if "header" in doc:
        return _field("header", comet_json.header, doc).app_hash, "header"
    for name in ("root", "app_hash"):
        if name in doc:
            return _field(name, _hex, doc), name
    raise ToolError("proof file: expected root, app_hash, header or signed_header, got none")


def _field(name: str, read: Json, doc: Mapping[str, Json]) -> Json:
    try:
        return read(doc[name])
    except FAULTS as error:
        raise ToolError(f"proof file: {name}: {_said(error)}") from error


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"expected a field {error.args[0]!r}, got none"
    return str(error) or type(error).__name__


def key_bytes(text: str) -> bytes:
    """A key: hexadecimal behind `0x`, else its text as it stands."""
    return _hex(text) if text.startswith("0x") else text.encode()


def _hex(text: str) -> bytes:
    found = HEX.fullmatch(text)
    if found is None:
        raise ToolError(f"expected hexadecimal digits, got {text[:60]!r}")
    return bytes.fromhex(found[1])


def _proof(given: Json) -> bytes:
    if isinstance(given, str):
        return _hex(given) if HEX.fullmatch(given) else base64.b64decode(given, validate=True)
    ops: Sequence[Mapping[str, str]] = given["ops"] if isinstance(given, dict) else given
    proofs = [ics23.CommitmentProof.FromString(base64.b64decode(op["data"], validate=True)) for op in ops]
    return commitment.MerkleProof(proofs=proofs).SerializeToString(deterministic=True)
