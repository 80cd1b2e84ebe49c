"""Channel upgrades of ibc-go v8: nobody upgrades a channel here, so that both queries find nothing.

ibc-go v10 has neither the protocol nor the messages; relayers that know v8 ask on.
"""

from __future__ import annotations

from cosmos_wire.errors import NotFound
from cosmos_wire.protos import Message
from ibc_core import paths
from ibc_core.host import Context, QueryRoute
from ibc_core.late_messages import STRING, register

SERVICE = "ibc.core.channel.v1.Query"
_CHANNEL = (("port_id", STRING, False), ("channel_id", STRING, False))
_MADE = register(
    "ibc/core/channel/v1/legacy_query.proto",
    "ibc.core.channel.v1",
    (),
    {
        "QueryUpgradeRequest": _CHANNEL,
        "QueryUpgradeResponse": (),
        "QueryUpgradeErrorRequest": _CHANNEL,
        "QueryUpgradeErrorResponse": (),
    },
)


def upgrade_queries() -> dict[str, QueryRoute]:
    """By method path."""
    return {
        f"/{SERVICE}/{method}": QueryRoute(handle, _MADE[f"Query{method}Request"], _MADE[f"Query{method}Response"])
        for method, handle in (("Upgrade", no_upgrade), ("UpgradeError", no_error))
    }


def no_upgrade(_ctx: Context, request: Message) -> Message:
    """Never found."""
    raise NotFound(f"{_place(request)}: upgrade not found")


def no_error(_ctx: Context, request: Message) -> Message:
    """Never found."""
    raise NotFound(f"{_place(request)}: upgrade error receipt not found")


def _place(request: Message) -> str:
    port_id: str = getattr(request, "port_id")  # noqa: B009  (the class is made at run time)
    channel_id: str = getattr(request, "channel_id")  # noqa: B009
    paths.require_port_id(port_id)
    paths.require_channel_id(channel_id)
    return f"port-id: {port_id}, channel-id {channel_id}"
