"""Ticks whose transactions every organisation has looked at before: the same as those that read them, and as safe."""

from __future__ import annotations

import random

import pytest

from cosmos_wire.tx import body_of
from fabric_adapter.embedded.refusals import ChaincodeRefusedError
from fabric_adapter.microgrid import executed, inbox, layout
from fabric_wire.responses import read_action
from ibc_core.fabric import records
from tests.fabric_chaincode.world import SECOND_NS, VALID, Grid, TickEvent, send


def look(net: Grid, *tx_ids: str, organisations: tuple[str, ...] = (), height: int = 0) -> list[bytes]:
    """What is missing, at each organisation."""
    args = net.tick_args(*tx_ids, height=height)
    names = organisations or tuple(net.programs)
    found = [net.endorse(net.cast.writer, b"Look", args, organisations=(name,)) for name in names]
    return [read_action(ready.payload).payload for ready in found]


def seen_tick(net: Grid, *tx_ids: str) -> TickEvent:
    net.now_ns += SECOND_NS
    net.transact(net.cast.writer, b"Tick", net.tick_args(*tx_ids, seen=True))
    return net.last_event()


def codes(event: TickEvent) -> list[int]:
    return [result.code for result in event.results.tx_results]


def three(net: Grid) -> list[str]:
    alice, bob = net.cast.alice, net.cast.bob
    return [net.submit(alice, send(alice, bob, amount)) for amount in (1, 10, 100)]


def test_what_was_seen_is_executed_and_nothing_of_it_is_read(net, cast):
    sent, held = three(net), net.balance(cast.bob)
    assert look(net, *sent) == [b"", b""]
    net.now_ns += SECOND_NS
    ready = net.endorse(cast.writer, b"Tick", net.tick_args(*reversed(sent), seen=True))
    (own,) = read_action(ready.payload).sets
    assert [read.key for read in own.reads] == [records.membership_key(1), records.membership_key(2), records.TICK]
    assert [place.code for place in net.order((cast.writer, ready))] == [VALID]
    assert list(net.last_event().tx_ids) == list(reversed(sent))
    assert codes(net.last_event()) == [0, 0, 0]
    assert net.balance(cast.bob) == held + 111


def test_a_seen_tick_makes_the_state_that_one_which_reads_makes(net, cast):
    sent = three(net)
    look(net, *sent)
    net.now_ns += SECOND_NS
    made = [net.endorse(cast.writer, b"Tick", net.tick_args(*sent, seen=seen)) for seen in (True, False)]
    seen, read = (read_action(ready.payload) for ready in made)
    assert seen.events.count(b"tick") == 1
    assert [set(each.writes) for each in seen.sets] == [set(each.writes) for each in read.sets]


def test_what_was_not_seen_behind_the_last_tick_is_refused(net, cast):
    sent = three(net)
    with pytest.raises(ChaincodeRefusedError, match=f"chaincode/10: {sent[0]}: expected a transaction seen"):
        seen_tick(net, *sent)
    look(net, *sent)
    net.tick()  # the inbox may have changed
    with pytest.raises(ChaincodeRefusedError, match="chaincode/10"):
        seen_tick(net, *sent)
    look(net, *sent[:2])
    with pytest.raises(ChaincodeRefusedError, match=f"chaincode/10: {sent[2]}"):
        seen_tick(net, *sent)
    look(net, sent[2])  # both count
    assert codes(seen_tick(net, *sent)) == [0, 0, 0]


def test_each_organisation_has_to_look_for_itself(net, cast):
    sent = three(net)
    look(net, *sent, organisations=("Org1MSP",))
    with pytest.raises(ChaincodeRefusedError, match="chaincode/10") as found:
        seen_tick(net, *sent)
    assert found.value.node.msp_id == "Org2MSP"


def test_nothing_runs_twice_when_its_key_has_gone(net, cast):
    """A writer who keeps listing what was executed: with its key there, and after it was deleted."""
    sent, held = three(net), net.balance(cast.bob)
    look(net, *sent)
    net.now_ns += SECOND_NS
    stale = net.endorse(cast.writer, b"Tick", net.tick_args(*sent, seen=True))
    assert codes(seen_tick(net, *sent)) == [0, 0, 0]
    assert net.pairs("inbox/", "inbox0") == {}
    assert [place.code for place in net.order((cast.writer, stale))] != [VALID]
    with pytest.raises(ChaincodeRefusedError, match="chaincode/10"):
        seen_tick(net, *sent)
    (first, second) = look(net, *sent)
    assert first == second == b"".join(net.tickets[tx_id] for tx_id in sent)
    with pytest.raises(ChaincodeRefusedError, match="chaincode/10"):
        seen_tick(net, *sent)
    assert net.balance(cast.bob) == held + 111


