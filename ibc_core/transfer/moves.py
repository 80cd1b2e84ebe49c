"""What ICS-20 does with the tokens when a packet leaves, arrives or comes back, through a channel or a client.

A place is (port, channel) or (port, client): an end of the path here; `source` is the end on the other chain.
"""

from __future__ import annotations

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidAddress
from ibc_core import bank
from ibc_core.errors import IbcInvalidAddress, ReceiveDisabled
from ibc_core.host import Context
from ibc_core.transfer import events, ledger
from ibc_core.transfer.data import TokenPacket

Place = tuple[str, str]


def leave(ctx: Context, here: Place, sender: bytes, packet: TokenPacket) -> None:
    """Burn what came through this end, lock what did not."""
    coin = (packet.denom.ledger_name, packet.amount)
    if packet.denom.came_through(*here):
        ledger.burn(ctx, sender, coin)
    else:
        ledger.escrow(ctx, here, sender, coin)


def arrive(ctx: Context, source: Place, here: Place, packet: TokenPacket) -> None:
    """Mint vouchers, or give back what was locked here."""
    if not ledger.params(ctx).receive_enabled:
        raise ReceiveDisabled(f"{packet.amount} {packet.denom.path[:100]} for {packet.receiver[:100]}")
    receiver = account(packet.receiver)
    bank.require_recipient(ctx, receiver)
    if packet.denom.came_through(*source):
        ledger.unescrow(ctx, here, receiver, (packet.denom.returned().ledger_name, packet.amount))
        return
    denom = packet.denom.arrived(*here)
    ledger.remember(ctx, denom)
    events.voucher(ctx, denom)
    ledger.mint(ctx, receiver, (denom.ledger_name, packet.amount))


def refund(ctx: Context, here: Place, packet: TokenPacket) -> None:
    """Undo `leave`."""
    sender = account(packet.sender)
    coin = (packet.denom.ledger_name, packet.amount)
    if packet.denom.came_through(*here):
        ledger.mint(ctx, sender, coin)
    else:
        ledger.unescrow(ctx, here, sender, coin)


def account(text: str) -> bytes:
    """Address bytes of a name in a packet."""
    if not text.isascii():
        raise IbcInvalidAddress(f"expected a bech32 address, got {text[:100]!r}")
    try:
        return from_bech32(text)
    except InvalidAddress as error:  # the code goes into the acknowledgement: ibc-go's own, not the SDK's
        raise IbcInvalidAddress(str(error)) from error
