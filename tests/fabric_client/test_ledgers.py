"""One client verifies both ledgers: what real Fabric peers endorsed (recorded), and the embedded ledger's (live)."""

from __future__ import annotations

import json
import time
from pathlib import Path

from cosmos_wire.protos import fabric_client
from fabric_adapter.embedded.ledger import Ledger
from fabric_adapter.embedded.network import Node
from fabric_wire.responses import Endorsement
from ibc_core.fabric import build
from ibc_core.fabric.membership import read_members
from ibc_core.fabric.records import Membership
from tests.fabric_client.attester import Attester
from tests.fabric_client.record import TARGET
from tests.fabric_client.story import Cast, cast_of, check_story, tell
from tests.fabric_embedded.world import BOTH, asked, endorse, make_network, make_org, running, transact


class EmbeddedWorld:
    """An embedded ledger in this process."""

    def __init__(self, ledger: Ledger, creator: Node) -> None:
        self.ledger, self.creator = ledger, creator

    async def transact(self, *args: bytes) -> None:
        place = await transact(self.ledger, self.creator, *args)
        assert place.code == 0

    async def attest(self, args: tuple[bytes, ...], msp_ids: tuple[str, ...] = ()) -> fabric_client.EndorsedPayload:
        ready = endorse(self.ledger, self.creator, asked(self.creator, *args))
        kept = [each for each in ready.endorsements if not msp_ids or is_of(each, msp_ids)]
        return build.endorsed_payload(ready.accepted.parts, ready.payload, kept)


def is_of(endorsement: Endorsement, msp_ids: tuple[str, ...]) -> bool:
    return any(msp_id.encode() in endorsement.endorser[:32] for msp_id in msp_ids)


async def test_the_embedded_ledger(tmp_path: Path):
    orgs = [make_org("Org1MSP"), make_org("Org2MSP")]
    network = make_network(orgs)
    programs = {node.msp_id: Attester() for node in network.peers}
    async with running(network, tmp_path / "ledger", programs) as ledger:
        cast = cast_of(tuple(org.msp() for org in orgs), BOTH, time.time_ns())
        told = await tell(EmbeddedWorld(ledger, orgs[0].node("client")), cast)
    check_story(cast, told)


def test_real_peers():
    doc = json.loads(TARGET.read_text())
    members = read_members(Membership.FromString(bytes.fromhex(doc["membership"])))
    told = {name: fabric_client.EndorsedPayload.FromString(bytes.fromhex(raw)) for name, raw in doc["told"].items()}
    check_story(Cast(members=members, start_ns=doc["start_ns"]), told)
