"""Endorsements for one proposal, gathered as a real gateway does (internal/pkg/gateway/endorse.go, endorsement.go).

The gateway's own peer comes first and its refusal is final; when another one refuses, is away or differs, further
peers are asked as long as some of those left would satisfy the policy. Nobody is asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cosmos_wire.errors import ToolError
from fabric_adapter.embedded.network import Node
from fabric_adapter.embedded.peer import Answer
from fabric_adapter.embedded.refusals import DisagreementError, NoPeersError, NotEnoughError

Layout = Callable[[frozenset[str]], Sequence[Node]]  # who is to endorse, without some; raises NoPeersError


class Gathering:
    """Ask whom `missing` names, `hear` what came of each, until it names nobody; then `agreed` has it all."""

    def __init__(self, layout: Layout, first: str) -> None:
        self._layout, self._first = layout, first
        self._nodes = layout(frozenset())
        self._answers: dict[str, Answer] = {}
        self._failed: dict[str, ToolError] = {}
        self._payload: bytes | None = None

    def missing(self) -> list[Node]:
        """Who is to be asked now, the gateway's own peer before others; raises why there are too few.

        That is the peer's own error when it is one peer's; NotEnoughError for several.
        """
        if self._failed:
            self._next()
        return [node for node in self._nodes if node.msp_id not in self._answers]

    def _next(self) -> None:
        """The peers that do without those that failed."""
        if self._first in self._failed:
            raise self._failed[self._first]
        try:
            self._nodes = self._layout(frozenset(self._failed))
        except NoPeersError as error:
            if len(self._failed) > 1:
                raise NotEnoughError(self._failed) from error
            raise next(iter(self._failed.values())) from error

    def hear(self, node: Node, found: Answer | ToolError) -> bool:
        """What a peer answered, or why it didn't; returns whether it helps. Answers are compared with the first."""
        if isinstance(found, ToolError):
            self._failed[node.msp_id] = found
            return False
        if self._payload is None:
            self._payload = found.payload
        if found.payload == self._payload:
            self._answers[node.msp_id] = found
            return True
        words = "ProposalResponsePayloads do not match: expected the same result of every endorser, got another of"
        self._failed[node.msp_id] = DisagreementError(f"{words} {node.msp_id}")
        return False

    def agreed(self) -> tuple[Sequence[Node], list[Answer]]:
        """The peers that satisfy the policy, with their answers of one payload."""
        return self._nodes, [self._answers[node.msp_id] for node in self._nodes]
