"""IBC between this microgrid and a CometBFT application: real headers, real Merkle proofs, real endorsements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from cosmos_wire.protos import coin, transfer_tx
from ibc_core import bank
from ibc_core.transfer.denom import Denom
from tests.app.chain import ALICE
from tests.app.pair import AppChain
from tests.fabric_chaincode import chain
from tests.fabric_chaincode.chain import GridChain
from tests.fabric_chaincode.world import DENOM, RICH, Cast
from tests.ibc.harness import HOUR_NS, Coordinator, Path


@pytest.fixture
def pair(cast: Cast, tmp_path: FilePath) -> Iterator[Coordinator]:
    made = chain.pair(cast, tmp_path)
    yield made
    chain.close(made)


@pytest.fixture
def path(pair: Coordinator) -> Path:
    return pair.path()


def grid_of(path: Path) -> GridChain:
    assert isinstance(path.a.chain, GridChain)
    return path.a.chain


def comet_of(path: Path) -> AppChain:
    assert isinstance(path.b.chain, AppChain)
    return path.b.chain


def transfer(end: object, sender: str, receiver: str, token: tuple[str, int]) -> transfer_tx.MsgTransfer:
    return transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=end.channel_id,
        sender=sender,
        receiver=receiver,
        token=coin.Coin(denom=token[0], amount=str(token[1])),
        timeout_timestamp=end.chain.net.time_ns + HOUR_NS,
    )


def voucher(path: Path, denom: str) -> str:
    return Denom(denom, (("transfer", path.b.channel_id),)).ledger_name


def test_coins_go_and_come_back(path, cast):
    grid, comet = grid_of(path), comet_of(path)
    grid.send(cast.alice, transfer(path.a, cast.alice.text, ALICE.text, (DENOM, 500)))
    ack = path.relay(path.a.last_packet())
    assert ack == b'{"result":"AQ=="}'
    assert bank.balance(comet.view(), ALICE.raw, voucher(path, DENOM)) == 500
    assert grid.grid.balance(cast.alice) == RICH - 500
    comet.send(transfer(path.b, ALICE.text, cast.bob.text, (voucher(path, DENOM), 200)))
    path.relay(path.b.last_packet())
    assert bank.balance(comet.view(), ALICE.raw, voucher(path, DENOM)) == 300
    assert grid.grid.balance(cast.bob) == RICH + 200
