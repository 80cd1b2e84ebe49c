"""Times and durations of CometBFT and IBC messages as integer nanoseconds, with Go's limits."""

from __future__ import annotations

from cosmos_wire.canonical import YEAR_ONE_S
from cosmos_wire.protos import Duration, Timestamp

SECOND_NS = 1_000_000_000
YEAR_10000_S = 253_402_300_800
INT64_MAX = 2**63 - 1


def time_ns(stamp: Timestamp) -> int:
    """Nanoseconds since 1970."""
    return stamp.seconds * SECOND_NS + stamp.nanos


def timestamp(at_ns: int) -> Timestamp:
    """The message of a time."""
    return Timestamp(seconds=at_ns // SECOND_NS, nanos=at_ns % SECOND_NS)


def is_time(stamp: Timestamp) -> bool:
    """Whether gogoproto would decode it: years 1 to 9999, nanoseconds below a second."""
    return YEAR_ONE_S <= stamp.seconds < YEAR_10000_S and 0 <= stamp.nanos < SECOND_NS


def duration_ns(span: Duration) -> int:
    """Nanoseconds."""
    return span.seconds * SECOND_NS + span.nanos


def duration(span_ns: int) -> Duration:
    """The message of a span that is not negative."""
    return Duration(seconds=span_ns // SECOND_NS, nanos=span_ns % SECOND_NS)


def is_duration(span: Duration) -> bool:
    """Whether Go's 64-bit duration holds it and both parts have one sign."""
    return (
        -SECOND_NS < span.nanos < SECOND_NS and span.seconds * span.nanos >= 0 and abs(duration_ns(span)) <= INT64_MAX
    )
