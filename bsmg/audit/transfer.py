"""The replay of ICS-20: escrow, vouchers and refunds from packets alone."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256

from bsmg.audit.ledger import escrow_address
from bsmg.audit.stage import Stage
from cosmos_wire.protos import channel, transfer_tx

PORT = "transfer"
HOP = re.compile(r"[a-zA-Z0-9._+\-#\[\]<>]{2,128}/channel-\d{1,20}/.+", re.DOTALL)
WHOLE_BALANCE = 2**256 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a packet carries; `path` is the denomination as the sending chain writes it."""

    path: str
    amount: int
    sender: str
    receiver: str


def tokens_of(data: bytes) -> Tokens:
    """Read a packet's JSON; raises ValueError or KeyError when it is no such packet."""
    doc = json.loads(data)
    return Tokens(path=doc["denom"], amount=int(doc["amount"]), sender=doc["sender"], receiver=doc["receiver"])


def local_name(path: str) -> str:
    """Name in a ledger: `ibc/HASH` for what has come through a channel."""
    return f"ibc/{sha256(path.encode()).hexdigest().upper()}" if HOP.fullmatch(path) else path


class Transfers:
    """Moves the ledger's coins as packets leave, arrive and come back."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.paths: dict[str, str] = {}  # of vouchers here: ledger name -> path

    def sent(self, packet: channel.Packet) -> Tokens:
        """A packet left: burn what goes home, lock the rest."""
        tokens, ledger = tokens_of(packet.data), self.stage.ledger
        self.stage.findings.count("transfers")
        here = packet.source_port, packet.source_channel
        name = local_name(tokens.path)
        if tokens.path.startswith("/".join(here) + "/"):
            ledger.burn(tokens.sender, name, tokens.amount)
        else:
            ledger.move(tokens.sender, escrow_address(*here), name, tokens.amount)
        return tokens

    def received(self, packet: channel.Packet) -> None:
        """A packet was accepted: unlock what came home, mint a voucher for the rest."""
        tokens, ledger = tokens_of(packet.data), self.stage.ledger
        self.stage.findings.count("transfers")
        theirs = f"{packet.source_port}/{packet.source_channel}/"
        ours = packet.destination_port, packet.destination_channel
        if tokens.path.startswith(theirs):
            name = local_name(tokens.path.removeprefix(theirs))
            ledger.move(escrow_address(*ours), tokens.receiver, name, tokens.amount)
            return
        path = "/".join((*ours, tokens.path))
        self.paths[local_name(path)] = path
        ledger.mint(tokens.receiver, local_name(path), tokens.amount)

    def refunded(self, packet: channel.Packet) -> None:
        """The packet came back: undo what sending did."""
        tokens, ledger = tokens_of(packet.data), self.stage.ledger
        here = packet.source_port, packet.source_channel
        name = local_name(tokens.path)
        if tokens.path.startswith("/".join(here) + "/"):
            ledger.mint(tokens.sender, name, tokens.amount)
        else:
            ledger.move(escrow_address(*here), tokens.sender, name, tokens.amount)

    def check_message(self, msg: transfer_tx.MsgTransfer, packet: channel.Packet, held_before: int) -> None:
        """The packet says what its sender signed."""
        tokens, findings = tokens_of(packet.data), self.stage.findings
        amount = int(msg.token.amount)
        name = f"{self.stage.place}: packet {packet.sequence} of MsgTransfer"
        findings.equal("transfers", f"{name} token", msg.token.denom, local_name(tokens.path))
        wanted = held_before if amount == WHOLE_BALANCE else amount
        findings.equal("transfers", f"{name} amount", wanted, tokens.amount)
        findings.equal("transfers", f"{name} sender", msg.sender, tokens.sender)
        findings.equal("transfers", f"{name} receiver", msg.receiver, tokens.receiver)
