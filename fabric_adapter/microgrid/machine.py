"""The state machine of the chaincode: genesis, dry runs, ticks. Pure in state, time and transactions.

A Tick executes as a block of CometBFT does (`microgrid.block`): hooks, transactions with one result each, hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cosmos_wire.protos import base_abci, channel_tx, channel_v2_tx, client_tx, cmt_params, fabric_microgrid
from cosmos_wire.public_keys import SECP256R1, SimpleKey
from fabric_adapter.microgrid import app_log, executed, layout
from fabric_adapter.microgrid.errors import InvalidGenesis
from fabric_adapter.microgrid.image import State
from fabric_adapter.microgrid.inbox import InboxTx, Waiting
from fabric_wire import p256
from fabric_wire.x509 import read_identity
from ibc_core.errors import RedundantTx
from ibc_core.fabric.records import TickRecord
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, MemoryStore
from microgrid import system
from microgrid.ante import Ante
from microgrid.block import Block
from microgrid.errors import GenesisError
from microgrid.events import write
from microgrid.executor import Authenticated, Executor, Outcome, refused
from microgrid.modules import Modules, compose
from microgrid.signatures import SignatureCache
from microgrid.state_api import APP, IBC, Changes

V1, V2 = channel_tx, channel_v2_tx
NOOP = V1.RESPONSE_RESULT_TYPE_NOOP  # the same number in both versions
PACKET_RESPONSES = {
    f"/{kind.DESCRIPTOR.full_name}": kind
    for kind in (
        *(V1.MsgRecvPacketResponse, V1.MsgAcknowledgementResponse, V1.MsgTimeoutResponse),
        *(V1.MsgTimeoutOnCloseResponse, V2.MsgRecvPacketResponse, V2.MsgAcknowledgementResponse, V2.MsgTimeoutResponse),
    )
}
PACKET_MARK = b"/ibc.core.channel."
UPDATED = f"/{client_tx.MsgUpdateClientResponse.DESCRIPTOR.full_name}"

TickEvent = fabric_microgrid.TickEvent

TX_GAS_MAX = 60_000_000  # a client update and 50 packets take 2.4 million
TX_OUTPUT_BYTES_MAX = 1 << 20  # events and state changes of one transaction
DUE_PART_NS = 100_000_000  # how long fired gates are good for dry runs
TICK_TXS_MAX = 1_000  # when one of these is used up, the other transactions wait for the next Tick
TICK_GAS_MAX = 300_000_000
TICK_OUTPUT_BYTES_MAX = 3 << 19  # with a last transaction and the hooks well below the 4 MiB of one signed message


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a Tick, or the genesis, comes to."""

    record: TickRecord
    changes: Changes
    buckets: app_log.Buckets
    written: Sequence[tuple[str, bytes | None]]  # by ledger key
    event: TickEvent


@dataclass(slots=True, kw_only=True)
class Work:
    """What a Tick has executed so far."""

    tickets: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)  # whose inbox keys go
    event: TickEvent = field(default_factory=TickEvent)  # with a result for each
    gas: int = 0
    output_bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the next transaction has to wait."""
        return (
            len(self.tickets) >= TICK_TXS_MAX or self.gas >= TICK_GAS_MAX or self.output_bytes >= TICK_OUTPUT_BYTES_MAX
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A state with the gates fired that are due in a part of a second; no block when there are none."""

    state_hash: bytes
    part: int
    block: Block | None


