"""The welfare problem of a slot's auction on its feeder: what C3 bounds and what marginal prices belong to.

    maximise  sum b x - sum s y - price * losses     bids = asks, AC power flow of the feeder within its limits

Blocks are the orders. What an order that is drawn or fed in anyway (firm) trades moves nothing on the feeder: its
energy belongs to the baseline, and its block stands at the root, where the trade replaces energy of the main grid. The
root's flow has one price both ways, so that of its cost only the losses depend on the fills. The marginal price of a
bus is then the auction's price, plus the losses that another unit there causes, plus what it takes to keep the limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from energy.errors import NotCertified
from energy.grid.dispatch import ASK, BID, Block, Problem
from energy.grid.network import Network
from energy.grid.schedule import BusEnergy


class Offer(NamedTuple):
    """An order as the problem sees it: `fill_mWh` is what it got, `firm` what moves on the feeder whatever it got."""

    bus: int
    direction: int  # BID or ASK
    price_e4: int
    quantity_mWh: int
    fill_mWh: int
    tan_phi_permille: int = 0
    firm: bool = False


def auction_problem(
    net: Network, base: Iterable[BusEnergy], offers: Sequence[Offer], loss_price_e4: int
) -> tuple[Problem, list[int]]:
    """The problem of a slot's orders, those alike in one block, and the fills of its blocks in mWh.

    `base` are the baselines; firm orders are added to them whole. Fills that a factor rounded are balanced by taking
    the rest from the longer side. Raises NotCertified for an order at a bus that the feeder lacks.
    """
    lost = [offer.bus for offer in offers if offer.bus not in net.index]
    if lost:
        raise NotCertified(f"orders at buses of the feeder are expected, got one at bus {lost[0]}")
    rows: dict[tuple[int, int, int, int], list[int]] = {}
    for offer in offers:
        bus, tangent = (net.bus[0], 0) if offer.firm else (offer.bus, offer.tan_phi_permille)
        row = rows.setdefault((bus, offer.direction, offer.price_e4, tangent), [0, 0])
        row[0] += offer.quantity_mWh
        row[1] += offer.fill_mWh
    blocks = tuple(
        Block(
            bus=bus,
            direction=direction,
            price_e4=price,
            quantity_mWh=row[0],
            reactive_permille=direction * tangent,
        )
        for (bus, direction, price, tangent), row in sorted(rows.items())
    )
    problem = Problem(
        net=net,
        base=(*base, *_firm(offers)),
        blocks=blocks,
        import_e4=loss_price_e4,
        export_e4=loss_price_e4,
        local=True,
    )
    return problem, _balanced(blocks, [row[1] for _, row in sorted(rows.items())])


def _firm(offers: Iterable[Offer]) -> list[BusEnergy]:
    sums: dict[int, list[int]] = {}
    for offer in offers:
        if offer.firm:
            row = sums.setdefault(offer.bus, [0, 0])
            row[0] += offer.direction * offer.quantity_mWh
            row[1] += offer.direction * offer.quantity_mWh * offer.tan_phi_permille
    return [BusEnergy(bus=bus, trade_p_mWh=p, trade_q_permille=q) for bus, (p, q) in sorted(sums.items())]


def _balanced(blocks: Sequence[Block], fills: list[int]) -> list[int]:
    rest = sum(block.direction * fill for block, fill in zip(blocks, fills, strict=True))
    longer = BID if rest > 0 else ASK
    for at, block in enumerate(blocks):
        cut = min(fills[at], abs(rest)) if block.direction == longer else 0
        fills[at] -= cut
        rest -= longer * cut
    return fills
