"""IBC v2: our relayer between ibc-go v10's test chains, between ours and one of them, and between two of ours."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bsmg.client.keys import write_key_file
from ibc_core.transfer.encoding import ABI, PROTOBUF
from tests.interop.conftest import Sims
from tests.interop.net import Chain, Net, bsmg, until
from tests.interop.relay import height_above
from tests.interop.v2_path import ACCOUNT, JSON, PathV2, now_s

pytestmark = pytest.mark.interop
BACKLOG = 50
IN_FLIGHT = 60
PAIRS = ("simd-simd", "ours-simd", "ours-ours")


@pytest.fixture(scope="module", params=PAIRS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PathV2:
    """Its clients made and registered by `bsmg relayer path create`; chains are started when they are needed."""
    home = tmp_path_factory.mktemp("relayer") / "home"
    return PathV2(home=home, chains=_chains(request.param, request)).create()


def _chains(pair: str, request: pytest.FixtureRequest) -> tuple[Chain, Chain]:
    sims: Sims = request.getfixturevalue("sims")
    if pair == "simd-simd":
        return sims.chain("v10", "a"), sims.chain("v10", "b")
    net: Net = request.getfixturevalue("net")
    return net.a, net.b if pair == "ours-ours" else sims.chain("v10", "a")


def done(path: PathV2, text: str = "every packet finished") -> None:
    """Relay until nothing is pending."""
    with path.started() as process:
        until(lambda: path.pending() == 0, text, process.log)
    agree(path)


def agree(path: PathV2) -> None:
    """What each client holds of its chain's token is what the other chain has issued for it."""
    for side in (0, 1):
        assert path.escrow(side) == path.issued(side)


def held(path: PathV2, side: int) -> int:
    """Vouchers of the other side's token that the receiver on a side has."""
    return path.chains[side].balances(ACCOUNT).get(path.voucher(1 - side), 0)


def native(path: PathV2, side: int) -> int:
    """The sender's tokens of his own chain."""
    return path.chains[side].balances(ACCOUNT)[path.chains[side].denom]


def test_the_clients_are_made_once_and_shown(path: PathV2) -> None:
    again = PathV2(home=path.home.with_name("again"), chains=path.chains).create()
    assert again.clients == path.clients
    for side, doc in enumerate(json.loads(path.run("status"))):
        assert doc["client_status"] == "Active"
        assert doc["channels"] == {path.clients[side]: "OPEN"}


def test_both_ways_in_every_encoding_and_home_again(path: PathV2) -> None:
    before = held(path, 0), held(path, 1)
    for side in (0, 1):
        transfers = [path.transfer(side, 100, encoding=encoding) for encoding in ("", JSON, PROTOBUF, ABI)]
        packets = [path.send_packet(side, 10, encoding) for encoding in (JSON, PROTOBUF, ABI)]
        path.send(side, [*transfers, *packets])
    done(path)
    assert (held(path, 0), held(path, 1)) == (before[0] + 430, before[1] + 430)
    escrowed = path.escrow(0), path.escrow(1)
    for side in (0, 1):
        path.send(side, [path.transfer(side, 29, denom=path.voucher(1 - side), encoding=ABI)])
    done(path)
    assert (held(path, 0), held(path, 1)) == (before[0] + 401, before[1] + 401)
    assert (path.escrow(0), path.escrow(1)) == (escrowed[0] - 29, escrowed[1] - 29)


@pytest.mark.parametrize("side", [0, 1])
def test_a_refused_packet_is_refunded(path: PathV2, side: int) -> None:
    escrowed = path.escrow(side)
    path.send(side, [path.transfer(side, 1_000, receiver="nobody")])
    assert path.escrow(side) == escrowed + 1_000
    left = native(path, side)
    done(path, "the refusal")
    assert (native(path, side), path.escrow(side)) == (left + 1_000, escrowed)


@pytest.mark.parametrize("side", [0, 1])
def test_a_timeout_is_refunded(path: PathV2, side: int) -> None:
    escrowed, arrived = path.escrow(side), held(path, 1 - side)
    message = path.transfer(side, 77, timeout_s=6)
    path.send(side, [message])
    assert path.escrow(side) == escrowed + 77
    left = native(path, side)
    until(lambda: now_s(path.chains[1 - side]) > message.timeout_timestamp, "the limit")
    done(path, "the timeout")
    assert (native(path, side), path.escrow(side), held(path, 1 - side)) == (left + 77, escrowed, arrived)


@pytest.mark.parametrize("path", ["simd-simd"], indirect=True)
def test_a_packet_that_nobody_can_receive_holds_up_no_other(path: PathV2) -> None:
    """The receiver has no such port: every try of its batch fails there, until it times out."""
    before = held(path, 1)
    poison = path.mock_packet(b"mock packet data", port="nowhere", timeout_s=25)
    path.send(0, [path.transfer(0, 1), poison, *(path.transfer(0, 1) for _ in range(6))])
    with path.started() as process:
        until(lambda: len(path.committed(0)) == 1, "the others", process.log)
        assert held(path, 1) == before + 7
        until(lambda: path.pending() == 0, "the timeout", process.log)
    agree(path)


