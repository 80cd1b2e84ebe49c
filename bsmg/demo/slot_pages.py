"""A folded section a slot: its curves and its map, drawn by hand so that three days of them stay light."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from matplotlib import colormaps
from matplotlib.colors import to_hex

from bsmg.demo.feeder_day import FeederDay, FeederSlot
from bsmg.demo.feeder_map import Layout
from bsmg.demo.style import ASK_COLOUR, BID_COLOUR, BLACK, KWH, PRICE, RED, hour

SHADES = 12
WIDTH, HEIGHT = 330, 190  # of the curves
LEFT, BOTTOM, TOP, RIGHT = 34, 22, 8, 6
STEP_X, STEP_Y, RADIUS = 26, 13, 4  # of the map
DOTS_MAX = 20_000  # a feeder: beyond that slots have no maps, or the page gets heavy
PALETTE = [to_hex(colormaps["viridis"](at / (SHADES - 1))) for at in range(SHADES)]
STYLE = "\n".join(
    [
        *(f".s{at} {{ fill: {colour} }}" for at, colour in enumerate(PALETTE)),
        f".bid, .ask, .wire {{ fill: none; stroke-width: 1.4 }} .bid {{ stroke: {BID_COLOUR} }}"
        f" .ask {{ stroke: {ASK_COLOUR} }} .wire {{ stroke: #b5b5b5 }} .full {{ stroke: {RED}; stroke-width: 3 }}",
        ".axis { stroke: #888; stroke-width: 1; fill: none } .slots text { font: 9px system-ui, sans-serif }",
        f".mark {{ fill: {BLACK} }} .ring {{ fill: none; stroke: {BLACK} }} .at {{ stroke: {RED}; stroke-width: 2 }}",
        ".slots details > div { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start }",
        ".slots table { font-size: 13px } .slots td { text-align: left }",
        ".slots summary { cursor: pointer; font-variant-numeric: tabular-nums }",
    ]
)


def pages(day: FeederDay, layout: Layout, key: str) -> str:
    """Every slot; `key` tells the page's feeders apart."""
    wires = "".join(_wire(layout, edge) for edge in layout.tree)
    shared = f'<svg width="0" height="0"><defs><path id="wires-{escape(key)}" class="wire" d="{wires}"/></defs></svg>'
    return f'<div class="slots">{shared}{"".join(_page(day, layout, row, key) for row in day.slots)}</div>'


def _page(day: FeederDay, layout: Layout, row: FeederSlot, key: str) -> str:
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts_of(row))
    drawn = curves(row) + (map_of(day, layout, row, key) if len(day.buses) * len(day.slots) <= DOTS_MAX else "")
    return f"<details><summary>{escape(headline(row))}</summary><div>{drawn}<table>{facts}</table></div></details>"


def headline(row: FeederSlot) -> str:
    """A slot in one line."""
    traded = (
        f"{row.volume_mWh / KWH:.3f} kWh at {row.price_e4 / PRICE:.4f} token / kWh" if row.volume_mWh else "no trade"
    )
    words = [f"{hour(row.quarter)}  {traded}"]
    if row.free.violations:
        words.append(f"repaired by {row.repair}" if row.repaired else f"not repaired ({row.repair})")
    if row.curtailed_mWh:
        words.append(f"{row.curtailed_mWh / KWH:.3f} kWh curtailed")
    return "; ".join(words)


def facts_of(row: FeederSlot) -> list[tuple[str, str]]:
    """What the slot's record and its flow say."""
    caps = ", ".join("accepted" if code == 0 else f"code {code}" for code in row.caps_codes)
    facts = [
        ("slot", str(row.slot)),
        ("auction without limits", f"{row.free_volume_mWh / KWH:.3f} kWh at {row.free_price_e4 / PRICE:.4f}"),
        ("would break", f"{len(row.free.violations)} limits; {row.free.violations[0]}" if row.free.violations else "-"),
        ("the chain's check", row.refused or "holds"),
        ("caps proposed", caps or "-"),
        ("factor, export", f"{row.factor_permille} ‰, {row.export_permille} ‰"),
        ("from / to the main grid", f"{row.grid_import_mWh / KWH:.3f} / {row.grid_export_mWh / KWH:.3f} kWh"),
        ("losses", f"{row.loss_mWh / KWH:.3f} kWh settled, {row.sealed.loss_mWh / KWH:.3f} by flow"),
    ]
    if row.sealed.v:
        facts.append(("voltages", f"{min(row.sealed.v):.4f} to {max(row.sealed.v):.4f} p.u."))
        facts.append(("fullest branch", f"{100 * max(row.sealed.loading, default=0):.1f} % of its rating"))
    return facts


