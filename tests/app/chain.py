"""A chain in the test's own process: accounts, signed transactions, blocks, restarts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Any

from google.protobuf.json_format import MessageToDict

from abci_app.app_process import build
from abci_app.application import Application
from cosmos_wire import secp256k1
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, abci, bank_tx, coin
from cosmos_wire.tx import SignerData, auth_info_of, body_of, signed
from energy.market.defaults import default_params, params_document
from energy.trade import params as trade_params
from microgrid.operator import Operator
from microgrid.state_api import State

CHAIN, DENOM = "mga-1", "bmga"
RICH = 10**15
GAS = 200_000
START_S = 1_800_000_000
MAX_TX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A secret and what follows from it; `number` is its account number in `genesis`."""

    secret: bytes
    number: int

    @property
    def public(self) -> bytes:
        return secp256k1.public_key(self.secret)

    @property
    def raw(self) -> bytes:
        return secp256k1.address(self.public)

    @property
    def text(self) -> str:
        return to_bech32(self.raw)


def _key(name: str, number: int) -> Key:
    return Key(secret=sha256(name.encode()).digest(), number=number)


ALICE, BOB, UTILITY = _key("alice", 1), _key("bob", 2), _key("utility", 3)  # 0 is the fee collector's
STRANGER = _key("stranger", 0)
FUNDED = (ALICE, BOB, UTILITY)


@cache
def genesis() -> bytes:
    """app_state with three rich accounts and all modules' parameters."""
    market = default_params(4_000, 12_000, DENOM, UTILITY.text, START_S // 4 + 10)
    trade = trade_params.default_params(UTILITY.text, DENOM, "utility@mga")
    trade.slot_ms, trade.window_ms = market.slot_ms, market.window_min_ms
    doc = {
        "state_version": 1,
        "auth": {"accounts": [{"address": each.text, "kind": "base"} for each in FUNDED]},
        "bank": {
            "balances": [{"address": each.text, "coins": [{"denom": DENOM, "amount": str(RICH)}]} for each in FUNDED],
            "denom_metadata": [{"base": DENOM, "display": "mga", "denom_units": [{"denom": DENOM, "exponent": 0}]}],
        },
        "staking": {"unbonding_s": 60},
        "registry": {"params": {"utility": UTILITY.text, "microgrid": "mga"}},
        "market": {"params": params_document(market)},
        "trade": {"params": MessageToDict(trade, preserving_proto_field_name=True)},
    }
    return json.dumps(doc).encode()


def send_message(sender: Key, recipient: str, amount: int = 1) -> bank_tx.MsgSend:
    return bank_tx.MsgSend(
        from_address=sender.text, to_address=recipient, amount=[coin.Coin(denom=DENOM, amount=str(amount))]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A transaction before it is signed; tests change one field at a time."""

    key: Key = ALICE
    sequence: int = 0
    messages: tuple[Message, ...] = (send_message(ALICE, BOB.text),)
    gas: int = GAS
    fee: int = 10
    memo: str = ""
    timeout_height: int = 0
    chain_id: str = CHAIN
    number: int | None = None  # account number, the key's own unless given

    def bytes(self) -> bytes:
        body = body_of(self.messages, memo=self.memo, timeout_height=self.timeout_height)
        fee = ((DENOM, self.fee),) if self.fee else ()
        info = auth_info_of(self.key.public, self.sequence, gas=self.gas, fee=fee)
        number = self.key.number if self.number is None else self.number
        sign = lambda message: secp256k1.sign(self.key.secret, message)  # noqa: E731  (a field of a value)
        return signed(body, info, SignerData(chain_id=self.chain_id, account_number=number, sign=sign))


def send_tx(sequence: int, **changes: Any) -> bytes:
    """Alice's transfer to Bob."""
    return replace(Draft(sequence=sequence), **changes).bytes()


class Node:
    """Drives an Application as CometBFT does."""

    def __init__(self, state: State, operator: Operator | None = None) -> None:
        self.state = state
        self.app: Application = build(state, operator or Operator())
        if state.height == 0:
            self.init_chain()

    def ask(self, **request: Message) -> Any:
        """One request and its response, through the same door as the server's."""
        (kind,) = request
        return getattr(self.app.handle(abci.Request(**request)), kind)  # type: ignore[arg-type]  # keywords

    def init_chain(self) -> abci.ResponseInitChain:
        request = abci.RequestInitChain(chain_id=CHAIN, app_state_bytes=genesis(), initial_height=1)
        request.time.seconds = START_S
        request.consensus_params.abci.vote_extensions_enable_height = 1
        update = request.validators.add(power=10)
        update.pub_key.ed25519 = sha256(b"validator").digest()
        return self.app.init_chain(request)

    def finalize(self, *txs: bytes, height: int = 0) -> abci.ResponseFinalizeBlock:
        request = abci.RequestFinalizeBlock(txs=txs, height=height or self.state.height + 1)
        request.time.seconds = START_S + request.height
        response: abci.ResponseFinalizeBlock = self.ask(finalize_block=request)
        return response

    def commit(self) -> None:
        self.ask(commit=abci.RequestCommit())

    def block(self, *txs: bytes) -> Sequence[abci.ExecTxResult]:
        response = self.finalize(*txs)
        self.commit()
        return response.tx_results

    def check(self, tx: bytes, *, again: bool = False) -> abci.ResponseCheckTx:
        kind = abci.RECHECK if again else abci.NEW
        response: abci.ResponseCheckTx = self.ask(check_tx=abci.RequestCheckTx(tx=tx, type=kind))
        return response
