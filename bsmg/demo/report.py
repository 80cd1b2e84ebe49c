"""A day as one self-contained HTML page and as terminal tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rich.table import Table

from bsmg.demo import grid_report, plots, slot_pages
from bsmg.demo.day import DayReport, Refusal
from bsmg.demo.parts import Rows, section, table
from bsmg.demo.style import KWH, PRICE, TOKEN, hour

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #ddd }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .15rem .8rem .15rem 0 }
td { text-align: right; vertical-align: top } td:first-child, th { text-align: left } th { font-weight: 600 }
table.tight { font-size: 13px } .tight td, .tight th { white-space: nowrap }
svg { max-width: 100%; height: auto }
code { background: #f4f2ee; padding: 0 .25em; overflow-wrap: anywhere } .good { color: #2c7a3f } .bad { color: #b3261e }
"""
STYLE += slot_pages.STYLE + "\n"


def html(day: DayReport) -> str:
    """The page; nothing is loaded from elsewhere."""
    parts = [
        f"<h1>Trading day {escape(day.day)}: {day.slots} slots, {len(day.microgrids)} microgrids</h1>",
        _conserved(day),
        section("What happened", table(("", ""), summary_rows(day))),
        section("Microgrids", table(CHAIN_HEAD, chain_rows(day))),
        section("Prices of level 1", plots.prices(day)),
        section("Energy by level", plots.energy_by_level(day)),
        grid_report.feeders(day),
        *(grid_report.ranking(chain) for chain in day.microgrids),
        section("Packets", table(PACKET_HEAD, packet_rows(day)) + plots.latency(day)),
        section("Supply, to the last unit", table(SUPPLY_HEAD, supply_rows(day), tight=True)),
        *(section(f"Cost of the day, cells of {chain.chain_id}", plots.costs(chain)) for chain in day.microgrids),
        section("Contracts between chains, levels 2 and 3", table(CONTRACT_HEAD, contract_rows(day))),
        grid_report.reputation(day),
        *(_refusal(item) for item in day.refusals),
        _audit(day),
    ]
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>Trading day {escape(day.day)}</title>"
    return f"{head}<style>{STYLE}</style>{''.join(parts)}</html>\n"


def tables(day: DayReport) -> Iterable[Table]:
    """The same for a terminal."""
    yield _rich("The day", ("", ""), summary_rows(day))
    yield _rich("Microgrids", CHAIN_HEAD, chain_rows(day))
    if any(chain.feeder for chain in day.chains):
        yield _rich("Feeders", grid_report.FEEDER_HEAD, grid_report.feeder_rows(day))
    yield _rich("Packets", PACKET_HEAD, packet_rows(day))
    yield _rich("Supply", SUPPLY_HEAD, supply_rows(day))


def summary_rows(day: DayReport) -> list[tuple[str, str]]:
    """Name and value of what a reader looks for first."""
    latency = [day.summary()[name] for name in ("latency_p50_ms", "latency_p95_ms")]
    settled = [c for c in day.contracts if c.seller_state == "SETTLED"]
    rows = [
        ("energy traded at level 1", f"{day.level1_mWh / KWH:.3f} kWh"),
        *(
            (f"energy traded at level {n}", f"{day.delivered_mWh(n) / KWH:.3f} kWh in {day.slots_with(n)} slots")
            for n in (2, 3)
        ),
        (
            "prices at level 1",
            ", ".join(_price_range(c.chain_id, [r.price_e4 for r in c.slots if r.volume_mWh]) for c in day.microgrids),
        ),
        *(
            (f"prices at level {n}", _price_range("contracts", [c.price_e4 for c in settled if c.level == n]))
            for n in (2, 3)
        ),
        (
            "contracts",
            f"{len(day.contracts)}, {len(settled)} settled, {sum(c.short for c in day.contracts)} metered short",
        ),
        ("packet latency p50, p95", ", ".join("-" if ms is None else f"{ms / 1_000:.2f} s" for ms in latency)),
        (
            "tokens moved",
            ", ".join(f"{amount / TOKEN:.4f} {denom}" for denom, amount in sorted(day.tokens_moved.items())) or "none",
        ),
        *grid_report.summary_lines(day),
        ("audit from public RPC", _audit_line(day)),
        ("supply conserved", "yes, to the last unit" if day.conserved else "NO"),
        ("energy conserved", "yes, to the last unit" if day.energy_conserved else "NO"),
        (
            "cost of all cells, trading / alone",
            f"{day.summary()['cost'] / TOKEN:.2f} / {day.summary()['cost_without_trading'] / TOKEN:.2f} token",
        ),
    ]
    if day.outage:
        down_s = (day.outage.to_ms - day.outage.from_ms) / 1_000
        rows.append(
            (
                "relayer down",
                f"{down_s:.1f} s, {day.outage.timeouts_refunded} of {day.outage.transfers_sent} timeouts refunded",
            )
        )
    return rows


