"""IBC core as one module of a chain: every message and query of ibc.core.{client,connection,channel}.v1 and v2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ibc_core.channel
import ibc_core.connection
import ibc_core.packet
from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import Message, channel_tx, channel_v2_tx, client, client_tx, connection, connection_tx
from ibc_core import paths
from ibc_core.authority import require_authority, set_authority
from ibc_core.basic import check_nothing, message_routes
from ibc_core.channel import Channels
from ibc_core.client import (
    ALLOW_ALL,
    BLOCK_TIME_MAX_NS,
    Clients,
    check_client_params,
    check_delete_creator,
    check_recovery,
    check_upgrade,
)
from ibc_core.connection import Connections
from ibc_core.errors import InvalidParams, InvalidUpgradeProposal
from ibc_core.host import Context, MessageRoute, QueryRoute
from ibc_core.light_client import ClientTypes
from ibc_core.packet import Packets
from ibc_core.queries.routes import core_queries
from ibc_core.relay_check import RelayCheck
from ibc_core.router import Outgoing, Router
from ibc_core.state import encode, write_sequence
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
        self.relay_check = RelayCheck(self.clients, self.packets, self.v2.packets)

    def send_packet(self, ctx: Context, packet: Outgoing) -> int:
        """Commit the packet and return its sequence; raises when channel or client is not open and active."""
        return self.packets.send(ctx, packet)

    def send_packet_v2(self, ctx: Context, msg: channel_v2_tx.MsgSendPacket) -> int:
        """Commit the packet, ask the applications of its payloads (`on_send_packet`), return the sequence."""
        return self.v2.packets.send(ctx, msg).sequence

    def refuse_redundant(self, ctx: Context, messages: Iterable[Message], again: bool = False) -> None:  # noqa: FBT001, FBT002  (positions only)
        """For the mempool: refuse relayed packets that are not proven, or all relayed already; `ctx` keeps the rest."""
        self.relay_check.run(ctx, messages, again=again)

    def messages(self) -> Mapping[str, MessageRoute]:
        """By type URL."""
        return {
            **self._client_messages(),
            **self._connection_messages(),
            **self._channel_messages(),
            **self._packet_messages(),
            **self.v2.messages(),
        }

    def _client_messages(self) -> dict[str, MessageRoute]:
        tx, clients = client_tx, self.clients
        return message_routes(
            (clients.create, tx.MsgCreateClient, tx.MsgCreateClientResponse, clients.check_create),
            (clients.update, tx.MsgUpdateClient, tx.MsgUpdateClientResponse, clients.check_update),
            (clients.upgrade, tx.MsgUpgradeClient, tx.MsgUpgradeClientResponse, check_upgrade),
            (
                clients.submit_misbehaviour,
                tx.MsgSubmitMisbehaviour,
                tx.MsgSubmitMisbehaviourResponse,
                clients.check_misbehaviour,
            ),
            (
                clients.delete_creator,
                tx.MsgDeleteClientCreator,
                tx.MsgDeleteClientCreatorResponse,
                check_delete_creator,
            ),
            (clients.recover, tx.MsgRecoverClient, tx.MsgRecoverClientResponse, check_recovery),
            (_plan_upgrade, tx.MsgIBCSoftwareUpgrade, tx.MsgIBCSoftwareUpgradeResponse, check_nothing),
            (clients.update_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, check_client_params),
        )

    def _connection_messages(self) -> dict[str, MessageRoute]:
        tx, steps = connection_tx, self.connections
        of = ibc_core.connection
        return message_routes(
            (steps.open_init, tx.MsgConnectionOpenInit, tx.MsgConnectionOpenInitResponse, of.check_init),
            (steps.open_try, tx.MsgConnectionOpenTry, tx.MsgConnectionOpenTryResponse, of.check_try),
            (steps.open_ack, tx.MsgConnectionOpenAck, tx.MsgConnectionOpenAckResponse, of.check_ack),
            (steps.open_confirm, tx.MsgConnectionOpenConfirm, tx.MsgConnectionOpenConfirmResponse, of.check_confirm),
            (_update_connection_params, tx.MsgUpdateParams, tx.MsgUpdateParamsResponse, _check_connection_params),
        )

    def _channel_messages(self) -> dict[str, MessageRoute]:
        tx, steps = channel_tx, self.channels
        of = ibc_core.channel
        return message_routes(
            (steps.open_init, tx.MsgChannelOpenInit, tx.MsgChannelOpenInitResponse, of.check_init),
            (steps.open_try, tx.MsgChannelOpenTry, tx.MsgChannelOpenTryResponse, of.check_try),
            (steps.open_ack, tx.MsgChannelOpenAck, tx.MsgChannelOpenAckResponse, of.check_ack),
            (steps.open_confirm, tx.MsgChannelOpenConfirm, tx.MsgChannelOpenConfirmResponse, of.check_confirm),
            (steps.close_init, tx.MsgChannelCloseInit, tx.MsgChannelCloseInitResponse, of.check_close_init),
            (steps.close_confirm, tx.MsgChannelCloseConfirm, tx.MsgChannelCloseConfirmResponse, of.check_close_confirm),
        )

    def _packet_messages(self) -> dict[str, MessageRoute]:
        tx, packets = channel_tx, self.packets
        of = ibc_core.packet
        return message_routes(
            (packets.receive, tx.MsgRecvPacket, tx.MsgRecvPacketResponse, of.check_receive),
            (packets.acknowledge, tx.MsgAcknowledgement, tx.MsgAcknowledgementResponse, of.check_acknowledge),
            (packets.timeout, tx.MsgTimeout, tx.MsgTimeoutResponse, of.check_timeout),
            (packets.timeout_on_close, tx.MsgTimeoutOnClose, tx.MsgTimeoutOnCloseResponse, of.check_timeout_on_close),
        )

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


def _plan_upgrade(ctx: Context, msg: client_tx.MsgIBCSoftwareUpgrade) -> client_tx.MsgIBCSoftwareUpgradeResponse:
    require_authority(ctx, msg.signer)
    raise InvalidUpgradeProposal("this chain keeps its identifier for life: no upgrade can be planned")


def _update_connection_params(
    ctx: Context, msg: connection_tx.MsgUpdateParams
) -> connection_tx.MsgUpdateParamsResponse:
    _check_connection_params(msg)
    require_authority(ctx, msg.signer)
    ctx.ibc.set(paths.CONNECTION_PARAMS, encode(msg.params))
    return connection_tx.MsgUpdateParamsResponse()


def _check_connection_params(msg: connection_tx.MsgUpdateParams) -> None:
    if msg.params.max_expected_time_per_block == 0:
        raise InvalidParams("MaxExpectedTimePerBlock cannot be zero")
