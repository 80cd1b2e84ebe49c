"""Which of the due steps go into which transaction: limits by count and bytes, fresh packets beside a backlog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from cosmos_wire.protos import Message
from ibc_relayer.plan import Step

ANY_OVERHEAD_BYTES = 80  # type URL and lengths around a message in a transaction body
TX_OVERHEAD_BYTES = 600  # fee, key, signature
FRESH_SHARE = 2  # every second place of a turn may go to fresh packets while a backlog is cleared


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Per transaction and per turn."""

    max_msgs: int = 50
    max_tx_bytes: int = 700_000  # in base64 it has to fit into the 1,000,000 bytes that a stock node's RPC reads
    batches_per_turn: int = 8

    def within(self, block_bytes: int) -> Limits:
        """The same where a block holds less (-1: no limit): three quarters of it, the rest is header and evidence."""
        small = block_bytes >= 0 and block_bytes * 3 // 4 < self.max_tx_bytes
        return replace(self, max_tx_bytes=block_bytes * 3 // 4) if small else self


def choose(steps: Sequence[Step], fresh: Collection[int], limits: Limits) -> tuple[tuple[Step, ...], ...]:
    """Batches of one side for this turn. `fresh`: indices into `steps` of packets that were just seen.

    Steps of an ordered channel keep their order and go first, in one batch a channel and action; of the others,
    fresh ones and the backlog take turns, so that neither starves the other.
    """
    ordered = _per_channel(step for step in steps if step.ordered)
    new = [step for at, step in enumerate(steps) if not step.ordered and at in fresh]
    old = [step for at, step in enumerate(steps) if not step.ordered and at not in fresh]
    size, places = max(1, limits.max_msgs), limits.batches_per_turn
    made = [tuple(group[:size]) for group in ordered[:places]]
    queues = (_cut(new, size), _cut(old, size))
    turn = 0
    while len(made) < places and any(queues):
        queue = queues[turn % FRESH_SHARE] or queues[(turn + 1) % FRESH_SHARE]
        made.append(queue.pop(0))
        turn += 1
    return tuple(made)


def _per_channel(steps: Iterable[Step]) -> list[list[Step]]:
    groups: dict[object, list[Step]] = {}
    for step in steps:
        groups.setdefault((step.end, step.action), []).append(step)
    return list(groups.values())


def _cut(steps: list[Step], size: int) -> list[tuple[Step, ...]]:
    return [tuple(steps[at : at + size]) for at in range(0, len(steps), size)]


def split_bytes(messages: Sequence[Message], first_bytes: int, max_tx_bytes: int) -> tuple[int, ...]:
    """Sizes of the runs into which messages have to be cut, so that each run with its client update fits.

    A message that is too big alone gets a run of its own: the chain will say why it refuses it.
    """
    runs: list[int] = []
    room = 0
    for message in messages:
        cost = message.ByteSize() + ANY_OVERHEAD_BYTES
        if not runs or cost > room:
            runs.append(0)
            room = max_tx_bytes - TX_OVERHEAD_BYTES - first_bytes
        runs[-1] += 1
        room -= cost
    return tuple(runs)
