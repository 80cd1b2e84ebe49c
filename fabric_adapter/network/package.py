"""The chaincode's package: no code, only where its server is. The same bytes for the same inputs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from fabric_adapter.network.config import PACKAGE_TYPE
from fabric_adapter.network.plan import Home, Plan

DIAL_TIMEOUT = "3s"


def make(home: Home, plan: Plan) -> tuple[str, bytes]:
    """(package id, archive): the id is `label:sha256`, and what the chaincode registers with."""
    code = archive({"connection.json": _connection(home, plan)})
    metadata = {"type": PACKAGE_TYPE, "label": plan.wish.chaincode, "path": ""}
    package = archive({"metadata.json": json.dumps(metadata).encode(), "code.tar.gz": code})
    return f"{plan.wish.chaincode}:{hashlib.sha256(package).hexdigest()}", package


def _connection(home: Home, plan: Plan) -> bytes:
    """How a peer reaches the chaincode: TLS on both sides, with the first organisation's TLS authority."""
    folder = home.crypto(plan.peers[0].org)
    doc = {
        "address": plan.chaincode_address,
        "dial_timeout": DIAL_TIMEOUT,
        "tls_required": True,
        "client_auth_required": True,
        "root_cert": (folder / "tlsca.crt").read_text(),
        "client_cert": (folder / "tls" / "chaincode-client.crt").read_text(),
        "client_key": (folder / "tls" / "chaincode-client.key").read_text(),
    }
    return json.dumps(doc).encode()


def archive(files: Mapping[str, bytes]) -> bytes:
    """tar.gz without times or owners: the package's id is a hash of it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.mode, item.mtime = len(text), 0o644, 0
            tar.addfile(item, io.BytesIO(text))
    return gzip.compress(raw.getvalue(), mtime=0)
