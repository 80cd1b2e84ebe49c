"""The part of the page that shows microgrids on their feeders."""

from __future__ import annotations

from collections.abc import Sequence

from bsmg.demo import curves, grid_plots, slot_pages
from bsmg.demo.day import CellRow, ChainRow, DayReport
from bsmg.demo.feeder_day import FeederDay, FeederSlot
from bsmg.demo.parts import section, table
from bsmg.demo.style import KWH, TOKEN, hour

PANELS = 12
RANKED = 100  # cells from either end
BROKEN_HEAD = (
    "hour", "broken", "the first of them", "the chain said", "repaired by", "voltages after", "fullest branch",
)  # fmt: skip
FEEDER_HEAD = (
    "microgrid", "buses", "limits broken", "slots to repair", "repaired", "welfare there", "curtailed", "of asks",
    "losses",
)  # fmt: skip
RANK_HEAD = (
    "rank, cell", "score", "off its position", "of its energy", "estimated", "penalties", "losses", "cost",
    "cost alone",
)  # fmt: skip


def feeders(day: DayReport) -> str:
    """Everything about every feeder; empty when there is none."""
    rows = [(chain, chain.feeder) for chain in day.microgrids if chain.feeder is not None]
    if not rows:
        return ""
    text = (
        "<p>By an AC power flow of every sealed schedule that shares nothing with the chain's certificate. To repair: "
        "slots in which the auction, left to itself, would have broken a limit. Welfare there: of the optimal power "
        "flow's.</p>"
    )
    return section("The feeders", text + table(FEEDER_HEAD, feeder_rows(day))) + "".join(_feeder(*row) for row in rows)


def feeder_rows(day: DayReport) -> list[tuple[str, ...]]:
    """A row a feeder."""
    return [(chain.chain_id, *_feeder_row(chain.feeder)) for chain in day.microgrids if chain.feeder is not None]


def _feeder_row(feeder: FeederDay) -> tuple[str, ...]:
    asked = sum(row.asked_mWh for row in feeder.slots)
    curtailed = feeder.curtailed_mWh
    worth = feeder.welfare_permille
    return (
        str(len(feeder.buses)),
        str(feeder.violations),
        str(len(feeder.broken_free)),
        str(sum(row.repaired for row in feeder.slots)),
        "-" if worth is None else f"{worth / 10:.1f} %",
        f"{curtailed / KWH:.3f} kWh",
        f"{100 * curtailed / asked if asked else 0:.1f} %",
        f"{sum(row.loss_mWh for row in feeder.slots) / KWH:.3f} kWh",
    )


def _feeder(chain: ChainRow, feeder: FeederDay) -> str:
    name = chain.chain_id
    parts = [
        section(f"{name}: bids and asks", f"{_curves_text()}{curves.small_multiples(characteristic(feeder))}"),
        _maps(name, feeder),
        section(f"{name}: voltages of {len(feeder.buses)} buses", grid_plots.voltages(feeder)),
        section(f"{name}: loading of {len(feeder.branches)} branches", grid_plots.loading(feeder)),
        section(f"{name}: what became of the energy offered", grid_plots.curtailment(feeder)),
        section(f"{name}: losses", grid_plots.losses(feeder)),
        _broken(name, feeder),
        section(f"{name}: every slot", slot_pages.pages(feeder, grid_plots.feeder_layout(feeder), name)),
    ]
    return "".join(part for part in parts if part)


def _curves_text() -> str:
    return (
        "<p>Where the curves cross, the auction would trade (ring). The dot is what traded within the feeder's limits. "
        "What is drawn or fed in whatever it trades counts as a bid or an ask too.</p>"
    )


