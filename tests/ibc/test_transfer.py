"""ICS-20: ibc-go's case names (transfer/ibc_module_test.go, keeper/relay_test.go, types), our own cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError, InsufficientFunds, InvalidAddress, NotFound
from cosmos_wire.protos import Message, channel, client, transfer_query, transfer_tx
from ibc_core import bank, errors, flat_json
from ibc_core.packet import SUCCESS
from ibc_core.router import Outgoing
from ibc_core.transfer import data, ledger
from ibc_core.transfer.application import WHOLE_BALANCE
from ibc_core.transfer.denom import Denom, parse, parse_hash, require_ledger_name
from ibc_core.transfer.legacy import LEGACY
from tests.ibc.harness import HOUR_NS, ORDERED, RELAYER, Coordinator, Path, account, address
from tests.ibc.mock_app import MockApp

VOUCHER = Denom("bmga", (("transfer", "channel-0"),)).ledger_name
SERVICE = "/ibc.applications.transfer.v1.Query/"
GOOD_ACK = b'{"result":"AQ=="}'


def opened(genesis: dict[str, dict[str, object]] | None = None) -> Path:
    path = Coordinator("mga-1", "mgb-1", genesis=genesis).path()
    path.a.chain.fund("alice", "bmga", 100)
    return path


def error_ack(code: int) -> bytes:
    return b'{"error":"ABCI code: %d: error handling packet: see events for details"}' % code


def forge(path: Path, content: bytes) -> channel.Packet:
    """A packet that a counterparty with its own ideas of ICS-20 committed to."""
    outgoing = Outgoing(
        port_id="transfer", channel_id="channel-0", data=content, timeout_ns=path.a.chain.net.time_ns + HOUR_NS
    )
    path.a.chain.execute(lambda ctx: [path.a.chain.core.send_packet(ctx, outgoing)])
    return path.a.last_packet()


def token(**changes: str) -> bytes:
    members = {"amount": "5", "denom": "bmga", "memo": "", "receiver": address("bob"), "sender": address("alice")}
    members.update(changes)
    return flat_json.dump({key: value for key, value in members.items() if value})


def supplies(path: Path, side: str) -> dict[str, int]:
    return dict(bank.supplies(getattr(path, side).chain.context()))


# sending


def test_packet_data_is_what_ibc_go_writes() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 7), memo='<&>é"')
    ends = f'"receiver":"{address("bob")}","sender":"{address("alice")}"}}'
    memo = '"memo":"\\u003c\\u0026\\u003eé\\"",'
    assert packet.data == ('{"amount":"7","denom":"bmga",' + memo + ends).encode()
    plain = path.a.transfer("alice", "bob", ("bmga", 7))
    assert plain.data == ('{"amount":"7","denom":"bmga",' + ends).encode()


def test_escrow_address_is_ibc_go_s() -> None:
    """The account of transfer/channel-0 as public testnets of ibc-go show it."""
    assert to_bech32(ledger.escrow_address("transfer", "channel-0"), "cosmos") == (
        "cosmos1a53udazy8ayufvy0s434pfwjcedzqv34kvz9tw"
    )


def test_voucher_name_is_ibc_go_s() -> None:
    """uatom over transfer/channel-0 as Osmosis knows it."""
    assert parse("transfer/channel-0/uatom").ledger_name == (
        "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2"
    )


def test_transfer_moves_tokens_into_escrow_and_says_so() -> None:
    path = opened()
    chain = path.a.chain
    path.a.transfer("alice", "bob", ("bmga", 60), memo="hello")
    escrow = ledger.escrow_address("transfer", "channel-0")
    assert bank.balance(chain.context(), escrow, "bmga") == 60
    assert ledger.total_escrow(chain.context(), "bmga") == 60
    assert chain.attributes("ibc_transfer") == [
        {
            "sender": address("alice"),
            "receiver": address("bob"),
            "denom": "bmga",
            "amount": "60",
            "memo": "hello",
        }
    ]
    assert {"module": "transfer"} in chain.attributes("message")
    assert [item.type for item in chain.events].index("send_packet") < [item.type for item in chain.events].index(
        "ibc_transfer"
    )


def test_the_whole_balance() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", WHOLE_BALANCE))
    assert data.decode(packet.data).amount == 100
    with pytest.raises(errors.InvalidAmount):
        path.a.transfer("alice", "bob", ("bmga", WHOLE_BALANCE))


def transfer(path: Path, **changes: object) -> transfer_tx.MsgTransfer:
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel="channel-0",
        sender=address("alice"),
        receiver=address("bob"),
        timeout_timestamp=path.a.chain.net.time_ns + HOUR_NS,
    )
    message.token.denom, message.token.amount = "bmga", "5"
    for name, value in changes.items():
        if name in {"denom", "amount"}:
            setattr(message.token, name, value)
        elif isinstance(value, Message):
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return message


def test_the_packet_names_the_sender_in_one_way() -> None:
    """Upper case is valid bech32; a packet that said so would be refunded to another text than the ledger's."""
    path = opened()
    path.a.chain.deliver(transfer(path, sender=address("alice").upper()))
    assert data.decode(path.a.last_packet().data).sender == address("alice")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"amount": "101"}, InsufficientFunds, id="insufficient balance"),
        pytest.param({"amount": "0"}, errors.IbcInvalidCoins, id="zero"),
        pytest.param({"amount": "-5"}, errors.IbcInvalidCoins, id="negative"),
        pytest.param({"amount": "+5"}, errors.IbcInvalidCoins, id="signed"),
        pytest.param({"amount": "05"}, errors.IbcInvalidCoins, id="leading zero"),
        pytest.param({"amount": "5.0"}, errors.IbcInvalidCoins, id="decimal point"),
        pytest.param({"amount": ""}, errors.IbcInvalidCoins, id="empty amount"),
        pytest.param({"amount": "٥"}, errors.IbcInvalidCoins, id="digits of another script"),
        pytest.param({"amount": str(2**256)}, errors.IbcInvalidCoins, id="above 2^256-1"),
        pytest.param({"amount": "9" * 5000}, errors.IbcInvalidCoins, id="thousands of digits"),
        pytest.param({"denom": "ibc/" + "A" * 64}, errors.DenomNotFound, id="denom trace not found"),
        pytest.param({"denom": "ibc/xyz"}, errors.IbcInvalidCoins, id="denom hash is no hash"),
        pytest.param({"denom": "ibc"}, errors.IbcInvalidCoins, id="denom is the prefix"),
        pytest.param({"denom": "b"}, errors.IbcInvalidCoins, id="denom too short"),
        pytest.param({"denom": "b mga"}, errors.IbcInvalidCoins, id="denom with a space"),
        pytest.param({"sender": "nobody"}, InvalidAddress, id="invalid sender"),
        pytest.param({"receiver": "  "}, errors.IbcInvalidAddress, id="missing recipient address"),
        pytest.param({"receiver": "r" * 2049}, errors.IbcInvalidAddress, id="recipient address too long"),
        pytest.param({"memo": "m" * 32769}, errors.InvalidTransferMemo, id="memo too long"),
        pytest.param({"memo": "é" * 16385}, errors.InvalidTransferMemo, id="memo too long in bytes"),
        pytest.param({"source_channel": "channel-9"}, errors.CounterpartyNotFound, id="channel does not exist"),
        pytest.param({"source_channel": "c"}, errors.InvalidIdentifier, id="bad channel"),
        pytest.param({"source_port": "mock"}, errors.CounterpartyNotFound, id="another port"),
        pytest.param({"timeout_timestamp": 0}, errors.InvalidPacket, id="no timeout"),
        pytest.param({"timeout_timestamp": 1}, errors.TimeoutElapsed, id="timeout in the past"),
        pytest.param(
            {"timeout_height": client.Height(revision_number=1, revision_height=1)},
            errors.TimeoutElapsed,
            id="timeout height in the past",
        ),
    ],
)
def test_transfers_that_are_refused(changes: dict[str, object], error: type[ChainError]) -> None:
    path = opened()
    before = dict(path.a.chain.app.data)
    with pytest.raises(error):
        path.a.chain.deliver(transfer(path, **changes))
    assert path.a.chain.app.data == before
    path.a.chain.deliver(transfer(path))


