"""ICS-20 payloads: what is written is read again, and nothing that may come makes reading do anything but refuse."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel_v2
from ibc_core.bank import AMOUNT_MAX
from ibc_core.transfer.data import TokenPacket
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.encoding import ABI, JSON, PROTOBUF, decode, encode

ENCODINGS = [JSON, PROTOBUF, ABI]
names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=70).filter(str.strip)
hops = st.tuples(
    st.sampled_from(["transfer", "other.port"]), st.sampled_from(["channel-0", "07-tendermint-0", "08-wasm-12"])
)
packets = st.builds(
    TokenPacket,
    denom=st.builds(Denom, st.sampled_from(["bmga", "a/b/c", "é"]), st.lists(hops, max_size=3).map(tuple)),
    amount=st.integers(1, AMOUNT_MAX) | st.sampled_from([1, AMOUNT_MAX]),
    sender=names,
    receiver=names,
    memo=st.text(st.characters(exclude_categories=("Cs",)), max_size=100),
)


def payload(value: bytes, encoding: str) -> channel_v2.Payload:
    return channel_v2.Payload(version="ics20-1", encoding=encoding, value=value)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(packet=packets)
def test_what_is_written_is_read(encoding: str, packet: TokenPacket) -> None:
    value = encode(packet, encoding)
    assert decode(payload(value, encoding)) == packet
    assert len(value) % 32 == 0 or encoding != ABI


def read_or_refused(value: bytes, encoding: str) -> TokenPacket | None:
    try:
        return decode(payload(value, encoding))
    except ChainError:
        return None


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(value=st.binary(max_size=400))
@example(value=b"")
@example(value=bytes(192))
@example(value=b"\xff" * 192)
def test_rubbish_is_refused(encoding: str, value: bytes) -> None:
    assert read_or_refused(value, encoding) is None


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(packet=packets, at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_is_refused_or_reads_as_a_packet_that_holds(
    encoding: str, packet: TokenPacket, at: int, byte: int, cut: bool
) -> None:
    """Whatever is read can be written and read again: nothing half-read comes through."""
    whole = bytearray(encode(packet, encoding))
    whole[at % len(whole)] = byte
    value = bytes(whole[: at % len(whole)] if cut else whole)
    found = read_or_refused(value, encoding)
    if found is not None:
        assert 1 <= found.amount <= AMOUNT_MAX
        assert all(decode(payload(encode(found, other), other)) == found for other in ENCODINGS)
