"""Denominations that crossed chains: a trace of (port, channel) hops before a base, and `ibc/HASH` in the ledger."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from cosmos_wire.protos import transfer_token
from ibc_core import paths
from ibc_core.errors import InvalidDenomForTransfer

PREFIX = "ibc/"
HASH_BYTES = 32
_SDK_DENOM = re.compile(r"[a-zA-Z][a-zA-Z0-9/:._-]{2,127}")  # the SDK's default pattern
_HEX = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Denom:
    """A base denomination and the hops it made, newest first."""

    base: str
    trace: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """`transfer/channel-0/bmga`: what packets carry."""
        return "/".join([*(part for hop in self.trace for part in hop), self.base])

    @property
    def hash(self) -> bytes:
        """SHA-256 of the path."""
        return sha256(self.path.encode()).digest()

    @property
    def ledger_name(self) -> str:
        """`ibc/HASH`, or the base of a denomination that never left its chain."""
        return PREFIX + self.hash.hex().upper() if self.trace else self.base

    def came_through(self, port_id: str, channel_id: str) -> bool:
        """Whether the newest hop is this channel end."""
        return bool(self.trace) and self.trace[0] == (port_id, channel_id)

    def returned(self) -> Denom:
        """As the chain at the other end of the newest hop knows it."""
        return Denom(self.base, self.trace[1:])

    def arrived(self, port_id: str, channel_id: str) -> Denom:
        """As the receiving chain knows it."""
        return Denom(self.base, ((port_id, channel_id), *self.trace))

    def message(self) -> transfer_token.Denom:
        """As protobuf."""
        hops = [transfer_token.Hop(port_id=port_id, channel_id=channel_id) for port_id, channel_id in self.trace]
        return transfer_token.Denom(base=self.base, trace=hops)


def from_message(message: transfer_token.Denom) -> Denom:
    """From protobuf."""
    return Denom(message.base, tuple((hop.port_id, hop.channel_id) for hop in message.trace))


def parse(path: str) -> Denom:
    """Split a path; a pair of parts is a hop as long as the second looks like a channel or client identifier.

    Raises InvalidDenomForTransfer for a blank base and InvalidIdentifier for hops that can't be.
    """
    parts = path.split("/")
    hops = 0
    while len(parts) > 2 and 2 * hops + 1 < len(parts) - 1 and _is_hop(parts[2 * hops + 1]):
        hops += 1
    found = Denom("/".join(parts[2 * hops :]), tuple(zip(parts[: 2 * hops : 2], parts[1 : 2 * hops : 2], strict=True)))
    if not found.base.strip():
        raise InvalidDenomForTransfer(f"base denomination cannot be blank: {path[:100]!r}")
    for port_id, channel_id in found.trace:
        paths.require_port_id(port_id, "port ID in denomination trace")
        paths.require_channel_id(channel_id, "channel ID in denomination trace")
    return found


def _is_hop(text: str) -> bool:
    return paths.number(text, "channel") is not None or paths.client_type(text) is not None


def parse_hash(text: str) -> bytes:
    """32 bytes from hexadecimal, with or without `ibc/`; raises InvalidDenomForTransfer."""
    digits = text.removeprefix(PREFIX)
    if not _HEX.fullmatch(digits):
        raise InvalidDenomForTransfer(f"expected {2 * HASH_BYTES} hexadecimal digits, got {digits[:100]!r}")
    return bytes.fromhex(digits)


def require_ledger_name(text: str) -> None:
    """Refuse what no ledger can hold; raises InvalidDenomForTransfer."""
    if not _SDK_DENOM.fullmatch(text):
        raise InvalidDenomForTransfer(f"invalid denom: {text[:140]!r}")
    if text == "ibc" or text.startswith(PREFIX):
        parse_hash(text)
