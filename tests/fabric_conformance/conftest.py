"""Networks for the cases, brought up when the first case of their policy asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.fabric_conformance.world import POLICIES, World, up

Worlds = Callable[[str, str], World]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """(kind, policy) -> a network that is up until the module ends."""
    made: dict[tuple[str, str], World] = {}
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        def world(kind: str, policy: str) -> World:
            if (kind, policy) not in made:
                path = tmp_path_factory.mktemp("conformance") / "net"
                made[kind, policy] = runner.run(stack.enter_async_context(up(path, kind, POLICIES[policy])))
            return made[kind, policy]

        try:
            yield world
        finally:
            runner.run(stack.aclose())
