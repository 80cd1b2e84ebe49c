"""A chain that lies: its validators sign a second header. Clients freeze, sends stop; the shared path goes on."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from bsmg.client.comet import LightBlock
from bsmg.client.lane import TxOutcome
from cosmos_wire import canonical, ed25519
from cosmos_wire.protos import Any, cmt_types, cmt_validator, tendermint_client
from cosmos_wire.protos import client_tx as tx
from cosmos_wire.tx import pack
from ibc_core.light_client import Height
from ibc_core.tendermint import build
from ibc_relayer.clients import client_info, client_status, create_client, ground
from ibc_relayer.handshake import ChannelSpec, PathIds, create_path
from tests.e2e import carrying
from tests.e2e.net import TRANSFER, A, B, Net, Side, opened, transfer, until

pytestmark = pytest.mark.e2e
FORGED_ROOT = sha256(b"a state that never was").digest()


def validator_seeds(net: Net) -> dict[bytes, bytes]:
    """Address -> ed25519 seed of the first chain's validators, from their own key files."""
    seeds = {}
    for node in net.file.chain(A).nodes:
        doc = json.loads((Path(node.home) / "config" / "priv_validator_key.json").read_text())
        seeds[bytes.fromhex(doc["address"])] = base64.b64decode(doc["priv_key"]["value"])[:32]
    return seeds


def with_other_root(block: LightBlock, seeds: dict[bytes, bytes]) -> cmt_types.SignedHeader:
    """The block with another app hash, signed by all of its validators, as only they can."""
    made = cmt_types.SignedHeader()
    made.CopyFrom(block.signed_header)
    header, commit = made.header, made.commit
    header.app_hash = FORGED_ROOT
    commit.block_id.hash = canonical.header_hash(header)
    del commit.signatures[:]
    for index, validator in enumerate(block.validators.validators):
        entry = commit.signatures.add(
            block_id_flag=cmt_validator.BLOCK_ID_FLAG_COMMIT,
            validator_address=validator.address,
            timestamp=header.time,
        )
        message = canonical.precommit_sign_bytes(header.chain_id, commit, index)
        entry.signature = ed25519.sign(seeds[validator.address], message)
    return made


async def forged_update(net: Net, a: Side, trusted: Height, height: int) -> Any:
    """The forged header of a height as a client message."""
    block = await a.client.light_block(height)
    signed = with_other_root(block, validator_seeds(net))
    before = await a.client.validators(trusted.height + 1)
    return pack(build.header(signed, block.validators, trusted, before))


async def updated(b: Side, client_id: str, message: Any) -> TxOutcome:
    signer = b.faucet.address
    return await b.faucet.submit([tx.MsgUpdateClient(client_id=client_id, client_message=message, signer=signer)])


async def test_a_conflicting_header_freezes_the_client(net: Net) -> None:
    async with opened(net) as (a, b):
        host, subject = carrying.party(b), carrying.party(a)
        client_id = await create_client(host, subject)
        trusted = (await client_info(host.chain, client_id)).latest
        honest = await ground(host, subject, client_id, trusted.height + 2)
        assert (await b.faucet.submit(honest.updates)).ok
        assert await client_status(host.chain, client_id) == "Active"
        forged = await forged_update(net, a, trusted, honest.proof_height.height)
        await _not_signed_well(b, client_id, forged)
        outcome = await updated(b, client_id, forged)
        assert outcome.ok, outcome.log
        assert any(event.type == "client_misbehaviour" for event in outcome.events)
        assert await client_status(host.chain, client_id) == "Frozen"
        newer = await a.client.feed.wait_above(honest.proof_height.height)
        refused = await updated(b, client_id, await subject.prover.header(newer.height, trusted))
        assert (refused.ok, refused.codespace) == (False, "client")
        assert await client_status(host.chain, b.end.client_id) == "Active"


async def _not_signed_well(b: Side, client_id: str, forged: Any) -> None:
    """The same lie with one signature too few for two thirds (two of four left) is refused and freezes nothing."""
    header = tendermint_client.Header.FromString(forged.value)
    for entry in header.signed_header.commit.signatures[:2]:
        entry.signature = bytes(64)
    refused = await updated(b, client_id, pack(header))
    assert (refused.ok, refused.codespace != "") == (False, True), refused
    assert await client_status(carrying.party(b).chain, client_id) == "Active"


def relayer_file(net: Net, ids: PathIds, folder: Path) -> Path:
    """A third relayer for the second path alone, with the account that no other relayer uses."""
    folder.mkdir(parents=True, exist_ok=True)
    text = '[relayer]\nmetrics = ""\nclear_interval_s = 5\n'
    for chain_id in (A, B):
        node, key = net.file.chain(chain_id).nodes[3], net.home.keys(chain_id) / "relayer.mnemonic"
        text += f'[[chain]]\nid = "{chain_id}"\nrpc = "{node.rpc}"\ngrpc = "{node.grpc}"\nkey = "{key}"\n'
    (one, other), (near, far) = ids.channels[0], ids.connections
    text += f"""[[path]]
a = "{A}"
b = "{B}"
a_client = "{ids.clients[0]}"
b_client = "{ids.clients[1]}"
a_connection = "{near}"
b_connection = "{far}"
channels = [{{ port = "{TRANSFER}", a_channel = "{one.channel}", b_channel = "{other.channel}" }}]
"""
    path = folder / "relayer.toml"
    path.write_text(text, encoding="utf-8")
    return path


@asynccontextmanager
async def relaying(config: Path) -> AsyncIterator[Process]:
    """A relayer process, ended at the end."""
    with config.with_suffix(".log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ibc_relayer", "--config", str(config), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_the_relayer_reports_a_forged_header_and_the_path_stops(net: Net, tmp_path: Path) -> None:
    """On a path of its own: a client takes a header that the chain never made, the relayer brings the evidence."""
    async with opened(net) as (a, b):
        here, there = carrying.party(a), carrying.party(b)
        spec = ChannelSpec(ports=(TRANSFER, TRANSFER), version="ics20-1", ordered=False)
        ids = await create_path(here, there, [spec])
        channel, client_id = ids.channels[0][1].channel, ids.clients[1]
        async with relaying(relayer_file(net, ids, tmp_path)) as process:
            assert (await transfer(b, a, (b.denom, 77), channel=channel)).ok

            async def carried() -> bool:
                return not await b.pending(channel=channel)

            await until(b.client, carried, "a packet on the second path")
            trusted = (await client_info(there.chain, client_id)).latest
            height = (await a.client.feed.wait_above(trusted.height)).height
            taken = await updated(b, client_id, await forged_update(net, a, trusted, height))
            assert taken.ok, taken.log

            async def frozen() -> bool:
                return await client_status(there.chain, client_id) == "Frozen"

            await until(b.client, frozen, "evidence")
            assert process.returncode is None
        refused = await transfer(b, a, (b.denom, 1), channel=channel)
        assert (refused.ok, refused.codespace, "Frozen" in refused.log) == (False, "client", True), refused
        assert await client_status(there.chain, b.end.client_id) == "Active"
