"""What the trade application asks of its host: sending, the slot gate, forwarding of pay, and what lies around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ibc_core.host import Context
from ibc_core.router import PacketSender


class SlotGate(Protocol):
    """The security check's verdict on a slot at level 2 (f < f_th), asked from T_gate on."""

    def passed(self, ctx: Context, channel_id: str, slot: int) -> bool | None:
        """True: open; False: halted; None: not known yet, asked again next block. Unknown at T_act counts as halted."""


class OpenGate:
    """The gate of a chain without a security check: every slot passes."""

    def passed(self, ctx: Context, channel_id: str, slot: int) -> bool | None:  # noqa: ARG002
        """True."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Pay to be sent home by ICS-20 from the account that got it.

    The receiver on S is the same account there: the same address bytes in S's text form, since one key owns both.
    The channel is the `transfer` channel on the connection of `trade_channel`.
    """

    trade_channel: str
    account: bytes
    denom: str
    amount: int
    timeout_ns: int


class Forwarder(Protocol):
    """Starts the ICS-20 transfer of a `Forward`."""

    def forward(self, ctx: Context, order: Forward) -> None:
        """Send; a ChainError leaves the pay on the account on B."""


class Surroundings(Protocol):
    """What the rest of the chain knows: who is behind a channel, and how a slot of its own market fared."""

    def peer(self, ctx: Context, channel_id: str) -> str:
        """Chain id at the other end of a trade channel, as its light client has it."""

    def voided(self, ctx: Context, slot: int) -> bool:
        """Whether the own market sealed the slot without a certified schedule."""


class NoSurroundings:
    """A chain that has nothing but the trade application."""

    def peer(self, ctx: Context, channel_id: str) -> str:  # noqa: ARG002
        """Nobody that is known."""
        return ""

    def voided(self, ctx: Context, slot: int) -> bool:  # noqa: ARG002
        """Never."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All together; `forwarder` None leaves all pay on B."""

    sender: PacketSender
    gate: SlotGate
    forwarder: Forwarder | None
    around: Surroundings