def test_nothing_runs_twice_while_its_key_is_there(net, cast, monkeypatch):
    monkeypatch.setattr(executed, "REMOVED_MAX", 0)
    sent, held = three(net), net.balance(cast.bob)
    for expected in (sent, []):
        assert look(net, *sent) == [b"", b""]
        assert list(seen_tick(net, *sent).tx_ids) == expected
    assert len(net.pairs("inbox/", "inbox0")) == 3
    assert net.balance(cast.bob) == held + 111


def test_what_only_was_endorsed_is_missing(net, cast):
    """Its creator never submitted it."""
    sent = three(net)
    body = body_of([send(cast.alice, cast.bob, 1000)])
    never = net.endorse(cast.alice, b"Submit", body).accepted.tx_id
    missing = look(net, *sent, never)
    assert missing == [net.tickets[never]] * 2
    with pytest.raises(ChaincodeRefusedError, match=f"chaincode/10: {never}"):
        seen_tick(net, *sent, never)


def test_who_may_not_write_may_not_look(net, cast):
    args = net.tick_args(*three(net))
    for who in (cast.alice, cast.relayer):
        with pytest.raises(ChaincodeRefusedError, match="chaincode/3: role of"):
            net.endorse(who, b"Look", args)


def test_a_look_at_another_height_is_refused(net, cast):
    for height in (1, net.record.height, net.record.height + 2):
        with pytest.raises(ChaincodeRefusedError, match=f"chaincode/5: expected height {net.record.height + 1}, got"):
            look(net, *three(net), height=height)


# ranges


class Keys:
    """Keys of an inbox, and how often they are asked for."""

    def __init__(self, tickets: list[bytes]) -> None:
        self.values = {layout.inbox_key(each): inbox.InboxTx(key=each).SerializeToString() for each in tickets}
        self.alone = self.ranges = self.shown = 0

    def get_states(self, keys):
        self.alone += len(keys)
        return [self.values.get(key) for key in keys]

    def range(self, start, end):
        self.ranges += 1
        for key, value in sorted(self.values.items()):
            if start <= key < end:
                self.shown += 1
                yield key, value


def tickets(*times_ns: int) -> list[bytes]:
    return [layout.ticket(time_ns, f"{number:064x}") for number, time_ns in enumerate(times_ns)]


def test_those_that_came_together_are_one_range():
    listed = tickets(*(5 * SECOND_NS + 7 * n for n in range(300)))
    keys = Keys(listed)
    random.Random(1).shuffle(listed)
    found = inbox.look(keys, listed)
    assert {ticket: data.key for ticket, data in found.items()} == {ticket: ticket for ticket in listed}
    assert (keys.ranges, keys.alone, keys.shown) == (1, 0, 300)


def test_a_time_far_off_has_a_range_of_its_own():
    """Time is the client's word: one who says 1970 makes nobody read all that was executed since."""
    between = tickets(*range(10 * SECOND_NS, 10 * SECOND_NS + 5_000))
    listed = tickets(3, *(20 * SECOND_NS + n for n in range(50)), (1 << 63) - 1)
    keys = Keys([*between, *listed])
    assert sorted(inbox.look(keys, listed)) == sorted(listed)
    assert (keys.ranges, keys.alone, keys.shown) == (3, 0, 52)


def test_those_among_too_many_others_are_read_alone():
    others = tickets(*(SECOND_NS + n for n in range(1, 5_000)))
    listed = tickets(SECOND_NS, SECOND_NS + 10_000, SECOND_NS + 10_001)
    keys = Keys([*others, *listed])
    assert sorted(inbox.look(keys, listed)) == sorted(listed)
    assert (keys.ranges, keys.alone) == (1, 2)
    assert keys.shown <= 2 * 3 + inbox.STRANGERS


def test_what_is_not_there_is_not_found():
    listed = tickets(1, 2, 3)
    assert sorted(inbox.look(Keys(listed[:1]), listed)) == listed[:1]


def test_not_more_than_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(inbox, "SEEN_MAX", 3)
    seen, listed = inbox.Seen(), tickets(1, 2, 3, 4)
    for part in (listed[:2], listed[2:]):
        seen.keep(b"hash", {ticket: inbox.InboxTx() for ticket in part})
    assert [each.ticket for each in seen.all(b"hash", listed[2:])] == listed[2:]
    with pytest.raises(inbox.NotSeen):
        list(seen.all(b"hash", listed[:2]))