def test_no_transfer_over_another_applications_channel() -> None:
    net = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp})
    path = net.mock_path()
    path.a.chain.fund("alice", "bmga", 10)
    message = transfer_tx.MsgTransfer(
        source_port="mock",
        source_channel=path.a.channel_id,
        sender=address("alice"),
        receiver="r",
        timeout_timestamp=2**62,
    )
    message.token.denom, message.token.amount = "bmga", "5"
    with pytest.raises(errors.ChannelNotFound, match="transfer"):
        path.a.chain.deliver(message)


def test_params_switch_directions_off() -> None:
    path = opened({"transfer": {"params": {"send_enabled": False, "receive_enabled": False}}})
    with pytest.raises(errors.SendDisabled):
        path.a.transfer("alice", "bob", ("bmga", 5))
    assert path.b.receive(forge(path, token())) == error_ack(8)
    answer = path.a.chain.query(SERVICE + "Params", transfer_query.QueryParamsRequest())
    assert (answer.params.send_enabled, answer.params.receive_enabled) == (False, False)
    with pytest.raises(errors.IbcUnauthorized):
        path.a.chain.deliver(transfer_tx.MsgUpdateParams(signer=RELAYER))


# receiving


@pytest.mark.parametrize(
    "memo",
    [
        '{"forward":{"receiver":"bsmg1x","port":"transfer","channel":"channel-0"}}',
        '{"wasm":{"contract":"bsmg1x","msg":{"steal":{}}}}',
        '{"ibc_callback":"bsmg1x","dest_callback":{"address":"bsmg1x"}}',
    ],
)
def test_no_memo_is_acted_on(memo: str) -> None:
    """Evmos advisory: the counterparty chooses sender and memo, so that a memo must not move anything."""
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 60), memo=memo)
    ack = path.b.receive(packet)
    assert ack == b'{"result":"AQ=="}'
    assert path.b.chain.attributes("send_packet") == []
    assert path.b.chain.balance("bob", VOUCHER) == 60