def curves(row: FeederSlot) -> str:
    """Bids, asks, where they would have met and what traded."""
    totals = [sum(quantity for _, quantity in side) for side in (row.bids, row.asks)]
    right = min(max(totals), 2.5 * max(min(totals), row.free_volume_mWh)) or 1
    top = max((price for price, _ in (*row.bids, *row.asks)), default=row.price_e4) * 1.05 or 1

    def place(energy: float, price: float) -> tuple[str, str]:
        x = LEFT + min(energy, right) / right * (WIDTH - LEFT - RIGHT)
        return f"{x:.1f}", f"{HEIGHT - BOTTOM - price / top * (HEIGHT - BOTTOM - TOP):.1f}"

    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    for name, side in (("bid", row.bids), ("ask", row.asks)):
        path, total = "", 0
        for price, quantity in side:
            x, y = place(total, price)
            path += f"V{y}" if path else f"M{x} {y}"
            total += quantity
            path += f"H{place(total, price)[0]}"
        parts.append(f'<path class="{name}" d="{path}"/>')
    for kind, energy, price_e4 in (("ring", row.free_volume_mWh, row.free_price_e4),
                                   ("mark", row.volume_mWh, row.price_e4)):  # fmt: skip
        x, y = place(energy, price_e4)
        parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="3.5"/>')
    parts += [
        f'<text x="{LEFT}" y="{HEIGHT - 6}">0</text>',
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{right / KWH:.3g} kWh</text>',
        f'<text x="2" y="{TOP + 8}">{top / PRICE:.2f}</text><text x="2" y="{HEIGHT - BOTTOM}">0</text>',
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{"".join(parts)}</svg>'


def map_of(day: FeederDay, layout: Layout, row: FeederSlot, key: str) -> str:
    """Buses by price, or by voltage where the slot has no prices; what is at a limit is marked."""
    values: Sequence[float] = [price / PRICE for price in row.lmps_e4] or row.sealed.v
    if not values:
        return ""
    low, high = min(values), max(values)
    dots = []
    for bus, value, v in zip(day.buses, values, row.sealed.v or values, strict=True):
        x, y = _at(layout, bus)
        shade = round((value - low) / (high - low) * (SHADES - 1)) if high > low else SHADES // 2
        limit = " at" if row.sealed.v and day.at_limit(v) else ""
        dots.append(
            f'<circle class="s{shade}{limit}" cx="{x}" cy="{y}" r="{RADIUS}"><title>{bus}: {value:.4f}</title></circle>'
        )
    full = [edge for edge in layout.tree if edge in day.full_branches(row.sealed)]
    marked = "".join(_wire(layout, edge) for edge in full)
    columns, rows = layout.size
    width, height = columns * STEP_X, rows * STEP_Y + 16
    unit = "token / kWh" if row.lmps_e4 else "p.u. voltage"
    text = f"{low:.4f} (dark) to {high:.4f} (light) {unit}"
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}"><use href="#wires-{escape(key)}"/>'
        f'<path class="wire full" d="{marked}"/>{"".join(dots)}<text x="4" y="{height - 3}">{text}</text></svg>'
    )


def _at(layout: Layout, bus: int) -> tuple[int, int]:
    column, row = layout.places[bus]
    return column * STEP_X + STEP_X // 2, row * STEP_Y + STEP_Y // 2


def _wire(layout: Layout, edge: tuple[int, int]) -> str:
    (x0, y0), (x1, y1) = _at(layout, edge[0]), _at(layout, edge[1])
    return f"M{x0} {y0}V{y1}H{x1}"
