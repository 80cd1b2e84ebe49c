"""Packets of `bsmg-trade-1` and their acknowledgements: one encoding each, everything else is refused."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import gcd
from typing import TypeVar

from cosmos_wire.protos import DecodeError, Message
from cosmos_wire.protos import trade_packet as pk
from energy.trade.arithmetic import AMOUNT_LIMIT, Price
from energy.trade.errors import Malformed
from energy.trade.params import ENERGY_MWH_MAX, IDENTITY_CHARS_MAX, require_level

PACKET_BYTES_MAX = 2048
ACK_BYTES_MAX = 512
PRICE_E4_MAX = 10**9
RATE_MAX = 2**32 - 1
ID_BYTES = 32
PAYEE_CHARS_MAX = 90
CHANNEL_CHARS_MAX = 64
MILLI = 1000
SLOT_MAX = 2**48
DECIMAL = re.compile(r"0|[1-9][0-9]{0,38}")
ACK_ERROR = "ABCI code: {}: error handling packet: see events for details"
ACK_ERROR_CODE = re.compile(r"ABCI code: ([1-9][0-9]{0,9}): error handling packet: see events for details")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """An acknowledgement: a result message's bytes, or a non-zero error code."""

    result: bytes = b""
    error_code: int = 0

    @property
    def ok(self) -> bool:
        """Whether the counterparty accepted."""
        return self.error_code == 0


def encode_ack(ack: Ack) -> bytes:
    """The bytes that the receiving chain commits to."""
    if ack.ok:
        body = {"result": b64encode(ack.result).decode()}
    else:
        body = {"error": ACK_ERROR.format(ack.error_code)}
    return json.dumps(body, separators=(",", ":")).encode()


def result_ack(result: Message) -> bytes:
    """Acknowledgement of success."""
    return encode_ack(Ack(result=result.SerializeToString(deterministic=True)))


def decode_ack(raw: bytes) -> Ack | None:
    """The acknowledgement that encodes to exactly these bytes, or None."""
    try:
        ack = _parse_ack(json.loads(raw.decode("ascii")) if len(raw) <= ACK_BYTES_MAX else None)
    except (ValueError, RecursionError):  # not text, not JSON, not base64
        return None
    return ack if ack is not None and encode_ack(ack) == raw else None


def _parse_ack(body: object) -> Ack | None:
    if not isinstance(body, dict) or len(body) != 1:
        return None
    if isinstance(result := body.get("result"), str):
        return Ack(result=b64decode(result, validate=True))
    if isinstance(error := body.get("error"), str) and (found := ACK_ERROR_CODE.fullmatch(error)):
        return Ack(error_code=int(found.group(1)))
    return None


def decode_result(raw: bytes, kind: type[M]) -> M | None:
    """A result message that has exactly this encoding, or None."""
    try:
        return _exact(raw, kind)
    except Malformed:
        return None


def encode(packet: pk.TradePacketData) -> bytes:
    """Bytes of a packet; raises Malformed on what the other side would not decode."""
    raw = packet.SerializeToString(deterministic=True)
    decode(raw)
    return raw


def decode(raw: bytes) -> pk.TradePacketData:
    """The packet that encodes to exactly these bytes, with every field in its range; raises Malformed."""
    if len(raw) > PACKET_BYTES_MAX:
        raise Malformed(f"a packet has at most {PACKET_BYTES_MAX} bytes, got {len(raw)}")
    packet = _exact(raw, pk.TradePacketData)
    kind = packet.WhichOneof("packet")
    if kind is None:
        raise Malformed("a packet has to hold one message, got none")
    CHECKS[kind](getattr(packet, kind))
    return packet


def _exact(raw: bytes, kind: type[M]) -> M:
    message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise Malformed(f"{kind.__name__}: {error}") from error
    message.DiscardUnknownFields()  # type: ignore[attr-defined]  # the stubs of protobuf leave it out
    if message.SerializeToString(deterministic=True) != raw:
        raise Malformed(f"{kind.__name__} has unknown fields or is not in its one encoding")
    return message


def parse_amount(text: str) -> int:
    """A decimal uint128 without sign or leading zeros."""
    if not is_amount(text):
        raise Malformed(f"an amount is a decimal below 2^128, got {text[:50]!r}")
    return int(text)


def is_amount(text: str) -> bool:
    """Whether a text is a decimal uint128."""
    return DECIMAL.fullmatch(text) is not None and int(text) < AMOUNT_LIMIT


