"""Volt/var control by ADMM: inverters decide for themselves, the utility cell only says where voltages pull.

    minimise  sum (v_i - v_ref)^2 + c sum g_i^2    with  v = v_0 + S g,  |g_i| <= limit_i

v are squared voltages without losses (LinDistFlow). An inverter's effort and limits stay with it; it answers a wish
with a number. The feeder stays with the utility cell. With penalty rho and over-relaxation alpha (Boyd, Parikh, Chu,
Peleato, Eckstein, 2011, 3.4.3), scaled multipliers u:

    g_i <- argmin c g_i^2 + rho/2 (g_i - z_i + u_i)^2 within its limit          each inverter by itself
    z   <- argmin |v_0 + S z - v_ref|^2 + rho/2 |alpha g + (1 - alpha) z - z' + u|^2
    u   <- u + alpha g + (1 - alpha) z_before - z

The end is reached when |g - z| and the last change of rho z fall below the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from energy.grid.fixed import ONE
from energy.grid.network import Network
from physics.errors import DispatchError
from physics.powerflow import Floats

RHO = 0.3
OVER_RELAXATION = 1.6
ROUNDS_MAX = 20_000
TOLERANCE = 1e-7  # p.u.
EFFORT = 0.02  # c: what a squared p.u. of reactive power costs beside squared deviations of v


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How ADMM runs, and what is controlled to what."""

    v_ref: float = 1.0
    effort: float = EFFORT
    rho: float = RHO
    over_relaxation: float = OVER_RELAXATION


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Reactive power that the inverters inject by bus, the squared voltages that follow, rounds of messages it took."""

    injected: Floats
    v: Floats
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverter:
    """What an inverter keeps to itself."""

    limit: float  # p.u., either way
    effort: float

    def answer(self, wish: float, rho: float) -> float:
        """What it injects when it is pulled towards `wish` with strength rho."""
        best = rho * wish / (2 * self.effort + rho)
        return min(self.limit, max(-self.limit, best))


def control(net: Network, p: Floats, q: Floats, limits: Floats, settings: Settings | None = None) -> Control:
    """Set-points for withdrawals p + jq (p.u., the network's order); raises DispatchError when the rounds run out."""
    settings = settings or Settings()
    inverters = [Inverter(limit=float(limit), effort=settings.effort) for limit in limits]
    slopes, start = sensitivity(net), voltages(net, p, q)
    pull = 2 * slopes.T @ (settings.v_ref - start)
    inverse = np.linalg.inv(2 * slopes.T @ slopes + settings.rho * np.eye(net.size))
    z, u = np.zeros(net.size), np.zeros(net.size)
    for rounds in range(1, ROUNDS_MAX + 1):
        wishes = z - u
        injected = np.array([inv.answer(wish, settings.rho) for inv, wish in zip(inverters, wishes, strict=True)])
        relaxed = settings.over_relaxation * injected + (1 - settings.over_relaxation) * z
        after = inverse @ (pull + settings.rho * (relaxed + u))
        u = u + relaxed - after
        apart, moved = float(np.max(np.abs(injected - after))), float(np.max(np.abs(after - z)))
        z = after
        if apart < TOLERANCE and settings.rho * moved < TOLERANCE:
            return Control(injected=injected, v=voltages(net, p, q - injected), rounds=rounds)
    raise DispatchError(f"no agreement within {ROUNDS_MAX} rounds, the last change was {moved:.2g}")


def sensitivity(net: Network) -> Floats:
    """Change of every squared voltage with the reactive power injected at every bus: twice the common reactance."""
    shared = np.zeros((net.size, net.size))
    for at in range(1, net.size):
        shared[at, :at] = shared[:at, at] = shared[net.parent[at], :at]
        shared[at, at] = shared[net.parent[at], net.parent[at]] + 2 * net.x[at] / ONE
    return shared


def voltages(net: Network, p: Floats, q: Floats) -> Floats:
    """Squared voltages without losses, by bus in the network's order."""
    flow_p, flow_q = p.astype(float).copy(), q.astype(float).copy()
    for at in range(net.size - 1, 0, -1):
        flow_p[net.parent[at]] += flow_p[at]
        flow_q[net.parent[at]] += flow_q[at]
    v = np.full(net.size, net.v0[0] / ONE)
    for at in range(1, net.size):
        v[at] = v[net.parent[at]] - 2 * (net.r[at] * flow_p[at] + net.x[at] * flow_q[at]) / ONE
    return v
