"""The state machine behind ABCI 2.0: one method a request, no socket, no clock.

A block is a pure function of state and block. `FinalizeBlock` computes and keeps the result in memory, `Commit` writes
it; a crash before that changes nothing and CometBFT replays the block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from abci_app.ballots import Ballots
from cosmos_wire.protos import abci
from energy.errors import BundleInMempool
from ibc_core.host import BlockEnv, Store
from microgrid import system
from microgrid.ante import Mode
from microgrid.block import Block, app_state
from microgrid.errors import BrokenInvariantError
from microgrid.events import write
from microgrid.executor import Executor, Outcome, refused
from microgrid.modules import Modules
from microgrid.state_api import APP, IBC, Batch, Changes, State
from microgrid.version import NAME, VERSION
from microgrid.votes import is_bundle

APP_VERSION = 1  # of the state machine, in every header


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A finalized block that waits for its Commit."""

    height: int
    batch: Batch


class Application:
    """ABCI handlers over a state; calls come one at a time (the server sees to it)."""

    def __init__(
        self, state: State, modules: Modules, executor: Executor, *, ballots: Ballots, retain_blocks: int = 0
    ) -> None:
        self._state, self._modules, self._executor, self._ballots = state, modules, executor, ballots
        self._retain_blocks = retain_blocks  # CometBFT's own old blocks to keep, 0 = all
        self._genesis: Block | None = None  # InitChain's writes, until block 1 is durable
        self._pending: Pending | None = None
        self._durable = (state.height, state.app_hash)  # one tuple, so that no thread sees half of it
        self._check = self._fresh_check()
        ballots.stand(state.store(APP))
        self._handlers: dict[str, Callable[..., object]] = {
            "info": self.info,
            "init_chain": self.init_chain,
            "check_tx": self.check_tx,
            "prepare_proposal": self.prepare_proposal,
            "process_proposal": self.process_proposal,
            "finalize_block": self.finalize_block,
            "extend_vote": self.extend_vote,
            "verify_vote_extension": self.verify_vote_extension,
            "commit": self.commit,
            "list_snapshots": self.list_snapshots,
            "offer_snapshot": self.offer_snapshot,
            "load_snapshot_chunk": self.load_snapshot_chunk,
            "apply_snapshot_chunk": self.apply_snapshot_chunk,
        }

    def handle(self, request: abci.Request) -> abci.Response:
        """Answer any request but Echo, Flush and Query, which the server answers itself."""
        kind = request.WhichOneof("value")
        handler = self._handlers.get(str(kind))
        if kind is None or handler is None:
            raise BrokenInvariantError(f"expected an ABCI 2.0 request, got {kind or 'an empty one'}")
        response = abci.Response()
        getattr(response, kind).CopyFrom(handler(getattr(request, kind)))
        return response

    # --- start ---------------------------------------------------------------------------------------------------

    def info(self, _request: abci.RequestInfo) -> abci.ResponseInfo:
        """The last durable block: what CometBFT replays from. Any thread may ask."""
        height, app_hash = self._durable
        return abci.ResponseInfo(
            data=NAME,
            version=VERSION,
            app_version=APP_VERSION,
            last_block_height=height,
            last_block_app_hash=app_hash,
        )

    def init_chain(self, request: abci.RequestInitChain) -> abci.ResponseInitChain:
        """Compute the first state; nothing durable until block 1's Commit, so that a kill repeats this."""
        env = BlockEnv(chain_id=request.chain_id, height=0, time_ns=system.time_ns_of(request.time))
        block = Block(env, self._state.store(APP), self._state.store(IBC))
        system.write_params(block.ctx, request.consensus_params)
        system.write_validators(block.ctx, request.validators)
        block.init_genesis(self._modules, app_state(request.app_state_bytes))
        self._genesis = block
        self._check = self._fresh_check()
        return abci.ResponseInitChain()

    # --- mempool -------------------------------------------------------------------------------------------------

    def check_tx(self, request: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        """The ante steps on the check state, which sees what earlier accepted transactions did to sequences."""
        if is_bundle(request.tx):
            return refused(Outcome(), BundleInMempool("a signed transaction is expected, got a vote bundle")).check()
        mode = Mode.RECHECK if request.type == abci.RECHECK else Mode.CHECK
        return self._executor.check(self._check.ctx, request.tx, mode).check()

    def _fresh_check(self) -> Block:
        app, ibc = self._base()
        last = system.block_env(app)
        return Block(BlockEnv(chain_id=last.chain_id, height=last.height + 1, time_ns=last.time_ns), app, ibc)

    def _base(self) -> tuple[Store, Store]:
        if self._genesis is not None:
            return self._genesis.app, self._genesis.ibc
        return self._state.store(APP), self._state.store(IBC)

    # --- proposals and votes -------------------------------------------------------------------------------------

    def prepare_proposal(self, request: abci.RequestPrepareProposal) -> abci.ResponsePrepareProposal:
        """The votes that are due, then mempool order, as many as fit."""
        return abci.ResponsePrepareProposal(txs=self._ballots.propose(request))

    def process_proposal(self, request: abci.RequestProcessProposal) -> abci.ResponseProcessProposal:
        """Reject only what no honest proposer makes: votes left out, out of place, or not as they were cast."""
        accepted = self._ballots.accepts(request)
        kinds = abci.ResponseProcessProposal
        return abci.ResponseProcessProposal(status=kinds.ACCEPT if accepted else kinds.REJECT)

    def extend_vote(self, request: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        """What this node's judge has found of an open ballot; nothing when it has found nothing yet."""
        return abci.ResponseExtendVote(vote_extension=self._ballots.extension(request.height))

    def verify_vote_extension(self, _request: abci.RequestVerifyVoteExtension) -> abci.ResponseVerifyVoteExtension:
        """Always accepted: a refused extension makes a vote count for nothing and can halt the chain."""
        return abci.ResponseVerifyVoteExtension(status=abci.ResponseVerifyVoteExtension.ACCEPT)

    # --- blocks --------------------------------------------------------------------------------------------------

    def finalize_block(self, request: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        """Execute the block in memory: hooks, transactions (one result each), hooks, root."""
        if request.height <= self._state.height:
            raise BrokenInvariantError(f"block {request.height} after durable block {self._state.height}")
        base = self._base()
        env = BlockEnv(
            chain_id=system.block_env(base[0]).chain_id,
            height=request.height,
            time_ns=system.time_ns_of(request.time),
        )
        block = Block(env, *base)
        system.write_block(block.ctx)
        system.forget_validators(block.ctx)
        bundles = self._ballots.deliver(block.ctx, request)
        events = block.hooks(self._modules.begin_block, "BeginBlock")
        results = [
            (bundles[at] if at in bundles else self._executor.deliver(block.ctx, tx)).result()
            for at, tx in enumerate(request.txs)
        ]
        events += block.hooks(self._modules.end_block, "EndBlock")
        batch = self._state.put(self._merged(block))
        self._pending = Pending(height=request.height, batch=batch)
        made = abci.ResponseFinalizeBlock(tx_results=results, app_hash=batch.app_hash)
        write(events, made.events)
        return made

    def commit(self, _request: abci.RequestCommit) -> abci.ResponseCommit:
        """Make the finalized block durable: the only write."""
        pending = self._pending
        if pending is None:
            raise BrokenInvariantError("Commit without a finalized block")
        self._state.commit(pending.batch, pending.height, b"")
        self._durable = (pending.height, pending.batch.app_hash)
        self._pending = self._genesis = None
        self._check = self._fresh_check()
        self._ballots.stand(self._state.store(APP))
        keep_from = pending.height - self._retain_blocks if self._retain_blocks else 0
        return abci.ResponseCommit(retain_height=max(0, keep_from))

    def _merged(self, block: Block) -> Changes:
        if self._genesis is None:
            return block.changes()
        below, above = self._genesis.changes(), block.changes()
        return {name: {**below[name], **above[name]} for name in (APP, IBC)}

    # --- snapshots: none until state sync is built -----------------------------------------------------------------

    def list_snapshots(self, _request: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        """None to offer."""
        return abci.ResponseListSnapshots()

    def offer_snapshot(self, _request: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        """None is taken."""
        return abci.ResponseOfferSnapshot(result=abci.ResponseOfferSnapshot.ABORT)

    def load_snapshot_chunk(self, _request: abci.RequestLoadSnapshotChunk) -> abci.ResponseLoadSnapshotChunk:
        """There is none."""
        return abci.ResponseLoadSnapshotChunk()

    def apply_snapshot_chunk(self, _request: abci.RequestApplySnapshotChunk) -> abci.ResponseApplySnapshotChunk:
        """Never asked, for none was taken."""
        return abci.ResponseApplySnapshotChunk(result=abci.ResponseApplySnapshotChunk.ABORT)
