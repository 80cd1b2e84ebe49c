"""What the trade application asks about the rest of its chain: who is behind a channel, how a slot was sealed."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_wire.protos import Any, fabric_client, tendermint_client
from energy.market.module import Market
from ibc_core import paths
from ibc_core.host import Context
from ibc_core.state import get_channel, get_connection

TRADE_PORT = "trade"
KINDS: Mapping[str, type[tendermint_client.ClientState] | type[fabric_client.ClientState]] = {
    f"/{kind.DESCRIPTOR.full_name}": kind for kind in (tendermint_client.ClientState, fabric_client.ClientState)
}


class TradeSurroundings:
    """As `energy.trade.ports.Surroundings`."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def peer(self, ctx: Context, channel_id: str) -> str:
        """Chain id in the client state behind the channel; raises ChannelNotFound, ConnectionNotFound."""
        end = get_connection(ctx, get_channel(ctx, TRADE_PORT, channel_id).connection_hops[0])
        state = Any.FromString(ctx.ibc.get(paths.client_state(end.client_id)) or b"")
        kind = KINDS.get(state.type_url)
        return kind.FromString(state.value).chain_id if kind is not None else ""

    def voided(self, ctx: Context, slot: int) -> bool:
        """Whether the market sealed the slot without a certified schedule."""
        record = self._market.slot(ctx, slot)
        return record is not None and record.voided
