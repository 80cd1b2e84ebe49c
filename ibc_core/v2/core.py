"""IBC v2 as a part of IBC core: every message and query of ibc.core.{client,channel}.v2."""

from __future__ import annotations

from cosmos_wire.protos import channel_v2_tx, client_v2_tx
from ibc_core.basic import message_routes
from ibc_core.client import Clients
from ibc_core.host import MessageRoute, QueryRoute
from ibc_core.v2 import basic, counterparty
from ibc_core.v2.channel import PacketsV2
from ibc_core.v2.queries import v2_queries
from ibc_core.v2.router import RouterV2


class CoreV2:
    """Counterparties and packets over the clients of v1. The router may be filled after this object is made."""

    def __init__(self, clients: Clients, router: RouterV2) -> None:
        self.packets = PacketsV2(clients, router)

    def messages(self) -> dict[str, MessageRoute]:
        """By type URL."""
        client, tx, packets = client_v2_tx, channel_v2_tx, self.packets
        of = counterparty
        return message_routes(
            (of.register, client.MsgRegisterCounterparty, client.MsgRegisterCounterpartyResponse, basic.check_register),
            (of.update_config, client.MsgUpdateClientConfig, client.MsgUpdateClientConfigResponse, basic.check_config),
            (packets.send, tx.MsgSendPacket, tx.MsgSendPacketResponse, basic.check_send),
            (packets.receive, tx.MsgRecvPacket, tx.MsgRecvPacketResponse, basic.check_receive),
            (packets.acknowledge, tx.MsgAcknowledgement, tx.MsgAcknowledgementResponse, basic.check_acknowledge),
            (packets.timeout, tx.MsgTimeout, tx.MsgTimeoutResponse, basic.check_timeout),
        )

    def queries(self) -> dict[str, QueryRoute]:
        """By method path."""
        return v2_queries()
