"""Events of ICS-20, as ibc-go emits them."""

from __future__ import annotations

import json

from ibc_core.acknowledgement import Acknowledgement
from ibc_core.host import Context, Event, event
from ibc_core.transfer.data import TokenPacket
from ibc_core.transfer.denom import Denom


def _emit(ctx: Context, item: Event) -> None:
    ctx.events.emit(item)
    ctx.events.emit(event("message", module="transfer"))


def _members(packet: TokenPacket) -> dict[str, str]:
    return {
        "sender": packet.sender,
        "receiver": packet.receiver,
        "denom": packet.denom.path,
        "amount": str(packet.amount),
        "memo": packet.memo,
    }


def sent(ctx: Context, packet: TokenPacket) -> None:
    """A transfer left."""
    _emit(ctx, event("ibc_transfer", **_members(packet)))


def received(ctx: Context, packet: TokenPacket | None, error: str = "") -> None:
    """A transfer arrived; `packet` is None when it could not be read."""
    members = _members(packet) if packet else {"sender": "", "receiver": "", "denom": "", "amount": "", "memo": ""}
    outcome = {"success": "false", "error": error} if error else {"success": "true"}
    _emit(ctx, event("fungible_token_packet", **members, **outcome))


def acknowledged(ctx: Context, packet: TokenPacket, ack: Acknowledgement) -> None:
    """The other chain answered."""
    _emit(ctx, event("fungible_token_packet", **_members(packet), acknowledgement=_text(ack)))
    if ack.error is not None:
        ctx.events.emit(event("fungible_token_packet", error=ack.error))
    else:
        result = (ack.result or b"").decode("utf-8", "replace")
        ctx.events.emit(event("fungible_token_packet", success=result))


def _text(ack: Acknowledgement) -> str:
    """Go's compact text form of the message."""
    if ack.error is not None:
        return f"error:{json.dumps(ack.error, ensure_ascii=False)} "
    shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in ack.result or b"")
    return f'result:"{shown}" '


def timed_out(ctx: Context, packet: TokenPacket) -> None:
    """A transfer came back to its sender."""
    token = f'{{"denom":{_denom_json(packet.denom)},"amount":"{packet.amount}"}}'
    refund = {  # of ibc-go v8, then of v10
        "refund_receiver": packet.sender,
        "refund_denom": packet.denom.path,
        "refund_amount": str(packet.amount),
        "receiver": packet.sender,
        "refund_tokens": token,
    }
    _emit(ctx, event("timeout", **refund, memo=packet.memo))


def voucher(ctx: Context, denom: Denom) -> None:
    """Which denomination an `ibc/HASH` stands for; under both of the names that ibc-go has used."""
    name = denom.hash.hex().upper()
    ctx.events.emit(event("denomination", denom_hash=name, denom=_denom_json(denom)))
    ctx.events.emit(event("denomination_trace", trace_hash=name, denom=denom.ledger_name))


def _denom_json(denom: Denom) -> str:
    trace = [{"port_id": port_id, "channel_id": channel_id} for port_id, channel_id in denom.trace]
    return json.dumps({"base": denom.base, "trace": trace or None}, ensure_ascii=False, separators=(",", ":"))
