"""Ticks: what they execute, what undoes them, who may write them, and images that come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from cosmos_wire.tx import body_of
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_adapter.microgrid import app_log, chaincode, layout, machine
from fabric_wire import strict
from fabric_wire.protos import transaction
from fabric_wire.responses import read_action
from ibc_core.fabric.records import TickRecord
from microgrid.state_api import STORES
from tests.fabric_chaincode.world import SECOND_NS, Cast, Grid, Member, Org, TickArgs, document, send

VALID, CONFLICT = transaction.VALID, transaction.MVCC_READ_CONFLICT


def refused(text: str) -> object:
    return pytest.raises(ChaincodeRefusedError, match=text)


def proposed(net: Grid, *tx_ids: str, who: Member | None = None) -> tuple[Member, object]:
    """A Tick that is endorsed and not ordered."""
    net.now_ns += SECOND_NS
    who = who or net.cast.writer
    return who, net.endorse(who, b"Tick", net.tick_args(*tx_ids))


def codes(event: object) -> list[int]:
    return [result.code for result in event.results.tx_results]


# order and bounds


def test_transactions_run_in_the_order_of_the_list(net, cast):
    first = net.submit(cast.alice, send(cast.alice, cast.relayer, 5))
    second = net.submit(cast.alice, send(cast.alice, cast.relayer, 7))
    event = net.tick(second, first)
    assert list(event.tx_ids) == [second, first]
    assert net.balance(cast.relayer) == 12


def test_an_absent_transaction_is_passed_over(net, cast):
    known = net.submit(cast.alice, send(cast.alice, cast.bob))
    event = net.tick("0" * 80, known, "f" * 80)
    assert list(event.tx_ids) == [known]
    assert codes(event) == [0]


def test_a_transaction_that_fails_in_the_tick_has_a_result_and_is_gone(net, cast):
    everything = net.balance(cast.alice)
    first = net.submit(cast.alice, send(cast.alice, cast.bob, everything))
    second = net.submit(cast.alice, send(cast.alice, cast.bob, everything))
    event = net.tick(first, second)
    assert codes(event) == [0, 5]
    assert event.results.tx_results[1].log.startswith("failed to execute message; message index: 0: ")
    assert net.pairs("inbox/", "inbox0") == {}
    assert net.balance(cast.alice) == 0


def test_what_does_not_fit_waits(net, cast, monkeypatch):
    monkeypatch.setattr(machine, "TICK_TXS_MAX", 3)
    sent = [net.submit(cast.alice, send(cast.alice, cast.bob)) for _ in range(5)]
    assert list(net.tick(*sent).tx_ids) == sent[:3]
    assert list(net.tick(*sent).tx_ids) == sent[3:]


@pytest.mark.parametrize("bound", ["TICK_GAS_MAX", "TICK_OUTPUT_BYTES_MAX"])
def test_a_tick_is_bounded_in_gas_and_bytes(net, cast, monkeypatch, bound):
    monkeypatch.setattr(machine, bound, 1)
    sent = [net.submit(cast.alice, send(cast.alice, cast.bob)) for _ in range(3)]
    assert [list(net.tick(*sent).tx_ids) for _ in sent] == [[each] for each in sent]


def test_a_transaction_is_bounded_in_gas_and_bytes(net, cast, monkeypatch):
    many = [send(cast.alice, cast.bob) for _ in range(20)]
    monkeypatch.setattr(machine, "TX_GAS_MAX", 100_000)
    with refused("sdk/11: .*out of gas"):
        net.submit(cast.alice, *many)
    monkeypatch.undo()
    monkeypatch.setattr(machine, "TX_OUTPUT_BYTES_MAX", 1_000)
    with refused("sdk/21: events and changes: expected at most 1000 bytes, got"):
        net.submit(cast.alice, *many)
    monkeypatch.setattr(machine, "TX_OUTPUT_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(layout, "KEY_BYTES_MAX", 20)
    with refused("sdk/18: state key: expected at most 20 bytes, got"):
        net.submit(cast.alice, *many)
    monkeypatch.undo()
    assert net.run(cast.alice, *many).code == 0


def test_lists_that_are_none(net, cast):
    sent = net.submit(cast.alice, send(cast.alice, cast.bob))
    net.now_ns += SECOND_NS
    for tx_ids, said in (
        ([sent, sent], "each once, got 2"),
        (["aa"], "ticket: expected 40 bytes, got 1"),
        ([f"{n:064x}" for n in range(10_001)], "expected at most 10000 transactions, each once, got 10001"),
    ):
        with refused(f"chaincode/2: .*{said}"):
            net.endorse(cast.writer, b"Tick", net.tick_args(*tx_ids))


# who, when


def test_a_client_writes_no_tick(net, cast):
    for who in (cast.alice, cast.relayer):
        with refused("chaincode/3: role of .*: expected peer or admin, got client"):
            proposed(net, who=who)


def test_any_members_peer_or_administrator_may_write(net, cast):
    for who in (cast.writer, cast.admin, Member(cast.network.peers[1])):
        assert [place.code for place in net.order(proposed(net, who=who))] == [VALID]


def test_a_foreign_organisations_peer_writes_no_tick(cast, tmp_path):
    foreign = Org("Org3MSP")
    network = replace(cast.network, msps=(*cast.network.msps, foreign.msp))
    wide = Cast()
    wide.network = network
    net = Grid(wide, tmp_path)
    net.found(document(cast))
    with refused("chaincode/3: Org3MSP: expected one of"):
        proposed(net, who=foreign.member("peer", "peer"))
    net.close()


def test_time_rises(net, cast):
    net.tick()
    for step in (0, -1):
        with refused(f"chaincode/4: expected more than {net.record.time_ns} ns, that of tick 2"):
            net.tick(step_ns=step)
    assert net.tick(step_ns=2).record.height == 3


@pytest.mark.parametrize("ahead_ns", [31 * SECOND_NS, -31 * SECOND_NS])
def test_time_is_near_the_endorsers_clock(net, ahead_ns):
    net.tick(step_ns=100 * SECOND_NS)
    net.now_ns += 100 * SECOND_NS
    net.ahead_ns = ahead_ns
    with refused(f"chaincode/4: expected within 30000000000 ns of the endorser's clock, got {ahead_ns} ns off it"):
        net.tick(step_ns=0)


# repeated, lost, invalid


def test_a_tick_comes_once(net, cast):
    sent = net.submit(cast.alice, send(cast.alice, cast.bob, 3))
    held = net.balance(cast.bob)
    args = net.tick_args(sent)
    net.tick(sent)
    net.now_ns += SECOND_NS
    with refused("chaincode/5: expected height 3, got 2"):
        net.endorse(cast.writer, b"Tick", args)
    again = strict.write(TickArgs(height=3, tickets=[net.tickets[sent]]))
    net.transact(cast.writer, b"Tick", again)
    assert list(net.last_event().tx_ids) == []
    assert net.balance(cast.bob) == held + 3


def test_of_two_ticks_one_is_valid_and_the_other_leaves_no_trace(net, cast):
    sent = net.submit(cast.alice, send(cast.alice, cast.bob, 3))
    held = net.balance(cast.bob)
    ours, theirs = proposed(net, sent), proposed(net, sent, who=cast.admin)
    assert [place.code for place in net.order(theirs, ours)] == [VALID, CONFLICT]
    assert net.record.time_ns == net.now_ns
    assert net.balance(cast.bob) == held + 3
    assert list(net.tick(sent).tx_ids) == []
    assert net.balance(cast.bob) == held + 3


def test_a_tick_that_is_never_ordered_leaves_no_trace(net, cast, tmp_path):
    other = Grid(cast, tmp_path / "other")
    other.found()
    for each in (net, other):
        each.sent = each.submit(cast.alice, send(cast.alice, cast.bob, 3))
    proposed(net, net.sent)
    proposed(net)
    other.now_ns = net.now_ns
    first, second = net.tick(net.sent), other.tick(other.sent)
    assert first.record == second.record
    assert net.pairs() == other.pairs()
    assert net.tick().record == other.tick().record
    other.close()


def test_a_submit_builds_on_a_tick_that_was_just_made(net, cast):
    """Nothing has told the chaincode yet that the ledger took it."""
    with refused("sdk/5"):
        net.submit(cast.relayer, send(cast.relayer, cast.bob, 5))
    net.tick(net.submit(cast.alice, send(cast.alice, cast.relayer, 5)))
    event = net.tick(net.submit(cast.relayer, send(cast.relayer, cast.bob, 5)))
    assert codes(event) == [0]


def test_a_submit_that_builds_on_a_lost_tick_fails_in_its_own(net, cast):
    funding = net.submit(cast.alice, send(cast.alice, cast.relayer, 5))
    proposed(net, funding)
    spending = net.submit(cast.relayer, send(cast.relayer, cast.bob, 5))
    assert codes(net.tick(spending)) == [5]
    assert codes(net.tick(funding)) == [0]


def test_a_lost_tick_is_forgotten_when_the_ledger_shows_another(net, cast):
    funding = net.submit(cast.alice, send(cast.alice, cast.relayer, 5))
    taken = proposed(net)
    proposed(net, funding)  # for the same height, never ordered
    assert [place.code for place in net.order(taken)] == [VALID]
    net.load()
    with refused("sdk/5"):
        net.submit(cast.relayer, send(cast.relayer, cast.bob, 5))


# many at a time


def test_two_hundred_submits_never_conflict(net, cast):
    endorsed = []
    for n in range(200):
        who = cast.cells[n % len(cast.cells)]
        endorsed.append((who, net.endorse(who, b"Submit", body_of([send(who, cast.bob, n + 1)]))))
    held = net.balance(cast.bob)
    assert {place.code for place in net.order(*endorsed[:100])} == {VALID}
    tick = proposed(net, *(ready.accepted.tx_id for _, ready in endorsed[:100]))
    assert {place.code for place in net.order(*endorsed[100:150], tick, *endorsed[150:])} == {VALID}
    assert codes(net.tick(*(ready.accepted.tx_id for _, ready in endorsed))) == [0] * 100
    assert net.balance(cast.bob) == held + sum(range(1, 201))


def test_a_submit_reads_nothing_and_writes_one_key(net, cast):
    ready = net.endorse(cast.alice, b"Submit", body_of([send(cast.alice, cast.bob)]))
    (own,) = read_action(ready.payload).sets
    assert own.reads == ()
    assert [write.key for write in own.writes] == [net.inbox_key(ready.accepted.tx_id)]


def test_submits_run_beside_a_tick(net, cast):
    sent = [net.submit(cast.alice, send(cast.alice, cast.bob, n + 1)) for n in range(50)]
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(net.endorse, cast.bob, b"Submit", body_of([send(cast.bob, cast.alice)])) for _ in range(30)]
        tick = pool.submit(proposed, net, *sent)
        more = [pool.submit(net.endorse, cast.bob, b"Submit", body_of([send(cast.bob, cast.alice)])) for _ in range(30)]
        asked = [pool.submit(net.balance, cast.alice) for _ in range(10)]
        endorsed = [(cast.bob, each.result()) for each in (*made, *more)]
        assert len({each.result() for each in asked}) == 1
    assert {place.code for place in net.order(tick.result(), *endorsed)} == {VALID}
    assert codes(net.tick(*(ready.accepted.tx_id for _, ready in endorsed))) == [0] * 60


# images


def test_a_restarted_chaincode_wants_its_image(net, cast):
    sent = net.submit(cast.alice, send(cast.alice, cast.bob, 3))
    net.tick(sent)
    held = net.balance(cast.bob)
    net.stop()
    net.open()
    with refused("response 500, image not loaded: expected that Load was evaluated on this peer"):
        net.submit(cast.alice, send(cast.alice, cast.bob))
    with refused("response 500, image not loaded"):
        net.tick()
    net.load()
    sent = net.submit(cast.alice, send(cast.alice, cast.bob, 4))
    net.tick(sent)
    assert net.balance(cast.bob) == held + 4


def test_each_organisations_process_has_an_image_of_its_own(net, cast):
    one, two = net.programs.values()
    assert one._image is not two._image
    two.__init__(lambda: net.now_ns)  # only this one was restarted
    with pytest.raises(ChaincodeRefusedError, match="image not loaded") as found:
        net.submit(cast.alice, send(cast.alice, cast.bob))
    assert found.value.node.msp_id == "Org2MSP"
    net.endorse(cast.admin, b"Load", organisations=("Org2MSP",))
    assert net.run(cast.alice, send(cast.alice, cast.bob)).code == 0


def test_a_query_loads_the_image_itself(net, cast):
    net.stop()
    net.open()
    assert net.balance(cast.alice) > 0


def test_a_process_that_missed_ticks_reads_the_ledger_again(net, cast):
    _, two = net.programs.values()
    kept = two._image
    net.tick(net.submit(cast.alice, send(cast.alice, cast.relayer, 3)))
    old = type(kept)()
    old.load(kept._confirmed[next(iter(kept._confirmed))])
    two._image = old  # it knows tick 1 alone
    with refused("image not loaded: .* got another state than that of tick 2"):
        net.tick()
    net.load()
    assert net.tick(net.submit(cast.relayer, send(cast.relayer, cast.bob, 3))).record.height == 3


def test_the_image_is_what_the_ledger_holds(net, cast):
    for n in range(3):
        net.tick(net.submit(cast.alice, send(cast.alice, cast.relayer, n + 1)))
    remembered = [program._current(FakeStub(net)) for program in net.programs.values()]
    net.stop()
    net.open()
    for program, kept in zip(net.programs.values(), remembered, strict=True):
        read = program._current(FakeStub(net))
        assert read.record == kept.record
        for name in STORES:
            assert read.stores[name].data == kept.stores[name].data
            assert read.stores[name].keys == kept.stores[name].keys


class FakeStub:
    """Reads committed state."""

    def __init__(self, net: Grid) -> None:
        self.net = net

    def get_state(self, key: str) -> bytes | None:
        return self.net.value(key)

    def range(self, start: str, end: str) -> object:
        return iter(self.net.pairs(start, end).items())


def test_long_ledgers_are_scanned_in_parts(net, monkeypatch):
    whole = chaincode._scan(FakeStub(net), "ibc")
    monkeypatch.setattr(chaincode, "SCAN_PAIRS", 3)
    assert len(whole) > 3
    assert chaincode._scan(FakeStub(net), "ibc") == whole


# what the ledger says of itself


def test_hashes_follow_from_the_write_sets(net, cast):
    """Whoever replays the ledger can check every tick."""
    ticks = [net.tick(net.submit(cast.alice, send(cast.alice, cast.bob, n + 1))).record for n in range(3)]
    before = TickRecord()
    found = []
    for action in [each for number in range(1, net.ledger.height()) for each in net.actions(number)]:
        writes = {write.key: None if write.is_delete else write.value for write in action.sets[0].writes}
        if "tick" in writes:
            record = TickRecord.FromString(writes["tick"])
            log = app_log.StoreChanges.FromString(writes[app_log.delta_key(record.height)])
            changed = [(f"app/{each.key.hex()}", each.value or None) for each in log.changes]
            changed += sorted((key, value) for key, value in writes.items() if key.startswith("ibc/"))
            start = before.state_hash or layout.FIRST_HASH
            assert layout.chained_hash(start, record, changed) == record.state_hash
            before = record
            found.append(record)
    assert found[1:] == ticks
