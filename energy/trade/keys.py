"""Keys of the trade application in the `app` store, all under `td/`; integers big endian, names length-prefixed.

| key | value |
|---|---|
| `td/p` | Params |
| `td/c/` channel | `1` open, `2` closed |
| `td/o/` offer_id | OfferRecord of an own open offer |
| `td/v/` slot, seller, offer_id | `1`: own offers of a slot |
| `td/h/` channel, offer_id | OfferRecord of a heard offer |
| `td/k/s` channel, contract_id | SellerContract |
| `td/k/b` channel, contract_id | BuyerContract |
| `td/i/` `s` or `b`, channel, slot, contract_id | `1`: contracts of a slot |
| `td/q/` channel, contract_id | the claim, decimal: ACTIVE contracts only |
| `td/d/` channel, slot | Delivery |
| `td/r/` channel, slot | OwnReading |
| `td/g/` channel, slot | verdict of the level 2 gate: `1` passed, `2` halted |
| `td/e/` channel, contract_id | Reputation received |
| `td/s/` channel | PeerScore: what ended contracts say of the chain behind a channel |
| `td/n/o`, `td/n/h` channel, `td/n/u` channel | decimal: open offers; heard offers; unfinished contracts |
| `td/t/` time_ms, kind, channel, slot, id | `1`: work that is due |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PARAMS = b"td/p"
CHANNELS = b"td/c/"
OFFERS = b"td/o/"
HEARD = b"td/h/"
CONTRACTS = b"td/k/"
SELLERS = CONTRACTS + b"s"
BUYERS = CONTRACTS + b"b"
CLAIMS = b"td/q/"
DUE = b"td/t/"
SCORES = b"td/s/"
OPEN_OFFERS = b"td/n/o"
UINT64_BYTES = 8


class DueKind(IntEnum):
    """What is to be done when its time has come; the number orders work of one instant."""

    SELLER_GATE = 1
    BUYER_GATE = 2
    SELLER_ACT = 3
    BUYER_ACT = 4
    OFFER_END = 5
    HEARD_END = 6
    METER_END = 7
    DISPUTE_END = 8
    BUYER_CLOSE = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An entry of the due index; `ident` is a contract's or offer's id, or empty."""

    time_ms: int
    kind: DueKind
    channel_id: str
    slot: int
    ident: bytes

    @property
    def key(self) -> bytes:
        """Key of the entry; ascending keys are ascending times."""
        return DUE + u64(self.time_ms) + bytes([self.kind]) + name(self.channel_id) + u64(self.slot) + self.ident


def due_from_key(key: bytes) -> Due:
    """The entry that a key stands for."""
    at = len(DUE)
    time_ms, kind, size = int.from_bytes(key[at : at + 8], "big"), key[at + 8], key[at + 9]
    tail = at + 10 + size
    return Due(
        time_ms=time_ms,
        kind=DueKind(kind),
        channel_id=key[at + 10 : tail].decode(),
        slot=int.from_bytes(key[tail : tail + 8], "big"),
        ident=key[tail + 8 :],
    )


def u64(number: int) -> bytes:
    """Eight bytes, big endian."""
    return number.to_bytes(UINT64_BYTES, "big")


def name(text: str) -> bytes:
    """A text of up to 255 bytes behind its length."""
    raw = text.encode()
    return bytes([len(raw)]) + raw


def channel(channel_id: str) -> bytes:
    """Whether a channel is open or closed."""
    return CHANNELS + channel_id.encode()


def offer(offer_id: bytes) -> bytes:
    """An own offer."""
    return OFFERS + offer_id


def offers_of_seller(slot: int, seller: str) -> bytes:
    """Prefix: own offers of a seller in a slot."""
    return b"td/v/" + u64(slot) + name(seller)


def heard(channel_id: str, offer_id: bytes = b"") -> bytes:
    """A heard offer, or the prefix of a channel's."""
    return HEARD + name(channel_id) + offer_id


def seller(channel_id: str, contract_id: bytes = b"") -> bytes:
    """A contract on S, or the prefix of a channel's."""
    return SELLERS + name(channel_id) + contract_id


def buyer(channel_id: str, contract_id: bytes = b"") -> bytes:
    """A contract on B, or the prefix of a channel's."""
    return BUYERS + name(channel_id) + contract_id


def sellers_of_slot(channel_id: str, slot: int) -> bytes:
    """Prefix: contracts on S of a channel and slot, by contract id."""
    return b"td/i/s" + name(channel_id) + u64(slot)


def buyers_of_slot(channel_id: str, slot: int) -> bytes:
    """Prefix: contracts on B of a channel and slot, by contract id."""
    return b"td/i/b" + name(channel_id) + u64(slot)


def claim(channel_id: str, contract_id: bytes) -> bytes:
    """The claim of an ACTIVE contract."""
    return CLAIMS + name(channel_id) + contract_id


def delivery(channel_id: str, slot: int) -> bytes:
    """The delivery of a channel and slot on S."""
    return b"td/d/" + name(channel_id) + u64(slot)


def reading(channel_id: str, slot: int) -> bytes:
    """The own import reading of a channel and slot on B."""
    return b"td/r/" + name(channel_id) + u64(slot)


def gate(channel_id: str, slot: int) -> bytes:
    """The verdict of a slot's gate."""
    return b"td/g/" + name(channel_id) + u64(slot)


def reputation(channel_id: str, contract_id: bytes) -> bytes:
    """A received reputation."""
    return b"td/e/" + name(channel_id) + contract_id


def score(channel_id: str) -> bytes:
    """The score of the chain behind a channel."""
    return SCORES + channel_id.encode()


def heard_count(channel_id: str) -> bytes:
    """How many heard offers a channel has."""
    return b"td/n/h" + name(channel_id)


def unfinished_count(channel_id: str) -> bytes:
    """How many contracts of a channel are not terminal."""
    return b"td/n/u" + name(channel_id)
