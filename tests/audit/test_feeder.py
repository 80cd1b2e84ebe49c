"""The audit's certificate against the chain's: the same factors, the same words, the same losses."""

from __future__ import annotations

from random import Random

import pytest

from bsmg.audit.feeder import Draw, Feeder
from cosmos_wire.protos import registry as pb
from energy.grid.losses import loss_mWh
from energy.grid.network import network_of
from energy.grid.schedule import BusEnergy
from energy.grid.secure import secure


def feeder_of(random: Random, buses: int) -> pb.Feeder:
    """A tree whose branches are listed in any order and direction."""
    made = pb.Feeder(
        s_base_W=random.choice((10_000, 10**6)),
        root_bus=0,
        v0_permille=random.choice((1000, 1020)),
        vmin_permille=950,
        vmax_permille=1050,
        mode=pb.SECURITY_MODE_CHAIN,
    )
    for bus in range(1, buses):
        ends = [bus, random.randrange(bus)]
        random.shuffle(ends)
        made.branches.add(
            from_bus=ends[0],
            to_bus=ends[1],
            r_pu_q30=random.randrange(2**18, 2**24),
            x_pu_q30=random.randrange(2**18, 2**24),
            s_max_W=random.randrange(made.s_base_W // 10, made.s_base_W * 2),
        )
    rows = list(made.branches)
    random.shuffle(rows)
    del made.branches[:]
    made.branches.extend(rows)
    return made


@pytest.mark.parametrize("seed", range(300))
def test_both_certify_alike(seed: int) -> None:
    random = Random(seed)
    buses, load = random.randrange(2, 14), random.randrange(1, 40)
    feeder = feeder_of(random, buses)
    most = feeder.s_base_W * load * 3
    mine, theirs = [], []
    for _ in range(random.randrange(1, 12)):
        bus, tangent, count = random.randrange(buses + (random.random() < 0.02)), random.randrange(600), 3
        p, q, trade = (random.randrange(-most, most) for _ in range(3))
        mine.append(
            Draw(
                bus=bus,
                p=p,
                q=q * 1000 + tangent,
                scaled_p=trade,
                scaled_q=trade * tangent,
                orders=count,
                tangents=count * tangent,
            )
        )
        theirs.append(
            BusEnergy(
                bus=bus,
                base_p_mWh=p,
                base_q_mvarh=q,
                base_q_permille=tangent,
                trade_p_mWh=trade,
                trade_q_permille=trade * tangent,
                rounding_mWh=count,
                rounding_q_permille=count * tangent,
            )
        )
    net, own = network_of(feeder), Feeder(feeder)
    expected = secure(net, theirs)
    factor, against, anything = own.most(mine)
    assert (factor, anything) == (expected.factor_permille, expected.certificate is not None)
    said = None if expected.refusal is None else (expected.refusal.reason.value, expected.refusal.element)
    assert (None if against is None else (against.reason, against.element)) == said
    assert own.loss_mWh(mine) == loss_mWh(net, theirs)
