"""Messages and queries with any content: an answer or a ChainError, never another exception, and no half change."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, Message
from ibc_core.core import IbcCore
from ibc_core.transfer import Transfer
from tests.ibc.harness import RELAYER, Chain, Coordinator, Path, address
from tests.ibc.mock_app import MockApp
from tests.ibc.mock_client import GOOD_PROOF, HEADER_URL, MISBEHAVIOUR_URL, STATE_URL

TEXTS = ("", " ", "transfer", "mock", "channel-0", "channel-1", "channel-18446744073709551616", "connection-0",
         "connection-9", "00-mock-0", "00-mock-9", "07-tendermint-0", "../../x", "é", "x" * 300, "1", "ORDER_UNORDERED",
         "ics20-1", "mock-1", "bmga", "ibc/" + "A" * 64, "5", "-1", str(2**256), RELAYER, address("alice"))  # fmt: skip
BYTES = (b"", b"\x00", GOOD_PROOF, b"ibc", b'{"result":"AQ=="}', b'{"error":"x"}', b"\xff" * 40)
NUMBERS = (0, 1, 2, 3, 4, 20, 99, 2**31 - 1, 2**63, 2**64 - 1)
ANYS = (
    Any(),
    Any(type_url="/x", value=b"y"),
    Any(type_url=STATE_URL, value=b"mgb-1"),
    Any(type_url=HEADER_URL, value=b"1"),
    Any(type_url=MISBEHAVIOUR_URL),
)


def scalar(draw: st.DrawFn, field: object) -> object:
    kind = field.type  # type: ignore[attr-defined]  # a FieldDescriptor, which upb does not name
    if kind == 9:
        return draw(st.sampled_from(TEXTS))
    if kind == 12:
        return draw(st.sampled_from(BYTES))
    if kind == 8:
        return draw(st.booleans())
    top = 2**64 if kind in {4, 6} else 2**31
    return draw(st.sampled_from([number for number in NUMBERS if number < top]))


@st.composite
def filled(draw: st.DrawFn, kind: type[Message]) -> Message:
    """A message of the type whose fields are set or not, to values that are right somewhere."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        many = field.label == field.LABEL_REPEATED
        if field.message_type is None:
            if many:
                getattr(message, field.name).extend(scalar(draw, field) for _ in range(draw(st.integers(0, 2))))
            elif draw(st.integers(0, 9)):
                setattr(message, field.name, scalar(draw, field))
        elif many or draw(st.integers(0, 9)):
            part = draw(part_of(field))
            if many:
                getattr(message, field.name).append(part)
            else:
                getattr(message, field.name).CopyFrom(part)
    return message


def part_of(field: object) -> st.SearchStrategy[Message]:
    made = field.message_type  # type: ignore[attr-defined]  # a FieldDescriptor
    if made.full_name == "google.protobuf.Any":
        return st.sampled_from(ANYS)
    return filled(made._concrete_class)


def world() -> Path:
    net = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp})
    path = net.path()
    path.b.chain.fund("alice", "bmga", 100)
    net.path("mock", "mock-1")
    path.a.chain.light_client.gullible = True  # let messages come past the proofs
    return path


CHAIN = world().a.chain  # read only
MESSAGES = sorted(
    (url, route.request) for part in (CHAIN.core, CHAIN.transfer) for url, route in part.messages().items()
)
QUERIES = sorted(
    (path, route.request) for part in (CHAIN.core, CHAIN.transfer) for path, route in part.queries().items()
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_message(data: st.DataObject) -> None:
    chain = SPARE[0]
    _, kind = data.draw(st.sampled_from(MESSAGES))
    message = data.draw(filled(kind))
    before = dict(chain.ibc.data), dict(chain.app.data)
    refused = False
    try:
        chain.deliver(message)
    except ChainError:
        refused = True
    if not refused:
        SPARE[0] = world().a.chain
    assert (chain.ibc.data, chain.app.data) == before or not refused


SPARE: list[Chain] = [world().a.chain]  # replaced when a message went through


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_query(data: st.DataObject) -> None:
    path, kind = data.draw(st.sampled_from(QUERIES))
    request = data.draw(filled(kind))
    before = dict(CHAIN.ibc.data), dict(CHAIN.app.data)
    with suppress(ChainError):
        CHAIN.query(path, request)
    assert (CHAIN.ibc.data, CHAIN.app.data) == before


def test_the_modules_have_the_shape_of_modules() -> None:
    core = IbcCore({}, {})
    for part, name in ((core, "ibc"), (Transfer(core), "transfer")):
        assert part.name == name
        for url, route in part.messages().items():
            assert url == "/" + route.request.DESCRIPTOR.full_name
            assert route.signer in route.request.DESCRIPTOR.fields_by_name
