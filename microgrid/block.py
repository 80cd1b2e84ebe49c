"""One block's writes above the state below it, and the parts of its execution that every ledger shares.

A block is a pure function of state and block: hooks, transactions with one result each, hooks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, Overlay, Store
from microgrid import accounts, system
from microgrid.errors import GenesisError
from microgrid.events import marked
from microgrid.modules import Modules
from microgrid.state_api import APP, IBC, Changes
from microgrid.version import STATE_VERSION

SEED_KEY, SEED_VALUE = b"bsmg", b"1"  # an empty tree can't prove absence


class Block:
    """The writes of one block above what lies below."""

    def __init__(self, env: BlockEnv, app: Store, ibc: Store) -> None:
        self.app, self.ibc = Overlay(app), Overlay(ibc)
        self.ctx = Context(env=env, app=self.app, ibc=self.ibc, events=EventLog(), gas=FreeGas())

    def changes(self) -> Changes:
        """By store."""
        return {APP: self.app.changes, IBC: self.ibc.changes}

    def hooks(self, run: Callable[[Context], None], mode: str) -> list[Event]:
        """Run a hook of all modules; its events are marked with its mode (`BeginBlock`, `EndBlock`)."""
        run(self.ctx)
        accounts.create_for_balances(self.ctx, tuple(self.app.order))
        events, self.ctx.events.events = self.ctx.events.events, []
        return marked(events, "mode", mode)

    def init_genesis(self, modules: Modules, doc: Mapping[str, object]) -> None:
        """Write the first state: each module's part of `app_state`."""
        system.write_block(self.ctx)
        modules.init_genesis(self.ctx, doc)
        accounts.create_for_balances(self.ctx, tuple(self.app.order))
        if not self.ibc.changes:
            self.ibc.set(SEED_KEY, SEED_VALUE)


def app_state(data: bytes) -> dict[str, object]:
    """Genesis `app_state` from JSON; raises GenesisError for another version of the state."""
    try:
        doc = json.loads(data)
    except ValueError as error:
        raise GenesisError(f"genesis app_state: expected JSON, got {data[:60]!r}") from error
    version = doc.get("state_version") if isinstance(doc, dict) else None
    if version != STATE_VERSION:
        raise GenesisError(f"genesis app_state: expected state_version {STATE_VERSION}, got {version!r}")
    return dict(doc)