def price_of(message: pk.Offer | pk.Lock) -> Price:
    """Price and rate of an offer or a lock."""
    return Price(price_e4=message.price_e4, num=message.rate.num, den=message.rate.den)


def check_rate(rate: pk.Rate) -> None:
    """Both parts 1..2^32-1, in lowest terms."""
    _range("rate.num", rate.num, 1, RATE_MAX)
    _range("rate.den", rate.den, 1, RATE_MAX)
    if gcd(rate.num, rate.den) != 1:
        raise Malformed(f"a rate is in lowest terms, got {rate.num}/{rate.den}")


def check_offer(offer: pk.Offer) -> None:
    """Ranges of OFFER."""
    _ident("offer_id", offer.offer_id)
    _range("side", offer.side, 1, 2)
    _range("slot", offer.slot, 1, SLOT_MAX)
    _range("energy_mwh", offer.energy_mwh, 0, ENERGY_MWH_MAX)
    _range("price_e4", offer.price_e4, 0, PRICE_E4_MAX)
    check_rate(offer.rate)
    require_level(offer.level)
    _range("reputation_milli_min", offer.reputation_milli_min, 0, MILLI)
    _range("only_channel length", len(offer.only_channel), 0, CHANNEL_CHARS_MAX)
    _range("seller_payee length", len(offer.seller_payee), 0, PAYEE_CHARS_MAX)


def check_lock(lock: pk.Lock) -> None:
    """Ranges of LOCK."""
    _ident("contract_id", lock.contract_id)
    _ident("offer_id", lock.offer_id)
    _ident("terms_hash", lock.terms_hash)
    _range("buyer length", len(lock.buyer), 1, IDENTITY_CHARS_MAX)
    _range("buyer_payee length", len(lock.buyer_payee), 1, PAYEE_CHARS_MAX)
    _range("slot", lock.slot, 1, SLOT_MAX)
    _range("energy_mwh", lock.energy_mwh, 1, ENERGY_MWH_MAX)
    _range("energy_min_mwh", lock.energy_min_mwh, 1, lock.energy_mwh)
    _range("price_e4", lock.price_e4, 0, PRICE_E4_MAX)
    check_rate(lock.rate)
    _range("denom length", len(lock.denom), 1, IDENTITY_CHARS_MAX)
    _range("arbiter length", len(lock.arbiter), 0, PAYEE_CHARS_MAX)
    parse_amount(lock.locked)


def check_equivalence(equivalence: pk.Equivalence) -> None:
    """Ranges of EQUIVALENCE."""
    _ident("contract_id", equivalence.contract_id)
    check_rate(equivalence.rate)
    parse_amount(equivalence.locked)


def check_meter(meter: pk.Meter) -> None:
    """Ranges of METER; the line's limit is a parameter and checked by the handler."""
    _range("slot", meter.slot, 1, SLOT_MAX)
    _ident("meters_root", meter.meters_root)


def check_settlement(settlement: pk.Settlement) -> None:
    """Ranges of SETTLEMENT; the contract's energy bounds them further."""
    _ident("contract_id", settlement.contract_id)
    _range("outcome", settlement.outcome, 1, 2)
    settled = settlement.outcome == pk.OUTCOME_SETTLED
    _range("basis", settlement.basis, 1 if settled else 0, 6 if settled else 0)
    _range("hi_mwh", settlement.hi_mwh, 0, ENERGY_MWH_MAX if settled else 0)
    _range("lo_mwh", settlement.lo_mwh, 0, settlement.hi_mwh)


def check_reputation(reputation: pk.Reputation) -> None:
    """Ranges of REPUTATION."""
    _ident("contract_id", reputation.contract_id)
    _range("subject length", len(reputation.subject), 1, IDENTITY_CHARS_MAX)
    _range("score_milli", reputation.score_milli, 0, MILLI)
    _range("tv_milli", reputation.tv_milli, 0, MILLI)
    _ident("evidence_hash", reputation.evidence_hash)


CHECKS: Mapping[str, Callable[..., None]] = {
    "offer": check_offer,
    "lock": check_lock,
    "equivalence": check_equivalence,
    "meter": check_meter,
    "settlement": check_settlement,
    "reputation": check_reputation,
}


def _range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise Malformed(f"{what} has to be {least}..{most}, got {value}")


def _ident(what: str, value: bytes) -> None:
    if len(value) != ID_BYTES:
        raise Malformed(f"{what} has {ID_BYTES} bytes, got {len(value)}")
