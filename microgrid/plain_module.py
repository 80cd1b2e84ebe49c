"""A module that does nothing yet: the parts that most modules leave empty."""

from __future__ import annotations

from collections.abc import Mapping

from ibc_core.host import Context, MessageRoute, QueryRoute


class PlainModule:
    """Empty routes, genesis and hooks; a module overrides what it has."""

    name = ""

    def messages(self) -> Mapping[str, MessageRoute]:
        """None."""
        return {}

    def queries(self) -> Mapping[str, QueryRoute]:
        """None."""
        return {}

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Write nothing."""

    def begin_block(self, ctx: Context) -> None:
        """Do nothing."""

    def end_block(self, ctx: Context) -> None:
        """Do nothing."""
