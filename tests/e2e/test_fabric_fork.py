"""Organisations that lie together about a tick: the relayer's witness convicts them, the shared path goes on."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from cosmos_wire.protos import client_tx, fabric_client
from fabric_adapter.network import crypto
from fabric_wire import strict
from fabric_wire.x509 import read_certificate
from ibc_core.fabric import build, records
from ibc_core.fabric.membership import read_members
from ibc_core.fabric.wire import pack, scope_of
from ibc_relayer.clients import client_info, client_status
from ibc_relayer.handshake import ChannelSpec, PathIds, create_path
from tests.e2e import carrying
from tests.e2e.net import TRANSFER, F, Net, Side, opened, transfer, until
from tests.e2e.test_fork import relaying
from tests.fabric_client.network import Network, Signer
from tests.fabric_wire.authority import Holder

WITNESSED = 3  # ticks that the relayer has surely seen before the lie


def liars(net: Net) -> tuple[Signer, ...]:
    """The peers of all organisations, by their own keys."""
    found = []
    for number, node in enumerate(net.file.chain(F).nodes, start=1):
        pair = crypto.read_pair(Path(net.file.chain(F).fabric) / "crypto" / f"org{number}" / "members", "peer")
        certificate = read_certificate(pair.certificate.public_bytes(Encoding.DER))
        found.append(Signer(msp_id=node.msp_id, holder=Holder(certificate=certificate, key=pair.key)))
    return tuple(found)


async def forged_header(net: Net, fabric: Side, state: fabric_client.ClientState, height: int) -> fabric_client.Header:
    """Another record of a tick than the ledger's, well endorsed."""
    ledger = Network(scope=scope_of(state), members=read_members(state.membership), signers=liars(net))
    record = await fabric.client.feed.record(height)
    ledger.height, ledger.time_ns = height, record.time_ns
    tick = records.TickRecord(
        height=height, time_ns=record.time_ns, state_hash=b"never was", membership_version=state.membership.version
    )
    ledger.ledger[records.TICK] = strict.write(tick)
    return build.header(ledger.attest(records.attest_args(height, tick=True)))


def relayer_file(net: Net, ids: PathIds, folder: Path) -> Path:
    """The relayer's own file with another path in place of its paths."""
    text = (net.home.relayer(0) / "relayer.toml").read_text(encoding="utf-8")
    chains = text[text.index("[[chain]]") : text.index("[[path]]")]
    (one, other), (near, far) = ids.channels[0], ids.connections
    path = f"""[[path]]
a = "{ids.chains[0]}"
b = "{ids.chains[1]}"
a_client = "{ids.clients[0]}"
b_client = "{ids.clients[1]}"
a_connection = "{near}"
b_connection = "{far}"
channels = [{{ port = "{TRANSFER}", a_channel = "{one.channel}", b_channel = "{other.channel}" }}]
"""
    file = folder / "relayer.toml"
    file.write_text('[relayer]\nmetrics = ""\nclear_interval_s = 5\n' + chains + path, encoding="utf-8")
    return file


async def test_the_relayer_convicts_organisations_that_lie(mixed: Net, tmp_path: Path) -> None:
    """On a path of its own: a client takes a record that the ledger never had, the relayer brings what it witnessed."""
    async with opened(mixed) as (comet, fabric), mixed.without_relayers():
        here, there = carrying.party(comet), carrying.party(fabric)
        ids = await create_path(here, there, [ChannelSpec(ports=(TRANSFER, TRANSFER), version="ics20-1")])
        channel, client_id = ids.channels[0][0].channel, ids.clients[0]
        async with relaying(relayer_file(mixed, ids, tmp_path)) as process:
            assert (await transfer(comet, fabric, (comet.denom, 77), channel=channel)).ok

            async def carried() -> bool:
                return not await comet.pending(channel=channel)

            await until(comet.client, carried, "a packet on the second path")
            info = await client_info(here.chain, client_id)
            state = fabric_client.ClientState.FromString(info.state.value)
            seen = max(info.latest.height, (await fabric.client.head()).height)
            head = await fabric.client.feed.wait_above(seen + WITNESSED)
            forged = await forged_header(mixed, fabric, state, head.height - 1)
            message = client_tx.MsgUpdateClient(
                client_id=client_id, client_message=pack(forged), signer=comet.faucet.address
            )
            taken = await comet.faucet.submit([message])
            assert taken.ok, taken.log
            assert await client_status(here.chain, client_id) == "Active", "the client alone can't know"

            async def frozen() -> bool:
                return await client_status(here.chain, client_id) == "Frozen"

            await until(comet.client, frozen, "evidence")
            assert process.returncode is None
        refused = await transfer(comet, fabric, (comet.denom, 1), channel=channel)
        assert (refused.ok, refused.codespace, "Frozen" in refused.log) == (False, "client", True), refused
        assert await client_status(here.chain, comet.end.client_id) == "Active"
