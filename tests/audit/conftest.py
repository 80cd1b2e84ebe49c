"""A recorded day, made once."""

from __future__ import annotations

import pytest

from bsmg.audit.record import ChainRecord
from tests.audit.day import Day, lived
from tests.ibc import harness

Records = tuple[ChainRecord, ChainRecord]


@pytest.fixture(scope="session")
def short_blocks():
    """A tenth of a second a block: the windows have room for a relayer's messages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "BLOCK_NS", 10**8)
        yield


@pytest.fixture(scope="session")
def day(short_blocks: None) -> Day:
    return lived()


@pytest.fixture(scope="session")
def records(day: Day) -> Records:
    return day.a.record(), day.b.record()
