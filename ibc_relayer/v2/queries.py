"""What v2 is asked: who a client's counterparty is, who may relay, and which packets are pending."""

from __future__ import annotations

from collections.abc import Sequence

from bsmg.client.errors import QueryNotFound, QueryRefused
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import (
    channel,
    channel_v2_query,
    client_query,
    client_v2,
    client_v2_query,
    pagination,
)
from ibc_relayer.chain import Chain

CLIENT = "/ibc.core.client.v2.Query/"
CHANNEL = "/ibc.core.channel.v2.Query/"
CREATOR = "/ibc.core.client.v1.Query/ClientCreator"
PREFIX = (b"ibc", b"")  # store, and the beginning of each key in it
ANY_CLIENT = "07-tendermint-0"
PAGE_LIMIT = 1_000


class ForeignPrefixError(ToolError):
    """A client was registered with a store that is not where chains of this kind keep IBC."""


async def counterparty(chain: Chain, client_id: str) -> client_v2.CounterpartyInfo:
    """Whom a client was registered with; raises QueryNotFound."""
    request = client_v2_query.QueryCounterpartyInfoRequest(client_id=client_id)
    path = CLIENT + "CounterpartyInfo"
    answer = await chain.query(path, request, client_v2_query.QueryCounterpartyInfoResponse)
    return answer.counterparty_info


async def require_v2(chain: Chain) -> None:
    """Raise ToolError for a chain that does not know v2, before anything is made on it."""
    try:
        await counterparty(chain, ANY_CLIENT)
    except QueryNotFound:
        return
    except QueryRefused as error:
        raise ToolError(f"{chain.chain_id}: expected a chain with IBC v2, got {error}") from error


async def named(chain: Chain, client_id: str) -> str:
    """The client that a client names, empty when it is registered with none; raises ForeignPrefixError."""
    try:
        found = await counterparty(chain, client_id)
    except QueryNotFound:
        return ""
    _require_prefix(chain, client_id, found)
    return found.client_id


async def channel_end(chain: Chain, client_id: str) -> channel.Channel:
    """The open, unordered channel that a registered client stands for; raises QueryNotFound, ForeignPrefixError.

    As of now: a registration never changes, and it may be younger than the state that is relayed.
    """
    found = await counterparty(chain, client_id)
    _require_prefix(chain, client_id, found)
    other = channel.Counterparty(channel_id=found.client_id)
    return channel.Channel(state=channel.STATE_OPEN, ordering=channel.ORDER_UNORDERED, counterparty=other)


def _require_prefix(chain: Chain, client_id: str, found: client_v2.CounterpartyInfo) -> None:
    if tuple(found.merkle_prefix) != PREFIX:
        where = f"client {client_id} on {chain.chain_id}"
        raise ForeignPrefixError(
            f"{where}: expected the counterparty's prefix {PREFIX}, got {tuple(found.merkle_prefix)}"
        )


async def may_relay(chain: Chain, client_id: str) -> bool:
    """Whether a client's list of relayers, if it has one, names our signer."""
    request = client_v2_query.QueryConfigRequest(client_id=client_id)
    try:
        answer = await chain.query(CLIENT + "Config", request, client_v2_query.QueryConfigResponse)
    except QueryRefused:
        return True  # a chain without such lists
    allowed = answer.config.allowed_relayers
    return not allowed or chain.signer in allowed


async def created_by_us(chain: Chain, client_id: str) -> bool:
    """Whether our signer created a client, and so may register its counterparty."""
    request = client_query.QueryClientCreatorRequest(client_id=client_id)
    try:
        answer = await chain.query(CREATOR, request, client_query.QueryClientCreatorResponse)
    except QueryRefused:
        return False
    return answer.creator == chain.signer


async def commitments(chain: Chain, client_id: str, key: bytes, height: int) -> tuple[list[int], bytes]:
    """One page of the sequences that are committed, and the key of the next page."""
    request = channel_v2_query.QueryPacketCommitmentsRequest(
        client_id=client_id, pagination=pagination.PageRequest(key=key, limit=PAGE_LIMIT)
    )
    path = CHANNEL + "PacketCommitments"
    answer = await chain.query(path, request, channel_v2_query.QueryPacketCommitmentsResponse, height)
    return [item.sequence for item in answer.commitments], answer.pagination.next_key


async def unreceived(chain: Chain, client_id: str, sequences: Sequence[int], height: int) -> list[int]:
    """Which of the counterparty's sequences were not received."""
    request = channel_v2_query.QueryUnreceivedPacketsRequest(client_id=client_id, sequences=sequences)
    path = CHANNEL + "UnreceivedPackets"
    answer = await chain.query(path, request, channel_v2_query.QueryUnreceivedPacketsResponse, height)
    return list(answer.sequences)


async def acknowledged(chain: Chain, client_id: str, sequences: Sequence[int], height: int) -> list[int]:
    """Which of the counterparty's sequences were answered."""
    request = channel_v2_query.QueryPacketAcknowledgementsRequest(
        client_id=client_id, packet_commitment_sequences=sequences
    )
    path = CHANNEL + "PacketAcknowledgements"
    answer = await chain.query(path, request, channel_v2_query.QueryPacketAcknowledgementsResponse, height)
    return [item.sequence for item in answer.acknowledgements]
