"""Solidity ABI of the one tuple that ICS-20 uses: (string denom, string sender, string receiver, uint256 amount,
string memo), as a single argument.

A word is 32 bytes, big-endian. A tuple with strings is dynamic: the argument is an offset to it; in it each string is
an offset, from the tuple's start, to a length and the bytes, padded with zeros to whole words. Reading takes what
go-ethereum takes: offsets may point anywhere inside, padding and what follows are not looked at.
"""

from __future__ import annotations

from ibc_core.errors import AbiDecoding
from ibc_core.transfer.data import TokenPacket

WORD = 32
FIELDS = ("denom", "sender", "receiver", "amount", "memo")


def encode(packet: TokenPacket) -> bytes:
    """The canonical form."""
    heads, tails = [], b""
    for name, text in ((name, packet.members()[name]) for name in FIELDS):
        if name == "amount":
            heads.append(_word(packet.amount))
            continue
        heads.append(_word(WORD * len(FIELDS) + len(tails)))
        data = text.encode()
        tails += _word(len(data)) + data + bytes(-len(data) % WORD)
    return _word(WORD) + b"".join(heads) + tails


def decode(data: bytes) -> dict[str, str]:
    """The five members as texts, the amount in decimal; raises AbiDecoding."""
    body = data[_number(data, 0) :]  # empty when the offset points outside
    found: dict[str, str] = {}
    for i, name in enumerate(FIELDS):
        number = _number(body, WORD * i)
        found[name] = str(number) if name == "amount" else _string(body, number, name)
    return found


def _string(body: bytes, offset: int, name: str) -> str:
    length = _number(body, offset)
    first = offset + WORD
    if first + length > len(body):
        raise AbiDecoding(f"expected {name} within {len(body)} bytes, got {_shown(length)} bytes at {offset}")
    try:
        return body[first : first + length].decode()
    except UnicodeDecodeError as error:
        raise AbiDecoding(f"expected {name} in UTF-8, got {body[first : first + length][:40].hex()}") from error


def _number(data: bytes, at: int) -> int:
    if at + WORD > len(data):
        raise AbiDecoding(f"expected a word at {_shown(at)}, got {len(data)} bytes")
    return int.from_bytes(data[at : at + WORD], "big")


def _shown(number: int) -> str:
    return str(number) if number < 1 << 64 else f"a number of {number.bit_length()} bits"


def _word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")
