"""A Fabric microgrid's members change: clients elsewhere learn it from the relayer soon, and packets go on."""

from __future__ import annotations

from pathlib import Path

from cosmos_wire.protos import fabric_client
from fabric_adapter.network import crypto
from fabric_adapter.network.document import connect
from fabric_wire import strict
from fabric_wire.policy import parse_policy, write_policy
from ibc_core.fabric.membership import record
from ibc_core.fabric.records import Membership
from ibc_relayer.clients import client_info
from tests.e2e import carrying
from tests.e2e.net import F, Net, Side, conserved, opened, quiet, transfer, until
from tests.fabric_client.network import ORG1, ORG2, ORG3, members_of

CHAINCODE = "microgrid"


def folder(net: Net) -> Path:
    return Path(net.file.chain(F).fabric)


async def membership_of(comet: Side) -> Membership:
    """What the client of the shared path believes."""
    info = await client_info(carrying.party(comet).chain, comet.end.client_id)
    return fabric_client.ClientState.FromString(info.state.value).membership


async def adopt(net: Net, membership: Membership) -> None:
    """Approved by an administrator of each organisation, then written."""
    data = strict.write(membership)
    for number in (1, 2):
        async with connect(folder(net) / "fabric.json", org=number, member="admin") as gateway:
            await gateway.transact(CHAINCODE, [b"Approve", data])
            if number == 2:
                await gateway.transact(CHAINCODE, [b"Adopt", data])


def revoking(net: Net, known: Membership) -> Membership:
    """The next one, without the first organisation's user."""
    made = Membership.FromString(known.SerializeToString())
    made.version += 1
    serial = crypto.read_pair(folder(net) / "crypto" / "org1" / "members", "user").certificate.serial_number
    made.msps[0].revoked_serials[:] = [serial.to_bytes((serial.bit_length() + 7) // 8, "big")]
    return made


def with_a_third(known: Membership) -> Membership:
    """The next one, with an organisation more, of which two of three are asked."""
    made = Membership.FromString(known.SerializeToString())
    made.version += 1
    newcomer = Membership.FromString(record(members_of(1, f"OR('{ORG3}.peer')", ORG3))).msps[0]
    newcomer.node_ous = True
    del made.msps[2:]  # of a run before, on a network that stayed up
    made.msps.append(newcomer)
    made.policy = write_policy(parse_policy(f"OutOf(2, '{ORG1}.peer', '{ORG2}.peer', '{ORG3}.peer')"))
    return made


async def test_new_memberships_are_carried_without_a_packet(mixed: Net) -> None:
    """Two at once: a certificate is revoked, then an organisation joins. The client gets them one after the other."""
    async with opened(mixed) as (comet, fabric):
        await quiet(comet, fabric)
        first = await membership_of(comet)
        second = revoking(mixed, first)
        await adopt(mixed, second)
        third = with_a_third(second)
        await adopt(mixed, third)

        async def learned() -> bool:
            return await membership_of(comet) == third

        await until(comet.client, learned, "the third membership")
        assert (await transfer(fabric, comet, (fabric.denom, 5))).ok
        assert (await transfer(comet, fabric, (comet.denom, 5))).ok
        await quiet(comet, fabric)
        assert await conserved(fabric, comet)
        assert await conserved(comet, fabric)
