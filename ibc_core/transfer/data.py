"""FungibleTokenPacketData: the JSON that ICS-20 packets carry, byte for byte as ibc-go writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ibc_core import flat_json
from ibc_core.bank import AMOUNT_MAX
from ibc_core.errors import IbcInvalidAddress, IbcInvalidType, InvalidAmount, InvalidTransferMemo
from ibc_core.transfer.denom import Denom, parse

MEMO_BYTES_MAX = 32_768
RECEIVER_BYTES_MAX = 2_048
_AMOUNT = re.compile(r"[1-9][0-9]{0,77}")
_FIELDS = ("amount", "denom", "memo", "receiver", "sender")  # sorted, as the counterparty's ibc-go writes them


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPacket:
    """What a transfer says. Sender and receiver are in the forms of their own chains."""

    denom: Denom
    amount: int
    sender: str
    receiver: str
    memo: str = ""

    def encode(self) -> bytes:
        """Sorted JSON; an empty memo is left out."""
        return flat_json.dump({key: value for key, value in self.members().items() if value})

    def members(self) -> dict[str, str]:
        """As texts, sorted by name."""
        return {
            "amount": str(self.amount),
            "denom": self.denom.path,
            "memo": self.memo,
            "receiver": self.receiver,
            "sender": self.sender,
        }


def parse_amount(text: str) -> int:
    """1..2^256-1 in plain decimal; raises InvalidAmount."""
    if not (text.isascii() and _AMOUNT.fullmatch(text)) or int(text) > AMOUNT_MAX:
        raise InvalidAmount(f"expected a decimal amount of 1..2^256-1, got {text[:100]!r}")
    return int(text)


def decode(data: bytes) -> TokenPacket:
    """Read and check a packet's data; raises ChainErrors."""
    try:
        members = flat_json.parse(data)
    except flat_json.NotFlatError as error:
        raise IbcInvalidType(f"cannot unmarshal ICS-20 transfer packet data: {error}") from error
    unknown = [key for key in members if key not in _FIELDS]
    if unknown:
        raise IbcInvalidType(f"expected {', '.join(_FIELDS)} in ICS-20 packet data, got {unknown[0][:100]!r}")
    return from_members(members)


def from_members(members: Mapping[str, str]) -> TokenPacket:
    """Check what some encoding gave; an absent member is an empty one."""
    found = TokenPacket(
        denom=parse(members.get("denom", "")),
        amount=parse_amount(members.get("amount", "")),
        sender=members.get("sender", ""),
        receiver=members.get("receiver", ""),
        memo=members.get("memo", ""),
    )
    require_valid(found)
    return found


def require_valid(packet: TokenPacket) -> None:
    """Names and memo are there and not too long."""
    require_names(packet.sender, packet.receiver, packet.memo)


def require_names(sender: str, receiver: str, memo: str) -> None:
    """Refuse blank or overlong addresses (IbcInvalidAddress) and an overlong memo (InvalidTransferMemo)."""
    for what, text in (("sender", sender), ("recipient", receiver)):
        if not text.strip():
            raise IbcInvalidAddress(f"missing {what} address")
        if len(text.encode()) > RECEIVER_BYTES_MAX:
            raise IbcInvalidAddress(f"{what} address must not exceed {RECEIVER_BYTES_MAX} bytes")
    if len(memo.encode()) > MEMO_BYTES_MAX:
        raise InvalidTransferMemo(f"memo must not exceed {MEMO_BYTES_MAX} bytes, got {len(memo.encode())}")