@pytest.mark.parametrize("path", ["simd-simd", "ours-ours"], indirect=True)
def test_the_rpc_alone_is_enough(path: PathV2) -> None:
    """No gRPC address: queries go through CometBFT."""
    bare = replace(path, home=path.home.with_name("bare"), grpc=False)
    assert replace(bare, clients=("", "")).create().clients == path.clients
    before = held(path, 0)
    path.send(1, [path.transfer(1, 8), path.transfer(1, 5, receiver="nobody")])
    done(bare)
    assert held(path, 0) == before + 8


def test_a_chain_without_v2_is_left_alone(sims: Sims, tmp_path: Path) -> None:
    """ibc-go v8: nothing is made on either chain."""
    chains = (sims.chain("v10"), sims.chain("v8"))
    before = [clients(chain) for chain in chains]
    with pytest.raises(AssertionError, match="expected a chain with IBC v2"):
        PathV2(home=tmp_path / "home", chains=chains).create()
    assert [clients(chain) for chain in chains] == before


def clients(chain: Chain) -> int:
    """How many it has."""
    return len(chain.get("/ibc/core/client/v1/client_states")["client_states"])


@pytest.mark.parametrize("path", ["simd-simd"], indirect=True)
def test_packets_of_another_application(path: PathV2) -> None:
    """ibc-go's mock application, which chains of ours don't have: one packet that it takes, one that it refuses."""
    path.send(0, [path.mock_packet(b"mock packet data"), path.mock_packet(b"mock failed packet data")])
    with replace(path, home=path.home.with_name("mock")).started() as process:
        until(lambda: path.pending() == 0, "both acknowledgements", process.log)
        assert process.complaints() == []


def test_the_command_line_sends_through_a_client(path: PathV2) -> None:
    before = held(path, 1)
    sender, receiver = path.chains
    key = path.home / "sender.key"
    write_key_file(key, sender.accounts[ACCOUNT]["mnemonic"])
    words = (path.clients[0], receiver.address(ACCOUNT), f"12{sender.denom}")
    target = ("--rpc", sender.rpc, "--grpc", sender.grpc, "--prefix", sender.prefix)
    price = ("--gas-price", sender.gas_price + sender.denom)
    bsmg("tx", "ibc-transfer", "transfer", *words, "--from", str(key), *target, *price)
    (sequence,) = path.committed(0)
    done(path)
    assert held(path, 1) == before + 12
    trace = json.loads(path.run("path", "trace", sender.id, path.clients[0], str(sequence)))
    assert [item["event"] for item in trace] == ["send_packet", "write_acknowledgement"]


def test_a_backlog_is_cleared_by_one_command(path: PathV2) -> None:
    before = held(path, 0), held(path, 1)
    for side in (0, 1):
        path.send(side, [path.transfer(side, 3) for _ in range(BACKLOG)])
    for chain in path.chains:  # what is pending is asked as of the block below the head, which can be proven
        height_above(chain, int(chain.status()["latest_block_height"]) + 1)
    shown = json.loads(path.run("path", "pending"))
    assert [len(item["unreceived"]) for item in shown] == [BACKLOG, BACKLOG]
    assert json.loads(path.run("clear"))["steps"] == 4 * BACKLOG
    assert path.pending() == 0
    assert (held(path, 0), held(path, 1)) == (before[0] + 3 * BACKLOG, before[1] + 3 * BACKLOG)
    agree(path)


@pytest.mark.parametrize("path", ["simd-simd"], indirect=True)
def test_two_relayers_on_one_path(path: PathV2) -> None:
    """Each with its own key; what both carry counts once."""
    before = held(path, 0), held(path, 1)
    other = replace(path, home=path.home.with_name("other"), key="faucet")
    with path.started() as process, other.started() as second:
        for side in (0, 1):
            path.send(side, [path.transfer(side, 2) for _ in range(BACKLOG)])
        until(lambda: path.pending() == 0, "every acknowledgement", lambda: process.log() + second.log())
    assert (held(path, 0), held(path, 1)) == (before[0] + 2 * BACKLOG, before[1] + 2 * BACKLOG)
    agree(path)


def test_a_relayer_killed_in_mid_flight_is_followed_by_another(path: PathV2) -> None:
    before = held(path, 1)
    path.send(0, [path.transfer(0, 2) for _ in range(IN_FLIGHT)])
    with path.started() as process:
        until(lambda: held(path, 1) > before, "the first packet received", process.log)
        process.end(signal.SIGKILL)
    assert path.pending() > 0, "killed too late: nothing was in flight any more"
    done(path)
    assert held(path, 1) == before + 2 * IN_FLIGHT
