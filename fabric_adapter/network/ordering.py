"""Whose signatures make a block of a network's channel: the part `ordering` of its fabric.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any as Json

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.network import crypto
from fabric_wire.blocks import Ordering
from fabric_wire.crl import revoked_serials
from fabric_wire.msp import Msp, check_msps
from fabric_wire.policy import check_policy, parse_policy
from fabric_wire.x509 import Certificate, read_certificate, serialized_identity


def read_ordering(doc: Mapping[str, Json], where: Path) -> Ordering:
    """The orderers of a network by its document (`network/document.py`); raises ToolError."""
    if "ordering" not in doc:
        raise ToolError(f"{where}: expected `ordering`, the channel's orderers, got a document without: set up anew")
    part = doc["ordering"]
    try:
        msps = tuple(sorted((_msp(org) for org in part["orgs"]), key=lambda msp: msp.msp_id))
        check_msps(msps)
        policy = parse_policy(part["policy"])
        check_policy(policy, msps)
        consenters = {int(each["id"]): _identity(each) for each in part.get("consenters", [])}
    except (ChainError, KeyError, TypeError, ValueError) as error:
        raise ToolError(f"{where}: ordering: expected policy, orgs with msp_id and ca, got {error!r}") from error
    return Ordering(channel_id=doc["channel"], msps=msps, policy=policy, consenters=consenters)


def _msp(org: Mapping[str, Json]) -> Msp:
    roots = _certificates(Path(org["ca"]))
    revoked: tuple[int, ...] = ()
    if "crl" in org:
        revoked = revoked_serials(crypto.read_revocation_list(_read(Path(org["crl"]))), roots[0])
    return Msp(msp_id=org["msp_id"], roots=roots, revoked=revoked)


def _identity(consenter: Mapping[str, Json]) -> bytes:
    return serialized_identity(consenter["msp_id"], _certificates(Path(consenter["certificate"]))[0].raw)


def _certificates(path: Path) -> tuple[Certificate, ...]:
    """Of a PEM file."""
    try:
        found = x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise ToolError(f"{path}: expected certificates in PEM, got {error}") from error
    return tuple(read_certificate(each.public_bytes(Encoding.DER)) for each in found)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"{path}: expected a readable file, got {error.strerror}") from error
