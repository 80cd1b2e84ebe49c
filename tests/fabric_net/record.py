"""Record what a real network signs, as vectors for those who verify it without one.

    bsmg fabric up --detach --home DIR && python -m tests.fabric_net.record DIR/fabric.json

writes endorsed.json and block.json in tests/fabric_wire/vectors: bytes in hex, certificates in PEM.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any as Json

from fabric_adapter.gateway import Committed, Endorsed, Gateway, text_args
from fabric_adapter.network.admin import endorsement_bytes
from fabric_adapter.network.document import connect
from fabric_adapter.proposal import Options
from processes.files import read_json

TARGET = Path(__file__).resolve().parents[1] / "fabric_wire" / "vectors" / "endorsed.json"
BLOCKS, NUMBERS = TARGET.with_name("block.json"), (0, 1, 4)
CHAINCODE = "microgrid"
ORG1 = Options(organizations=["Org1MSP"])


def case(name: str, ready: Endorsed, done: Committed | None = None) -> dict[str, Json]:
    """One endorsed proposal; `validation_code` and `block` when it was committed."""
    doc = {
        "name": name,
        "tx_id": ready.tx_id,
        "result": ready.result.hex(),
        "proposal": ready.proposal_bytes.hex(),
        "proposal_response_payload": ready.payload.hex(),
        "endorsements": [
            {"endorser": endorser.hex(), "signature": signature.hex()} for endorser, signature in ready.endorsements
        ],
        "envelope_payload": ready.envelope.hex(),
    }
    return doc if done is None else doc | {"validation_code": done.validation_code, "block": done.block}


async def committed(client: Gateway, name: str, *args: str) -> dict[str, Json]:
    """A transaction that went the whole way."""
    ready = await client.endorse(CHAINCODE, text_args(*args))
    return case(name, ready, await client.settle(ready))


def msps(doc: dict[str, Json]) -> list[dict[str, Json]]:
    """The organisations' roots."""
    return [{"msp_id": org["msp_id"], "root": Path(org["ca"]).read_text(), "node_ous": True} for org in doc["orgs"]]


async def record(file: Path) -> dict[str, Json]:
    """All cases."""
    doc = read_json(file)
    async with connect(file) as client:
        cases = [
            await committed(client, "put one key", "put", "attest/one", "value"),
            await committed(client, "put two keys", "put", "a", "1", "b", "2"),
            await committed(client, "read and write", "add", "counter", "7"),
            await committed(client, "delete", "delete", "a"),
            await committed(client, "put with an event", "emit", "attest/two", "value", "stored"),
            case("read only", await client.endorse(CHAINCODE, text_args("get", "attest/one"))),
            case("range", await client.endorse(CHAINCODE, text_args("range", "a", "c"))),
            case("one endorser", await client.endorse(CHAINCODE, text_args("put", "attest/one", "v"), ORG1)),
        ]
        number = cases[4]["block"]
        block = await client.evaluate("qscc", text_args("GetBlockByNumber", doc["channel"], str(number)))
    return {
        "source": "Hyperledger Fabric 2.5.0, two organisations, recorded by tests/fabric_net/record.py",
        "channel": doc["channel"],
        "chaincode": doc["chaincode"],
        "endorsement": doc["endorsement"],
        "application_policy": endorsement_bytes(doc["endorsement"]).hex(),
        "msps": msps(doc),
        "cases": cases,
        "block": {"number": number, "bytes": block.hex()},
    }


def orderers_root(doc: dict[str, Json]) -> str:
    """PEM of the orderers' authority."""
    return Path(doc["ordering"]["orgs"][0]["ca"]).read_text()


async def record_blocks(file: Path) -> dict[str, Json]:
    """Blocks as the orderer signed them, and the root of its certificate."""
    doc = read_json(file)
    found = {"ca": orderers_root(doc)}
    async with connect(file) as client:
        while await client.height() <= max(NUMBERS):
            await client.transact(CHAINCODE, text_args("put", "a", "1"))
        for number in NUMBERS:
            block = await client.evaluate("qscc", text_args("GetBlockByNumber", doc["channel"], str(number)))
            found[f"block {number}"] = block.hex()
    return found


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(asyncio.run(record(Path(sys.argv[1]))), indent=1) + "\n")
    BLOCKS.write_text(json.dumps(asyncio.run(record_blocks(Path(sys.argv[1]))), indent=1) + "\n")
