"""The replay agrees with honest chains to the unit, and finds and names every single lie."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsmg.audit.clients import check_client
from bsmg.audit.findings import SUBJECTS, Difference, Findings
from bsmg.audit.record import ChainRecord, of_kind
from bsmg.audit.replay import Replay
from bsmg.audit.run import audit
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message, channel_tx, cmt_types, market, market_tx, meter_tx, tendermint_client, trade, tx
from cosmos_wire.tx import pack
from tests.audit.conftest import Records
from tests.audit.day import Day, lived
from tests.audit.recorder import UTILITY, VALIDATORS, Options, resealed
from tests.audit.tampering import Place, events_of, first_place, number_places, with_event, with_tx, with_value

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def differences(*records: ChainRecord, light: bool = True) -> list[Difference]:
    return [item for findings in audit(records, light=light) for item in findings.differences]


def named(found: list[Difference], subject: str, *parts: str) -> Difference:
    """The difference of a subject whose place has all the parts."""
    fits = [item for item in found if item.subject == subject and all(part in item.place for part in parts)]
    assert fits, "\n".join(map(str, found)) or "no difference at all"
    return fits[0]


# Honest chains


NOT_THERE = {  # nothing is signed, voted on, proven; no Fabric
    "accounts", "attestations", "ballots", "clients", "ledger", "orderers", "proofs", "ticks",
}  # fmt: skip


def test_an_honest_day_agrees_and_everything_was_looked_at(records: Records) -> None:
    found = audit(records)
    assert [str(item) for findings in found for item in findings.differences] == []
    for findings in found:
        assert set(findings.checked) == set(SUBJECTS) - NOT_THERE


def test_a_header_that_a_client_took_is_one_of_the_chain_s(records: Records) -> None:
    followed = Replay(records[1])
    findings = Findings(chain_id="mga-1")
    made = tendermint_client.Header()
    made.signed_header.header.CopyFrom(records[1].blocks[5].header)
    check_client(findings, "block 9", pack(made), followed)
    assert (findings.checked, findings.differences) == ({"clients": 1}, [])
    made.signed_header.header.app_hash = bytes(32)
    check_client(findings, "block 9", pack(made), followed)
    assert "block 9 header 6: expected" in str(findings.differences[0])


def test_the_day_has_what_an_audit_has_to_judge(records: Records) -> None:
    kinds = {
        event.type
        for record in records
        for block in record.blocks
        for event in (*block.hook_events, *(e for item in block.txs for e in item.events))
    }
    assert {"slot_cleared", "cell_settled", "reading_missing", "trade_disputed", "trade_cancelled"} <= kinds
    assert {"trade_refunded", "trade_settled", "trade_forwarded", "timeout_packet"} <= kinds
    reasons = {item.reason for item in records[1].final.bought}
    assert {"error", "clock", "timeout"} <= reasons
    settled = [
        market.Statement.FromString(bytes.fromhex(values["statement"]))
        for block in records[0].blocks
        for values in of_kind(block.hook_events, "cell_settled")
    ]
    assert any(int(item.arrears) for item in settled)
    assert any(item.catch_up_mWh for item in settled)
    assert any(int(item.penalty) for item in settled)


@pytest.mark.parametrize(
    "options",
    [
        Options(mechanism=market.MECHANISM_TRADE_REDUCTION),
        Options(mechanism=market.MECHANISM_PAY_AS_BID),
        *(Options(mechanism=kind) for kind in range(market.MECHANISM_LAO, market.MECHANISM_HUANG + 1)),
        Options(mechanism=market.MECHANISM_VCG, subsidy=10**9),  # most slots fall back
        Options(settle_units=1),
        Options(settle_units=3),
        Options(balancing=10),  # credits become debts
        Options(balancing=0),  # slots open with factor 0
    ],
    ids=str,
)
def test_other_rules_agree_too(short_blocks: None, options: Options) -> None:
    day = lived(options)
    assert [str(item) for item in differences(day.a.record(), day.b.record())] == []


def test_debts_of_the_balancing_account_are_followed(short_blocks: None) -> None:
    day = Day(Options(balancing=10))
    day.until(-85)
    day.place(day.a, 2, (1, 50_000, 300_000))
    day.place(day.a, 4, (2, 50_000, 300_000))
    day.until(101)
    day.read(day.a, day.a.reading(2, 0, 0), day.a.reading(4, 0, 300_000))
    day.until(141)
    record = day.a.record()
    owed = [int(cell.owed or 0) for cell in record.final.cells]
    assert owed == [0, 10_000 * 300_000 - 10, 0, 0, 0]
    assert differences(record) == []
    day.a.deliver(market_tx.MsgDeposit(cell=UTILITY, amount="7"))
    assert int(day.a.record().final.cells[1].owed) == owed[1] - 7
    assert differences(day.a.record()) == []


def test_one_chain_alone_can_be_audited(records: Records) -> None:
    assert differences(records[0]) == []
    assert differences(records[1]) == []


def test_two_nodes_of_one_chain_are_refused(records: Records) -> None:
    with pytest.raises(ToolError, match="one node of each chain"):
        audit([records[0], records[0]])


def test_a_contract_that_lapses_agrees(short_blocks: None) -> None:
    records = lapsed()
    assert [item.state for item in records[1].final.bought] == [trade.BUYER_STATE_LAPSED]
    assert [str(item) for item in differences(*records)] == []


def lapsed() -> Records:
    day = Day()
    day.until(-95)
    offer = day.offer(day.a, 100_000)
    day.relay_all()
    day.lock(day.b, offer, 100_000)
    day.relay_all()
    day.until(-28)
    day.relay_all()
    day.until(101)
    day.post_reading(day.a, 90_000)
    day.post_reading(day.b, 80_000)
    day.until(121)  # T_meter: S decides on its own reading, and nobody carries the outcome
    day.until(161)
    return day.a.record(), day.b.record()


# One lie at a time: what a node's RPC could say although the validators signed the truth


@pytest.mark.parametrize(
    ("kind", "name", "subject"),
    [
        ("slot_opened", "factor_permille", "gates"),
        ("slot_cleared", "price_e4", "clearings"),
        ("slot_cleared", "volume_mWh", "clearings"),
        ("slot_cleared", "welfare", "clearings"),
        ("slot_residual", "residual_mWh", "clearings"),
        ("cell_settled", "net", "statements"),
        ("slot_settled", "balance_mWh", "settlements"),
        ("trade_settled", "seller", "contracts"),
        ("trade_decided", "lo_mwh", "contracts"),
        ("trade_active", "claim", "contracts"),
        ("trade_reserved", "collateral", "contracts"),
    ],
)
def test_one_unit_in_an_event_is_named(records: Records, kind: str, name: str, subject: str) -> None:
    place = first_place(records[0], kind, name)
    before = dict(events_at(records[0], place))[name]
    wrong = named(differences(with_value(records[0], place), records[1]), subject, kind, name)
    assert (wrong.expected, wrong.got) == (before, str(int(before) + 1))
    assert wrong.place.startswith(f"block {place.block + 1}")


def events_at(record: ChainRecord, place: object) -> tuple[tuple[str, str], ...]:
    block = record.blocks[place.block]  # type: ignore[attr-defined]  # a Place
    events = block.hook_events if place.tx is None else block.txs[place.tx].events  # type: ignore[attr-defined]  # same
    return events[place.event].attributes  # type: ignore[attr-defined]  # same


@SLOW
@given(data=st.data())
def test_any_number_in_any_event(records: Records, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, 1))
    place = data.draw(st.sampled_from(number_places(records[which])))
    lying = list(records)
    lying[which] = with_value(records[which], place)
    assert named(differences(*lying, light=False), subject_of(place.kind), place.name)


def subject_of(kind: str) -> str:
    from bsmg.audit.expected import KINDS

    return KINDS[kind][0]


@SLOW
@given(data=st.data())
def test_any_field_of_any_statement(records: Records, data: st.DataObject) -> None:
    places = [
        (at, position)
        for at, block in enumerate(records[0].blocks)
        for position, event in enumerate(block.hook_events)
        if event.type == "cell_settled"
    ]
    at, position = data.draw(st.sampled_from(places))
    statement = market.Statement.FromString(
        bytes.fromhex(dict(records[0].blocks[at].hook_events[position].attributes)["statement"])
    )
    name = data.draw(st.sampled_from([item.name for item in statement.DESCRIPTOR.fields]))
    value = getattr(statement, name)
    other = (not value) if isinstance(value, bool) else value + ("1" if isinstance(value, str) else 1)
    setattr(statement, name, other)
    place = replace(first_place(records[0], "cell_settled", "statement"), block=at, event=position)
    lying = with_value(records[0], place, lambda _: statement.SerializeToString().hex())
    assert named(differences(lying, records[1], light=False), "statements", name)


@pytest.mark.parametrize("kind", ["slot_cleared", "cell_settled", "slot_settled", "trade_settled", "trade_refunded"])
def test_an_event_that_is_missing_or_told_twice(records: Records, kind: str) -> None:
    which = 1 if kind == "trade_refunded" else 0
    place = first_place(records[which], kind, "slot")
    for change, got in ((lambda _: (), "no such event"), (lambda event: (event, event), "one")):
        lying = list(records)
        lying[which] = with_event(records[which], place, change)
        assert named(differences(*lying), subject_of(kind), kind).got == got


# Lies about the state


@SLOW
@given(data=st.data())
def test_any_balance(records: Records, data: st.DataObject) -> None:
    final = records[0].final
    holder = data.draw(st.sampled_from(sorted(final.balances)))
    change = data.draw(st.sampled_from([-1, 1]))
    balances = {**final.balances, holder: final.balances[holder] + change}
    lying = replace(records[0], final=replace(final, balances=balances))
    wrong = named(differences(lying, records[1], light=False), "balances", *holder)
    assert int(wrong.got) - int(wrong.expected) == change


def test_supply_and_vouchers(records: Records) -> None:
    final = records[1].final
    voucher = next(denom for denom in final.supply if denom.startswith("ibc/"))
    lying = replace(records[1], final=replace(final, supply={**final.supply, voucher: final.supply[voucher] + 1}))
    found = differences(records[0], lying)
    assert named(found, "supply", voucher)
    assert named(found, "vouchers").chain_id == "mga-1"


@pytest.mark.parametrize("name", ["score_permille", "collateral", "missed", "arrears", "owed", "devices"])
def test_cells(records: Records, name: str) -> None:
    final = records[0].final
    cell = type(final.cells[0]).FromString(final.cells[0].SerializeToString())
    value = getattr(cell, name)
    setattr(cell, name, str(int(value or 0) + 1) if isinstance(value, str) else value + 1)
    lying = replace(records[0], final=replace(final, cells=(cell, *final.cells[1:])))
    assert named(differences(lying, records[1]), "cells", cell.id)


@pytest.mark.parametrize("name", ["paid_seller", "paid_fee", "escrow", "energy_mwh", "state"])
def test_contracts_of_the_buyer(records: Records, name: str) -> None:
    final = records[1].final
    wrong = type(final.bought[0]).FromString(final.bought[0].SerializeToString())
    value = getattr(wrong, name)
    setattr(wrong, name, str(int(value or 0) + 1) if isinstance(value, str) else value - 1)
    lying = replace(records[1], final=replace(final, bought=(wrong, *final.bought[1:])))
    assert named(differences(records[0], lying), "contracts", wrong.lock.contract_id.hex()[:12])


def test_a_contract_that_is_hidden(records: Records) -> None:
    final = records[0].final
    lying = replace(records[0], final=replace(final, sold=final.sold[1:]))
    assert named(differences(lying, records[1]), "contracts", final.sold[0].lock.contract_id.hex()[:12])


# Lies about blocks: headers find them, and when validators sign them the books do


def test_a_result_that_headers_contradict(records: Records) -> None:
    at = next(n for n, block in enumerate(records[0].blocks) if block.txs and not block.txs[0].code)
    lying = with_tx(records[0], at, lambda item: replace(item, code=5, data=b""))
    assert named(differences(lying, records[1]), "headers", f"block {at + 2} last results")


def test_a_transaction_that_headers_contradict(records: Records) -> None:
    at = next(n for n, block in enumerate(records[0].blocks) if block.txs)
    lying = with_tx(records[0], at, lambda item: replace(item, raw=item.raw + b"\x12\x00"))
    assert named(differences(lying, records[1]), "headers", f"block {at + 1} data")


def test_a_header_that_the_next_one_does_not_name(records: Records) -> None:
    header = cmt_types.Header()
    header.CopyFrom(records[0].blocks[7].header)
    header.app_hash = b"other"
    blocks = (*records[0].blocks[:7], replace(records[0].blocks[7], header=header), *records[0].blocks[8:])
    found = differences(replace(records[0], blocks=blocks), records[1])
    assert named(found, "headers", "block 9 last block")
    assert named(found, "signatures", "block 8 commit")


def test_a_commit_without_enough_signatures(records: Records) -> None:
    block = records[0].blocks[9]
    commit = cmt_types.Commit()
    commit.CopyFrom(block.last_commit)
    commit.signatures[0].signature = bytes(64)
    blocks = list(records[0].blocks)
    blocks[9] = replace(block, last_commit=commit)
    assert differences(replace(records[0], blocks=tuple(blocks)), records[1]) == []  # three of four are enough
    commit.signatures[1].CopyFrom(commit.signatures[2])  # one validator twice
    wrong = named(differences(replace(records[0], blocks=tuple(blocks)), records[1]), "signatures", "block 9")
    assert wrong.got == "20 at 9"


def changed_message(record: ChainRecord, kind: type[Message], change: object) -> ChainRecord:
    """The first accepted message of a kind changed, under new headers and signatures."""
    url = f"/{kind.DESCRIPTOR.full_name}"
    for at, block in enumerate(record.blocks):
        for item in block.txs:
            raw = tx.TxRaw.FromString(item.raw)
            body = tx.TxBody.FromString(raw.body_bytes)
            if item.code == 0 and body.messages[0].type_url == url:
                message = kind.FromString(body.messages[0].value)
                change(message)  # type: ignore[operator]  # a function
                body.messages[0].value = message.SerializeToString()
                raw.body_bytes = body.SerializeToString()
                lying = with_tx(record, at, lambda found, raw=raw: replace(found, raw=raw.SerializeToString()))
                return resealed(lying, lying.blocks)
    raise AssertionError(f"no {url} in the record")


def test_an_order_that_was_another(records: Records) -> None:
    def cheaper(message: market_tx.MsgPlaceOrder) -> None:
        message.price_e4 -= 1

    found = differences(changed_message(records[0], market_tx.MsgPlaceOrder, cheaper), records[1])
    assert named(found, "clearings", "escrow")
    assert not [item for item in found if item.subject in ("headers", "signatures")]


def test_a_reading_that_the_device_did_not_sign(records: Records) -> None:
    def more(message: meter_tx.MsgSubmitReadings) -> None:
        message.readings[0].import_mWh += 1

    found = differences(changed_message(records[0], meter_tx.MsgSubmitReadings, more), records[1])
    assert named(found, "readings", "meter1@mg")
    assert named(found, "statements", "import_mWh")


@SLOW
@given(data=st.data())
def test_no_nonsense_stops_the_audit(records: Records, data: st.DataObject) -> None:
    """Any text in any attribute of any event: the audit ends, and whatever it says says something."""
    at = data.draw(st.sampled_from([n for n, block in enumerate(records[1].blocks) if block.hook_events or block.txs]))
    tx_at, position, event = data.draw(st.sampled_from(list(events_of(records[1].blocks[at]))))
    name = data.draw(st.sampled_from([name for name, _ in event.attributes]))
    text = data.draw(st.one_of(st.text(max_size=8), st.sampled_from(["-1", "00", "0x", "9" * 99])))
    place = Place(block=at, tx=tx_at, event=position, name=name, kind=event.type)
    found = differences(records[0], with_value(records[1], place, lambda _: text), light=False)
    assert all(item.place and item.expected != item.got for item in found)


@SLOW
@given(data=st.data())
def test_no_bytes_stop_the_audit(records: Records, data: st.DataObject) -> None:
    at = data.draw(st.sampled_from([n for n, block in enumerate(records[1].blocks) if block.txs]))
    field = data.draw(st.sampled_from(["raw", "data"]))
    before = getattr(records[1].blocks[at].txs[0], field) or b"x"
    where = data.draw(st.integers(0, len(before) - 1))
    other = before[:where] + bytes([before[where] ^ data.draw(st.integers(1, 255))]) + before[where + 1 :]
    assert differences(records[0], with_tx(records[1], at, lambda item: replace(item, **{field: other})), light=False)


def test_a_packet_that_the_other_chain_never_sent(records: Records) -> None:
    def richer(message: channel_tx.MsgRecvPacket) -> None:
        message.packet.data = message.packet.data.replace(b"700", b"701")

    found = differences(records[0], changed_message(records[1], channel_tx.MsgRecvPacket, richer))
    assert named(found, "packets", "packet 1 of transfer/channel-0 data").chain_id == "mga-1"
    assert named(found, "balances", "ibc/")


def test_an_acknowledgement_that_the_other_chain_never_wrote(records: Records) -> None:
    def other(message: channel_tx.MsgAcknowledgement) -> None:
        message.acknowledgement = b'{"result":"AA=="}'

    found = differences(changed_message(records[0], channel_tx.MsgAcknowledgement, other), records[1])
    assert named(found, "packets", "acknowledgement")


# Whose signatures count


def with_genesis(record: ChainRecord, powers: list[int]) -> ChainRecord:
    """The document names the test's validators, in an order of its own."""
    rows = [
        {"pub_key": {"value": b64encode(member.pub_key.ed25519).decode()}, "power": str(power)}
        for member, power in zip(VALIDATORS.message.validators, powers, strict=True)
    ]
    return replace(record, genesis={**record.genesis, "validators": rows[::-1]})


def test_the_first_validators_are_those_of_genesis(records: Records) -> None:
    powers = [member.voting_power for member in VALIDATORS.message.validators]
    assert differences(with_genesis(records[0], powers), records[1]) == []
    lying = with_genesis(records[0], [powers[0] + 1, *powers[1:]])
    assert named(differences(lying, records[1]), "signatures", "validators of genesis")


def test_validators_that_no_header_named_before_are_found(records: Records) -> None:
    header = cmt_types.Header()
    header.CopyFrom(records[0].blocks[7].header)
    header.next_validators_hash = bytes(32)
    block = replace(records[0].blocks[7], header=header)
    lying = resealed(records[0], (*records[0].blocks[:7], block, *records[0].blocks[8:]))
    (wrong,) = differences(lying, records[1])
    assert (wrong.subject, wrong.place) == ("headers", "block 9 validators")
