"""ICS-03 and ICS-04 handshakes: ibc-go's case names (handshake_test.go of both), our own cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cosmos_wire.errors import ChainError, TxDecode, Unauthorized
from cosmos_wire.protos import Any, Message, channel, channel_tx, client_tx, commitment, connection, connection_tx
from ibc_core import errors, paths, versions
from ibc_core.connection import PREFIX
from tests.ibc.harness import HOUR_NS, ORDERED, RELAYER, UNORDERED, Coordinator, Endpoint, Path
from tests.ibc.mock_app import MockApp

Step = Callable[[Path], Message]  # brings a path to the state before a step and gives the step's message
Case = tuple[str, Callable[[Path, Message], None], type[ChainError]]


def params(cases: list[Case]) -> list[object]:
    return [pytest.param(malleate, error, id=name) for name, malleate, error in cases]


def unopened(ordering: int = UNORDERED) -> Path:
    path = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp}).unopened("mock", "mock-1", ordering)
    path.a.create_client()
    path.b.create_client()
    return path


def field(**values: object) -> Callable[[Path, Message], None]:
    """Change the message; `a__b` names a field of a submessage."""

    def act(_path: Path, message: Message) -> None:
        for name, value in values.items():
            target: object = message
            *way, last = name.split("__")
            for part in way:
                target = getattr(target, part)
            setattr(target, last, value)

    return act


def end_state(end: str, state: int, kind: str = "connection") -> Callable[[Path, Message], None]:
    def act(path: Path, _message: Message) -> None:
        point: Endpoint = getattr(path, end)
        if kind == "channel":
            point.force_state(state)
            return
        key = paths.connection(point.connection_id)
        stored = connection.ConnectionEnd.FromString(point.chain.ibc.get(key) or b"")
        stored.state = connection.State.ValueType(state)
        point.chain.ibc.set(key, stored.SerializeToString())

    return act


def negotiated(end: str, *offers: connection.Version) -> Callable[[Path, Message], None]:
    def act(path: Path, _message: Message) -> None:
        point: Endpoint = getattr(path, end)
        key = paths.connection(point.connection_id)
        stored = connection.ConnectionEnd.FromString(point.chain.ibc.get(key) or b"")
        del stored.versions[:]
        stored.versions.extend(offers)
        point.chain.ibc.set(key, stored.SerializeToString())

    return act


def frozen(end: str) -> Callable[[Path, Message], None]:
    def act(path: Path, _message: Message) -> None:
        point: Endpoint = getattr(path, end)
        point.chain.ibc.set(paths.client(point.client_id) + b"frozen", b"1")

    return act


# connection


def conn_init(path: Path) -> connection_tx.MsgConnectionOpenInit:
    return connection_tx.MsgConnectionOpenInit(
        client_id=path.a.client_id,
        counterparty=connection.Counterparty(
            client_id=path.b.client_id, prefix=commitment.MerklePrefix(key_prefix=b"ibc")
        ),
        signer=RELAYER,
    )


def conn_try(path: Path) -> Message:
    path.a.conn_init()
    return path.b.msg_conn_try()


def conn_ack(path: Path) -> Message:
    path.a.conn_init()
    path.b.conn_try()
    return path.a.msg_conn_ack()


def conn_confirm(path: Path) -> Message:
    conn_ack(path)
    path.a.conn_ack()
    return path.b.msg_conn_confirm()


def run(step: Step, side: str, malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    """The message is refused after malleate and taken without it."""
    path = unopened()
    message = step(path)
    malleate(path, message)
    before = dict(getattr(path, side).chain.ibc.data)
    with pytest.raises(error):
        getattr(path, side).chain.deliver(message)
    assert getattr(path, side).chain.ibc.data == before
    path = unopened()
    getattr(path, side).chain.deliver(step(path))


ONE = connection.Version(identifier="1", features=["ORDER_UNORDERED"])
ALIEN = connection.Version(identifier="2", features=["ORDER_UNORDERED"])
NO_FEATURES = connection.Version(identifier="1")


def version(value: connection.Version) -> Callable[[Path, Message], None]:
    return lambda _path, message: message.version.CopyFrom(value)  # type: ignore[attr-defined]  # two of the messages


CONN_INIT: list[Case] = [
    ("invalid version", version(ALIEN), errors.InvalidConnectionVersion),
    ("version without features", version(NO_FEATURES), errors.InvalidConnectionVersion),
    ("blank version", version(connection.Version()), errors.InvalidConnectionVersion),
    ("couldn't add connection to client", field(client_id="00-mock-7"), errors.ClientNotActive),
    ("client of no type", field(client_id="nonesuch"), errors.ClientNotActive),
    ("client is frozen", frozen("a"), errors.ClientNotActive),
    ("bad client ID", field(client_id="x"), errors.InvalidIdentifier),
    ("empty prefix", field(counterparty__prefix__key_prefix=b""), errors.InvalidConnectionCounterparty),
    (
        "counterparty connection ID is set",
        field(counterparty__connection_id="connection-0"),
        errors.InvalidConnectionCounterparty,
    ),
]


@pytest.mark.parametrize(("malleate", "error"), params(CONN_INIT))
def test_conn_open_init(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(conn_init, "a", malleate, error)


@pytest.mark.parametrize(
    ("offered", "stored"),
    [
        pytest.param(None, versions.supported(), id="success"),
        pytest.param(ONE, [ONE], id="success with non empty version"),
    ],
)
def test_conn_open_init_versions(offered: connection.Version | None, stored: list[connection.Version]) -> None:
    path = unopened()
    message = conn_init(path)
    message.delay_period = HOUR_NS  # success with non zero delayPeriod
    if offered is not None:
        message.version.CopyFrom(offered)
    path.a.chain.deliver(message)
    end = connection.ConnectionEnd.FromString(path.a.chain.ibc.get(b"connections/connection-0") or b"")
    assert (list(end.versions), end.delay_period) == (stored, HOUR_NS)


def offers(*given: connection.Version) -> Callable[[Path, Message], None]:
    def act(_path: Path, message: Message) -> None:
        assert isinstance(message, connection_tx.MsgConnectionOpenTry)
        del message.counterparty_versions[:]
        message.counterparty_versions.extend(given)

    return act


CONN_TRY: list[Case] = [
    ("counterparty versions is empty", offers(), errors.IbcInvalidVersion),
    ("counterparty versions don't have a match", offers(ALIEN), errors.VersionNegotiationFailed),
    ("too many counterparty versions", offers(*[ONE] * 101), errors.IbcInvalidVersion),
    ("connection state verification failed", field(delay_period=1), errors.FailedMembershipVerification),
    ("other versions than were stored", offers(ONE), errors.FailedMembershipVerification),
    ("empty proof", field(proof_init=b""), errors.InvalidProof),
    ("forged proof", field(proof_init=b"forged"), errors.FailedMembershipVerification),
    ("height above the client's", field(proof_height__revision_height=10**6), errors.InvalidHeight),
    ("height that the client skipped", field(proof_height__revision_height=1), errors.ConsensusStateNotFound),
    ("other client", field(client_id="00-mock-1"), errors.ClientNotActive),
    ("client is frozen", frozen("b"), errors.ClientNotActive),
    ("bad counterparty connection ID", field(counterparty__connection_id="c"), errors.InvalidIdentifier),
    ("wrong prefix", field(counterparty__prefix__key_prefix=b"bank"), errors.FailedMembershipVerification),
]


@pytest.mark.parametrize(("malleate", "error"), params(CONN_TRY))
def test_conn_open_try(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(conn_try, "b", malleate, error)


CONN_ACK: list[Case] = [
    ("connection not found", field(connection_id="connection-9"), errors.ConnectionNotFound),
    ("bad connection ID", field(connection_id="conn"), errors.InvalidConnectionIdentifier),
    (
        "invalid counterparty connection ID",
        field(counterparty_connection_id="connection-9"),
        errors.FailedMembershipVerification,
    ),
    ("connection state is not INIT", end_state("a", connection.STATE_OPEN), errors.InvalidConnectionState),
    ("incompatible IBC versions", version(ALIEN), errors.InvalidConnectionState),
    ("empty version", version(connection.Version()), errors.InvalidConnectionVersion),
    (
        "feature set verification failed - unsupported feature",
        version(connection.Version(identifier="1", features=["ORDER_DAG"])),
        errors.InvalidConnectionState,
    ),
    ("connection state verification failed", version(ONE), errors.FailedMembershipVerification),
    ("empty proof", field(proof_try=b""), errors.InvalidProof),
]


@pytest.mark.parametrize(("malleate", "error"), params(CONN_ACK))
def test_conn_open_ack(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(conn_ack, "a", malleate, error)


CONN_CONFIRM: list[Case] = [
    ("connection not found", field(connection_id="connection-9"), errors.ConnectionNotFound),
    ("connection state is not TRYOPEN", end_state("b", connection.STATE_OPEN), errors.InvalidConnectionState),
    ("connection state verification failed", field(proof_ack=b"forged"), errors.FailedMembershipVerification),
    ("empty proof", field(proof_ack=b""), errors.InvalidProof),
]


@pytest.mark.parametrize(("malleate", "error"), params(CONN_CONFIRM))
def test_conn_open_confirm(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(conn_confirm, "b", malleate, error)


def test_an_end_that_is_not_the_mirror_image_is_refused() -> None:
    """B's end names another connection of A's: A's ack must not take it."""
    path = unopened()
    message = conn_ack(path)
    path.a.conn_init()  # a second attempt of A's, which B never saw
    assert isinstance(message, connection_tx.MsgConnectionOpenAck)
    message.connection_id = path.a.connection_id
    with pytest.raises(errors.FailedMembershipVerification):
        path.a.chain.deliver(message)


