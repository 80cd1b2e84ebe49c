"""IBC core as one module of a chain: every message and query of ibc.core.{client,connection,channel}.v1 and v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import Message, channel_tx, channel_v2_tx, client, client_tx, connection, connection_tx
from ibc_core import paths
from ibc_core.authority import require_authority, set_authority
from ibc_core.channel import Channels
from ibc_core.client import ALLOW_ALL, BLOCK_TIME_MAX_NS, Clients
from ibc_core.connection import Connections
from ibc_core.errors import InvalidParams, InvalidUpgradeProposal, RedundantTx
from ibc_core.host import Context, MessageRoute, QueryRoute
from ibc_core.light_client import ClientTypes
from ibc_core.packet import PacketMessage, Packets
from ibc_core.queries.routes import core_queries
from ibc_core.router import Outgoing, Router
from ibc_core.state import encode, write_sequence
from ibc_core.v2.channel import PacketMessageV2
from ibc_core.v2.core import CoreV2
from ibc_core.v2.router import RouterV2


class IbcCore:
    """ICS-02, 03, 04 and 26 over the host's stores. The routers may be filled after this object is made."""

    name = "ibc"

    def __init__(self, client_types: ClientTypes, router: Router, router_v2: RouterV2 | None = None) -> None:
        self.clients = Clients(client_types)
        self.connections = Connections(self.clients)
        self.channels = Channels(self.clients, router)
        self.packets = Packets(self.clients, self.channels)
        self.v2 = CoreV2(self.clients, {} if router_v2 is None else router_v2)

    def send_packet(self, ctx: Context, packet: Outgoing) -> int:
        """Commit the packet and return its sequence; raises when channel or client is not open and active."""
        return self.packets.send(ctx, packet)

    def send_packet_v2(self, ctx: Context, msg: channel_v2_tx.MsgSendPacket) -> int:
        """Commit the packet, ask the applications of its payloads (`on_send_packet`), return the sequence."""
        return self.v2.packets.send(ctx, msg).sequence

    def refuse_redundant(self, ctx: Context, messages: Iterable[Message]) -> None:
        """Raise RedundantTx when a transaction brings packets and client updates only and no packet is news.

        For CheckTx, as ibc-go's RedundantRelayDecorator: reads only, so that a relayer that comes second pays nothing.
        """
        redundant = fresh = 0
        for message in messages:
            if isinstance(message, PacketMessage):
                repeated = self.packets.redundant(ctx, message)
                redundant, fresh = redundant + repeated, fresh + (not repeated)
            elif isinstance(message, PacketMessageV2):
                repeated = self.v2.packets.redundant(ctx, message)
                redundant, fresh = redundant + repeated, fresh + (not repeated)
            elif not isinstance(message, client_tx.MsgUpdateClient):
                return
        if redundant and not fresh:
            raise RedundantTx(f"all {redundant} packets were relayed already")

    def messages(self) -> Mapping[str, MessageRoute]:
        """By type URL."""
        v2 = {_url(route.request): route for route in self.v2.messages()}
        return {**self._client_messages(), **self._connection_messages(), **self._channel_messages(), **v2}

    def _client_messages(self) -> dict[str, MessageRoute]:
        tx, clients = client_tx, self.clients
        return {
            _url(route.request): route
            for route in (
                MessageRoute(clients.create, tx.MsgCreateClient, tx.MsgCreateClientResponse, "signer"),
                MessageRoute(clients.update, tx.MsgUpdateClient, tx.MsgUpdateClientResponse, "signer"),
                MessageRoute(clients.upgrade, tx.MsgUpgradeClient, tx.MsgUpgradeClientResponse, "signer"),
                MessageRoute(
                    clients.submit_misbehaviour, tx.MsgSubmitMisbehaviour, tx.MsgSubmitMisbehaviourResponse, "signer"
                ),
                MessageRoute(
                    clients.delete_creator, tx.MsgDeleteClientCreator, tx.MsgDeleteClientCreatorResponse, "signer"
                ),
                MessageRoute(clients.recover, tx.MsgRecoverClient, tx.MsgRecoverClientResponse, "signer"),
                MessageRoute(_plan_upgrade, tx.MsgIBCSoftwareUpgrade, tx.MsgIBCSoftwareUpgradeResponse, "signer"),
                MessageRoute(clients.update_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, "signer"),
            )
        }

    def _connection_messages(self) -> dict[str, MessageRoute]:
        tx, steps = connection_tx, self.connections
        return {
            _url(route.request): route
            for route in (
                MessageRoute(steps.open_init, tx.MsgConnectionOpenInit, tx.MsgConnectionOpenInitResponse, "signer"),
                MessageRoute(steps.open_try, tx.MsgConnectionOpenTry, tx.MsgConnectionOpenTryResponse, "signer"),
                MessageRoute(steps.open_ack, tx.MsgConnectionOpenAck, tx.MsgConnectionOpenAckResponse, "signer"),
                MessageRoute(
                    steps.open_confirm, tx.MsgConnectionOpenConfirm, tx.MsgConnectionOpenConfirmResponse, "signer"
                ),
                MessageRoute(_update_connection_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, "signer"),
            )
        }

    def _channel_messages(self) -> dict[str, MessageRoute]:
        tx, steps, packets = channel_tx, self.channels, self.packets
        return {
            _url(route.request): route
            for route in (
                MessageRoute(steps.open_init, tx.MsgChannelOpenInit, tx.MsgChannelOpenInitResponse, "signer"),
                MessageRoute(steps.open_try, tx.MsgChannelOpenTry, tx.MsgChannelOpenTryResponse, "signer"),
                MessageRoute(steps.open_ack, tx.MsgChannelOpenAck, tx.MsgChannelOpenAckResponse, "signer"),
                MessageRoute(steps.open_confirm, tx.MsgChannelOpenConfirm, tx.MsgChannelOpenConfirmResponse, "signer"),
                MessageRoute(steps.close_init, tx.MsgChannelCloseInit, tx.MsgChannelCloseInitResponse, "signer"),
                MessageRoute(
                    steps.close_confirm, tx.MsgChannelCloseConfirm, tx.MsgChannelCloseConfirmResponse, "signer"
                ),
                MessageRoute(packets.receive, tx.MsgRecvPacket, tx.MsgRecvPacketResponse, "signer"),
                MessageRoute(packets.acknowledge, tx.MsgAcknowledgement, tx.MsgAcknowledgementResponse, "signer"),
                MessageRoute(packets.timeout, tx.MsgTimeout, tx.MsgTimeoutResponse, "signer"),
                MessageRoute(packets.timeout_on_close, tx.MsgTimeoutOnClose, tx.MsgTimeoutOnCloseResponse, "signer"),
            )
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """By method path."""
        return {**core_queries(self.clients), **self.v2.queries()}

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Write the counters and parameters, so that the store is never empty and can prove absence from block 1.

        Optional: `allowed_clients` (list of client types, default all), `max_expected_time_per_block` (ns),
        `authority` (address that may recover clients and set parameters, default nobody).
        """
        for key in (paths.NEXT_CLIENT_SEQUENCE, paths.NEXT_CONNECTION_SEQUENCE, paths.NEXT_CHANNEL_SEQUENCE):
            write_sequence(ctx.ibc, key, 0)
        allowed = doc.get("allowed_clients", [ALLOW_ALL])
        block_time_ns = doc.get("max_expected_time_per_block", BLOCK_TIME_MAX_NS)
        if not (isinstance(allowed, list) and allowed and all(isinstance(kind, str) for kind in allowed)):
            raise InvalidRequest(f"ibc.allowed_clients has to be a list of client types, got {allowed!r}")
        if not (isinstance(block_time_ns, int) and 0 < block_time_ns < 2**64):
            raise InvalidRequest(f"ibc.max_expected_time_per_block has to be 1..2^64-1 ns, got {block_time_ns!r}")
        authority = doc.get("authority")
        if authority is not None:
            set_authority(ctx, str(authority))
        ctx.ibc.set(paths.CLIENT_PARAMS, encode(client.Params(allowed_clients=allowed)))
        ctx.ibc.set(paths.CONNECTION_PARAMS, encode(connection.Params(max_expected_time_per_block=block_time_ns)))

    def begin_block(self, ctx: Context) -> None:
        """Nothing is due by time alone."""

    def end_block(self, ctx: Context) -> None:
        """Nothing is left over."""


def _url(kind: type) -> str:
    return f"/{kind.DESCRIPTOR.full_name}"  # type: ignore[attr-defined]  # every request type is a protobuf message


def _plan_upgrade(ctx: Context, msg: client_tx.MsgIBCSoftwareUpgrade) -> client_tx.MsgIBCSoftwareUpgradeResponse:
    require_authority(ctx, msg.signer)
    raise InvalidUpgradeProposal("this chain keeps its identifier for life: no upgrade can be planned")


def _update_connection_params(
    ctx: Context, msg: connection_tx.MsgUpdateParams
) -> connection_tx.MsgUpdateParamsResponse:
    if msg.params.max_expected_time_per_block == 0:
        raise InvalidParams("MaxExpectedTimePerBlock cannot be zero")
    require_authority(ctx, msg.signer)
    ctx.ibc.set(paths.CONNECTION_PARAMS, encode(msg.params))
    return connection_tx.MsgUpdateParamsResponse()
