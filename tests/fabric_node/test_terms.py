"""Terms of the event index and the search language, against a model that looks at every event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.protos import abci
from fabric_adapter.node.terms import Condition, match, name_part, number_of, parse, terms
from microgrid.query.query_core import QueryError, Status

VALUES = st.one_of(
    st.integers(0, 300).map(str),
    st.sampled_from(["", "0", "00", "007", "-1", "channel-1", "channel-10", "ü", "x" * 63, "x" * 64, "x" * 200]),
    st.just(str((1 << 64) - 1)),
    st.just(str(1 << 64)),
)
KEYS = st.sampled_from(["k", "key", "key.part"])
KINDS = st.sampled_from(["send", "send.key", "recv"])


@st.composite
def events(draw: st.DrawFn) -> abci.Event:
    made = abci.Event(type=draw(KINDS))
    for key, value in draw(st.lists(st.tuples(KEYS, VALUES), max_size=4)):
        made.attributes.add(key=key, value=value)
    return made


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    key = f"{draw(KINDS)}.{draw(KEYS)}"
    op = draw(st.sampled_from(["=", "<", "<=", ">", ">=", "CONTAINS", "EXISTS"]))
    if op in ("=", "CONTAINS"):
        return Condition(key=key, op=op, value=draw(VALUES))
    return Condition(key=key, op=op, value="" if op == "EXISTS" else str(draw(st.integers(0, (1 << 64) - 1))))


@given(st.lists(events(), max_size=6), conditions())
def test_whatever_matches_is_among_the_terms_within_the_bounds(found: list[abci.Event], condition: Condition) -> None:
    first, behind = condition.bounds()
    is_indexed = any(first <= term < behind for term in terms(found))
    if any(
        condition.holds(item.value) for each in found for item in each.attributes if _key(each, item) == condition.key
    ):
        assert is_indexed
    elif condition.op == "EXISTS":
        assert not is_indexed


def _key(event: abci.Event, item: abci.EventAttribute) -> str:
    return f"{event.type}.{item.key}"


@given(st.sampled_from(["channel-1", "x" * 64, "7"]), st.sampled_from(["channel-10", "x" * 65, "70"]))
def test_a_value_is_no_prefix_of_another(short: str, long: str) -> None:
    """No value's entries lie within another's bounds: keys have a length and a hash of what is cut off."""
    first, behind = Condition(key="a.b", op="=", value=short).bounds()
    made = abci.Event(type="a", attributes=[abci.EventAttribute(key="b", value=long)])
    (term,) = terms([made])
    assert not first <= term < behind
    assert term.startswith(name_part("a.b"))


def test_queries_of_wallets_and_relayers() -> None:
    assert parse("tx.height=5 AND tx.hash='AB'") == [
        Condition(key="tx.height", op="=", value="5"),
        Condition(key="tx.hash", op="=", value="AB"),
    ]
    assert parse("send_packet.packet_sequence >= 5 AND a.b='c AND d'") == [
        Condition(key="send_packet.packet_sequence", op=">=", value="5"),
        Condition(key="a.b", op="=", value="c AND d"),
    ]
    assert parse("a.b EXISTS AND c.d CONTAINS 'x'") == [
        Condition(key="a.b", op="EXISTS"),
        Condition(key="c.d", op="CONTAINS", value="x"),
    ]


@pytest.mark.parametrize(
    "query", ["a.b", "a.b=", "a.b EXISTS 'x'", "a.b > 'x'", "a.b CONTAINS", "a.b='c", "=5", "a b='c'"]
)
def test_what_is_no_query(query: str) -> None:
    with pytest.raises(QueryError, match="failed to parse query") as caught:
        parse(query)
    assert caught.value.status is Status.INVALID_ARGUMENT


def test_all_conditions_hold_for_one_event() -> None:
    one, two = abci.Event(type="send"), abci.Event(type="send")
    one.attributes.add(key="channel", value="channel-0")
    one.attributes.add(key="sequence", value="1")
    two.attributes.add(key="channel", value="channel-1")
    two.attributes.add(key="sequence", value="2")
    assert match([one, two], parse("send.channel='channel-0' AND send.sequence=1"))
    assert not match([one, two], parse("send.channel='channel-0' AND send.sequence=2"))
    other = abci.Event(type="message", attributes=[abci.EventAttribute(key="module", value="ibc")])
    assert match([one, other], parse("message.module='ibc'"))
    assert not match([one, other], parse("message.module='ibc' AND send.sequence=1"))  # CometBFT 0.38 finds none either


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("", None), ("-1", None), ("1e3", None), ("٣", None)]
)
def test_numbers(text: str, number: int | None) -> None:
    assert number_of(text) == number
    assert number_of(str(1 << 64)) is None