CHAIN_HEAD = ("microgrid", "ledger", "nodes", "blocks", "interval", "cells", "traded inside", "sold out", "bought in")


def chain_rows(day: DayReport) -> list[tuple[str, ...]]:
    """A row a chain: its ledger, its pace, and its energy inside and across."""
    return [
        (
            chain.chain_id,
            chain.kind,
            str(chain.nodes),
            str(chain.blocks),
            f"{chain.block_interval_ms / 1_000:.2f} s",
            str(len(chain.cells)),
            f"{sum(row.volume_mWh for row in chain.slots) / KWH:.3f} kWh",
            *(f"{_across(day, side, chain.chain_id) / KWH:.3f} kWh" for side in ("seller_chain", "buyer_chain")),
        )
        for chain in day.chains
    ]


def _across(day: DayReport, side: str, chain_id: str) -> int:
    return sum(c.delivered_mWh for c in day.contracts if getattr(c, side) == chain_id)


def _audit_line(day: DayReport) -> str:
    if day.audited is None:
        return "not run"
    total, wrong = sum(day.audited.checked.values()), len(day.audited.differences)
    return f"{total} things recomputed, {wrong or 'no'} differences"


def _price_range(name: str, prices_e4: list[int]) -> str:
    if not prices_e4:
        return f"{name}: no trade"
    return f"{name}: {min(prices_e4) / PRICE:.4f} to {max(prices_e4) / PRICE:.4f}"


PACKET_HEAD = ("from, to, port", "sent", "received", "acknowledged", "timed out")


def packet_rows(day: DayReport) -> list[tuple[str, ...]]:
    """Counts by direction and port."""
    return [
        (f"{p.source} to {p.destination}, {p.port}", *map(str, (p.sent, p.received, p.acknowledged, p.timed_out)))
        for p in day.packets
    ]


SUPPLY_HEAD = ("chain, denomination", "genesis", "minted", "burnt", "supply", "sum of balances", "")


def supply_rows(day: DayReport) -> list[tuple[str, ...]]:
    """The supply equation of every denomination."""
    return [
        (
            f"{chain.chain_id} {_short(row.denom)}",
            *map(str, (row.genesis, row.minted, row.burnt, row.supply, row.balances)),
            "agrees" if row.conserved else "DIFFERS",
        )
        for chain in day.chains
        for row in chain.supply
    ]


CONTRACT_HEAD = ("contract", "level", "hour", "from, to", "agreed kWh", "delivered kWh", "price", "outcome", "basis")


def contract_rows(day: DayReport) -> list[tuple[str, ...]]:
    """Every contract, oldest first."""
    return [
        (
            c.contract_id[:12],
            str(c.level),
            hour(c.quarter),
            f"{c.seller_chain} to {c.buyer_chain}",
            f"{c.energy_mWh / KWH:.3f}",
            f"{c.lo_mWh / KWH:.3f}",
            f"{c.price_e4 / PRICE:.4f}",
            f"{c.seller_state.lower()}/{c.buyer_state.lower()}",
            c.basis.lower(),
        )
        for c in sorted(day.contracts, key=lambda c: (c.slot, c.contract_id))
    ]


def _short(denom: str) -> str:
    return denom if len(denom) <= 16 else f"{denom[:12]}…"


def _conserved(day: DayReport) -> str:
    if not day.energy_conserved:
        return '<p class="bad">Energy is not conserved: meters and balances, or two ends of a contract, differ.</p>'
    if day.conserved:
        return '<p class="good">Supply and energy are conserved to the last unit on every chain.</p>'
    return '<p class="bad">Supply is not conserved: see the table below.</p>'


def _refusal(item: Refusal) -> str:
    said = f"code {item.code} of code space {item.codespace}: <code>{escape(item.log)}</code>"
    way = f"from {escape(item.source)} to {escape(item.target)}"
    text = f"<p>A packet {way} was offered with one bit of its proof changed. The chain refused it: {said}</p>"
    return section(f"A forged proof {way}", f"{text}<p>{escape(item.meaning)}</p>")


def _audit(day: DayReport) -> str:
    if day.audited is None:
        return ""
    counts = table(("what", "recomputed"), [(name, str(count)) for name, count in sorted(day.audited.checked.items())])
    wrong = "".join(f'<p class="bad">{escape(text)}</p>' for text in day.audited.differences)
    return section("The audit", f"<p>Recomputed from public RPC, with no code of the chain's.</p>{counts}{wrong}")


def _rich(title: str, head: Sequence[str], rows: Rows) -> Table:
    table = Table(title=title, show_header=any(head), title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
