"""The part of the ABCI handlers that belongs to ballots: what a block has to bring, and what this validator says.

Everything is a function of the last durable state, which is read once a Commit (`Standing`). A bundle is due in block h
when votes of h - 1 carry extensions and the state after h - 1 holds an open ballot of block h - 2 or before; it comes
first and once. FinalizeBlock checks again, for blocks that are replayed or synced were never proposed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from abci_app.wire import varint_bytes
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import abci, market_ballot
from energy.errors import BundleInvalid, BundleUnexpected
from energy.market import ballot
from energy.market.ballot import Ballot, Vote
from energy.market.gates import cast_votes
from energy.registry import state as registered
from ibc_core.host import Context, EventLog, FreeGas, Store
from microgrid import system, votes
from microgrid.executor import Outcome, refused
from microgrid.votes import Place, is_bundle

MEMO_MAX = 8  # bundles whose check is remembered: a few rounds' proposals


class Judge(Protocol):
    """Who knows whether a schedule keeps the feeder's limits: another process, so that votes wait for nothing."""

    def consider(self, requests: Sequence[market_ballot.JudgeRequest], *, soon: bool) -> None:
        """Look at these candidates, which are all that matter now; `soon`: there will be others. Any thread."""

    def verdict(self, digest: bytes, candidate: bytes) -> bool | None:
        """Whether a candidate, by its hash, is secure under feeder and margin of `digest`; None when not known."""


class NoJudge:
    """Abstains."""

    def consider(self, requests: Sequence[market_ballot.JudgeRequest], *, soon: bool) -> None:
        """Nothing."""

    def verdict(self, digest: bytes, candidate: bytes) -> bool | None:
        """Never known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBallot:
    """A ballot of the durable state: what this validator may say about it."""

    slot: int
    opened: int
    digest: bytes
    hashes: tuple[bytes, ...]  # by candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What proposals and votes need of a state."""

    chain_id: str = ""
    height: int = 0
    extensions_from: int = 0
    ballots: tuple[OpenBallot, ...] = ()
    keys: Mapping[bytes, bytes] = field(default_factory=dict)

    def is_due(self, height: int) -> bool:
        """Whether the block at `height` has to bring a bundle."""
        carried = 0 < self.extensions_from <= height - 1
        return carried and any(item.opened <= height - 2 for item in self.ballots)

    def place(self, height: int) -> Place:
        """Where that bundle belongs."""
        return Place(chain_id=self.chain_id, height=height, keys=self.keys)