def test_receive_mints_vouchers_and_says_so() -> None:
    path = opened()
    path.b.receive(path.a.transfer("alice", "bob", ("bmga", 60), memo="hi"))
    chain = path.b.chain
    assert supplies(path, "b") == {VOUCHER: 60}
    assert chain.attributes("fungible_token_packet") == [
        {
            "sender": address("alice"),
            "receiver": address("bob"),
            "denom": "bmga",
            "amount": "60",
            "memo": "hi",
            "success": "true",
        }
    ]
    assert chain.attributes("denomination") == [
        {
            "denom_hash": VOUCHER[4:],
            "denom": '{"base":"bmga","trace":[{"port_id":"transfer","channel_id":"channel-0"}]}',
        }
    ]
    assert chain.attributes("denomination_trace") == [{"trace_hash": VOUCHER[4:], "denom": VOUCHER}]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"invalid packet data", 12, id="failure: invalid packet data bytes"),
        pytest.param(token(amount="0"), 5, id="failure: mint zero coin"),
        pytest.param(token(amount="-1"), 5, id="invalid negative amount"),
        pytest.param(token(amount=str(2**256)), 5, id="invalid large amount"),
        pytest.param(token(amount=""), 5, id="invalid empty amount"),
        pytest.param(token(amount="0x10"), 5, id="hexadecimal amount"),
        pytest.param(token(receiver="nobody"), 5, id="failure: receiver is invalid"),
        pytest.param(token(receiver=""), 5, id="missing recipient address"),
        pytest.param(token(receiver=address("bob").replace("bsmg", "cosmos")), 5, id="receiver of another chain"),
        pytest.param(token(receiver="ᛒob"), 5, id="receiver is not ASCII"),
        pytest.param(token(sender=""), 5, id="missing sender address"),
        pytest.param(token(denom=""), 3, id="failure: empty denom"),
        pytest.param(token(denom="(transfer)/channel-1/uatom"), 2, id="invalid denom, invalid portID"),
        pytest.param(token(denom="transfer/channel-1/"), 3, id="blank base"),
        pytest.param(token(memo="m" * 32769), 11, id="failure: memo field too large"),
        pytest.param(token(extra="1"), 12, id="failure: new field"),
        pytest.param(token()[:-1] + b',"amount":"6"}', 12, id="a field twice"),
        pytest.param(token().replace(b'"5"', b"5"), 12, id="amount is a number"),
        pytest.param(b'{"amount":"5","denom":' + b"[" * 100_000, 12, id="deep nesting"),
        pytest.param(token().replace(b"bmga", b"b\xffga"), 12, id="invalid UTF-8"),
        pytest.param(token().replace(b"bmga", b"b\\ud800ga"), 12, id="half a surrogate pair"),
        pytest.param(token(denom="transfer/channel-0/bmgb"), 5, id="unescrow more tokens than allowed"),
        pytest.param(
            token(receiver=to_bech32(ledger.escrow_address("transfer", "channel-0"))),
            4,
            id="failure: receiver is module account",
        ),
        pytest.param(token(receiver=to_bech32(ledger.MODULE_ADDRESS)), 4, id="receiver is the transfer account"),
    ],
)
def test_packets_that_are_answered_with_an_error(content: bytes, code: int) -> None:
    path = opened()
    before = dict(path.b.chain.app.data)
    assert path.b.receive(forge(path, content)) == error_ack(code)
    assert path.b.chain.app.data == before
    assert path.b.chain.attributes("fungible_token_packet") == []
    failed = path.b.chain.attributes("ibccallbackerror-fungible_token_packet")[0]
    assert failed["ibccallbackerror-success"] == "false"
    assert failed["ibccallbackerror-error"]


