"""What a user of cosmpy does, in a process that has nothing of ours. Argument: a JSON object; answer: one on stdout.

A step that throws is {error, name}; what is right is decided by the test.
"""

import json
import sys

import grpc
from cosmpy.aerial.client import LedgerClient, NetworkConfig
from cosmpy.aerial.tx import SigningCfg, Transaction, TxFee
from cosmpy.aerial.wallet import LocalWallet
from cosmpy.crypto.keypairs import PrivateKey
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin


class User:
    """A funded wallet, a fresh one and the chain."""

    def __init__(self, task):
        self.denom, self.price = task["denom"], float(task["gas_price"])
        self.ledger = LedgerClient(
            NetworkConfig(
                chain_id=task["chain_id"],
                url=task["url"],
                fee_minimum_gas_price=self.price,
                fee_denomination=self.denom,
                staking_denomination=self.denom,
            )
        )
        self.rich = LocalWallet.from_mnemonic(task["mnemonic"], prefix="bsmg")
        self.fresh = LocalWallet(PrivateKey(), prefix="bsmg")

    def balance(self, wallet):
        return self.ledger.query_bank_balance(wallet.address(), self.denom)

    def all_balances(self):
        return [[coin.denom, str(coin.amount)] for coin in self.ledger.query_bank_all_balances(self.rich.address())]

    def account(self, wallet):
        found = self.ledger.query_account(wallet.address())
        return {"address": str(found.address), "number": found.number, "sequence": found.sequence}

    def send(self, sender, receiver, amount):
        """Simulated, signed, sent and waited for by cosmpy alone."""
        before = self.balance(sender)
        sent = self.ledger.send_tokens(receiver.address(), amount, self.denom, sender).wait_to_complete()
        found = sent.response
        return {
            "hash": sent.tx_hash,
            "code": found.code,
            "height": found.height,
            "gas_wanted": found.gas_wanted,
            "gas_used": found.gas_used,
            "events": sorted(found.events),
            "spent": before - self.balance(sender),
        }

    def send_with(self, sender, *, sequence=0, gas=200_000, fee=None, amount=1):
        """Without simulation: what CheckTx or the block says."""
        account = self.ledger.query_account(sender.address())
        made = Transaction()
        made.add_message(
            MsgSend(
                from_address=str(sender.address()),
                to_address=str(self.rich.address()),
                amount=[Coin(denom=self.denom, amount=str(amount))],
            )
        )
        fee = f"{int(gas * self.price)}{self.denom}" if fee is None else fee
        made.seal(
            SigningCfg.direct(sender.public_key(), account.sequence + sequence), fee=TxFee(amount=fee, gas_limit=gas)
        )
        made.sign(sender.signer(), self.ledger.network_config.chain_id, account.number)
        made.complete()
        found = self.ledger.broadcast_tx(made).wait_to_complete().response
        return {"code": found.code, "height": found.height}

    def staked(self):
        found = self.ledger.query_staking_summary(self.rich.address())
        return [found.total_staked, found.total_rewards, found.total_unbonding]

    def block(self, height):
        found = self.ledger.query_block(height)
        return {"height": found.height, "chain_id": found.chain_id}


def main():
    """Every step in order."""
    user, answers = User(json.loads(sys.argv[1])), {}
    stranger = LocalWallet(PrivateKey(), prefix="bsmg")
    steps = {
        "balance": lambda: user.balance(user.rich),
        "all_balances": user.all_balances,
        "account": lambda: user.account(user.rich),
        "send": lambda: user.send(user.rich, user.fresh, 12_345_678),
        "received": lambda: user.balance(user.fresh),
        "spend": lambda: user.send(user.fresh, user.rich, 1),
        "insufficient": lambda: user.send(user.fresh, user.rich, 10**18),
        "insufficient_in_block": lambda: user.send_with(user.fresh, amount=10**18),
        "wrong_sequence": lambda: user.send_with(user.fresh, sequence=7),
        "low_fee": lambda: user.send_with(user.fresh, fee=f"1{user.denom}"),
        "low_gas": lambda: user.send_with(user.fresh, gas=3_000),
        "plain": lambda: user.send_with(user.fresh),
        "no_account": lambda: user.account(stranger),
        "no_tx": lambda: user.ledger.query_tx("AA" * 32),
        "staked": user.staked,
        "latest": lambda: user.ledger.query_latest_block().height,
        "chain_id": user.ledger.query_chain_id,
        "block": lambda: user.block(2),
        "validators": lambda: [str(item.address) for item in user.ledger.query_validators()],
    }
    for name, step in steps.items():
        try:
            answers[name] = step()
        except (RuntimeError, grpc.RpcError) as error:  # cosmpy's own are RuntimeErrors
            answers[name] = {"error": str(error)[:900], "name": type(error).__name__}
    print(json.dumps(answers))


main()
