"""`bsmg faucet ADDRESS [AMOUNT]`: pay out of a testnet's faucet."""

from __future__ import annotations

import click

from bsmg.cli.output import note
from bsmg.cli.target import Target, run, with_target
from bsmg.cli.tx import finish
from bsmg.client.chain import ChainClient
from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import bank_tx, coin

DEFAULT_AMOUNT = 10**11  # ten tokens


@click.command()
@click.argument("address")
@click.argument("amount", type=click.IntRange(1), default=DEFAULT_AMOUNT)
@with_target
def command(target: Target, address: str, amount: int) -> None:
    """Pay AMOUNT base units (1e-10 token, default ten tokens) to an address or an account's name."""
    recipient = target.address(address)

    async def pay(client: ChainClient) -> TxOutcome:
        lane = client.lane(target.credential("faucet"))
        coins = [coin.Coin(denom=target.denom, amount=str(amount))]
        message = bank_tx.MsgSend(from_address=lane.address, to_address=recipient, amount=coins)
        return await lane.submit([message], "faucet")

    note(f"{amount}{target.denom} to {recipient}")
    finish(run(target, pay))