def test_a_voucher_that_comes_home_is_unescrowed() -> None:
    path = opened()
    path.relay(path.a.transfer("alice", "bob", ("bmga", 60)))
    packet = path.b.transfer("bob", "carol", (VOUCHER, 20))
    assert data.decode(packet.data).denom.path == "transfer/channel-0/bmga"
    path.relay(packet)
    assert path.a.chain.balance("carol", "bmga") == 20
    assert supplies(path, "b") == {VOUCHER: 40}
    assert ledger.total_escrow(path.a.chain.context(), "bmga") == 40


def test_more_can_not_come_back_than_left() -> None:
    """A malicious counterparty claims tokens that never left: the escrow of this channel is the limit."""
    path = opened()
    path.relay(path.a.transfer("alice", "bob", ("bmga", 10)))
    for chain in (path.a.chain, path.b.chain):
        chain.light_client.gullible = True
    packet = channel.Packet(
        sequence=1,
        source_port="transfer",
        source_channel="channel-0",
        destination_port="transfer",
        destination_channel="channel-0",
        data=token(denom="transfer/channel-0/bmga", amount="11"),
        timeout_timestamp=path.a.chain.net.time_ns + HOUR_NS,
    )
    assert path.a.receive(packet) == error_ack(5)
    assert path.a.chain.balance("bob", "bmga") == 0


def test_a_token_over_three_chains() -> None:
    """b -> a -> c: each hop is one more part of the trace, and the way back takes it off again."""
    net = Coordinator("mga-1", "mgb-1")
    first, second = net.path(), net.path()
    first.a.chain.fund("alice", "bmga", 10)
    first.relay(first.a.transfer("alice", "bob", ("bmga", 10)))
    second.relay(second.b.transfer("bob", "alice", (VOUCHER, 4)))  # by another channel: no way home
    twice = Denom("bmga", (("transfer", "channel-1"), ("transfer", "channel-0"))).ledger_name
    assert first.a.chain.balance("alice", twice) == 4
    assert ledger.total_escrow(second.b.chain.context(), VOUCHER) == 4
    second.relay(second.a.transfer("alice", "bob", (twice, 4)))
    first.relay(first.b.transfer("bob", "alice", (VOUCHER, 10)))
    assert first.a.chain.balance("alice", "bmga") == 10
    assert (supplies(first, "a"), supplies(first, "b")) == ({"bmga": 10}, {})


# outcome


@pytest.mark.parametrize("voucher", [False, True], ids=["native coin", "IBC voucher"])
@pytest.mark.parametrize("how", ["failed ack", "timeout", "timeout on close"])
def test_refunds(how: str, voucher: bool) -> None:
    path = opened()
    source, name, denom = path.a, "alice", "bmga"
    if voucher:
        path.relay(path.a.transfer("alice", "bob", ("bmga", 100)))
        source, name, denom = path.b, "bob", VOUCHER
    before = dict(source.chain.app.data)
    receiver = "alice" if voucher else "bob"
    if how == "failed ack":
        bank.block_recipient(source.other.chain.context(), account(receiver), "a blocked account")
    packet = source.transfer(name, receiver, (denom, 100))
    assert source.chain.balance(name, denom) == 0
    if how == "failed ack":
        assert path.relay(packet) == error_ack(4)
        answers = source.chain.attributes("fungible_token_packet")
        assert answers[0]["acknowledgement"] == ('error:"ABCI code: 4: error handling packet: see events for details" ')
        assert "error" in answers[1]
    elif how == "timeout":
        path.a.chain.net.pass_time(2 * HOUR_NS)
        assert source.timeout(packet) == SUCCESS
        assert source.chain.attributes("timeout")[0]["refund_receiver"] == address(name)
    else:
        source.other.force_state(channel.STATE_CLOSED)
        assert source.timeout_on_close(packet) == SUCCESS
    assert source.chain.balance(name, denom) == 100
    assert source.chain.app.data == before


