"""Lockstep of model and handlers, and a search of the handlers alone for states that break an invariant."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from . import model as m
from .world import BlockFailed, World

NOISE = ("S ack SETTLEMENT 0", "S timeout SETTLEMENT 0", "B ack METER", "B ack LOCK 0", "B timeout LOCK 0",
         "S recv LOCK 0", "S recv EQUIVALENCE 0", "B recv SETTLEMENT 0", "S resend SETTLEMENT 0", "B resend METER",
         "B ack EQUIVALENCE 0", "B timeout EQUIVALENCE 0", "B send EQUIVALENCE 0", "S recv METER", "S arbiter",
         "S remove 0", "B lock 0", "S export 4", "B import 4")  # fmt: skip
FAIR_STEPS_MAX = 200


@dataclass(frozen=True)
class Found:
    """What a search found: how, and the labels that lead there."""

    how: str
    path: tuple[str, ...]


def difference(real: m.State, wanted: m.State) -> dict[str, tuple[int, int]]:
    a, b = m.named(real), m.named(wanted)
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def lockstep(bounds: m.Bounds, edges_max: int) -> tuple[int, int]:
    """Breadth first through the model with the handlers beside it; (states, edges). Asserts that they agree."""
    model, edges = m.Model(bounds), 0
    seen: set[m.State] = set()
    queue: deque[tuple[m.State, World, tuple[object, ...]]] = deque()
    for g in model.start():
        world = World(bounds, g[m.TRUE])
        assert difference(world.read(), g) == {}
        seen.add(g)
        queue.append((g, world, world.snapshot()))
    while queue and edges < edges_max:
        g, world, kept = queue.popleft()
        for label, n in model.steps(g):
            edges += 1
            world.restore(kept)
            assert world.apply(label), (label, m.named(g))
            real = world.read()
            assert difference(real, tuple(n)) == {}, (label, m.named(g))
            if real not in seen:
                seen.add(real)
                queue.append((real, world, world.snapshot()))
    return len(seen), edges


def walk(bounds: m.Bounds, rng: random.Random, without: frozenset[str] = frozenset()) -> Found | None:
    """One random path of the model with the handlers beside it, and noise that must not change anything."""
    model = m.Model(bounds)
    g = rng.choice(list(model.start()))
    world, path, likely = World(bounds, g[m.TRUE], without), [], temper(rng)
    while g[m.TS] < m.END or g[m.TB] < m.END:
        label, n = choose(model, g, rng, likely)
        path.append(label)
        if gap := step(world, label, tuple(n)):
            return Found(how=f"handlers and model differ: {gap}", path=tuple(path))
        g = tuple(n)
        if gap := noise(world, model, g, rng):
            return Found(how=f"noise changed the state: {gap}", path=tuple(path))
    return None


def step(world: World, label: str, wanted: m.State) -> object:
    """Let the handlers do a step of the model; what differs, or how they broke."""
    try:
        world.apply(label)
    except (BlockFailed, ValueError) as error:  # ValueError: a number that its field can't hold
        return repr(error)
    return difference(world.read(), wanted)


KINDS_OF_STEP = ("remove", "block", "gate 2", "client", "timeout", "arbiter", "ack", "resend", "METER", "EQUIVALENCE")


def temper(rng: random.Random) -> dict[str, float]:
    """How likely each kind of step is in one walk: walks of different tempers reach different corners."""
    return {kind: rng.choice((0.0, 0.05, 0.3, 1.0)) for kind in KINDS_OF_STEP} | {"block": rng.choice((0.05, 0.3))}


def weight(label: str, likely: dict[str, float]) -> float:
    found = [value for kind, value in likely.items() if kind in label]
    return max(min(found, default=1.0), 1e-6)


def choose(model: m.Model, g: m.State, rng: random.Random, likely: dict[str, float]) -> m.Step:
    steps = list(model.steps(g))
    return rng.choices(steps, [weight(label, likely) for label, _ in steps])[0]


def noise(world: World, model: m.Model, g: m.State, rng: random.Random) -> object:
    """Try something that the model doesn't allow here: replays, early and late moves, acknowledgements of no effect."""
    allowed = {label for label, _ in model.steps(g)}
    label = rng.choice(NOISE)
    if label in allowed or standing(g, label) or (label.startswith("S remove") and not world.bounds.cancel):
        return None
    kept = world.snapshot()
    gap = step(world, label, g)
    world.restore(kept)
    return (label, gap) if gap else None


