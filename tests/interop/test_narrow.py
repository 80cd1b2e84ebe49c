"""simd chains with little room: small blocks, little gas a block, a client that lives 40 s; and validators that lie."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.keys import key_from_mnemonic
from bsmg.client.lane import FeePolicy, TxOutcome
from cosmos_wire.protos import client_tx
from cosmos_wire.tx import pack
from ibc_core.tendermint import build
from ibc_relayer.client_chain import ClientChain
from ibc_relayer.clients import client_info
from tests.e2e.test_fork import with_other_root
from tests.interop.net import Chain, until
from tests.interop.relay import Ours, Transfers, drained, escrow, transfer, voucher
from tests.interop.simd import Simd, simd

pytestmark = pytest.mark.interop
UNBONDING_S = 60
GAS_A_BLOCK, BYTES_A_BLOCK = 6_000_000, 200_000
GENESIS = {
    "app_state": {"staking": {"params": {"unbonding_time": f"{UNBONDING_S}s"}}},
    "consensus": {
        "params": {
            "block": {"max_gas": str(GAS_A_BLOCK), "max_bytes": str(BYTES_A_BLOCK)},
            "evidence": {"max_bytes": str(BYTES_A_BLOCK // 4)},
        }
    },
}
COUNT, MEMO_BYTES = 60, 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """Two chains and a path of our relayer's that pays no fee."""

    simds: tuple[Simd, Simd]
    ours: Ours


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    home: Path = tmp_path_factory.mktemp("narrow")
    with (
        simd(home / "a", version="v10", chain_id="narrowa-1", genesis=GENESIS) as a,
        simd(home / "b", version="v8", chain_id="narrowb-1", genesis=GENESIS) as b,
    ):
        chains = (replace(a.chain(), gas_price="0"), replace(b.chain(), gas_price="0"))
        yield Narrow(simds=(a, b), ours=Ours(home=home / "ours", chains=chains).create())


def status(chain: Chain, client_id: str) -> str:
    return str(chain.get(f"/ibc/core/client/v1/client_status/{client_id}")["status"])


def test_batches_that_do_not_fit_are_divided(narrow: Narrow) -> None:
    ours = narrow.ours
    for side in (0, 1):
        what = Transfers(count=COUNT, memo="m" * MEMO_BYTES).over(
            ours.channels[side], ours.chains[1 - side].address("home-01")
        )
        transfer(ours.chains[side], "faucet", what)
    with ours.started() as process:
        drained(process, ours)
    for side in (0, 1):
        assert escrow(ours.chains[side], ours.channels[side]) == COUNT
        assert ours.chains[1 - side].balances("home-01")[voucher(ours, side)] == COUNT


def test_clients_are_kept_alive(narrow: Narrow) -> None:
    ours = narrow.ours
    with ours.started() as process:
        for chain, client_id in zip(ours.chains, ours.clients, strict=True):
            text = f"client {client_id} on {chain.id} refreshed"
            until(lambda text=text: process.said(text), text, process.log)
            assert status(chain, client_id) == "Active"


async def lie(host: Chain, subject: Simd, client_id: str) -> TxOutcome:
    """Give a client on the host a header of the subject that its validator signed beside the real one."""
    key = json.loads((subject.home / "config" / "priv_validator_key.json").read_text())
    seeds = {bytes.fromhex(key["address"]): base64.b64decode(key["priv_key"]["value"])[:32]}
    chain = subject.chain()
    async with CometClient(chain.id, Endpoints(rpc=chain.rpc)) as a, CometClient(host.id, _ends(host)) as b:
        lane = b.lane(key_from_mnemonic(host.accounts["faucet"]["mnemonic"]), FeePolicy())
        trusted = (await client_info(ClientChain(b, lane), client_id)).latest
        head = await a.feed.wait_above(trusted.height + 1)
        block = await a.light_block(head.height)
        signed = with_other_root(block, seeds)
        forged = build.header(signed, block.validators, trusted, await a.validators(trusted.height + 1))
        message = client_tx.MsgUpdateClient(client_id=client_id, client_message=pack(forged), signer=lane.address)
        return await lane.submit([message])


def _ends(chain: Chain) -> Endpoints:
    return Endpoints(rpc=chain.rpc, grpc=chain.grpc, prefix=chain.prefix)


@pytest.mark.parametrize("side", [0, 1])
async def test_a_forged_header_freezes_the_client(narrow: Narrow, side: int) -> None:
    """Side 0: ibc-go v10 has the client; side 1: v8."""
    host, client_id = narrow.ours.chains[side], narrow.ours.clients[side]
    with narrow.ours.started() as process:
        until(lambda: process.said("path narrowa-1~narrowb-1: clients"), "the start", process.log)
        outcome = await lie(host, narrow.simds[1 - side], client_id)
        assert outcome.ok, outcome.log
        until(lambda: status(host, client_id) == "Frozen", "the freeze", process.log)
        assert process.said(f"misbehaviour of {narrow.ours.chains[1 - side].id} submitted on {host.id}")
