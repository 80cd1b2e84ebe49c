"""The Go relayer 2.5.2 between two of our chains and between ours and simd: path, backlog, home again, timeout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.conftest import Sims
from tests.interop.go_relayer import PATH, QUICK, GoRelayer, complaints, go_relayer
from tests.interop.net import Chain, Net, until
from tests.interop.relay import Transfers, escrow, height_above, transfer, voucher

pytestmark = pytest.mark.interop
RECEIVER = "home-01"
BACKLOG = 6
PAIRS = ("ours-ours", "ours-v10", "ours-v8")


def other_of(name: str, net: Net, sims: Sims) -> Chain:
    if name == "ours-ours":
        return net.b
    return sims.chain("v10" if name == "ours-v10" else "v8")


@pytest.fixture(scope="module", params=PAIRS)
def rly(request: pytest.FixtureRequest, net: Net, sims: Sims, tmp_path_factory: pytest.TempPathFactory) -> GoRelayer:
    """Configured, with an open transfer channel made by it; the first chain is ours."""
    chains = (net.a, other_of(str(request.param), net, sims))
    return go_relayer(tmp_path_factory.mktemp("rly"), chains).link()


@contextmanager
def relaying(rly: GoRelayer) -> Iterator[Path]:
    """Started; in the end its log holds no refusal of a chain."""
    with rly.started(*QUICK) as log:
        yield log
    assert complaints(log) == []


def own_transfer(rly: GoRelayer, coin: str, *flags: str) -> None:
    """`rly tx transfer` from our chain (its own fails on ibc-go v10)."""
    one, other = rly.chains
    rly.run(
        *("tx", "transfer", one.id, other.id, coin, other.address(RECEIVER), rly.channels[0], "--path", PATH), *flags
    )


def gained(rly: GoRelayer, side: int) -> int:
    """Vouchers of a side's token that the receiver on the other side holds."""
    return rly.chains[1 - side].balances(RECEIVER).get(voucher(rly, side), 0)


def test_the_path_is_open_on_both_chains(rly: GoRelayer) -> None:
    for chain, channel in zip(rly.chains, rly.channels, strict=True):
        end = chain.get(f"/ibc/core/channel/v1/channels/{channel}/ports/transfer")["channel"]
        assert (end["state"], end["version"]) == ("STATE_OPEN", "ics20-1")
    assert rly.chains[0].id in rly.run("query", "channels", rly.chains[0].id)


def test_a_backlog_both_ways(rly: GoRelayer) -> None:
    before = [gained(rly, side) for side in (0, 1)]
    for i in range(2):
        own_transfer(rly, f"{100 + i}{rly.chains[0].denom}")
    for side, count in ((0, BACKLOG - 2), (1, BACKLOG)):
        receiver = rly.chains[1 - side].address(RECEIVER)
        what = Transfers(channel=rly.channels[side], receiver=receiver, count=count, amount=200 + side)
        transfer(rly.chains[side], "faucet", what)
    until(lambda: rly.pending() == 2 * BACKLOG, "the backlog")
    with relaying(rly) as log:
        until(lambda: rly.pending() == 0, "every acknowledgement", log.read_text)
    sums = [201 + 200 * (BACKLOG - 2), 201 * BACKLOG]
    assert [gained(rly, side) - before[side] for side in (0, 1)] == sums
    assert held(rly) == [gained(rly, side) for side in (0, 1)]


def test_a_voucher_goes_home(rly: GoRelayer) -> None:
    ours, other = rly.chains
    before = gained(rly, 1)
    what = Transfers(channel=rly.channels[1], receiver=ours.address("relayer"), amount=50)
    transfer(other, "faucet", what)
    with relaying(rly) as log:
        until(lambda: ours.balances("relayer").get(voucher(rly, 1), 0) == 50, "the voucher", log.read_text)
        held = other.balances(RECEIVER)[other.denom]
        own_transfer(rly, f"50transfer/{rly.channels[0]}/{other.denom}")
        until(lambda: other.balances(RECEIVER)[other.denom] == held + 50, "the tokens", log.read_text)
        until(lambda: rly.pending() == 0, "the acknowledgement", log.read_text)
    assert (ours.balances("relayer").get(voucher(rly, 1), 0), gained(rly, 1)) == (0, before)


def test_timeouts_of_both_sides_are_refunded(rly: GoRelayer) -> None:
    before, escrowed = [gained(rly, side) for side in (0, 1)], held(rly)
    for side in (0, 1):
        receiver = rly.chains[1 - side].address(RECEIVER)
        what = Transfers(channel=rly.channels[side], receiver=receiver, amount=77, timeout_ns=3 * 10**9)
        transfer(rly.chains[side], "faucet", what)
    assert (rly.pending(), held(rly)) == (2, [amount + 77 for amount in escrowed])
    for chain in rly.chains:
        height_above(chain, int(chain.status()["latest_block_height"]) + 8)
    with relaying(rly) as log:
        until(lambda: rly.pending() == 0, "the timeouts", log.read_text)
    assert (held(rly), [gained(rly, side) for side in (0, 1)]) == (escrowed, before)


def held(rly: GoRelayer) -> list[int]:
    """What each side holds in escrow."""
    return [escrow(rly.chains[side], rly.channels[side]) for side in (0, 1)]
