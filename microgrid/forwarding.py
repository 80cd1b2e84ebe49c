"""Sends a seller's pay home by ICS-20: how the trade application reaches the transfer application."""

from __future__ import annotations

from cosmos_wire.address import to_bech32
from cosmos_wire.protos import channel, coin, transfer_tx
from energy.trade.ports import Forward
from ibc_core import paths
from ibc_core.errors import ChannelNotFound
from ibc_core.host import Context
from ibc_core.state import get_channel
from ibc_core.transfer import Transfer
from ibc_core.transfer.ledger import PORT

TRADE_PORT = "trade"


class TransferForwarder:
    """As `energy.trade.ports.Forwarder`: the lowest open transfer channel on the trade channel's connection."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    def forward(self, ctx: Context, order: Forward) -> None:
        """Start the transfer in the name of the account that was paid; raises a ChainError when it can't start."""
        account = to_bech32(order.account)
        message = transfer_tx.MsgTransfer(
            source_port=PORT,
            source_channel=transfer_channel(ctx, order.trade_channel),
            token=coin.Coin(denom=order.denom, amount=str(order.amount)),
            sender=account,
            receiver=account,
            timeout_timestamp=order.timeout_ns,
        )
        self._transfer.transfer(ctx, message)


def transfer_channel(ctx: Context, trade_channel: str) -> str:
    """The open ICS-20 channel on the same connection; raises ChannelNotFound."""
    hops = get_channel(ctx, TRADE_PORT, trade_channel).connection_hops
    prefix = paths.channel(PORT, "")
    found = []
    for key, value in ctx.ibc.iterate(prefix):
        end = channel.Channel.FromString(value)
        if end.state == channel.STATE_OPEN and end.connection_hops == hops:
            found.append(paths.parse_channel(key)[1])
    if not found:
        raise ChannelNotFound(f"an open {PORT} channel on {'/'.join(hops)}")
    return min(found, key=lambda name: (len(name), name))