# channel


def opened(ordering: int = UNORDERED) -> Path:
    path = unopened(ordering)
    path.open_connection()
    return path


def chan_init(path: Path) -> Message:
    path.open_connection()
    return path.a.msg_chan_init()


def chan_try(path: Path) -> Message:
    path.open_connection()
    path.a.chan_init()
    return path.b.msg_chan_try()


def chan_ack(path: Path) -> Message:
    chan_try(path)
    path.b.chan_try()
    return path.a.msg_chan_ack()


def chan_confirm(path: Path) -> Message:
    chan_ack(path)
    path.a.chan_ack()
    return path.b.msg_chan_confirm()


def close_confirm(path: Path) -> Message:
    chan_confirm(path)
    path.b.chan_confirm()
    path.a.close_init()
    return path.b.msg_close_confirm()


def refuse(side: str) -> Callable[[Path, Message], None]:
    return lambda path, _message: setattr(getattr(path, side).chain.router["mock"], "refuse", True)


def hops(*given: str) -> Callable[[Path, Message], None]:
    def act(_path: Path, message: Message) -> None:
        end: channel.Channel = message.channel  # type: ignore[attr-defined]  # two of the messages
        del end.connection_hops[:]
        end.connection_hops.extend(given)

    return act


UNORDERED_ONLY = negotiated("b", ONE)
BOTH_OFFERED = versions.supported()[0]
CHAN_INIT: list[Case] = [
    ("connection doesn't exist", hops("connection-9"), errors.ConnectionNotFound),
    ("connection version not negotiated", negotiated("a", ONE, ALIEN), errors.InvalidConnectionVersion),
    ("no hop", hops(), errors.TooManyConnectionHops),
    ("two hops", hops("connection-0", "connection-1"), errors.TooManyConnectionHops),
    ("no ordering", field(channel__ordering=0), errors.InvalidChannelOrdering),
    ("unknown ordering", field(channel__ordering=7), errors.InvalidChannelOrdering),
    ("wrong state", field(channel__state=channel.STATE_OPEN), errors.InvalidChannelState),
    ("route not found", field(port_id="nobody"), errors.InvalidRoute),
    ("bad port ID", field(port_id="p"), errors.InvalidIdentifier),
    ("bad counterparty port ID", field(channel__counterparty__port_id=""), errors.InvalidIdentifier),
    (
        "counterparty channel ID is set",
        field(channel__counterparty__channel_id="channel-0"),
        errors.InvalidChannelCounterparty,
    ),
    ("client is frozen", frozen("a"), errors.ClientNotActive),
    ("application refuses", refuse("a"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CHAN_INIT))
def test_chan_open_init(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(chan_init, "a", malleate, error)


def test_connection_does_not_support_ordered_channels() -> None:
    path = opened(ORDERED)
    negotiated("a", ONE)(path, path.a.msg_chan_init())
    with pytest.raises(errors.InvalidConnectionVersion):
        path.a.chan_init()
    path = opened(ORDERED)
    path.a.chan_init()
    message = path.b.msg_chan_try()
    UNORDERED_ONLY(path, message)
    with pytest.raises(errors.InvalidConnectionVersion):
        path.b.chain.deliver(message)


CHAN_TRY: list[Case] = [
    ("connection doesn't exist", hops("connection-9"), errors.ConnectionNotFound),
    ("connection is not OPEN", end_state("b", connection.STATE_INIT), errors.InvalidConnectionState),
    ("consensus state not found", field(proof_height__revision_height=1), errors.ConsensusStateNotFound),
    ("channel verification failed", field(proof_init=b"forged"), errors.FailedMembershipVerification),
    ("other version than was proposed", field(counterparty_version="v2"), errors.FailedMembershipVerification),
    ("other ordering than was proposed", field(channel__ordering=ORDERED), errors.FailedMembershipVerification),
    ("connection version not negotiated", negotiated("b", BOTH_OFFERED, ONE), errors.InvalidConnectionVersion),
    ("previous channel ID is set", field(previous_channel_id="channel-0"), errors.InvalidChannelIdentifier),
    ("wrong state", field(channel__state=channel.STATE_INIT), errors.InvalidChannelState),
    ("empty proof", field(proof_init=b""), errors.InvalidProof),
    ("bad counterparty channel ID", field(channel__counterparty__channel_id=""), errors.InvalidIdentifier),
    ("application refuses", refuse("b"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CHAN_TRY))
def test_chan_open_try(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(chan_try, "b", malleate, error)


CHAN_ACK: list[Case] = [
    ("channel doesn't exist", field(channel_id="channel-9"), errors.ChannelNotFound),
    ("bad channel ID", field(channel_id="chan"), errors.InvalidChannelIdentifier),
    ("channel state is not INIT", end_state("a", channel.STATE_OPEN, "channel"), errors.InvalidChannelState),
    ("connection not found", lambda p, _: p.a.chain.ibc.delete(b"connections/connection-0"), errors.ConnectionNotFound),
    ("connection is not OPEN", end_state("a", connection.STATE_TRYOPEN), errors.InvalidConnectionState),
    ("consensus state not found", field(proof_height__revision_height=2), errors.ConsensusStateNotFound),
    (
        "invalid counterparty channel identifier",
        field(counterparty_channel_id="channel-9"),
        errors.FailedMembershipVerification,
    ),
    ("channel verification failed", field(counterparty_version="v2"), errors.FailedMembershipVerification),
    ("empty proof", field(proof_try=b""), errors.InvalidProof),
    ("application refuses", refuse("a"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CHAN_ACK))
def test_chan_open_ack(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(chan_ack, "a", malleate, error)


CHAN_CONFIRM: list[Case] = [
    ("channel doesn't exist", field(channel_id="channel-9"), errors.ChannelNotFound),
    ("channel state is not TRYOPEN", end_state("b", channel.STATE_INIT, "channel"), errors.InvalidChannelState),
    ("connection not found", lambda p, _: p.b.chain.ibc.delete(b"connections/connection-0"), errors.ConnectionNotFound),
    ("connection is not OPEN", end_state("b", connection.STATE_TRYOPEN), errors.InvalidConnectionState),
    ("consensus state not found", field(proof_height__revision_height=1), errors.ConsensusStateNotFound),
    ("channel verification failed", field(proof_ack=b"forged"), errors.FailedMembershipVerification),
    ("empty proof", field(proof_ack=b""), errors.InvalidProof),
    ("application refuses", refuse("b"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CHAN_CONFIRM))
def test_chan_open_confirm(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(chan_confirm, "b", malleate, error)


def close_init(path: Path) -> Message:
    chan_confirm(path)
    path.b.chan_confirm()
    return channel_tx.MsgChannelCloseInit(port_id="mock", channel_id=path.a.channel_id, signer=RELAYER)


CLOSE_INIT: list[Case] = [
    ("channel doesn't exist", field(channel_id="channel-9"), errors.ChannelNotFound),
    ("channel state is CLOSED", end_state("a", channel.STATE_CLOSED, "channel"), errors.InvalidChannelState),
    ("connection not found", lambda p, _: p.a.chain.ibc.delete(b"connections/connection-0"), errors.ConnectionNotFound),
    ("connection is not OPEN", end_state("a", connection.STATE_TRYOPEN), errors.InvalidConnectionState),
    ("client is frozen", frozen("a"), errors.ClientNotActive),
    ("application refuses", refuse("a"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CLOSE_INIT))
def test_chan_close_init(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(close_init, "a", malleate, error)


CLOSE_CONFIRM: list[Case] = [
    ("channel doesn't exist", field(channel_id="channel-9"), errors.ChannelNotFound),
    ("channel state is CLOSED", end_state("b", channel.STATE_CLOSED, "channel"), errors.InvalidChannelState),
    ("connection not found", lambda p, _: p.b.chain.ibc.delete(b"connections/connection-0"), errors.ConnectionNotFound),
    ("connection is not OPEN", end_state("b", connection.STATE_TRYOPEN), errors.InvalidConnectionState),
    ("consensus state not found", field(proof_height__revision_height=1), errors.ConsensusStateNotFound),
    ("channel verification failed", field(proof_init=b"forged"), errors.FailedMembershipVerification),
    ("application refuses", refuse("b"), Unauthorized),
]


@pytest.mark.parametrize(("malleate", "error"), params(CLOSE_CONFIRM))
def test_chan_close_confirm(malleate: Callable[[Path, Message], None], error: type[ChainError]) -> None:
    run(close_confirm, "b", malleate, error)


def test_the_counterparty_is_open_not_closed() -> None:
    path = opened()
    path.open_channel()
    with pytest.raises(errors.FailedMembershipVerification):
        path.b.close_confirm()


@pytest.mark.parametrize("ordering", [UNORDERED, ORDERED])
def test_what_applications_hear(ordering: int) -> None:
    path = opened(ordering)
    path.open_channel()
    path.a.close_init()
    path.b.close_confirm()
    a, b = path.a.chain.router["mock"], path.b.chain.router["mock"]
    assert a.calls == ["init", "ack", "close init"]
    assert b.calls == ["try", "confirm", "close confirm"]
    assert [h.counterparty_channel_id for h in (*a.handshakes, *b.handshakes)] == ["", "channel-0", "channel-0"]
    assert {h.version for h in (*a.handshakes, *b.handshakes)} == {"mock-1"}
    assert {h.ordering for h in (*a.handshakes, *b.handshakes)} == {ordering}
    assert (path.a.end.state, path.b.end.state) == (channel.STATE_CLOSED, channel.STATE_CLOSED)


# stored bytes and events


def test_stored_ends_are_the_bytes_that_gogoproto_writes() -> None:
    """Non-nullable submessages are present even when empty; the counterparty proves these very bytes."""
    path = opened()
    path.a.chan_init()
    stored = path.a.chain.ibc.data
    hop = b"connection-0"
    expected_channel = b"\x08\x01\x10\x01\x1a\x06\x0a\x04mock" + b"\x22" + bytes([len(hop)]) + hop + b"\x2a\x06mock-1"
    assert stored[b"channelEnds/ports/mock/channels/channel-0"] == expected_channel
    version_bytes = b"\x0a\x011\x12\x0dORDER_ORDERED\x12\x0fORDER_UNORDERED"
    counterparty = b"\x0a\x0900-mock-0\x12\x0cconnection-0\x1a\x05\x0a\x03ibc"
    assert stored[b"connections/connection-0"] == (
        b"\x0a\x0900-mock-0\x12" + bytes([len(version_bytes)]) + version_bytes
        + b"\x18\x03\x22" + bytes([len(counterparty)]) + counterparty
    )  # fmt: skip
    assert stored[b"clients/00-mock-0/connections"] == b"\x0a\x0cconnection-0"
    assert stored[b"nextChannelSequence"] == (1).to_bytes(8, "big")
    for name in (b"nextSequenceSend", b"nextSequenceRecv", b"nextSequenceAck"):
        assert stored[name + b"/ports/mock/channels/channel-0"] == (1).to_bytes(8, "big")
    assert PREFIX == b"ibc"


def keys(path: Path, side: str, kind: str) -> list[str]:
    return list(getattr(path, side).chain.attributes(kind)[0])


def test_events_of_the_handshakes() -> None:
    path = unopened()
    assert keys(path, "b", "create_client") == ["client_id", "client_type", "consensus_height"]
    connection_keys = ["connection_id", "client_id", "counterparty_client_id", "counterparty_connection_id"]
    channel_keys = ["port_id", "channel_id", "counterparty_port_id", "counterparty_channel_id", "connection_id"]
    for side, act, kind in (
        ("a", path.a.conn_init, "connection_open_init"),
        ("b", path.b.conn_try, "connection_open_try"),
        ("a", path.a.conn_ack, "connection_open_ack"),
        ("b", path.b.conn_confirm, "connection_open_confirm"),
        ("a", path.a.chan_init, "channel_open_init"),
        ("b", path.b.chan_try, "channel_open_try"),
        ("a", path.a.chan_ack, "channel_open_ack"),
        ("b", path.b.chan_confirm, "channel_open_confirm"),
        ("a", path.a.close_init, "channel_close_init"),
        ("b", path.b.close_confirm, "channel_close_confirm"),
    ):
        act()
        with_version = [*channel_keys, "version"]
        expected = connection_keys if kind.startswith("conn") else channel_keys
        assert keys(path, side, kind) == (
            with_version if kind in {"channel_open_init", "channel_open_try"} else expected
        )
        category = "ibc_connection" if kind.startswith("conn") else "ibc_channel"
        assert {"module": category} in getattr(path, side).chain.attributes("message")


# clients


def test_update_event_carries_the_header() -> None:
    path = unopened()
    path.a.update()
    event = path.a.chain.attributes("update_client")[0]
    assert list(event) == ["client_id", "client_type", "consensus_height", "consensus_heights", "header"]
    assert Any.FromString(bytes.fromhex(event["header"])) == Any(
        type_url="/bsmg.mock.Header", value=event["consensus_height"].removeprefix("1-").encode()
    )
    assert path.a.chain.attributes("message") == [{"module": "ibc_client"}]


@pytest.mark.parametrize("kind", ["update", "submit"])
def test_misbehaviour_freezes(kind: str) -> None:
    path = unopened()
    evidence = path.a.misbehaviour()
    if kind == "update":
        message: Message = client_tx.MsgUpdateClient(client_id="00-mock-0", client_message=evidence, signer=RELAYER)
    else:
        message = client_tx.MsgSubmitMisbehaviour(client_id="00-mock-0", misbehaviour=evidence, signer=RELAYER)
    path.a.chain.deliver(message)
    assert path.a.chain.attributes("client_misbehaviour")[0]["client_id"] == "00-mock-0"
    assert path.a.chain.attributes("update_client") == []
    with pytest.raises(errors.ClientNotActive, match="Frozen"):
        path.a.update()
    with pytest.raises(errors.ClientNotActive):
        path.a.conn_init()


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (client_tx.MsgCreateClient(signer=RELAYER), TxDecode),
        (client_tx.MsgUpdateClient(client_id="00-mock-9", signer=RELAYER), errors.ClientNotActive),
        (client_tx.MsgUpdateClient(client_id="07-tendermint-0", signer=RELAYER), errors.RouteNotFound),
        (client_tx.MsgUpdateClient(client_id="../", signer=RELAYER), errors.InvalidIdentifier),
        (client_tx.MsgUpdateClient(client_id="00-mock-0", signer=RELAYER), errors.InvalidHeader),
        (client_tx.MsgUpgradeClient(client_id="00-mock-0", signer=RELAYER), errors.InvalidUpgradeClient),
        (client_tx.MsgRecoverClient(signer=RELAYER), errors.InvalidIdentifier),
        (client_tx.MsgIBCSoftwareUpgrade(signer=RELAYER), errors.IbcUnauthorized),
        (client_tx.MsgUpdateParams(signer=RELAYER), errors.InvalidParams),
        (connection_tx.MsgUpdateParams(signer=RELAYER), errors.InvalidParams),
        (client_tx.MsgDeleteClientCreator(client_id="00-mock-9", signer=RELAYER), errors.IbcNotFound),
    ],
)
def test_client_messages_that_are_refused(message: Message, error: type[ChainError]) -> None:
    path = unopened()
    with pytest.raises(error):
        path.a.chain.deliver(message)


def test_allowed_clients() -> None:
    net = Coordinator("mga-1", "mgb-1", genesis={"ibc": {"allowed_clients": ["07-tendermint"]}})
    with pytest.raises(errors.InvalidClientType):
        net.unopened().a.create_client()


def test_clients_are_numbered_and_creators_known() -> None:
    path = unopened()
    assert [path.a.client_id, path.a.create_client()] == ["00-mock-0", "00-mock-1"]
    path.a.chain.deliver(client_tx.MsgDeleteClientCreator(client_id="00-mock-1", signer=RELAYER))
    assert path.a.chain.ibc.get(b"clients/00-mock-1/creator") is None


def test_the_seeded_store_can_prove_absence_from_the_first_block() -> None:
    chain = Coordinator("mga-1").chains["mga-1"]
    assert set(chain.ibc.data) == {
        b"nextClientSequence",
        b"nextConnectionSequence",
        b"nextChannelSequence",
        b"clientParams",
        b"connectionParams",
    }
    assert chain.ibc.data[b"nextClientSequence"] == bytes(8)
