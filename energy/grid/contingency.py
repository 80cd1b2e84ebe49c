"""What is left of a radial feeder when a branch is lost, and whether a schedule survives each listed loss.

Everything behind a lost branch is dark: its withdrawals and injections are gone, the rest has to keep its limits.
Losing supply can hurt (voltages fall, the trunk carries more), so each loss needs a certificate of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cosmos_wire.protos import registry as pb
from energy.errors import FeederMalformed
from energy.grid.feasible import Refusal
from energy.grid.network import Network, network_of, walk
from energy.grid.schedule import BusEnergy, injection_of
from energy.grid.secure import Certificate, certify


@dataclass(frozen=True, slots=True, kw_only=True)
class Insecure:
    """The first listed loss that a schedule doesn't survive; `branch` is None when the whole feeder refuses it."""

    branch: int | None
    refusal: Refusal

    def __str__(self) -> str:
        return str(self.refusal) if self.branch is None else f"{self.refusal} after the loss of branch {self.branch}"


def without(feeder: pb.Feeder, branch: int) -> pb.Feeder:
    """The feeder that still hangs on the root after the loss of a branch (its index); may be the root alone."""
    if not 0 <= branch < len(feeder.branches):
        raise FeederMalformed(f"a contingency is an index 0..{len(feeder.branches) - 1}, got {branch}")
    lost, steps = feeder.branches[branch], walk(feeder)
    alive = {feeder.root_bus: True}
    kept: list[pb.Branch] = []
    for bus, parent, above in steps[1:]:
        if above is not None and above != lost and steps[parent][0] in alive:
            alive[bus] = True
            kept.append(above)
    left = pb.Feeder()
    left.CopyFrom(feeder)
    del left.branches[:], left.contingencies[:]
    left.branches.extend(kept)
    return left


def networks_of(feeder: pb.Feeder) -> list[tuple[int | None, Network]]:
    """The whole feeder, then what each listed contingency leaves of it."""
    whole: list[tuple[int | None, Network]] = [(None, network_of(feeder))]
    return whole + [(branch, network_of(without(feeder, branch))) for branch in feeder.contingencies]


def lit(net: Network, energies: Iterable[BusEnergy]) -> list[BusEnergy]:
    """The energies of buses that a network still has."""
    return [energy for energy in energies if energy.bus in net.index]


def certify_all(
    networks: Sequence[tuple[int | None, Network]], energies: Sequence[BusEnergy]
) -> list[Certificate] | Insecure:
    """A certificate for the whole feeder and for each loss, or the first that there is none for."""
    found = []
    for branch, net in networks:
        verdict = certify(net, injection_of(net, lit(net, energies)))
        if isinstance(verdict, Refusal):
            return Insecure(branch=branch, refusal=verdict)
        found.append(verdict)
    return found
