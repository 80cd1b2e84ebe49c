"""One path, two relayers: the Go relayer makes and uses it between ours and simd, then our relayer goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.conftest import Sims
from tests.interop.go_relayer import QUICK, GoRelayer, go_relayer
from tests.interop.net import Net, until
from tests.interop.relay import Ours, Transfers, drained, escrow, height_above, transfer, voucher

pytestmark = pytest.mark.interop
RECEIVER = "home-01"
EACH_WAY = 100


def send(path: GoRelayer | Ours, side: int, what: Transfers) -> None:
    """From the faucet of a side to the receiver of the other."""
    transfer(path.chains[side], "faucet", what.over(path.channels[side], path.chains[1 - side].address(RECEIVER)))


def agreed(path: GoRelayer | Ours) -> list[int]:
    """What each side holds in escrow, which has to be what the receiver on the other side has."""
    held = [escrow(path.chains[side], path.channels[side]) for side in (0, 1)]
    assert held == [path.chains[1 - side].balances(RECEIVER).get(voucher(path, side), 0) for side in (0, 1)]
    return held


def test_our_relayer_takes_over_a_path_of_the_go_relayer(net: Net, sims: Sims, tmp_path: Path) -> None:
    go = go_relayer(tmp_path / "go", (net.a, sims.chain("v10"))).link()
    for side in (0, 1):
        send(go, side, Transfers(count=EACH_WAY, amount=2 + side))
    assert go.pending() == 2 * EACH_WAY
    with go.started(*QUICK) as log:
        until(lambda: go.pending() == 0, "every acknowledgement", log.read_text)
    assert agreed(go) == [2 * EACH_WAY, 3 * EACH_WAY]

    ours = Ours(home=tmp_path / "ours", chains=go.chains, channels=go.channels)
    with ours.started() as process:
        for side in (0, 1):
            send(ours, side, Transfers(count=EACH_WAY, amount=2 + side))
        drained(process, ours)
        assert process.complaints() == []
    assert agreed(ours) == [4 * EACH_WAY, 6 * EACH_WAY]

    heights = [int(chain.status()["latest_block_height"]) for chain in ours.chains]
    for side in (0, 1):
        send(ours, side, Transfers(amount=9, timeout_ns=2 * 10**9))
    assert escrow(ours.chains[0], ours.channels[0]) == 4 * EACH_WAY + 9
    for chain, height in zip(ours.chains, heights, strict=True):
        height_above(chain, height + 10)
    with ours.started() as process:
        drained(process, ours)
    assert agreed(ours) == [4 * EACH_WAY, 6 * EACH_WAY], "refunded on both sides"