# The handlers alone: does an invariant break?


@dataclass(frozen=True)
class Case:
    """What a search of the handlers alone starts from."""

    bounds: m.Bounds
    truth: int
    without: frozenset[str] = frozenset()


def may_try(model: m.Model, g: m.State, label: str) -> bool:
    """Whether an adversary can attempt a label: the model's steps, and noise on a chain that doesn't stand still."""
    if label in {known for known, _ in model.steps(g)}:
        return True
    return label in NOISE and not label.startswith("S remove") and not standing(g, label)


def standing(g: m.State, label: str) -> bool:
    return g[m.TS if label.startswith("S") else m.TB] < max(g[m.TS], g[m.TB]) - m.SKEW


def attempt(world: World, label: str) -> str | None:
    """Do it; what is broken afterwards."""
    try:
        world.apply(label)
    except (BlockFailed, ValueError) as error:
        return f"broke: {error}"
    return m.check(world.read(), world.bounds)


def replay(case: Case, labels: tuple[str, ...]) -> str | None:
    """Drive the handlers along labels that an adversary can choose; the first violation, also of a fair ending."""
    world, model = World(case.bounds, case.truth, case.without), m.Model(case.bounds)
    for label in labels:
        if not may_try(model, world.read(), label):
            return None
        if bad := attempt(world, label):
            return bad
    return unfair_end(world, world.read())


def unfair_end(world: World, g: m.State) -> str | None:
    """If from here all is relayed, both meters are true and time passes evenly: does everything end, and not lapse?"""
    if max(g[m.TS], g[m.TB]) > m.T_DISP or m.FROZEN in (g[m.FS], g[m.FB]):
        return None
    end = fair_end(world, g)
    bad = m.check(end, world.bounds)
    lapsed = any(end[c + m.b_] == m.LAPSED for c in m.Model(world.bounds).idx)
    return bad or ("lapsed under a fair relayer" if lapsed else None)


def fair_end(world: World, g: m.State) -> m.State:
    kind = m.Bounds(
        contracts=world.bounds.contracts,
        offer=world.bounds.offer,
        lies=(world.extras.truth,),
        cancel=False,
        freeze=False,
        arbiter=world.bounds.arbiter,
    )
    model = m.Model(kind)
    for _ in range(FAIR_STEPS_MAX):
        if g[m.TS] == g[m.TB] == m.END:
            break
        g = next(fair_steps(world, model, g))
    return g


def fair_steps(world: World, model: m.Model, g: m.State) -> Iterator[m.State]:
    """States after the first act that changes something, else after the next block of the chain that is behind."""
    for label in [*(label for label, _ in (*model.acts_s(g), *model.acts_b(g))), "S recv METER"]:
        if not label.startswith("B lock") and world.apply(label) and (real := world.read()) != g:
            yield real
    place = m.TS if g[m.TS] <= g[m.TB] else m.TB
    label = next(model.ticks(g, place, g[place] + 1))[0]
    world.apply(label)
    yield world.read()


def follow(case: Case, labels: tuple[str, ...]) -> str | None:
    """Drive handlers and model along labels; where they first differ. What the model doesn't allow must do nothing."""
    world, model = World(case.bounds, case.truth, case.without), m.Model(case.bounds)
    g = world.read()
    for label in labels:
        allowed = {known: tuple(n) for known, n in model.steps(g)}
        if label not in allowed and "block" in label:
            continue  # a time that has passed already
        g = allowed.get(label, g)
        if gap := step(world, label, g):
            return f"{label}: {gap}"
    return None
