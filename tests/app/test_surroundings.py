"""What the composed application tells its trade part: of voided slots, and who is behind a channel."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, channel, connection, fabric_client, tendermint_client
from energy.market.module import Market
from energy.registry import Registry
from energy.trade import Trade
from ibc_core import paths
from ibc_core.host import BlockEnv, Context, EventLog, FreeGas, MemoryStore
from ibc_core.state import channel_end, connection_counterparty, connection_end, encode
from microgrid.modules import compose
from microgrid.surroundings import TradeSurroundings

Client = tendermint_client.ClientState | fabric_client.ClientState


def test_the_market_tells_the_trade_of_voided_slots() -> None:
    modules = {module.name: module for module in compose().parts}
    market, trade = modules["market"], modules["trade"]
    assert isinstance(market, Market)
    assert isinstance(trade, Trade)
    assert market.on_voided == [trade.slot_voided]
    assert isinstance(trade.ports.around, TradeSurroundings)


def context(state: Any) -> Context:
    """A chain with one trade channel, whose connection rests on a client with this state."""
    env = BlockEnv(chain_id="mga-1", height=2, time_ns=1)
    ctx = Context(env=env, app=MemoryStore(), ibc=MemoryStore(), events=EventLog(), gas=FreeGas())
    ends = connection_counterparty("07-tendermint-9", "connection-9", b"ibc")
    hop = connection_end(connection.STATE_OPEN, "07-tendermint-3", ends, ([], 0))
    end = channel_end(channel.STATE_OPEN, channel.ORDER_UNORDERED, ("trade", "channel-9"), (["connection-4"], "v"))
    ctx.ibc.set(paths.client_state("07-tendermint-3"), encode(state))
    ctx.ibc.set(paths.connection("connection-4"), encode(hop))
    ctx.ibc.set(paths.channel("trade", "channel-1"), encode(end))
    return ctx


@pytest.mark.parametrize("kind", [tendermint_client.ClientState, fabric_client.ClientState])
def test_the_light_client_says_who_is_behind_a_channel(kind: type[Client]) -> None:
    state = Any(type_url=f"/{kind.DESCRIPTOR.full_name}", value=kind(chain_id="grid-1").SerializeToString())
    around = TradeSurroundings(Market(Registry()))
    assert around.peer(context(state), "channel-1") == "grid-1"
    with pytest.raises(ChainError, match="channel-2"):
        around.peer(context(state), "channel-2")


def test_nobody_is_known_behind_a_client_of_another_type() -> None:
    around = TradeSurroundings(Market(Registry()))
    assert around.peer(context(Any(type_url="/mock.ClientState", value=b"grid-1")), "channel-1") == ""
