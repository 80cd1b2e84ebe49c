"""What flows on the tie lines in a slot: one picture for all microgrids and the main grid.

A tie line between microgrids carries what they contracted, as far as the seller has it to give; the line to the main
grid carries the rest. So each microgrid's meters draw what its lines bring, to the mWh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from energy.trade.arithmetic import shares

Nets = Callable[[str, int], int]  # (chain, slot) -> mWh that a microgrid's meters drew, negative: that they fed in
Ends = tuple[str, str]  # selling chain, buying chain


@dataclass(slots=True, kw_only=True)
class TieLines:
    """Contracts between microgrids by slot, as their utility cells dispatch them, and the flows that follow."""

    nets: Nets
    members: frozenset[str]  # the microgrids
    contracted: dict[int, dict[Ends, int]] = field(default_factory=dict)
    heard: dict[int, set[str]] = field(default_factory=dict)

    def dispatch(self, slot: int, chain_id: str, contracts: Mapping[Ends, int]) -> None:
        """What a microgrid's utility cell knows of a slot's contracts, mWh; of two words about one the first counts."""
        known = self.contracted.setdefault(slot, {})
        for ends, energy in contracts.items():
            known.setdefault(ends, energy)
        self.heard.setdefault(slot, set()).add(chain_id)

    def settled(self, slot: int) -> bool:
        """Whether every microgrid has said what it contracted."""
        return self.members <= self.heard.get(slot, set())

    def between(self, slot: int, seller: str, buyer: str) -> int:
        """Energy on the line between two microgrids, mWh; what the seller lacks is missing on all its lines alike."""
        sold = self._sold(slot, seller)
        given = min(sum(sold.values()), max(0, -self.nets(seller, slot)))
        return dict(zip(sold, shares(given, list(sold.values())), strict=True)).get(buyer, 0) if sold else 0

    def _sold(self, slot: int, seller: str) -> dict[str, int]:
        known = self.contracted.get(slot, {})
        return {ends[1]: known[ends] for ends in sorted(known) if ends[0] == seller and known[ends] > 0}

    def from_grid(self, slot: int, chain_id: str) -> int:
        """Energy that a microgrid draws from the main grid, mWh; negative: that it feeds in."""
        known = self.contracted.get(slot, {})
        given = sum(self.between(slot, *ends) for ends in _of(known, 0, chain_id))
        taken = sum(self.between(slot, *ends) for ends in _of(known, 1, chain_id))
        return self.nets(chain_id, slot) + given - taken


def _of(known: Iterable[Ends], side: int, chain_id: str) -> list[Ends]:
    return [ends for ends in known if ends[side] == chain_id]
