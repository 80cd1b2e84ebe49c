"""Which packets a path carries: by channel, by sequence, by what an ICS-20 packet says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cosmos_wire.errors import ToolError
from ibc_relayer.plan import End, Packet, Step
from ibc_relayer.v2 import packet as v2

MEMO_BYTES_MAX, RECEIVER_BYTES_MAX = 32_768, 2_048  # as Hermes limits them
TRANSFER_PORT = "transfer"
SEQUENCE_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFilter:
    """`channels` and `deny` are patterns `port/channel` of an end on either side; no pattern means all channels.

    An IBC v2 packet is carried if each of its payloads is: its patterns are `port/client`.
    """

    channels: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    sequences: tuple[tuple[int, int], ...] = ()
    memo_bytes_max: int = MEMO_BYTES_MAX
    receiver_bytes_max: int = RECEIVER_BYTES_MAX

    def admits(self, step: Step) -> bool:
        """Whether the step may be relayed."""
        if step.end.v2:
            return step.packet is None or self._admits_v2(step.packet)
        if not self.admits_channel((step.end, step.peer)):
            return False
        return step.packet is None or self.admits_packet(step.packet)

    def admits_channel(self, ends: tuple[End, End]) -> bool:
        """Whether a channel is carried at all."""
        names = [str(end) for end in ends]
        if any(fnmatchcase(name, pattern) for pattern in self.deny for name in names):
            return False
        return not self.channels or any(fnmatchcase(name, pattern) for pattern in self.channels for name in names)

    def admits_packet(self, packet: Packet) -> bool:
        """Whether a packet's sequence and, for ICS-20, its memo and receiver are within the limits."""
        if not self._admits_sequence(packet.sequence):
            return False
        if TRANSFER_PORT not in (packet.source.port, packet.destination.port):
            return True
        return self._admits_lengths(transfer_lengths(packet.data))

    def _admits_v2(self, packet: Packet) -> bool:
        """The same of every payload."""
        parts = v2.parts(packet)
        return self._admits_sequence(packet.sequence) and all(
            self.admits_channel(part.ends)
            and self._admits_lengths(transfer_lengths(part.json) if part.json else part.lengths)
            for part in parts
        )

    def _admits_sequence(self, sequence: int) -> bool:
        return not self.sequences or any(low <= sequence <= high for low, high in self.sequences)

    def _admits_lengths(self, lengths: tuple[int, int]) -> bool:
        memo, receiver = lengths
        return memo <= self.memo_bytes_max and receiver <= self.receiver_bytes_max


def transfer_lengths(data: bytes) -> tuple[int, int]:
    """(memo bytes, receiver bytes) of ICS-20 packet data; (0, 0) when it is no JSON object: the chain will judge."""
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError):
        return 0, 0
    if not isinstance(doc, dict):
        return 0, 0
    return len(str(doc.get("memo", "")).encode()), len(str(doc.get("receiver", "")).encode())


def parse_ranges(texts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Sequence ranges written as `5`, `1-100` or `200-`."""
    made = []
    for text in texts:
        first, dash, last = text.replace(" ", "").partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise ToolError(f"sequence range: expected a form like 5, 1-100 or 200-, got {text!r}")
        low = int(first)
        high = int(last) if last else (SEQUENCE_MAX if dash else low)
        if low > high:
            raise ToolError(f"sequence range: expected the lower bound first, got {text!r}")
        made.append((low, high))
    return tuple(made)
