"""Our relayer between other people's chains, and between them and ours: path, backlog, timeouts, killed processes."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from tests.interop.conftest import Sims
from tests.interop.net import Chain, Net, until
from tests.interop.relay import Ours, Transfers, drained, escrow, height_above, transfer, voucher

pytestmark = pytest.mark.interop
RECEIVER = "home-01"
BACKLOG, STREAM, BURST = 60, 4, 40
PAIRS = ("v10-v10", "v8-v8", "v10-v8 by RPC alone", "ours-v10", "ours-v8 by RPC alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path2:
    """A path that our relayer made, and what both sides held before anything was sent."""

    ours: Ours
    name: str

    @property
    def chains(self) -> tuple[Chain, Chain]:
        return self.ours.chains

    def send(self, side: int, what: Transfers) -> None:
        """From the faucet of a side to the receiver on the other."""
        receiver = self.chains[1 - side].address(RECEIVER)
        transfer(self.chains[side], "faucet", what.over(self.ours.channels[side], receiver))

    def arrived(self, side: int) -> int:
        """Vouchers of a side's token that the receiver on the other side holds."""
        return self.chains[1 - side].balances(RECEIVER).get(voucher(self.ours, side), 0)

    def both_arrived(self) -> list[int]:
        return [self.arrived(side) for side in (0, 1)]

    def moved(self, known: list[int]) -> bool:
        """Whether anything came since."""
        return self.both_arrived() != known

    def escrowed(self, side: int) -> int:
        return escrow(self.chains[side], self.ours.channels[side])

    def agree(self) -> list[int]:
        """Escrow of each side, which is what the other side minted; all of it at the receiver."""
        held = [self.escrowed(side) for side in (0, 1)]
        assert held == self.both_arrived()
        return held


def chains_of(name: str, net: Net, sims: Sims) -> tuple[Chain, Chain]:
    one, _, other = name.split(" ", maxsplit=1)[0].partition("-")
    made = []
    for letter, kind in (("a", one), ("b", other)):
        if kind == "ours":
            made.append(net.a)
        else:
            made.append(sims.chain("v10" if kind == "v10" else "v8", letter if one == other else "a"))
    return made[0], made[1]


@pytest.fixture(scope="module", params=PAIRS)
def path(request: pytest.FixtureRequest, net: Net, sims: Sims, tmp_path_factory: pytest.TempPathFactory) -> Path2:
    name = str(request.param)
    home: Path = tmp_path_factory.mktemp("relay")
    ours = Ours(home=home, chains=chains_of(name, net, sims), grpc="RPC" not in name)
    return Path2(ours=ours.create(), name=name)


def test_the_path_is_found_again_by_another_relayer(path: Path2, tmp_path: Path) -> None:
    before = [chain.get("/ibc/core/client/v1/client_states")["client_states"] for chain in path.chains]
    other = Ours(home=tmp_path, chains=path.chains, key=RECEIVER).create()
    assert (other.channels, other.clients) == (path.ours.channels, path.ours.clients)
    by_channel = replace(other, clients=("", "")).create()
    assert by_channel.clients == path.ours.clients
    after = [chain.get("/ibc/core/client/v1/client_states")["client_states"] for chain in path.chains]
    assert [len(one) for one in after] == [len(one) for one in before]
    for end in (chain.get(f"/ibc/core/channel/v1/channels/{name}/ports/transfer") for chain, name in _ends(path)):
        assert (end["channel"]["state"], end["channel"]["version"]) == ("STATE_OPEN", "ics20-1")


def _ends(path: Path2) -> list[tuple[Chain, str]]:
    return list(zip(path.chains, path.ours.channels, strict=True))


def test_a_backlog_both_ways_and_home_again(path: Path2) -> None:
    before = path.agree()
    for side in (0, 1):
        path.send(side, Transfers(count=BACKLOG, amount=3 + side))
    assert path.ours.pending() == 2 * BACKLOG
    with path.ours.started() as process:
        drained(process, path.ours)
        assert path.agree() == [before[0] + 3 * BACKLOG, before[1] + 4 * BACKLOG]
        for side in (0, 1):
            _home(path, side, BACKLOG)
        drained(process, path.ours)
        assert path.agree() == [before[0] + 2 * BACKLOG, before[1] + 3 * BACKLOG]
        assert process.complaints() == []


def _home(path: Path2, side: int, amount: int) -> None:
    """The receiver sends vouchers of a side's token back to it."""
    chain, channel = path.chains[1 - side], path.ours.channels[1 - side]
    back = Transfers(channel=channel, receiver=path.chains[side].address("relayer"), amount=amount)
    transfer(chain, RECEIVER, replace(back, denom=voucher(path.ours, side)))


def test_timeouts_by_height_and_by_time_are_refunded(path: Path2) -> None:
    before = path.agree()
    last = [0, 0]
    for side, chain in enumerate(path.chains):
        other = path.chains[1 - side]
        height = int(other.status()["latest_block_height"]) + 4
        revision = int(other.id.rpartition("-")[2])
        path.send(side, Transfers(count=3, amount=7, timeout_height=(revision, height), timeout_ns=0))
        path.send(side, Transfers(count=3, amount=7, timeout_ns=3 * 10**9))
        last[1 - side] = height + 10
        assert path.escrowed(side) == before[side] + 42, chain.id
    for side, chain in enumerate(path.chains):
        height_above(chain, last[side])
    with path.ours.started() as process:
        drained(process, path.ours)
        assert process.complaints() == []
    assert path.agree() == before


def test_killed_while_it_relays_each_packet_arrives_once(path: Path2) -> None:
    before = path.agree()
    with path.ours.started() as process:
        for _ in range(STREAM):
            for side in (0, 1):
                path.send(side, Transfers(count=BURST))
            known = path.both_arrived()
            until(partial(path.moved, known), "a packet", process.log)
            process.end(signal.SIGKILL)
            process.start()
        drained(process, path.ours)
        assert process.end(signal.SIGTERM) == 0
    assert path.agree() == [held + STREAM * BURST for held in before]
    for found in json.loads(path.ours.run("path", "pending")):
        assert (found["unreceived"], found["unacknowledged"]) == ([], [])


def test_two_relayers_with_keys_of_their_own(path: Path2, tmp_path: Path) -> None:
    before = path.agree()
    other = replace(path.ours, home=tmp_path, key=RECEIVER)
    with path.ours.started() as one, other.started() as two:
        for side in (0, 1, 0, 1):
            path.send(side, Transfers(count=BURST))
        drained(one, path.ours)
        assert (one.end(signal.SIGTERM), two.end(signal.SIGTERM)) == (0, 0)
    assert path.agree() == [held + 2 * BURST for held in before]


def test_a_chain_that_was_away(path: Path2, sims: Sims) -> None:
    """The second chain's node is killed under the relayer, packets wait, it comes back."""
    simd = next(item for item in sims.running() if item.chain_id == path.chains[1].id)
    before = path.agree()
    with path.ours.started() as process:
        path.send(0, Transfers(count=2))
        drained(process, path.ours)
        simd.kill()
        path.send(0, Transfers(count=5))
        simd.start()
        drained(process, path.ours)
    assert path.agree() == [before[0] + 7, before[1]]