def test_success_ack_is_a_no_op() -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 5))
    before = dict(path.a.chain.app.data)
    path.relay(packet)
    assert path.a.chain.app.data == before
    answers = path.a.chain.attributes("fungible_token_packet")
    assert answers[0]["acknowledgement"] == 'result:"\\001" '
    assert answers[1] == {"success": "\x01"}


@pytest.mark.parametrize(
    "ack",
    [
        pytest.param(b'{"result":"AQ==" }', id="white space"),
        pytest.param(b'{"result":"AQ"}', id="base64 without padding"),
        pytest.param(b'{"result":"AR=="}', id="base64 with stray bits"),
        pytest.param(b'{"error":"\\u0061"}', id="needless escape"),
        pytest.param(b'{"error":"<"}', id="missing escape"),
        pytest.param(b'{"result":"AQ==","error":"x"}', id="both"),
        pytest.param(b'{"result":"AQ==","result":"AQ=="}', id="twice"),
        pytest.param(b'{"Result":"AQ=="}', id="another case"),
        pytest.param(b"{}", id="neither"),
        pytest.param(b"invalid acknowledgement", id="no JSON"),
    ],
)
def test_non_deterministic_json_acknowledgements_are_refused(ack: bytes) -> None:
    path = opened()
    packet = path.a.transfer("alice", "bob", ("bmga", 5))
    path.a.chain.light_client.gullible = True
    with pytest.raises(errors.InvalidAcknowledgement):
        path.a.acknowledge(packet, ack)
    assert path.a.sent(packet)
    assert path.a.acknowledge(packet, GOOD_ACK) == SUCCESS


# channels


@pytest.mark.parametrize("proposed", ["", "  ", "ics20-1"])
def test_channel_versions(proposed: str) -> None:
    path = Coordinator("mga-1", "mgb-1").unopened("transfer", proposed)
    path.open_connection()
    path.open_channel()
    assert (path.a.end.version, path.b.end.version) == ("ics20-1", "ics20-1")


def test_channels_that_are_refused() -> None:
    for version, ordering, error in (
        ("ics20-2", channel.ORDER_UNORDERED, errors.InvalidTransferVersion),
        ("ics20-1", ORDERED, errors.InvalidChannelOrdering),
    ):
        path = Coordinator("mga-1", "mgb-1").unopened("transfer", version, ordering)
        path.open_connection()
        with pytest.raises(error):
            path.open_channel()


def test_invalid_counterparty_version() -> None:
    path = Coordinator("mga-1", "mgb-1").unopened()
    path.open_connection()
    path.a.chan_init()
    path.b.chan_try()
    message = path.a.msg_chan_ack()
    message.counterparty_version = "ics20-9"
    path.a.chain.light_client.gullible = True
    with pytest.raises(errors.InvalidTransferVersion):
        path.a.chain.deliver(message)


def test_a_user_can_not_close_the_channel() -> None:
    path = opened()
    with pytest.raises(errors.IbcInvalidRequest, match="user cannot close channel"):
        path.a.close_init()


# denominations


@pytest.mark.parametrize(
    ("path", "base", "hops"),
    [
        ("uatom", "uatom", 0),
        ("atom/pool", "atom/pool", 0),
        ("atom/pool/", "atom/pool/", 0),
        ("transfer/channel-1/uatom", "uatom", 1),
        ("transfer/channel-1/atom/", "atom/", 1),
        ("transfer/channel-1/transfer/channel-2/atom/pool", "atom/pool", 2),
        ("customport/channel-1/07-tendermint-2/uatom", "07-tendermint-2/uatom", 1),
        ("transfer/07-tendermint-2/uatom", "uatom", 1),
        ("transfer/channelToA/uatom", "transfer/channelToA/uatom", 0),
        ("transfer/channel-1", "transfer/channel-1", 0),
        ("channel-1/transfer/uatom", "channel-1/transfer/uatom", 0),
        ("transfer/channel-184467440737095516150/uatom", "transfer/channel-184467440737095516150/uatom", 0),
    ],
)
def test_denomination_paths(path: str, base: str, hops: int) -> None:
    denom = parse(path)
    assert (denom.base, len(denom.trace), denom.path) == (base, hops, path)


