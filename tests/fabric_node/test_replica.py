"""State and index by blocks of the channel: killed at any instant, they go on where they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos_wire.protos import abci, fabric_client, fabric_microgrid, node_service, tx
from fabric_adapter.deliver import Link, WrongBlockError
from fabric_adapter.microgrid import app_log, layout
from fabric_adapter.microgrid.layout import FIRST_HASH, chained_hash, inbox_key, state_key
from fabric_adapter.node.index import Index
from fabric_adapter.node.ledger_block import DamagedBlockError, LedgerBlock, LedgerTx, read_block
from fabric_adapter.node.replica import Replica
from fabric_adapter.node.shown import tx_of
from fabric_adapter.node.terms import HOOKS, WHERE, Bounds, Condition
from fabric_wire.envelopes import block_data_hash
from fabric_wire.protos import common, transaction
from ibc_core.fabric.records import TICK
from ibc_core.host import MemoryStore
from microgrid.store import Batch, StateDb, StoreOptions
from tests.fabric_embedded.world import make_org

OPTIONS = StoreOptions(map_size=64 << 20, sync=False, versions_kept=100)
CREATOR = make_org("Org1MSP").node("client").identity
KEY = b"\x02" + bytes(32)
STATE = fabric_client.TickRecord
SECOND_NS = 10**9
SAME = "paid.to", "the same"


class KilledError(Exception):
    pass


def tx_id(number: int) -> str:
    return f"{number:064x}"


def ticket(number: int) -> bytes:
    return layout.ticket(number * SECOND_NS, tx_id(number))


def waiting(number: int) -> bytes:
    body = tx.TxBody(memo=str(number)).SerializeToString()
    return fabric_microgrid.InboxTx(body=body, key=KEY).SerializeToString()


class Story:
    """Blocks of a ledger: submits and ticks, several of them in a block."""

    def __init__(self) -> None:
        self.blocks: list[LedgerBlock] = []
        self.height = self.txs = 0
        self.state_hash = FIRST_HASH

    def block(self, *txs: LedgerTx) -> None:
        number = len(self.blocks)
        link = Link(number=number + 1, previous_hash=number.to_bytes(32, "big"))
        placed = tuple(
            LedgerTx(tx_id=each.tx_id, place=place, creator=each.creator, writes=each.writes, event=each.event)
            for place, each in enumerate(txs)
        )
        self.blocks.append(LedgerBlock(number=number, link=link, verdicts={}, txs=placed))

    def submit(self) -> LedgerTx:
        self.txs += 1
        writes = [(inbox_key(ticket(self.txs)), waiting(self.txs))]
        return LedgerTx(tx_id=tx_id(self.txs), place=0, creator=CREATOR, writes=writes, event=None)

    def tick(self, *executed: int) -> LedgerTx:
        self.height += 1
        record = STATE(height=self.height, time_ns=self.height * SECOND_NS)
        state = [
            (state_key("app", b"height"), str(self.height).encode()),
            (state_key("ibc", b"k%d" % (self.height % 3)), b"%d" % self.height),
        ]
        record.state_hash = self.state_hash = chained_hash(self.state_hash, record, state)
        height = {b"height": str(self.height).encode()}
        results = [_result(number) for number in executed]
        whole = abci.ResponseFinalizeBlock(tx_results=results, events=[_event("hook", "height", str(self.height))])
        event = fabric_microgrid.TickEvent(record=record, tx_ids=map(tx_id, executed), results=whole)
        writes = [
            *app_log.writes(self.height, height, app_log.EMPTY, MemoryStore()),
            *state[1:],
            *((inbox_key(ticket(number)), None) for number in executed),
            (TICK, record.SerializeToString()),
        ]
        return LedgerTx(
            tx_id=tx_id(10_000 + self.height),
            place=0,
            creator=CREATOR,
            writes=writes,
            event=event.SerializeToString(),
        )


def _event(kind: str, key: str, value: str) -> abci.Event:
    return abci.Event(type=kind, attributes=[abci.EventAttribute(key=key, value=value, index=True)])


def _result(number: int) -> abci.ExecTxResult:
    events = [_event("paid", "number", str(number)), _event("paid", "to", "the same")]
    return abci.ExecTxResult(gas_used=number, events=events)


def story() -> Story:
    """Eight ticks; transactions wait over ticks, overtake none, and come in blocks with ticks."""
    made = Story()
    made.block()
    made.block(made.tick())
    made.block(made.submit(), made.submit(), made.submit())
    made.block(made.tick(1, 2), made.submit())
    made.block(made.tick())
    made.block(made.tick(3), made.submit(), made.submit())
    made.block()
    made.block(made.submit(), made.tick(4))
    made.block(made.tick(5, 6))
    made.block(made.submit())
    made.block(made.tick())
    made.block(made.tick())
    return made


@contextmanager
def opened(folder: Path) -> Iterator[Replica]:
    made = Replica(StateDb.open(folder / "state", OPTIONS), Index(folder / "index", sync=False))
    try:
        yield made
    finally:
        made.close()


def all_of(replica: Replica) -> tuple[object, ...]:
    """Everything that a front shows."""
    index, state = replica.index, replica.state
    heights = range(1, state.height + 1)
    values = []
    for height in heights:
        with state.snapshot(height) as snapshot:
            values.append((height, snapshot.app_hash, snapshot.store("app").get(b"height")))
    places = [index.where(bytes.fromhex(tx_id(number))) for number in range(1, 9)]
    return (
        index.link,
        index.height,
        replica.head and replica.head.height,
        values,
        [index.record(height) for height in heights],
        [index.place(height) for height in heights],
        places,
        index.waiting(100),
        [sorted(index.find((bytes([start]) * 4, bytes([start + 16]) * 4))) for start in range(0, 240, 16)],
    )


def feed(replica: Replica, blocks: Sequence[LedgerBlock]) -> None:
    for block in blocks[replica.link.number :]:
        replica.apply(block)


def test_blocks_transactions_and_what_waits(tmp_path: Path) -> None:
    told = story()
    with opened(tmp_path) as replica:
        feed(replica, told.blocks[:6])
        assert replica.index.waiting(100) == [ticket(4), ticket(5), ticket(6)]
        assert replica.index.waiting(2) == [ticket(4), ticket(5)]
        feed(replica, told.blocks)
        assert replica.index.waiting(100) == [ticket(7), ticket(8)]
        found = node_service.BlockResponse.FromString(replica.index.record(2) or b"")
        assert [(item.hash, item.result.gas_used) for item in found.txs] == [(tx_id(1), 1), (tx_id(2), 2)]
        assert [event.type for event in found.hook_events] == ["hook"]
        shown = tx.Tx.FromString(found.txs[0].tx)
        assert (shown.body.memo, shown.signatures) == ("1", [])
        key = shown.auth_info.signer_infos[0].public_key
        assert key.type_url == "/cosmos.crypto.secp256r1.PubKey"
        assert found.txs[0].tx == tx_of(fabric_microgrid.InboxTx.FromString(waiting(1)))
        with replica.state.snapshot(5) as snapshot:
            assert snapshot.store("app").get(b"height") == b"5"
        assert replica.head is not None
        assert (replica.head.height, replica.head.time_ns, replica.head.creator) == (8, 8 * SECOND_NS, CREATOR)


@pytest.mark.parametrize("at", range(12))
@pytest.mark.parametrize("step", ["before the state", "before the index", "within the index"])
def test_killed_at_any_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, step: str) -> None:
    """What a front that was never killed shows, one shows that was killed in any block at any step."""
    told = story()
    with opened(tmp_path / "whole") as replica:
        feed(replica, told.blocks)
        expected = all_of(replica)
    with opened(tmp_path / "killed") as replica:
        feed(replica, told.blocks[:at])
        with monkeypatch.context() as patch:
            patch.setattr(*_break(step), _die)
            with suppress(KilledError):  # a block without a tick does not come to the state
                replica.apply(told.blocks[at])
    with opened(tmp_path / "killed") as replica:
        feed(replica, told.blocks)
        assert all_of(replica) == expected


def _break(step: str) -> tuple[object, str]:
    if step == "before the state":
        return StateDb, "commit"
    return (Index, "apply") if step == "before the index" else (_work(), "put")


def _work() -> type:
    from fabric_adapter.node import index

    return index._Work


def _die(*_: object) -> None:
    raise KilledError


def test_whoever_sees_a_state_finds_its_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heights = []
    with opened(tmp_path) as replica:
        commit = StateDb.commit

        def watched(state: StateDb, batch: Batch, height: int, meta: bytes) -> None:
            assert replica.index.record(height) is not None
            heights.append(height)
            commit(state, batch, height, meta)

        monkeypatch.setattr(StateDb, "commit", watched)
        feed(replica, story().blocks)
    assert heights == list(range(1, 9))


@pytest.mark.parametrize("kept", range(12))
def test_a_machine_that_forgot_the_states_last_commits(tmp_path: Path, kept: int) -> None:
    """The index goes back to where the state is, and everything is as before after the same blocks."""
    told = story()
    with opened(tmp_path / "whole") as replica:
        feed(replica, told.blocks)
        expected = all_of(replica)
    with opened(tmp_path / "old") as replica:
        feed(replica, told.blocks[:kept])
        replica.index.close()  # the index of the whole story over the state of its beginning
        replica.index = Index(tmp_path / "whole" / "index", sync=False)
        again = Replica(replica.state, replica.index)
        assert again.link.number <= kept
        feed(again, told.blocks)
        assert all_of(again) == expected


@pytest.mark.parametrize("kept", range(12))
def test_a_machine_that_forgot_the_indexs_last_commits(tmp_path: Path, kept: int) -> None:
    """The same blocks come again to a state that has taken them."""
    told = story()
    with opened(tmp_path / "old") as replica:
        feed(replica, told.blocks[:kept])
    with opened(tmp_path / "whole") as replica:
        feed(replica, told.blocks)
        expected = all_of(replica)
        replica.index.close()
        replica.index = Index(tmp_path / "old" / "index", sync=False)
        again = Replica(replica.state, replica.index)
        feed(again, told.blocks)
        assert all_of(again) == expected


def test_transactions_of_a_block_share_the_entry_of_a_term(tmp_path: Path) -> None:
    """And an entry for each, as it was before, is read too."""
    same, hooks = (Condition(key=key, op="=", value=value).bounds() for key, value in (SAME, ("hook.height", "3")))
    with opened(tmp_path) as replica:
        feed(replica, story().blocks)
        index = replica.index
        expected = {(2, 0), (2, 1), (4, 0), (5, 0), (6, 0), (6, 1)}
        assert (index.find(same), index.find(hooks)) == (expected, {(3, HOOKS)})
        assert entries(index, same) == 4
        with index._env.begin(write=True) as txn:
            for height, place in ((2, 0), (2, 1), (6, 0), (6, 1)):
                txn.put(same[0] + WHERE.pack(height, place), b"", db=index._tables["terms"])
        assert (index.find(same), entries(index, same)) == (expected, 6)


def entries(index: Index, bounds: Bounds) -> int:
    with index._env.begin() as txn, txn.cursor(index._tables["terms"]) as cursor:
        return sum(bounds[0] <= bytes(key) < bounds[1] for key in cursor.iternext(values=False))


def test_a_gap_is_refused(tmp_path: Path) -> None:
    told = story()
    with opened(tmp_path) as replica:
        feed(replica, told.blocks[:2])
        with pytest.raises(WrongBlockError, match="expected tick 2, got tick 3"):
            replica.apply(told.blocks[4])


def test_writes_that_are_not_those_of_the_state_hash(tmp_path: Path) -> None:
    """A peer that shows other writes than those that were endorsed with the record is found out."""
    told = story()
    (forged,) = told.blocks[1].txs
    other = app_log.StoreChanges(height=1, changes=[app_log.StoreChange(key=b"height", value=b"7")])
    swap = {app_log.delta_key(1): other.SerializeToString()}
    writes = [(key, swap.get(key, value)) for key, value in forged.writes]
    block = replace(told.blocks[1], txs=(replace(forged, writes=writes),))
    with opened(tmp_path) as replica:
        feed(replica, told.blocks[:1])
        with pytest.raises(DamagedBlockError, match="expected the state hash"):
            replica.apply(block)
        assert replica.state.height == 0


def test_a_tick_of_what_never_waited(tmp_path: Path) -> None:
    made = Story()
    made.block(made.tick(9))
    with opened(tmp_path) as replica, pytest.raises(DamagedBlockError, match="in the inbox, got none"):
        replica.apply(made.blocks[0])


# --- reading blocks --------------------------------------------------------------------------------------------------


def raw_block(flag: int, *data: bytes) -> common.Block:
    header = common.BlockHeader(number=0, data_hash=block_data_hash(data))
    metadata = common.BlockMetadata(metadata=[b"", b"", bytes([flag]) * len(data), b"", b""])
    return common.Block(header=header, data=common.BlockData(data=data), metadata=metadata)


def test_bytes_of_invalid_transactions_are_anybodys() -> None:
    found = read_block(raw_block(transaction.BAD_PAYLOAD, b"", b"\xff", b"\x0a\x02\xff\xff"), Link(), "microgrid")
    assert found.txs == ()
    with pytest.raises(DamagedBlockError, match="expected transaction 0 to be readable"):
        read_block(raw_block(transaction.VALID, b"\xff"), Link(), "microgrid")


def test_configuration_blocks_and_other_chaincodes_change_nothing() -> None:
    header = common.ChannelHeader(type=common.CONFIG, channel_id="energy")
    payload = common.Payload(header=common.Header(channel_header=header.SerializeToString()))
    config = common.Envelope(payload=payload.SerializeToString()).SerializeToString()
    found = read_block(raw_block(transaction.VALID, config), Link(), "microgrid")
    assert (found.txs, found.verdicts, found.link.number) == ((), {}, 1)
