"""The encodings of ICS-20 data in payloads of IBC v2: JSON, protobuf and Solidity's ABI, all of version `ics20-1`."""

from __future__ import annotations

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel_v2, transfer_packet
from cosmos_wire.strict import parse
from ibc_core import flat_json
from ibc_core.errors import IbcInvalidType, InvalidTransferVersion
from ibc_core.state import encode as encode_message
from ibc_core.transfer import abi, data
from ibc_core.transfer.data import TokenPacket
from ibc_core.transfer.ledger import VERSION

FIELDS = ("denom", "amount", "sender", "receiver", "memo")  # JSON's order in ibc-go v10
JSON, PROTOBUF, ABI = "application/json", "application/x-protobuf", "application/x-solidity-abi"


def encode(packet: TokenPacket, encoding: str) -> bytes:
    """A payload's value; raises IbcInvalidType for an encoding that is none of the three."""
    members = packet.members()
    if encoding == JSON:
        return flat_json.dump({name: members[name] for name in FIELDS if members[name]})
    if encoding == PROTOBUF:
        return encode_message(transfer_packet.FungibleTokenPacketData(**members))
    if encoding == ABI:
        return abi.encode(packet)
    raise _unknown(encoding)


def decode(payload: channel_v2.Payload) -> TokenPacket:
    """What a payload says; raises ChainErrors."""
    if payload.version != VERSION:
        raise InvalidTransferVersion(f"expected {VERSION}, got {payload.version[:100]!r}")
    if payload.encoding == JSON:
        return data.decode(payload.value)
    if payload.encoding == PROTOBUF:
        return data.from_members(_protobuf(payload.value))
    if payload.encoding == ABI:
        return data.from_members(_abi(payload.value))
    raise _unknown(payload.encoding)


def _protobuf(value: bytes) -> dict[str, str]:
    try:
        found = parse(transfer_packet.FungibleTokenPacketData, value, "ICS-20 packet data")
    except ChainError as error:
        raise IbcInvalidType(f"cannot unmarshal ICS20-V1 transfer packet data: {error}") from error
    return {
        "amount": found.amount,
        "denom": found.denom,
        "memo": found.memo,
        "receiver": found.receiver,
        "sender": found.sender,
    }


def _abi(value: bytes) -> dict[str, str]:
    try:
        return abi.decode(value)
    except ChainError as error:
        raise IbcInvalidType(f"cannot unmarshal ICS20-V1 transfer packet data: {error}") from error


def _unknown(encoding: str) -> ChainError:
    return IbcInvalidType(
        f"invalid encoding provided, must be either empty or one of [{JSON}, {PROTOBUF}, {ABI}], got {encoding[:100]}"
    )