def characteristic(feeder: FeederDay) -> list[FeederSlot]:
    """Slots spread over the day, the most congested one among them."""
    traded = [row for row in feeder.slots if row.bids and row.asks] or list(feeder.slots)
    count = min(PANELS, len(traded))
    picked = {traded[at * (len(traded) - 1) // max(1, count - 1)].slot for at in range(count)}
    most = grid_plots.most_congested(feeder)
    if most is not None and most.slot not in picked:
        nearest = min(picked, key=lambda slot: (abs(slot - most.slot), slot))
        picked = (picked - {nearest}) | {most.slot}
    return [row for row in feeder.slots if row.slot in picked]


def _maps(name: str, feeder: FeederDay) -> str:
    row = grid_plots.most_congested(feeder)
    if row is None:
        return ""
    source = "certified by the chain" if row.lmps_of_chain else "worked out for this report, not certified"
    text = (
        f"<p>{grid_plots.caption(row)}; prices {source}. Square: the substation. Red: a bus at a voltage limit, "
        "a branch at its rating.</p>"
    )
    count = sum(bool(item.lmps_e4) for item in feeder.slots)
    mean = grid_plots.price_map(feeder, grid_plots.mean_lmps(feeder), None)
    return section(
        f"{name}: marginal prices where they differ most", text + grid_plots.price_map(feeder, row.lmps_e4, row.sealed)
    ) + section(f"{name}: marginal prices, mean of {count} slots", mean)


def _broken(name: str, feeder: FeederDay) -> str:
    title = f"{name}: slots in which the auction alone would have broken a limit"
    if not feeder.broken_free:
        return section(title, "<p>None.</p>")
    text = (
        "<p>Limits by an AC power flow that shares nothing with the chain's check; in brackets how much of the "
        "auction's volume was kept. Broken: how many limits.</p>"
    )
    return section(title, text + table(BROKEN_HEAD, broken_rows(feeder), tight=True))


def broken_rows(feeder: FeederDay) -> list[tuple[str, ...]]:
    """A row a slot that needed repair."""
    return [
        (
            hour(row.quarter),
            str(len(row.free.violations)),
            row.free.violations[0],
            row.refused or "-",
            f"{row.repair if row.repaired else 'NOT REPAIRED, ' + row.repair} ({_kept(row)})",
            f"{min(row.sealed.v):.4f} to {max(row.sealed.v):.4f}" if row.sealed.v else "no solution",
            f"{100 * max(row.sealed.loading, default=0):.1f} %",
        )
        for row in feeder.broken_free
    ]


def _kept(row: FeederSlot) -> str:
    return f"{100 * row.volume_mWh / row.free_volume_mWh:.0f} %" if row.free_volume_mWh else "nothing to trade"


def ranking(chain: ChainRow) -> str:
    """Cells by score, best first."""
    text = (
        "<p>The score falls with how far a cell's meter is from what it traded and had scheduled; alone, every cell "
        "would buy from and sell to the main grid. Estimated: slots without a reading of its own. Money in tokens.</p>"
    )
    return section(f"{chain.chain_id}: cells by score", text + table(RANK_HEAD, rank_rows(chain), tight=True))


def rank_rows(chain: ChainRow) -> list[tuple[str, ...]]:
    """A row a cell; of very many the best and the worst."""
    rows: list[tuple[str, ...]] = [
        (
            f"{place}. {cell.cell}",
            f"{cell.score_permille / 1000:.3f}",
            f"{cell.off_mWh / KWH:.3f} kWh",
            _share(cell),
            str(cell.estimated),
            f"{cell.penalty / TOKEN:.4f}",
            f"{cell.loss / TOKEN:.4f}",
            f"{cell.cost / TOKEN:.4f}",
            f"{cell.cost_without / TOKEN:.4f}",
        )
        for place, cell in enumerate(ranked(chain.cells), 1)
    ]
    return rows if len(rows) <= 2 * RANKED else [*rows[:RANKED], *rows[-RANKED:]]


def ranked(cells: Sequence[CellRow]) -> list[CellRow]:
    """By score, then by how little a cell was off."""
    return sorted(cells, key=lambda cell: (-cell.score_permille, cell.off_share, cell.cell))


def _share(cell: CellRow) -> str:
    return f"{100 * cell.off_share:.1f} %"


def reputation(day: DayReport) -> str:
    """What chains think of each other by the contracts that ended; empty when none has."""
    rows: list[tuple[str, ...]] = [
        (f"{chain.chain_id} of {peer.chain_id}", f"{peer.score_milli / 1000:.3f}", str(peer.contracts))
        for chain in day.chains
        for peer in chain.peers
    ]
    text = "<p>Moves a fifth of the way to each settled contract's quality; begins at 0.5.</p>"
    return section("Scores of chains", text + table(("chain, of", "score", "contracts"), rows)) if rows else ""


def summary_lines(day: DayReport) -> list[tuple[str, str]]:
    """What the summary says of feeders."""
    found = day.summary()
    broken = found["unconstrained_violations_slots"]
    if not any(chain.feeder for chain in day.microgrids):
        return []
    worth = found["welfare_permille"]
    return [
        ("limits broken by sealed schedules", f"{found['violations']} (independent AC power flow)"),
        (
            "slots repaired",
            f"{found['repaired_slots']} of {broken} in which the auction alone would break a limit",
        ),
        ("welfare in them", "-" if worth is None else f"{worth / 10:.1f} % of the optimal power flow's"),
        ("curtailed", f"{found['curtailed_mWh'] / KWH:.3f} kWh in {found['curtailed_slots']} slots"),
        ("losses", f"{found['loss_mWh'] / KWH:.3f} kWh"),
    ]
