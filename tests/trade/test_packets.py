"""One encoding each: what is not exactly that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import trade_packet as pk
from energy.trade import packets
from energy.trade.errors import Malformed

ID = bytes(range(32))
OFFER = pk.Offer(
    offer_id=ID, side=2, slot=7, energy_mwh=5, price_e4=9, rate=pk.Rate(num=2, den=3), level=2, seller_payee="x"
)
LOCK = pk.Lock(
    contract_id=ID,
    offer_id=ID,
    buyer="u@b",
    buyer_payee="y",
    slot=7,
    energy_mwh=5,
    energy_min_mwh=1,
    price_e4=9,
    rate=pk.Rate(num=2, den=3),
    denom="bmgb",
    locked="68",
    terms_hash=ID,
)
SETTLEMENT = pk.Settlement(contract_id=ID, outcome=1, basis=1, lo_mwh=3, hi_mwh=4, export_mwh=0)
ALL = [
    pk.TradePacketData(offer=OFFER),
    pk.TradePacketData(lock=LOCK),
    pk.TradePacketData(equivalence=pk.Equivalence(contract_id=ID, locked="1", rate=pk.Rate(num=1, den=1))),
    pk.TradePacketData(meter=pk.Meter(slot=7, import_mwh=0, meters_root=ID)),
    pk.TradePacketData(settlement=SETTLEMENT),
    pk.TradePacketData(reputation=pk.Reputation(contract_id=ID, subject="s", evidence_hash=ID)),
]


@pytest.mark.parametrize("packet", ALL, ids=lambda p: p.WhichOneof("packet"))
def test_round_trip(packet):
    assert packets.decode(packets.encode(packet)) == packet


def changed(packet, **fields):
    """The packet with other fields; a nested field is written `rate__num`."""
    copy = pk.TradePacketData()
    copy.CopyFrom(packet)
    body = getattr(copy, copy.WhichOneof("packet"))
    for name, value in fields.items():
        *outer, last = name.split("__")
        setattr(getattr(body, outer[0]) if outer else body, last, value)
    return copy


BAD = [
    (ALL[0], {"offer_id": b"short"}, "32 bytes"),
    (ALL[0], {"side": 0}, "side"),
    (ALL[0], {"side": 3}, "side"),
    (ALL[0], {"slot": 0}, "slot"),
    (ALL[0], {"slot": 2**48 + 1}, "slot"),
    (ALL[0], {"energy_mwh": 10**12 + 1}, "energy"),
    (ALL[0], {"price_e4": 10**9 + 1}, "price"),
    (ALL[0], {"rate__num": 0}, "num"),
    (ALL[0], {"rate__den": 2**32}, "den"),
    (ALL[0], {"rate__num": 6}, "lowest terms"),
    (ALL[0], {"level": 1}, "level"),
    (ALL[0], {"reputation_milli_min": 1001}, "reputation"),
    (ALL[0], {"seller_payee": "a" * 91}, "payee"),
    (ALL[1], {"energy_mwh": 0}, "energy"),
    (ALL[1], {"energy_min_mwh": 6}, "energy_min"),
    (ALL[1], {"energy_min_mwh": 0}, "energy_min"),
    (ALL[1], {"buyer": "b" * 129}, "buyer"),
    (ALL[1], {"locked": "068"}, "decimal"),
    (ALL[1], {"locked": "-1"}, "decimal"),
    (ALL[1], {"locked": str(2**128)}, "decimal"),
    (ALL[1], {"locked": "١"}, "decimal"),  # a digit, but not an ASCII one
    (ALL[1], {"terms_hash": b""}, "terms_hash"),
    (ALL[3], {"meters_root": b""}, "meters_root"),
    (ALL[4], {"lo_mwh": 5}, "lo"),
    (ALL[4], {"outcome": 0}, "outcome"),
    (ALL[4], {"basis": 0}, "basis"),
    (ALL[4], {"outcome": 2}, "basis"),
    (ALL[5], {"score_milli": 1001}, "score"),
]


@pytest.mark.parametrize(("packet", "fields", "what"), BAD)
def test_out_of_range(packet, fields, what):
    with pytest.raises(Malformed, match=what):
        packets.decode(changed(packet, **fields).SerializeToString(deterministic=True))


@pytest.mark.parametrize("packet", ALL, ids=lambda p: p.WhichOneof("packet"))
def test_other_encodings_of_the_same_packet_are_refused(packet):
    raw = packets.encode(packet)
    for other in (raw + b"\x3a\x00", raw + raw, raw + b"\x78\x01", b""):
        with pytest.raises(Malformed):
            packets.decode(other)


def test_an_unknown_field_inside_is_refused():
    body = OFFER.SerializeToString(deterministic=True) + b"\x98\x06\x01"
    with pytest.raises(Malformed, match="unknown fields"):
        packets.decode(b"\x0a" + bytes([len(body)]) + body)


def test_size_limit():
    with pytest.raises(Malformed, match="2048"):
        packets.decode(bytes(2049))


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_rubbish_is_refused_or_is_the_one_encoding(raw):
    try:
        packet = packets.decode(raw)
    except Malformed:
        return
    assert packets.encode(packet) == raw


@settings(max_examples=400)
@given(st.sampled_from(ALL), st.data())
def test_mutated_bytes_are_refused_or_are_another_packet(packet, data):
    raw = bytearray(packets.encode(packet))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        assert packets.encode(packets.decode(bytes(raw))) == bytes(raw)
    except Malformed:
        return


def test_acknowledgements_have_the_exact_form():
    assert packets.result_ack(pk.Empty()) == b'{"result":""}'
    assert packets.result_ack(pk.LockResult(energy_mwh=1)) == b'{"result":"CAE="}'
    error = packets.encode_ack(packets.Ack(error_code=9))
    assert error == b'{"error":"ABCI code: 9: error handling packet: see events for details"}'
    assert packets.decode_ack(error) == packets.Ack(error_code=9)
    assert packets.decode_ack(b'{"result":"CAE="}') == packets.Ack(result=b"\x08\x01")


BAD_ACKS = [
    b"",
    b"\xff",
    b"null",
    b"[]",
    b"{}",
    b'{"result":"CAE"}',
    b'{"result":"CAE=" }',
    b'{"result":"CAF="}x',
    b'{"result":"CAE=","error":""}',
    b'{"result":1}',
    b'{"error":"ABCI code: 0: error handling packet: see events for details"}',
    b'{"error":"ABCI code: 09: error handling packet: see events for details"}',
    b'{"error":"no"}',
    b'{"result":"CAH="}',
    b'{"result":"' + b"A" * 600 + b'"}',
    b"[" * 500,
]


@pytest.mark.parametrize("raw", BAD_ACKS)
def test_other_acknowledgements_are_none(raw):
    assert packets.decode_ack(raw) is None


@given(st.binary(max_size=60))
def test_rubbish_acknowledgements_never_raise(raw):
    found = packets.decode_ack(raw)
    assert found is None or packets.encode_ack(found) == raw


def test_results_have_one_encoding():
    assert packets.decode_result(b"\x08\x01", pk.LockResult) == pk.LockResult(energy_mwh=1)
    assert packets.decode_result(b"\x08\x81\x00", pk.LockResult) is None
    assert packets.decode_result(b"\x08\x01\x10\x01", pk.LockResult) is None
