"""Headers of client updates, for chains whose events do not carry them any more (ibc-go v10): from the transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cosmos_wire.protos import Any, DecodeError, client_tx, tx
from ibc_core.host import Event

UPDATE_EVENT, HEADER = "update_client", "header"
UPDATE_URL = "/ibc.core.client.v1.MsgUpdateClient"


def with_headers(raw: bytes, events: Sequence[Event]) -> tuple[Event, ...]:
    """Events of one transaction, each bare `update_client` with the header of its message, as older ibc-go writes it.

    An update by another message's hand (authz, a contract) keeps none: it is found by its consensus state alone.
    """
    if not any(_bare(item) for item in events):
        return tuple(events)
    given = list(_updates(raw))
    return tuple(_filled(item, given) if _bare(item) else item for item in events)


def _bare(item: Event) -> bool:
    return item.type == UPDATE_EVENT and not dict(item.attributes).get(HEADER)


def _filled(item: Event, given: list[client_tx.MsgUpdateClient]) -> Event:
    """With the first header for its client that no event before it took."""
    client_id = dict(item.attributes).get("client_id")
    for at, message in enumerate(given):
        if message.client_id == client_id:
            del given[at]
            header = message.client_message.SerializeToString(deterministic=True).hex()
            return Event(item.type, (*item.attributes, (HEADER, header)))
    return item


def _updates(raw: bytes) -> Iterator[client_tx.MsgUpdateClient]:
    """MsgUpdateClient messages of a transaction, in order; nothing of bytes that are no transaction of the SDK's."""
    try:
        body = tx.TxBody.FromString(tx.TxRaw.FromString(raw).body_bytes)
        found: list[Any] = [item for item in body.messages if item.type_url == UPDATE_URL]
        yield from [client_tx.MsgUpdateClient.FromString(item.value) for item in found]
    except DecodeError:
        return