class Ballots:
    """Ballots of one node."""

    def __init__(self, judge: Judge | None = None) -> None:
        self._judge = judge or NoJudge()
        self._standing = Standing()
        self._memo: dict[bytes, list[Ballot] | ChainError] = {}
        self._feeder: tuple[bytes | None, bool] = (None, False)

    def stand(self, app: Store) -> None:
        """Read a durable state, and have its open ballots judged."""
        env = system.block_env(app)
        ctx = Context(env=env, app=app, ibc=app, events=EventLog(), gas=FreeGas())
        requests = ballot.judge_requests(ctx)
        self._standing = _standing(ctx, requests)
        self._memo.clear()
        self._judge.consider(requests, soon=self._votes_come(ctx))

    def _votes_come(self, ctx: Context) -> bool:
        """Whether validators vote on this feeder, so that a judge is ready before the first ballot."""
        raw = ctx.app.get(registered.FEEDER_NEXT) or ctx.app.get(registered.FEEDER)
        if raw != self._feeder[0]:
            self._feeder = (raw, registered.is_voted_on(raw))
        return self._feeder[1]

    # --- proposals and votes, on any thread ----------------------------------------------------------------------

    def propose(self, request: abci.RequestPrepareProposal) -> list[bytes]:
        """The bundle, when one is due, and the mempool's transactions, as many as fit."""
        standing, commit = self._standing, request.local_last_commit
        honest = [tx for tx in request.txs if not is_bundle(tx)]
        if not standing.is_due(request.height):
            return fitting(honest, request.max_tx_bytes)
        place = standing.place(request.height)
        whole = fitting([votes.collect(place, commit), *honest], request.max_tx_bytes)
        return whole or fitting([votes.withheld(place, commit), *honest], request.max_tx_bytes)

    def accepts(self, request: abci.RequestProcessProposal) -> bool:
        """Whether an honest proposer may have made the block, as far as bundles go."""
        standing, txs = self._standing, request.txs
        places = [at for at, tx in enumerate(txs) if is_bundle(tx)]
        if places != ([0] if standing.is_due(request.height) else []):
            return False
        if not places:
            return True
        found = self._checked(standing.place(request.height), txs[0], request.proposed_last_commit)
        return not isinstance(found, ChainError)

    def extension(self, height: int) -> bytes:
        """What this validator says with its vote for the block at `height`; open ballots take turns."""
        known = [vote for vote in (self._vote(item) for item in self._standing.ballots) if vote is not None]
        return votes.extension_of(known[height % len(known)]) if known else b""

    def _vote(self, item: OpenBallot) -> Vote | None:
        found = [self._judge.verdict(item.digest, candidate) for candidate in item.hashes]
        if all(verdict is None for verdict in found):
            return None
        yes, no = (sum(1 << at for at, verdict in enumerate(found) if verdict is said) for said in (True, False))
        return Vote(slot=item.slot, n=len(found), hash=item.hashes[-1], yes=yes, no=no)

    # --- blocks ----------------------------------------------------------------------------------------------------

    def deliver(self, ctx: Context, request: abci.RequestFinalizeBlock) -> dict[int, Outcome]:
        """Count the votes of a block's bundle before anything else; results of all that stands in a bundle's place."""
        standing, txs = self._standing, request.txs
        results = {at: _refusal(tx) for at, tx in enumerate(txs) if is_bundle(tx)}
        if 0 not in results or not standing.is_due(request.height):
            return results
        found = self._checked(standing.place(request.height), txs[0], request.decided_last_commit)
        if isinstance(found, ChainError):
            return {**results, 0: refused(Outcome(), found)}
        cast_votes(ctx, found)
        events, ctx.events.events = ctx.events.events, []
        return {**results, 0: Outcome(events=tuple(events))}

    def _checked(self, place: Place, tx: bytes, commit: abci.CommitInfo) -> list[Ballot] | ChainError:
        key = sha256(tx).digest() + sha256(commit.SerializeToString(deterministic=True)).digest()
        if key not in self._memo:
            found: list[Ballot] | ChainError
            try:
                found = votes.check_bundle(tx, place, commit)
            except BundleInvalid as error:
                found = error
            while len(self._memo) >= MEMO_MAX:
                self._memo.pop(next(iter(self._memo)))
            self._memo[key] = found
        return self._memo[key]


def _refusal(tx: bytes) -> Outcome:
    return refused(Outcome(), BundleUnexpected(f"no bundle is due here, got one of {len(tx)} bytes"))


def _standing(ctx: Context, requests: Sequence[market_ballot.JudgeRequest]) -> Standing:
    entries = ballot.open_slots(ctx)
    hashes = {entry.slot: ballot.hashes(ctx, entry.slot) for entry in entries}
    digests = {request.candidate.hash: request.digest for request in requests}
    return Standing(
        chain_id=ctx.env.chain_id,
        height=ctx.env.height,
        extensions_from=system.extensions_from(ctx.app),
        ballots=tuple(
            OpenBallot(
                slot=entry.slot,
                opened=entry.ballot_height,
                digest=digests.get(hashes[entry.slot][-1], b""),
                hashes=hashes[entry.slot],
            )
            for entry in entries
        ),
        keys=system.consensus_keys(ctx.app) if entries else {},
    )


def fitting(txs: Sequence[bytes], max_tx_bytes: int) -> list[bytes]:
    """The longest beginning whose sizes in the block's message stay within `max_tx_bytes`.

    More than that panics the proposer for good (CometBFT state/execution.go), so that bytes are counted here only.
    """
    taken: list[bytes] = []
    total = 0
    for tx in txs:
        total += 1 + varint_bytes(len(tx)) + len(tx)  # tag, length, bytes
        if total > max_tx_bytes:
            break
        taken.append(tx)
    return taken