class Machine:
    """The modules and how they run."""

    def __init__(self) -> None:
        self.modules: Modules = compose()
        ante = Ante(
            routes=self.modules.messages,
            min_gas_prices=(),
            signatures=SignatureCache(),
            refuse_redundant=self.modules.refuse_redundant,
        )
        self._executor = Executor(ante)
        self._due: Due | None = None
        self._known = executed.Known()

    def found(self, env: BlockEnv, app_state: dict[str, object], membership_version: int) -> Made:
        """The first state; raises InvalidGenesis and what the modules raise."""
        block = Block(env, MemoryStore(), MemoryStore())
        system.write_params(block.ctx, _params())
        try:
            block.init_genesis(self.modules, app_state)
        except GenesisError as error:
            raise InvalidGenesis(str(error)) from error
        record = TickRecord(height=env.height, time_ns=env.time_ns, membership_version=membership_version)
        return _made(None, record, block, Work(), [])

    def try_out(self, state: State, time_ns: int, tx: InboxTx) -> Outcome:
        """What a transaction would come to in a Tick right after a state; nothing is kept."""
        app, ibc = state.stores[APP], state.stores[IBC]
        return self._tried(Context(env=_next(state, time_ns), app=app, ibc=ibc, events=EventLog(), gas=FreeGas()), tx)

    def try_due(self, state: State, time_ns: int, tx: InboxTx) -> Outcome | None:
        """The same in a Tick of this time, behind the gates that it would fire; None when it would fire none."""
        due = self._due
        if due is None or (due.state_hash, due.part) != (state.record.state_hash, time_ns // DUE_PART_NS):
            due = self._due = self._fired(state, time_ns)
        return None if due.block is None else self._tried(due.block.ctx, tx)

    def _fired(self, state: State, time_ns: int) -> Due:
        block = Block(_next(state, time_ns), state.stores[APP], state.stores[IBC])
        block.hooks(self.modules.begin_block, "BeginBlock")
        fired = block if any(block.changes().values()) else None
        return Due(state_hash=state.record.state_hash, part=time_ns // DUE_PART_NS, block=fired)

    def _tried(self, ctx: Context, tx: InboxTx) -> Outcome:
        outcome, _ = self._executor.run_for(ctx, tx.body, signer_of(tx.key))  # writes stay in its layer
        if repeated := _repeated(outcome):
            return refused(outcome, RedundantTx(f"all {repeated} packets were relayed already"))
        return outcome

    def tick(self, state: State, record: TickRecord, waiting: Iterable[Waiting]) -> Made:
        """Execute; `record` has height, time and membership version of the new tick, its hash is set here."""
        env = BlockEnv(chain_id=state.env.chain_id, height=record.height, time_ns=record.time_ns)
        block = Block(env, state.stores[APP], state.stores[IBC])
        system.write_block(block.ctx)
        events = block.hooks(self.modules.begin_block, "BeginBlock")
        work = Work()
        known = self._known.of(state.stores[APP])
        for item in waiting:
            if item.ticket in known:
                continue
            self._execute(block.ctx, item, work)
            if work.is_full:
                break
        events += block.hooks(self.modules.end_block, "EndBlock")
        work.removed = executed.settle(block.app, record.height, work.tickets)
        return _made(state, record, block, work, events)

    def _execute(self, ctx: Context, item: Waiting, work: Work) -> None:
        outcome, layer = self._executor.run_for(ctx, item.data.body, signer_of(item.data.key))
        if layer is not None:
            work.output_bytes += layer.size
            layer.flush()
        result = work.event.results.tx_results.add()
        outcome.write_into(result)
        work.gas += outcome.gas_used
        work.output_bytes += result.ByteSize()
        work.tickets.append(item.ticket)


def _next(state: State, time_ns: int) -> BlockEnv:
    """The tick after a state, at a time that is later."""
    env = state.env
    return BlockEnv(chain_id=env.chain_id, height=env.height + 1, time_ns=max(time_ns, env.time_ns + 1))


def _repeated(outcome: Outcome) -> int:
    """How many packets a relayer's transaction brings when all were here before; 0 for any other transaction."""
    if PACKET_MARK not in outcome.data:
        return 0
    packets = 0
    for item in base_abci.TxMsgData.FromString(outcome.data).msg_responses:
        kind = PACKET_RESPONSES.get(item.type_url)
        if kind is None:
            if item.type_url != UPDATED:
                return 0
        elif kind.FromString(item.value).result != NOOP:
            return 0
        else:
            packets += 1
    return packets


def _made(state: State | None, record: TickRecord, block: Block, work: Work, events: Sequence[Event]) -> Made:
    """The record with its hash, what it writes, and the event that tells of it; `state` is the one before."""
    before, buckets = (layout.FIRST_HASH, app_log.EMPTY) if state is None else (state.record.state_hash, state.buckets)
    changes = block.changes()
    buckets = app_log.moved(buckets, changes[APP])
    whole = TickRecord()
    whole.CopyFrom(record)
    whole.state_hash = layout.chained_hash(before, record, layout.changed(changes))
    event = work.event
    event.record.CopyFrom(whole)
    event.tx_ids.extend(map(layout.tx_id_of, work.tickets))
    event.results.app_hash = whole.state_hash
    write(events, event.results.events)
    written = (
        *app_log.writes(record.height, changes[APP], buckets, block.app),
        *layout.single_keys(changes),
        *((layout.inbox_key(ticket), None) for ticket in work.removed),
    )
    return Made(record=whole, changes=changes, buckets=buckets, written=written, event=event)


def _params() -> cmt_params.ConsensusParams:
    """What stands for a block's limits here, so that whoever asks for consensus parameters is told the truth."""
    made = cmt_params.ConsensusParams()
    made.block.max_bytes, made.block.max_gas = TICK_OUTPUT_BYTES_MAX, TICK_GAS_MAX
    return made


def taken(body: bytes, creator: bytes) -> InboxTx:
    """A transaction as it lies in the inbox; raises what a wrong identity raises."""
    return InboxTx(body=body, key=p256.compress(read_identity(creator).certificate.key))


def signer_of(key: bytes) -> Authenticated:
    """Who signs, by the key of the creator's certificate."""
    return _signer_of(key, TX_GAS_MAX, TX_OUTPUT_BYTES_MAX, layout.KEY_BYTES_MAX)


@lru_cache(maxsize=16_384)
def _signer_of(key: bytes, gas_limit: int, output_bytes_max: int, key_bytes_max: int) -> Authenticated:
    return Authenticated(
        key=SimpleKey(SECP256R1, key),
        gas_limit=gas_limit,
        output_bytes_max=output_bytes_max,
        key_bytes_max=key_bytes_max,
    )
