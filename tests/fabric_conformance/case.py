"""How a case is registered, and what several cases use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fabric_adapter.gateway import text_args
from fabric_adapter.proposal import Options
from tests.fabric_conformance.world import Outcome, World

Run = Callable[[World], Awaitable[Outcome]]
ORG1, ORG2 = Options(organizations=["Org1MSP"]), Options(organizations=["Org2MSP"])
BIG, PACKET_BYTES, PACKETS = 2 << 20, 4096, 50


@dataclass(frozen=True)
class Case:
    """`run` on any network of the policy."""

    name: str
    policy: str
    run: Run

    def play(self, world: World) -> Outcome:
        """In an event loop of its own, as JSON has it."""
        return asyncio.run(self.outcome(world))

    async def outcome(self, world: World) -> Outcome:
        """With keys that no other case has."""
        found: Outcome = json.loads(json.dumps(await self.run(world.fresh())))
        return found


CASES: list[Case] = []


def case(policy: str = "and") -> Callable[[Run], Run]:
    """Register a case under its function's name."""

    def add(run: Run) -> Run:
        CASES.append(Case(run.__name__, policy, run))
        return run

    return add


def args(*parts: str) -> list[bytes]:
    return text_args(*parts)


def verdict_only(found: Outcome) -> Outcome:
    """Class and code: the words are the node's own."""
    return {key: value for key, value in found.items() if key in {"error", "code"}}
