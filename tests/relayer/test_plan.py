"""The planner as tables and properties: nothing lost, nothing twice, expired is timed out, order kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibc_core.light_client import Height
from ibc_relayer.batch import Limits, choose, split_bytes
from ibc_relayer.plan import Action, ChannelState, End, EndView, Packet, SideView, plan

A, B = End("transfer", "channel-0"), End("transfer", "channel-7")
NOW = 1_000
NO_HEIGHT = Height(0, 0)


def packet(sequence, *, timeout_ns=0, timeout_height=NO_HEIGHT, source=A, destination=B):
    return Packet(
        sequence=sequence,
        source=source,
        destination=destination,
        data=b"{}",
        timeout_height=timeout_height,
        timeout_ns=timeout_ns,
    )


def end(own, other, **parts):
    base = EndView(
        end=own, counterparty=other, ordered=False, state=ChannelState.OPEN, sent={}, received=frozenset(), acks={}
    )
    return replace(base, **parts)


def side(name, *ends, **parts):
    base = SideView(
        chain_id=name,
        height=Height(1, 49),
        proof_height=Height(1, 50),
        proof_time_ns=NOW,
        client_usable=True,
        ends={item.end: item for item in ends},
    )
    return replace(base, **parts)


def views(here, there, **parts):
    return side("a-1", end(A, B, **here), **parts), side("b-1", end(B, A, **there))


def brief(steps):
    return [(step.action.name, step.side, step.packet.sequence if step.packet else 0) for step in steps]


ONE = {1: packet(1, timeout_ns=NOW + 1)}
LATE = {1: packet(1, timeout_ns=NOW)}
CLOSED = ChannelState.CLOSED

TABLE = [
    # what the sender's end shows, what the receiver's end shows, expected steps
    ({}, {}, []),
    ({"sent": ONE}, {}, [("RECV", 1, 1)]),
    ({"sent": ONE}, {"received": frozenset({1})}, []),  # an acknowledgement that is written later
    ({"sent": ONE}, {"received": frozenset({1}), "acks": {1: b"ok"}}, [("ACK", 0, 1)]),
    ({"sent": LATE}, {}, [("TIMEOUT", 0, 1)]),
    ({"sent": LATE}, {"received": frozenset({1}), "acks": {1: b"ok"}}, [("ACK", 0, 1)]),
    ({"sent": {1: packet(1, timeout_height=Height(1, 50))}}, {}, [("TIMEOUT", 0, 1)]),
    ({"sent": {1: packet(1, timeout_height=Height(1, 51))}}, {}, [("RECV", 1, 1)]),
    ({"sent": {1: packet(1)}}, {}, [("RECV", 1, 1)]),  # no limit of either kind
    ({"sent": ONE}, {"state": CLOSED}, [("TIMEOUT_ON_CLOSE", 0, 1), ("CLOSE_CONFIRM", 0, 0)]),
    ({"sent": LATE}, {"state": CLOSED}, [("TIMEOUT", 0, 1), ("CLOSE_CONFIRM", 0, 0)]),
    ({"sent": ONE}, {"state": ChannelState.TRYOPEN}, []),
    ({"sent": ONE, "state": CLOSED}, {}, [("RECV", 1, 1)]),  # the far end closes only when nothing is on the way
    ({"state": CLOSED}, {}, [("CLOSE_CONFIRM", 1, 0)]),
    ({"state": CLOSED}, {"state": CLOSED}, []),
]


@pytest.mark.parametrize(("here", "there", "expected"), TABLE)
def test_unordered(here, there, expected):
    assert expected == brief(plan(views(here, there)))


def ordered(here, there):
    return views({"ordered": True, **here}, {"ordered": True, **there})


def test_ordered_goes_without_a_gap():
    sent = {number: packet(number) for number in (3, 4, 6)}  # the data of 5 is not known yet
    assert brief(plan(ordered({"sent": sent}, {"next_recv": 3}))) == [("RECV", 1, 3), ("RECV", 1, 4)]
    assert brief(plan(ordered({"sent": sent}, {"next_recv": 5}))) == []


def test_ordered_timeout():
    sent = {3: packet(3, timeout_ns=NOW), 4: packet(4)}
    assert brief(plan(ordered({"sent": sent}, {"next_recv": 3}))) == [("TIMEOUT", 0, 3)]


def test_nothing_is_planned_where_the_client_is_dead():
    assert plan(views({"sent": LATE}, {}, client_usable=False)) == ()
    here, there = views({"sent": ONE}, {})
    assert plan((here, replace(there, client_usable=False))) == ()


def test_channels_with_equal_names_on_both_sides_do_not_mix():
    sent = {1: packet(1, destination=A)}
    here, there = end(A, A, sent=sent), end(A, A)
    assert brief(plan((side("a-1", here), side("b-1", there)))) == [("RECV", 1, 1)]


sequences = st.integers(1, 40)


@st.composite
def worlds(draw):
    numbers = draw(st.sets(sequences))
    received = draw(st.sets(st.sampled_from(sorted(numbers)))) if numbers else set()
    acked = draw(st.sets(st.sampled_from(sorted(received)))) if received else set()
    sent = {number: packet(number, timeout_ns=draw(st.sampled_from((0, NOW - 1, NOW + 5)))) for number in numbers}
    there = {"received": frozenset(received), "acks": dict.fromkeys(acked, b"ok")}
    return sent, there


@given(worlds())
def test_no_packet_is_lost_or_planned_twice(world):
    sent, there = world
    steps = plan(views({"sent": sent}, there))
    planned = [step.packet.sequence for step in steps]
    assert len(planned) == len(set(planned))
    waiting = there["received"] - there["acks"].keys()
    assert set(planned) == sent.keys() - waiting
    for step in steps:
        number = step.packet.sequence
        late = step.packet.expired(Height(1, 50), NOW)
        expected = Action.ACK if number in there["acks"] else (Action.TIMEOUT if late else Action.RECV)
        assert step.action is expected


@given(worlds(), st.integers(1, 7), st.integers(1, 5), st.sets(sequences))
def test_batches_keep_their_limits_and_take_each_step_once(world, size, places, new):
    sent, there = world
    steps = [step for step in plan(views({"sent": sent}, there)) if step.side == 1]
    fresh = {at for at, step in enumerate(steps) if step.packet.sequence in new}
    batches = choose(steps, fresh, Limits(max_msgs=size, batches_per_turn=places))
    assert len(batches) <= places
    assert all(0 < len(batch) <= size for batch in batches)
    idents = [step.ident for batch in batches for step in batch]
    assert len(idents) == len(set(idents)) <= len(steps)
    if fresh and len(fresh) < len(steps) and places > 1:
        first_two = [{step.packet.sequence in new for step in batch} for batch in batches[:2]]
        assert first_two == [{True}, {False}], "fresh packets and the backlog take turns"


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(0, 300))
def test_split_by_bytes(lengths, update):
    from cosmos_wire.protos import channel_tx

    built = [channel_tx.MsgRecvPacket(proof_commitment=b"x" * length) for length in lengths]
    runs = split_bytes(built, update, 2_000)
    assert sum(runs) == len(built)
    at = 0
    for run in runs:
        part = built[at : at + run]
        total = sum(len(item.SerializeToString()) + 80 for item in part) + update + 600
        assert total <= 2_000 or run == 1
        at += run
