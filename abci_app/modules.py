"""The application's modules in their one fixed order, and what they offer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from abci_app.auth_module import AuthModule
from abci_app.bank_module import BankModule
from abci_app.errors import GenesisError
from abci_app.host_modules import ConsensusModule, StakingModule, UpgradeModule
from ibc_core.host import Context, MessageRoute, Module, QueryRoute

R = TypeVar("R")


class Modules:
    """Routes of all modules; hooks run in the order of `parts`."""

    def __init__(self, parts: Sequence[Module]) -> None:
        self.parts = tuple(parts)
        self.messages: Mapping[str, MessageRoute] = _joined([part.messages() for part in parts])
        self.queries: Mapping[str, QueryRoute] = _joined([part.queries() for part in parts])

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Each module's part of genesis; a missing part is an empty one."""
        for part in self.parts:
            found = doc.get(part.name, {})
            if not isinstance(found, dict):
                raise GenesisError(f"genesis app_state.{part.name}: expected an object, got {type(found).__name__}")
            part.init_genesis(ctx, found)

    def begin_block(self, ctx: Context) -> None:
        """Before the transactions."""
        for part in self.parts:
            part.begin_block(ctx)

    def end_block(self, ctx: Context) -> None:
        """After them."""
        for part in self.parts:
            part.end_block(ctx)


def compose() -> Modules:
    """The chain's modules: accounts and coins first, for the others' genesis needs them."""
    return Modules([AuthModule(), BankModule(), StakingModule(), ConsensusModule(), UpgradeModule()])


def _joined(tables: Sequence[Mapping[str, R]]) -> dict[str, R]:
    joined: dict[str, R] = {}
    for table in tables:
        for key, route in table.items():
            if key in joined:
                raise ValueError(f"{key} is routed twice")
            joined[key] = route
    return joined
