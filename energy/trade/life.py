"""The life cycles of docs/trade.md 3 as data: state -> event -> state. What is not in a table is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import TypeVar

from energy.trade.errors import WrongState

T = TypeVar("T")


class Seller(IntEnum):
    """States of a contract on S; numbers are those of the record."""

    NONE = 0
    RESERVED = 1
    ACTIVE = 2
    SETTLED = 3
    CANCELLED = 4


class SellerEvent(Enum):
    """What moves a contract on S."""

    LOCK = "recv LOCK"
    EQUIVALENCE = "recv EQUIVALENCE"
    ACT_PASSED = "t >= T_act"
    HALT = "slot halted"
    REMOVE = "removed by the security check"
    DECIDED = "delivery decided"
    RESEND = "resend"
    OUTCOME = "ack or timeout of SETTLEMENT"


class Buyer(IntEnum):
    """States of a contract on B; numbers are those of the record."""

    NONE = 0
    LOCKED = 1
    CONFIRMED = 2
    COMMITTED = 3
    SETTLED = 4
    REFUNDED = 5
    LAPSED = 6


class BuyerEvent(Enum):
    """What moves a contract on B."""

    LOCK = "lock"
    LOCK_OK = "ack of LOCK"
    LOCK_FAILED = "error or timeout of LOCK"
    ACT_PASSED = "t >= T_act"
    HALT = "slot halted"
    COMMIT = "send EQUIVALENCE"
    EQUIVALENCE_OK = "ack of EQUIVALENCE"
    EQUIVALENCE_FAILED = "error or timeout of EQUIVALENCE"
    SETTLED = "recv SETTLEMENT(SETTLED)"
    CANCELLED = "recv SETTLEMENT(CANCELLED)"
    CLOSE_PASSED = "t >= T_close"


class Delivery(IntEnum):
    """States of a slot's delivery on S; numbers are those of the record."""

    NONE = 0
    METERING = 1
    DISPUTED = 2
    DECIDED = 3


class DeliveryEvent(Enum):
    """What moves a delivery."""

    ACTIVATED = "a contract became ACTIVE"
    EXPORT = "export reading"
    METER = "recv METER"
    AGREED = "both readings, within tolerance"
    GAP = "both readings, beyond tolerance"
    METER_PASSED = "t >= T_meter"
    ARBITER = "arbiter's reading"
    DISP_PASSED = "t >= T_disp"


SELLER_LIFE: Mapping[Seller, Mapping[SellerEvent, Seller]] = {
    Seller.NONE: {SellerEvent.LOCK: Seller.RESERVED},
    Seller.RESERVED: {
        SellerEvent.EQUIVALENCE: Seller.ACTIVE,
        SellerEvent.ACT_PASSED: Seller.CANCELLED,
        SellerEvent.HALT: Seller.CANCELLED,
    },
    Seller.ACTIVE: {
        SellerEvent.HALT: Seller.CANCELLED,
        SellerEvent.REMOVE: Seller.CANCELLED,
        SellerEvent.DECIDED: Seller.SETTLED,
    },
    Seller.SETTLED: {SellerEvent.RESEND: Seller.SETTLED, SellerEvent.OUTCOME: Seller.SETTLED},
    Seller.CANCELLED: {SellerEvent.RESEND: Seller.CANCELLED, SellerEvent.OUTCOME: Seller.CANCELLED},
}

BUYER_LIFE: Mapping[Buyer, Mapping[BuyerEvent, Buyer]] = {
    Buyer.NONE: {BuyerEvent.LOCK: Buyer.LOCKED},
    Buyer.LOCKED: {
        BuyerEvent.LOCK_OK: Buyer.CONFIRMED,
        BuyerEvent.LOCK_FAILED: Buyer.REFUNDED,
        BuyerEvent.ACT_PASSED: Buyer.REFUNDED,
        BuyerEvent.HALT: Buyer.REFUNDED,
    },
    # No EQUIVALENCE went yet, so S can't be ACTIVE: the clock alone may refund. Once COMMITTED it takes a proof.
    Buyer.CONFIRMED: {
        BuyerEvent.ACT_PASSED: Buyer.REFUNDED,
        BuyerEvent.HALT: Buyer.REFUNDED,
        BuyerEvent.COMMIT: Buyer.COMMITTED,
    },
    Buyer.COMMITTED: {
        BuyerEvent.EQUIVALENCE_OK: Buyer.COMMITTED,
        BuyerEvent.EQUIVALENCE_FAILED: Buyer.REFUNDED,
        BuyerEvent.SETTLED: Buyer.SETTLED,
        BuyerEvent.CANCELLED: Buyer.REFUNDED,
        BuyerEvent.CLOSE_PASSED: Buyer.LAPSED,
    },
    Buyer.SETTLED: {},
    Buyer.REFUNDED: {},
    Buyer.LAPSED: {},
}

DELIVERY_LIFE: Mapping[Delivery, Mapping[DeliveryEvent, Delivery]] = {
    Delivery.NONE: {DeliveryEvent.ACTIVATED: Delivery.METERING},
    Delivery.METERING: {
        DeliveryEvent.ACTIVATED: Delivery.METERING,
        DeliveryEvent.EXPORT: Delivery.METERING,
        DeliveryEvent.METER: Delivery.METERING,
        DeliveryEvent.AGREED: Delivery.DECIDED,
        DeliveryEvent.GAP: Delivery.DISPUTED,
        DeliveryEvent.METER_PASSED: Delivery.DECIDED,
    },
    Delivery.DISPUTED: {
        DeliveryEvent.ARBITER: Delivery.DECIDED,
        DeliveryEvent.DISP_PASSED: Delivery.DECIDED,
    },
    Delivery.DECIDED: {},
}


def seller_next(state: int, event: SellerEvent) -> Seller | None:
    """State of a contract on S after an event; None: no row."""
    return SELLER_LIFE[Seller(state)].get(event)


def buyer_next(state: int, event: BuyerEvent) -> Buyer | None:
    """State of a contract on B after an event; None: no row."""
    return BUYER_LIFE[Buyer(state)].get(event)


def delivery_next(state: int, event: DeliveryEvent) -> Delivery | None:
    """State of a delivery after an event; None: no row."""
    return DELIVERY_LIFE[Delivery(state)].get(event)


def require_seller(state: int, event: SellerEvent) -> Seller:
    """As `seller_next`; no row raises WrongState."""
    return _found(seller_next(state, event), Seller(state).name, event)


def require_buyer(state: int, event: BuyerEvent) -> Buyer:
    """As `buyer_next`; no row raises WrongState."""
    return _found(buyer_next(state, event), Buyer(state).name, event)


def require_delivery(state: int, event: DeliveryEvent) -> Delivery:
    """As `delivery_next`; no row raises WrongState."""
    return _found(delivery_next(state, event), Delivery(state).name, event)


def _found(found: T | None, state: str, event: Enum) -> T:
    if found is None:
        raise WrongState(f"nothing follows from {event.value!r} in state {state}")
    return found