@given(base=st.text(min_size=1).filter(str.strip), hops=st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_any_path_is_kept_whole(base: str, hops: list[int]) -> None:
    path = "".join(f"transfer/channel-{n}/" for n in hops) + base
    try:
        assert parse(path).path == path
    except ChainError:
        assert "/" in base  # hops with identifiers that can't be


@given(st.text())
def test_denomination_checks_never_crash(text: str) -> None:
    for check in (parse, parse_hash, require_ledger_name):
        try:
            check(text)
            refused = ""
        except ChainError as error:
            refused = str(error)
        assert refused or text


@given(st.binary())
def test_packet_data_never_crashes(content: bytes) -> None:
    with pytest.raises(ChainError):
        data.decode(content)


@given(
    st.dictionaries(st.sampled_from(["amount", "denom", "memo", "receiver", "sender", "x"]), st.text()),
    st.sampled_from([b"", b" ", b"\n"]),
)
def test_packet_data_in_any_words(members: dict[str, str], space: bytes) -> None:
    content = space + flat_json.dump(members)
    assert flat_json.parse(content) == members
    try:
        found = data.decode(content)
    except ChainError:
        return
    assert data.decode(found.encode()) == found


# queries


def query(path: Path, side: str, method: str, request: Message) -> Callable[[], object]:
    return lambda: getattr(path, side).chain.query(SERVICE + method, request)


def test_queries() -> None:
    path = opened()
    path.relay(path.a.transfer("alice", "bob", ("bmga", 60)))
    b = path.b.chain
    digest = VOUCHER[4:]
    for asked in (digest, VOUCHER, digest.lower()):
        denom = b.query(SERVICE + "Denom", transfer_query.QueryDenomRequest(hash=asked)).denom
        assert (denom.base, [(hop.port_id, hop.channel_id) for hop in denom.trace]) == (
            "bmga",
            [("transfer", "channel-0")],
        )
        trace = b.query(SERVICE + "DenomTrace", LEGACY["QueryDenomTraceRequest"](hash=asked)).denom_trace
        assert (trace.path, trace.base_denom) == ("transfer/channel-0", "bmga")
    assert len(b.query(SERVICE + "Denoms", transfer_query.QueryDenomsRequest()).denoms) == 1
    assert len(b.query(SERVICE + "DenomTraces", LEGACY["QueryDenomTracesRequest"]()).denom_traces) == 1
    request = transfer_query.QueryDenomHashRequest(trace="transfer/channel-0/bmga")
    assert b.query(SERVICE + "DenomHash", request).hash == digest
    total = path.a.chain.query(
        SERVICE + "TotalEscrowForDenom", transfer_query.QueryTotalEscrowForDenomRequest(denom="bmga")
    )
    assert (total.amount.denom, total.amount.amount) == ("bmga", "60")
    where = transfer_query.QueryEscrowAddressRequest(port_id="transfer", channel_id="channel-0")
    escrow = to_bech32(ledger.escrow_address("transfer", "channel-0"))
    assert b.query(SERVICE + "EscrowAddress", where).escrow_address == escrow


@pytest.mark.parametrize(
    ("method", "request_message", "error"),
    [
        ("Denom", transfer_query.QueryDenomRequest(hash="A" * 64), NotFound),
        ("Denom", transfer_query.QueryDenomRequest(hash="xyz"), errors.InvalidDenomForTransfer),
        ("DenomHash", transfer_query.QueryDenomHashRequest(trace="transfer/channel-9/bmga"), NotFound),
        (
            "EscrowAddress",
            transfer_query.QueryEscrowAddressRequest(port_id="transfer", channel_id="channel-9"),
            NotFound,
        ),
        ("EscrowAddress", transfer_query.QueryEscrowAddressRequest(), errors.InvalidIdentifier),
        ("TotalEscrowForDenom", transfer_query.QueryTotalEscrowForDenomRequest(), errors.InvalidDenomForTransfer),
    ],
)
def test_queries_for_what_is_not_there(method: str, request_message: Message, error: type[ChainError]) -> None:
    with pytest.raises(error):
        query(opened(), "b", method, request_message)()
