"""Record the story as a real network's peers endorse it, for those who follow it without one.

    bsmg fabric up --detach --home DIR --chaincode tests.fabric_client.attester:Attester
    python -m tests.fabric_client.record DIR/fabric.json

writes tests/fabric_client/attested.json: protobuf in hex.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from cosmos_wire.protos import fabric_client
from fabric_adapter.gateway import Gateway
from fabric_adapter.network.document import connect
from fabric_adapter.proposal import Options
from fabric_wire import strict
from fabric_wire.msp import Msp
from fabric_wire.proposals import read_proposal
from fabric_wire.responses import Endorsement
from fabric_wire.x509 import from_pem, read_certificate
from ibc_core.fabric import build
from ibc_core.fabric.membership import record
from processes.files import read_json
from tests.fabric_client.attester import NAMESPACE
from tests.fabric_client.story import Cast, Messages, cast_of, tell

TARGET = Path(__file__).parent / "attested.json"


class RealWorld:
    """A Fabric network behind its gateway."""

    def __init__(self, client: Gateway) -> None:
        self.client = client

    async def transact(self, *args: bytes) -> None:
        await self.client.transact(NAMESPACE, args)

    async def attest(self, args: tuple[bytes, ...], msp_ids: tuple[str, ...] = ()) -> fabric_client.EndorsedPayload:
        made = await self.client.endorse(NAMESPACE, args, Options(organizations=msp_ids))
        parts, _ = read_proposal(made.proposal_bytes)
        endorsements = [Endorsement(endorser=who, signature=signature) for who, signature in made.endorsements]
        return build.endorsed_payload(parts, made.payload, endorsements)


def cast_from(file: Path) -> Cast:
    """The network's own organisations, as of now."""
    doc = read_json(file)
    roots = {org["msp_id"]: read_certificate(from_pem(Path(org["ca"]).read_bytes())) for org in doc["orgs"]}
    msps = tuple(Msp(msp_id=msp_id, roots=(roots[msp_id],)) for msp_id in sorted(roots))
    return cast_of(msps, doc["endorsement"], time.time_ns())


async def listen(file: Path, cast: Cast) -> Messages:
    async with connect(file) as client:
        return await tell(RealWorld(client), cast)


def main(file: Path) -> None:
    cast = cast_from(file)
    told = asyncio.run(listen(file, cast))
    found = {
        "source": "two peers of Hyperledger Fabric 2.5.0, recorded by tests/fabric_client/record.py",
        "start_ns": cast.start_ns,
        "membership": record(cast.members).hex(),
        "told": {name: strict.write(endorsed).hex() for name, endorsed in told.items()},
    }
    TARGET.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
