"""Slots of a market on a feeder, drawn at random: for tests, studies and the benchmark. Same seed, same slot."""

from __future__ import annotations

from random import Random

from energy.grid.dispatch import ASK, BID, REACTIVE, Block, Problem
from energy.grid.network import network_of
from physics.feeders import Case, Site

IMPORT_E4, EXPORT_E4 = 70_000, 20_000
TAN_PERMILLE = 300


def random_market(case: Case, seed: int, *, local: bool = True, load_permille: int = 500, supply: int = 3) -> Problem:
    """Two bids a loaded bus, two asks at about a third of the buses; `supply` scales the asks."""
    random = Random(seed)  # noqa: S311 - studies, not secrets
    blocks: list[Block] = []
    for site in case.sites:
        if site.peak_W:
            blocks += _bids(random, site)
        if random.random() < 0.3 or site.pv_W:
            blocks += _asks(random, site, supply)
    return Problem(
        net=network_of(case.feeder),
        base=tuple(site.baseline(load_permille) for site in case.sites),
        blocks=tuple(blocks),
        import_e4=IMPORT_E4,
        export_e4=EXPORT_E4,
        local=local,
    )


def _bids(random: Random, site: Site) -> list[Block]:
    return [
        Block(
            bus=site.bus,
            direction=BID,
            price_e4=random.randrange(25_000, 80_000),
            quantity_mWh=round(random.uniform(0.1, 0.6) * site.peak_W * 250),
            reactive_permille=TAN_PERMILLE,
        )
        for _ in range(2)
    ]


def _asks(random: Random, site: Site, supply: int) -> list[Block]:
    return [
        Block(
            bus=site.bus,
            direction=ASK,
            price_e4=random.randrange(20_000, 60_000),
            quantity_mWh=round(supply * random.uniform(50e3, 250e3) * 250),
        )
        for _ in range(2)
    ]


def inverters(bus: int, var: int) -> tuple[Block, Block]:
    """Reactive power of an inverter, both ways, at no cost."""
    up, down = (
        Block(bus=bus, direction=REACTIVE, price_e4=0, quantity_mWh=var * 250, reactive_permille=sign)
        for sign in (1000, -1000)
    )
    return up, down
