"""What every IBC message has to be before anybody looks at state: the parts that ibc-go's ValidateBasic share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from cosmos_wire.address import from_bech32
from cosmos_wire.errors import InvalidAddress
from ibc_core.errors import IbcInvalidAddress
from ibc_core.host import MessageRoute


class Signed(Protocol):
    """A message with the field `signer`."""

    signer: str


S = TypeVar("S", bound=Signed)


def signed(check: Callable[[S], None]) -> Callable[[S], None]:
    """The check, and that the signer is an address."""

    def run(message: S) -> None:
        require_address(message.signer)
        check(message)

    return run


def require_address(text: str) -> None:
    """Raise IbcInvalidAddress for what is none of this chain's."""
    try:
        from_bech32(text)
    except InvalidAddress as error:
        reason = str(error).removesuffix(f": {error.reason}")
        raise IbcInvalidAddress(f"string could not be parsed as address: {reason}") from error


def check_nothing(_message: object) -> None:
    """A message that shows nothing by itself."""


Row = tuple[Callable[..., object], type, type, Callable[..., None]]  # handler, request, response, what it checks alone


def message_routes(*rows: Row) -> dict[str, MessageRoute]:
    """By type URL: routes of messages whose signer is in `signer`."""
    made = (MessageRoute(handle, kind, answer, "signer", signed(check)) for handle, kind, answer, check in rows)
    return {_url(route.request): route for route in made}


def _url(kind: type) -> str:
    return f"/{kind.DESCRIPTOR.full_name}"  # type: ignore[attr-defined]  # every request type is a protobuf message
