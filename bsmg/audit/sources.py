"""Where records come from: a node's RPC, or a chain of testnet.json, whatever ledger it runs on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any as Json

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bsmg.audit.fetch import PROOFS, Progress, read_chain
from bsmg.audit.fetch_fabric import read_fabric
from bsmg.audit.record import ChainRecord, Orderers
from bsmg.client.fabric import FabricClient
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import ChainInfo
from fabric_wire.protos import identities

Source = str | ChainInfo  # a URL, or a chain by its first node


def name_of(source: Source) -> str:
    """For messages."""
    return source if isinstance(source, str) else source.chain_id


def read_genesis(info: ChainInfo) -> Json:
    """The document that the testnet has written, None where it is not at hand."""
    file = Path(info.genesis or os.devnull)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def read_orderers(info: ChainInfo) -> Orderers | None:
    """Whose signatures make a block, by the network's document; None where it is not at hand or does not say."""
    file = Path(info.fabric or os.devnull) / "fabric.json"
    doc = json.loads(file.read_text(encoding="utf-8")) if info.fabric and file.is_file() else {}
    if "ordering" not in doc:
        return None
    orgs = doc["ordering"]["orgs"]
    return Orderers(
        channel=doc["channel"],
        policy=doc["ordering"]["policy"],
        roots={org["msp_id"]: _roots(Path(org["ca"])) for org in orgs},
        consenters={int(item["id"]): _consenter(item) for item in doc["ordering"].get("consenters", ())},
        revoked={org["msp_id"]: _revoked(Path(org["crl"])) for org in orgs if "crl" in org},
    )


def _consenter(item: Mapping[str, str]) -> bytes:
    pem = Path(item["certificate"]).read_bytes()
    return identities.SerializedIdentity(mspid=item["msp_id"], id_bytes=pem).SerializeToString(deterministic=True)


def _roots(file: Path) -> tuple[bytes, ...]:
    """Of a PEM file, in DER."""
    return tuple(item.public_bytes(Encoding.DER) for item in x509.load_pem_x509_certificates(file.read_bytes()))


def _revoked(file: Path) -> tuple[int, ...]:
    return tuple(item.serial_number for item in x509.load_pem_x509_crl(file.read_bytes()))


async def read_source(
    source: Source, progress: Progress, *, light: bool = False, to_height: int = 0, proofs: int = PROOFS
) -> ChainRecord:
    """Everything that the audit looks at; see `read_chain` and `read_fabric`."""
    if not isinstance(source, str) and source.kind in FabricClient.kinds:
        known = read_genesis(source), read_orderers(source)
        async with FabricClient.of(source) as client:
            return await read_fabric(client, progress, known, light=light, to_height=to_height)
    async with Rpc(source if isinstance(source, str) else source.nodes[0].rpc) as rpc:
        return await read_chain(rpc, progress, light=light, to_height=to_height, proofs=proofs)


async def read_all(
    sources: Sequence[Source],
    progress: Callable[[str], Progress],
    *,
    light: bool,
    to_height: int = 0,
    proofs: int = PROOFS,
) -> list[ChainRecord]:
    """The records of several chains, one after the other."""
    return [
        await read_source(source, progress(name_of(source)), light=light, to_height=to_height, proofs=proofs)
        for source in sources
    ]
