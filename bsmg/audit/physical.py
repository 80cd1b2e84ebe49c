"""What a replayed slot means for its feeder: the check at CLEAR, under caps and at SECURE, and the losses.

At CLEAR firm orders are whole and a factor cuts the fills of flexible ones; at SECURE a factor cuts what flexible asks
didn't sell. Reactive energy follows each cell's tan phi. See docs/grid.md. Where validators vote on schedules nothing
is certified: see `ballot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bsmg.audit.auction import ASK, BID, Order, Outcome, sorted_side
from bsmg.audit.cells import Cells
from bsmg.audit.feeder import Draw, Feeder
from bsmg.audit.slot import PERMILLE, Slot
from bsmg.audit.stage import Stage
from cosmos_wire.protos import registry

Part = tuple[Order, int]  # an order, and what of it is drawn or fed in


class Physical:
    """The feeder in force, and the forecast that was sealed last."""

    def __init__(self, stage: Stage, cells: Cells) -> None:
        self.stage, self.cells = stage, cells
        self.last: dict[int, tuple[int, int]] = {}
        self._made: tuple[bytes, Feeder] | None = None

    def feeder(self) -> Feeder | None:
        """The feeder that schedules are certified against, None without."""
        return self._made_of(self.cells.feeder) if self._mode() == registry.SECURITY_MODE_CHAIN else None

    def is_voted_on(self) -> bool:
        """Whether validators vote on schedules."""
        return self._mode() == registry.SECURITY_MODE_BALLOT

    def _mode(self) -> int:
        said = self.cells.feeder
        return registry.SECURITY_MODE_UNSPECIFIED if said is None else said.mode

    def _made_of(self, said: registry.Feeder | None) -> Feeder | None:
        if said is None:
            return None
        raw = said.SerializeToString(deterministic=True)
        if self._made is None or self._made[0] != raw:
            self._made = raw, Feeder(said)
        return self._made[1]

    # --- forecasts ---------------------------------------------------------------------------------------------------

    def freeze(self, slot: Slot) -> None:
        """Without a forecast of its own a slot has the one that was sealed last."""
        if self._mode() and not slot.baselines and self.last:
            slot.baselines, slot.inherited = dict(self.last), True

    def keep(self, slot: Slot) -> None:
        """What is sealed stands in for later slots."""
        if self._mode() and slot.baselines and not slot.inherited:
            self.last = dict(slot.baselines)

    # --- schedules ---------------------------------------------------------------------------------------------------

    def cut_at_clear(self, slot: Slot) -> int | None:
        """The largest certified factor of a clearing that isn't certified whole, None of one that is."""
        feeder = self.feeder()
        if feeder is None or slot.outcome is None:
            return None
        factor, against, anything = feeder.most(
            [*_fixed_before(slot, slot.set_points), *self._cleared(slot, slot.outcome)]
        )
        if against is None:
            return None
        said = self.stage.expect
        said.event("slot_insecure", (slot.number,), element=against.element, reason=against.reason)
        if not anything:
            said.event("baseline_infeasible", (slot.number,))
        return factor

    def factor(self, slot: Slot, outcome: Outcome) -> int:
        """What the feeder bears of a clearing, permille; all of it without one or without trade."""
        feeder = self.feeder() if slot.factor else None
        if feeder is None:
            return PERMILLE
        factor, against, _ = feeder.most([*_fixed_before(slot, slot.set_points), *self._cleared(slot, outcome)])
        return PERMILLE if against is None else factor

    def bears(self, slot: Slot, outcome: Outcome, points: Mapping[int, int]) -> bool:
        """Whether a clearing is certified whole with set-points of inverters (mvarh by bus)."""
        feeder = self.feeder()
        return feeder is None or feeder.most([*_fixed_before(slot, points), *self._cleared(slot, outcome)])[1] is None

    def export(self, slot: Slot) -> int:
        """Permille of what flexible asks didn't sell that may be fed in."""
        feeder, orders = self.feeder(), list(slot.orders.values())
        if feeder is None:
            return 0 if self.is_voted_on() else PERMILLE
        unsold = [(o, rest) for o in orders if not o.firm and o.side == ASK and (rest := o.quantity_mWh - slot.fill(o))]
        if slot.factor == 0:
            return 0
        if not unsold:
            return PERMILLE
        before = _fixed_before(slot, slot.set_points)
        settled = [(order, order.quantity_mWh if order.firm else slot.fill(order)) for order in orders]
        return feeder.most([*before, *self._fixed(settled), *self._scaled(unsold)])[0]

    def schedule(
        self, slot: Slot, outcome: Outcome, factor: int, points: Mapping[int, int]
    ) -> list[tuple[int, int, int]]:
        """What every bus withdraws, ascending, with set-points of inverters: number, p in mWh, q in mvarh."""
        said = self.cells.feeder or registry.Feeder()
        buses = {said.root_bus, *(bus for branch in said.branches for bus in (branch.from_bus, branch.to_bus))}
        rows = {bus: [0, 0] for bus in buses}
        parts = [
            (o, o.quantity_mWh if o.firm else outcome.fills.get(o.seq, 0) * factor // PERMILLE)
            for o in slot.orders.values()
        ]
        traded = [(bus, p, q // PERMILLE) for bus, (p, q, _, _) in self._sums(parts).items()]
        before = [(draw.bus, draw.p, draw.q // PERMILLE) for draw in _fixed_before(slot, points)]
        for bus, p, q in (*before, *traded):
            row = rows.setdefault(bus, [0, 0])
            row[0] += p
            row[1] += q
        return [(bus, p, q) for bus, (p, q) in sorted(rows.items())]

    def _cleared(self, slot: Slot, outcome: Outcome) -> list[Draw]:
        orders = slot.orders.values()
        firm = [(order, order.quantity_mWh) for order in orders if order.firm]
        flexible = [(o, fill) for o in orders if not o.firm and (fill := outcome.fills.get(o.seq, 0))]
        return [*self._fixed(firm), *self._scaled(flexible)]

    def _fixed(self, parts: Iterable[Part]) -> list[Draw]:
        return [Draw(bus=bus, p=p, q=q) for bus, (p, q, _, _) in sorted(self._sums(parts).items())]

    def _scaled(self, parts: Iterable[Part]) -> list[Draw]:
        return [
            Draw(bus=bus, scaled_p=p, scaled_q=q, orders=count, tangents=tangents)
            for bus, (p, q, count, tangents) in sorted(self._sums(parts).items())
        ]

    def _sums(self, parts: Iterable[Part]) -> dict[int, list[int]]:
        """By bus: energy drawn, reactive energy, how many orders, their tangents."""
        found: dict[int, list[int]] = {}
        for order, energy in parts:
            cell, drawn = self.cells.by_number[order.cell], energy if order.side == BID else -energy
            row = found.setdefault(cell.bus, [0, 0, 0, 0])
            for at, value in enumerate((drawn, drawn * cell.tangent, 1, cell.tangent)):
                row[at] += value
        return found

    def capped(self, orders: list[Order], caps: Mapping[tuple[int, int], int]) -> list[Order]:
        """What caps leave of the book: best first, firm orders untouched."""
        left, kept = dict(caps), []
        for side in (BID, ASK):
            for order in sorted_side(orders, side):
                place = self.cells.by_number[order.cell].bus, side
                if order.firm or place not in left:
                    kept.append(order)
                    continue
                part = min(order.quantity_mWh, left[place])
                left[place] -= part
                kept += [order.cut_to(part)] if part else []
        return kept

    # --- losses ------------------------------------------------------------------------------------------------------

    def losses(self, slot: Slot) -> tuple[int, int]:
        """Losses at the metered energies, and the energies without signs that they are shared by."""
        feeder = self._made_of(self.cells.feeder) if self._mode() else None
        if feeder is None or not feeder.is_radial:  # meshed: no sweep
            return 0, 0
        acting = {order.cell for order in slot.orders.values()}
        known = {
            number: said.import_mWh - said.export_mWh + said.estimated_mWh for number, said in slot.meters.cells.items()
        }
        forecast = sorted(_forecast(slot, slot.set_points).items())
        draws = [Draw(bus=bus, q=q * PERMILLE) for bus, (_, q) in forecast]
        metered: dict[int, list[int]] = {}
        for number, energy in known.items():
            cell = self.cells.by_number[number]
            row = metered.setdefault(cell.bus, [0, 0])
            row[0] += energy
            row[1] += energy * cell.tangent if number in acting else 0
        draws += [Draw(bus=bus, p=p, q=q) for bus, (p, q) in sorted(metered.items())]
        return feeder.loss_mWh(draws), sum(abs(energy) for energy in known.values())


def _forecast(slot: Slot, points: Mapping[int, int]) -> dict[int, list[int]]:
    rows = {bus: [p, q] for bus, (p, q) in slot.baselines.items()}
    for bus, q in points.items():
        rows.setdefault(bus, [0, 0])[1] += q
    return rows


def _fixed_before(slot: Slot, points: Mapping[int, int]) -> list[Draw]:
    """The forecast, set-points of inverters, and what forward positions withdraw, added up by bus."""
    rows = _forecast(slot, points)
    for bus, p, q in slot.extras.positions:
        row = rows.setdefault(bus, [0, 0])
        row[0] += p
        row[1] += q
    return [Draw(bus=bus, p=p, q=q * PERMILLE) for bus, (p, q) in sorted(rows.items())]
