"""`bsmg tx MODULE MESSAGE [VALUES] --from WHO`: any message that the chain takes, signed and sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any as Json

import click

from bsmg.cli.messages import PACKAGES, field_order, fill, fill_json, find_service, kebab, nearest, new, signature
from bsmg.cli.output import FAILURE, show
from bsmg.cli.target import Target, run, with_target
from bsmg.client.chain import ChainClient
from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import Message, transfer_tx

# Values by position, where the order of the fields is not the order in which a person thinks.
ORDERS: Mapping[str, tuple[str, ...]] = {
    "cosmos.bank.v1beta1.MsgSend": ("to_address", "amount"),
    "ibc.applications.transfer.v1.MsgTransfer": ("source_channel", "receiver", "token", "memo"),
}
SIGNER_FIELDS = ("signer", "sender", "from_address")
TRANSFER_TIMEOUT_S = 600
NS = 10**9
NAMES_BY_POSITION = ("to_address", "receiver")


@click.command()
@click.argument("module", required=False)
@click.argument("name", metavar="MESSAGE", required=False)
@click.argument("values", nargs=-1)
@click.option("--from", "sender", help="Account's name in testnet.json, or a file with its mnemonic.")
@click.option("--json", "message_json", help="The whole message as protobuf JSON.")
@click.option("--memo", default="")
@click.option("--gas-price", default="0", show_default=True, help="Like 0.01bmga.")
@with_target
def command(target: Target, **flags: Json) -> None:
    """Send a transaction: `bsmg tx bank send ADDRESS 10bmga --from faucet`.

    VALUES are the message's fields in their order (the signer fills itself in), or name=value. Without MESSAGE the
    messages of a module are listed. Waits for the block; exit code 1 when the chain refuses.
    """
    if not flags["module"]:
        click.echo("modules: " + ", ".join(PACKAGES))
    elif not flags["name"]:
        list_messages(flags["module"])
    elif not flags["sender"]:
        raise click.UsageError("--from: expected an account's name or a key file, got nothing")
    else:
        finish(run(target, lambda client: _send(client, target, flags)))


async def _send(client: ChainClient, target: Target, flags: Mapping[str, Json]) -> TxOutcome:
    lane = client.lane(target.credential(flags["sender"]), target.fees(flags["gas_price"]))
    message = message_of(flags["module"], flags["name"])
    signer = signer_field(message)
    words = [_word(target, word) for word in flags["values"]]
    fill(message, words, ORDERS.get(message.DESCRIPTOR.full_name) or field_order(message.DESCRIPTOR, (signer,)))
    if flags["message_json"]:
        fill_json(message, flags["message_json"])
    if not getattr(message, signer):
        setattr(message, signer, lane.address)
    if isinstance(message, transfer_tx.MsgTransfer):
        await _fill_transfer(client, message)
    return await lane.submit([message], flags["memo"])


def _word(target: Target, word: str) -> str:
    """A name instead of an address, also behind `to_address=`."""
    name, equals, value = word.partition("=")
    return f"{name}={target.address(value)}" if equals and name in NAMES_BY_POSITION else target.address(word)


async def _fill_transfer(client: ChainClient, message: transfer_tx.MsgTransfer) -> None:
    """Port and timeout that a person leaves out: ten minutes from the newest block; IBC v2 counts in seconds."""
    message.source_port = message.source_port or "transfer"
    if not message.timeout_timestamp and not message.timeout_height.revision_height:
        limit_ns = (await client.head()).time_ns + TRANSFER_TIMEOUT_S * NS
        message.timeout_timestamp = limit_ns if is_v1_channel(message.source_channel) else limit_ns // NS


def is_v1_channel(identifier: str) -> bool:
    """Whether a transfer through it goes by IBC v1; through a client, `07-tendermint-0`, it goes by v2."""
    return identifier.startswith("channel-")


def finish(outcome: TxOutcome) -> None:
    """Print what came of a transaction; exit code 1 for a refusal."""
    show(
        {
            "txhash": outcome.tx_hash,
            "height": outcome.height,
            "codespace": outcome.codespace,
            "code": outcome.code,
            "gas_used": outcome.gas_used,
            "log": outcome.log,
        }
    )
    if not outcome.ok:
        click.echo(f"error: {outcome.codespace}/{outcome.code}: {outcome.log}", err=True)
        raise click.exceptions.Exit(FAILURE)


def list_messages(module: str) -> None:
    """Messages of a module with their fields."""
    for method in _service(module).methods:
        names = field_order(method.input_type, (signer_field(new(method.input_type)),))
        order = ORDERS.get(method.input_type.full_name, tuple(names))
        click.echo(f"{kebab(method.name):<28} {signature(order)}")


def _service(module: str) -> Json:
    if module not in PACKAGES:
        raise nearest(module, tuple(PACKAGES), "module")
    return find_service(f"{PACKAGES[module]}.Msg")


def message_of(module: str, name: str) -> Message:
    """An empty message: `place-order` of `market` is bsmg.market.v1.MsgPlaceOrder."""
    service = _service(module)
    wanted = name.replace("-", "").replace("_", "").lower().removeprefix("msg")
    for method in service.methods:
        if method.name.lower() == wanted:
            return new(method.input_type)
    raise nearest(name, [kebab(method.name) for method in service.methods], f"message of {module}")


def signer_field(message: Message) -> str:
    """Field of the signer: by its usual name, else field 1."""
    fields = message.DESCRIPTOR.fields_by_name
    usual = [name for name in SIGNER_FIELDS if name in fields]
    return usual[0] if usual else str(message.DESCRIPTOR.fields_by_number[1].name)
