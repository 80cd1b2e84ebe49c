"""ICS-02 v2: which client on the other chain faces a client here, and who may relay through it."""

from __future__ import annotations

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.protos import client_v2, client_v2_config, client_v2_tx
from ibc_core import paths
from ibc_core.authority import authority
from ibc_core.errors import (
    CounterpartyNotFound,
    IbcInvalidRequest,
    IbcUnauthorized,
    InvalidCounterparty,
)
from ibc_core.host import Context
from ibc_core.state import encode, load, write_sequence
from ibc_core.v2 import paths as paths_v2
from ibc_core.v2.basic import check_config, check_register


def find(ctx: Context, client_id: str) -> client_v2.CounterpartyInfo | None:
    """The other end of a client, None when nobody registered it."""
    return load(ctx.ibc, paths_v2.counterparty(client_id), client_v2.CounterpartyInfo)


def get(ctx: Context, client_id: str) -> client_v2.CounterpartyInfo:
    """Raises CounterpartyNotFound."""
    found = find(ctx, client_id)
    if found is None:
        raise CounterpartyNotFound(f"counterparty not found for client: {client_id[:80]}")
    return found


def facing(ctx: Context, client_id: str, claimed: str, end: str) -> client_v2.CounterpartyInfo:
    """The other end, which has to be the client that a packet claims as its `end` (source or destination)."""
    found = get(ctx, client_id)
    if found.client_id != claimed:
        raise InvalidCounterparty(
            f"counterparty id ({found.client_id}) does not match packet {end} id ({claimed[:80]})"
        )
    return found


def config(ctx: Context, client_id: str) -> client_v2_config.Config:
    """Who may relay; an empty list means everybody."""
    return load(ctx.ibc, paths_v2.config(client_id), client_v2_config.Config) or client_v2_config.Config()


def require_relayer(ctx: Context, client_id: str, signer: str) -> None:
    """Refuse a relayer whom the client's creator left out."""
    allowed = config(ctx, client_id).allowed_relayers
    if allowed and from_bech32(signer) not in [from_bech32(relayer) for relayer in allowed]:
        raise IbcUnauthorized(f"relayer {signer} is not authorized to update client {client_id}")


def register(ctx: Context, msg: client_v2_tx.MsgRegisterCounterparty) -> client_v2_tx.MsgRegisterCounterpartyResponse:
    """MsgRegisterCounterparty: once, by whoever created the client."""
    check_register(msg)
    creator = _creator(ctx, msg.client_id)
    if creator != from_bech32(msg.signer):
        raise IbcUnauthorized(f"expected same signer as createClient submittor {_text(creator)}, got {msg.signer}")
    if find(ctx, msg.client_id) is not None:
        raise IbcInvalidRequest("cannot register counterparty once it is already set")
    info = client_v2.CounterpartyInfo(
        merkle_prefix=msg.counterparty_merkle_prefix, client_id=msg.counterparty_client_id
    )
    ctx.ibc.set(paths_v2.counterparty(msg.client_id), encode(info))
    write_sequence(ctx.ibc, paths_v2.next_sequence_send(msg.client_id), 1)
    return client_v2_tx.MsgRegisterCounterpartyResponse()


def update_config(ctx: Context, msg: client_v2_tx.MsgUpdateClientConfig) -> client_v2_tx.MsgUpdateClientConfigResponse:
    """MsgUpdateClientConfig: by whoever created the client, or the authority."""
    check_config(msg)
    creator = _creator(ctx, msg.client_id)
    if msg.signer != authority(ctx) and creator != from_bech32(msg.signer):
        raise IbcUnauthorized(
            f"authority {authority(ctx)} or client creator {_text(creator)} is authorized to update params for "
            f"{msg.client_id}, got {msg.signer}"
        )
    if msg.config.allowed_relayers:
        ctx.ibc.set(paths_v2.config(msg.client_id), encode(msg.config))
    else:
        ctx.ibc.delete(paths_v2.config(msg.client_id))  # no store here keeps the empty value that ibc-go would
    return client_v2_tx.MsgUpdateClientConfigResponse()


def _creator(ctx: Context, client_id: str) -> bytes | None:
    return ctx.ibc.get(paths.client_creator(client_id))


def _text(creator: bytes | None) -> str:
    return "" if creator is None else to_bech32(creator)
