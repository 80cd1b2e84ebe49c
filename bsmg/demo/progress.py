"""What a person sees while the day runs: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bsmg.demo.assemble import Span
from bsmg.demo.collect import ChainLog, packets
from bsmg.demo.scene import Scene
from bsmg.demo.style import KWH, PRICE

PLAIN_LINE_EVERY = 12  # readings


@dataclass(slots=True, kw_only=True)
class Progress:
    """`show` after every reading of the logs; `say` for what happens in between."""

    console: Console
    scene: Scene
    span: Span
    live: Live | None = None
    note: str = ""
    readings: int = field(default=0)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=2)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self.note = text
        self.console.log(text)

    def show(self) -> None:
        """Redraw, or print a line."""
        self.readings += 1
        if self.live is not None:
            self.live.update(self.table())
        elif self.readings % PLAIN_LINE_EVERY == 1:
            self.console.print(self.line())

    def line(self) -> str:
        """One line for logs."""
        parts = [f"{i} block {r.height} settled {self._count(r, 'slot_settled')}" for i, r in self.scene.logs.items()]
        return f"{', '.join(parts)}; {self.traffic()}"

    def table(self) -> Table:
        """A row a chain."""
        title = f"slot {self._count(next(iter(self.scene.logs.values())), 'slot_closed')} of {self.span.slots} closed"
        table = Table(title=title, caption=f"{self.traffic()}   {self.note}", title_justify="left")
        for name in ("chain", "block", "cleared", "last price", "last volume", "settled", "closed"):
            table.add_column(name, justify="right")
        for chain_id, log in self.scene.logs.items():
            table.add_row(chain_id, str(log.height), *self._market(log))
        return table

    def _market(self, log: ChainLog) -> tuple[str, ...]:
        cleared = [s.attributes for s in log.of("slot_cleared") if int(s.attributes["volume_mWh"])]
        last = cleared[-1] if cleared else {"price_e4": "0", "volume_mWh": "0"}
        return (
            str(self._count(log, "slot_cleared")),
            f"{int(last['price_e4']) / PRICE:.4f}",
            f"{int(last['volume_mWh']) / KWH:.3f} kWh",
            str(self._count(log, "slot_settled")),
            str(self._count(log, "slot_closed")),
        )

    def traffic(self) -> str:
        """Packets sent, in flight, ended."""
        lives = packets(self.scene.logs, self.scene.channel_ends()).values()
        done = sum(life.acknowledged_ms is not None for life in lives)
        late = sum(life.timed_out_ms is not None for life in lives)
        return (
            f"packets: {len(lives)} sent, {len(lives) - done - late} in flight, {done} acknowledged, {late} timed out"
        )

    def _count(self, log: ChainLog, kind: str) -> int:
        return len({s.attributes["slot"] for s in log.of(kind) if int(s.attributes["slot"]) in self.span})
