"""`bsmg explain TXHASH`: what a transaction did, what its code means, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

import click

from bsmg.cli.output import message_doc, show
from bsmg.cli.target import Target, run, with_target
from bsmg.client.blocks import FoundTx
from bsmg.client.chain import ChainClient
from cosmos_wire import protos
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Any, Message

HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
ADVICE: Mapping[tuple[str, int], str] = {
    ("sdk", 4): "sign with the account that the message names",
    ("sdk", 5): "the account holds too little: `bsmg query bank balance ADDRESS`, `bsmg faucet ADDRESS`",
    ("sdk", 9): "the account does not exist yet: pay it something first, `bsmg faucet ADDRESS`",
    ("sdk", 11): "give a higher gas limit; without one the client simulates and adds 30 %",
    ("sdk", 13): "pay a fee: --gas-price with at least the node's minimum (`bsmg query node config`)",
    ("sdk", 30): "it came too late: sign again",
    ("sdk", 32): "two programs use this key at once, or an earlier transaction is missing: sign again",
    ("client", 6): "the client is frozen by misbehaviour: the path needs a new client",
    ("channel", 5): "the packet, or its timeout, is not what the chain committed: `bsmg relayer path pending`",
}
BY_SPACE: Mapping[str, str] = {
    "client": "look at the light client: `bsmg query client client-status CLIENT`",
    "connection": "look at the connection: `bsmg query connection connection CONNECTION`",
    "channel": "look at the channel: `bsmg query channel channel CHANNEL PORT`",
    "transfer": "look at the denomination: `bsmg query ibc-transfer denom-traces`",
    "market": "look at the slot: `bsmg slot NUMBER`; messages belong to one state each",
    "meter": "look at the totals: `bsmg query meter totals DEVICE`",
    "registry": "look at the cell: `bsmg cell show CELL`",
    "trade": "look at the contract: `bsmg query trade contract CHANNEL ID`",
}


@click.command()
@click.argument("txhash")
@with_target
def command(target: Target, txhash: str) -> None:
    """Decode a transaction, its code and its events; exit code 0 also when the transaction failed."""
    found = HASH.fullmatch(txhash)
    if found is None:
        raise ToolError(f"transaction hash: expected 64 hex digits, got {txhash!r}")
    show(run(target, lambda client: _explain(client, found[1].upper())))


async def _explain(client: ChainClient, tx_hash: str) -> dict[str, object]:
    tx = await client.find_tx(tx_hash)
    if tx is None:
        raise ToolError(f"transaction {tx_hash}: expected it in a block of {client.chain_id}, got none (or index off)")
    return explained(tx)


def explained(found: FoundTx) -> dict[str, object]:
    """What is known of a transaction in a block."""
    parsed = protos.tx.Tx.FromString(found.tx)
    result = found.result
    return {
        "txhash": found.tx_hash,
        "height": found.height,
        "result": "success" if result.code == 0 else f"refused with {result.codespace}/{result.code}",
        "log": result.log,
        "advice": advice(result.codespace, result.code),
        "gas": {"wanted": result.gas_wanted, "used": result.gas_used},
        "memo": parsed.body.memo,
        "fee": [f"{coin.amount}{coin.denom}" for coin in parsed.auth_info.fee.amount],
        "messages": [_message(item) for item in parsed.body.messages],
        "events": [{event.type: dict(event.attributes)} for event in result.events],
    }


def advice(codespace: str, code: int) -> str:
    """What to do about a code."""
    if code == 0:
        return ""
    return ADVICE.get((codespace, code)) or BY_SPACE.get(codespace, "docs/errors.md lists every code")


def _message(item: Any) -> dict[str, object]:
    name = item.type_url.removeprefix("/")
    try:
        kind: type[Message] = _class_of(name)
        return {"type": item.type_url, **message_doc(kind.FromString(item.value))}
    except (KeyError, protos.DecodeError):
        return {"type": item.type_url, "value": item.value.hex()}


def _class_of(name: str) -> type[Message]:
    from google.protobuf import symbol_database

    found: type[Message] = symbol_database.Default().GetSymbol(name)
    return found
