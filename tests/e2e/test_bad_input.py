"""Rubbish over the wire: every door answers with a code and what was wrong, and the node lives on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest

from bsmg.client.errors import RpcRefused
from bsmg.client.keys import Key, key_from_mnemonic
from bsmg.client.rpc import Accepted, Rpc
from cosmos_wire import tx as wire
from cosmos_wire.protos import auth, auth_query, bank_tx, coin, tx
from tests.e2e.net import BLOCKS, A, Net, Side, opened

pytestmark = pytest.mark.e2e
SEED = 7
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1 (SEC 2)
GAS = 300_000
UNKNOWN_FIELD = bytes([0x7A, 0x01, 0x00])  # field 15, one byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A payment of one unit to oneself, to be spoilt in one place."""

    key: Key
    number: int
    sequence: int
    chain_id: str = A
    memo: str = ""
    timeout_height: int = 0
    gas: int = GAS
    denom: str = "bmga"
    sender: str = ""

    def body(self) -> bytes:
        amount = [coin.Coin(denom=self.denom, amount="1")]
        own = self.key.address()
        message = bank_tx.MsgSend(from_address=self.sender or own, to_address=own, amount=amount)
        return wire.body_of([message], memo=self.memo, timeout_height=self.timeout_height)

    def auth_info(self) -> bytes:
        return wire.auth_info_of(self.key.public, self.sequence, gas=self.gas)

    def raw(self) -> bytes:
        signer = wire.SignerData(chain_id=self.chain_id, account_number=self.number, sign=self.key.sign)
        return wire.signed(self.body(), self.auth_info(), signer)

    def signed_as(self, spoil: Callable[[bytes], bytes]) -> bytes:
        made = tx.TxRaw.FromString(self.raw())
        made.signatures[0] = spoil(made.signatures[0])
        return made.SerializeToString(deterministic=True)

    def with_body(self, body: bytes) -> bytes:
        signer = wire.SignerData(chain_id=self.chain_id, account_number=self.number, sign=self.key.sign)
        return wire.signed(body, self.auth_info(), signer)


async def draft_of(side: Side, name: str = "relayer") -> Draft:
    key = key_from_mnemonic(side.info.account(name).mnemonic)
    request = auth_query.QueryAccountRequest(address=key.address())
    answer = await side.client.query("/cosmos.auth.v1beta1.Query/Account", request, auth_query.QueryAccountResponse)
    account = auth.BaseAccount.FromString(answer.account.value)
    return Draft(key=key, number=account.account_number, sequence=account.sequence)


def high_s(signature: bytes) -> bytes:
    """The other root: as valid for ECDSA, refused because a transaction must have one form."""
    s = CURVE_ORDER - int.from_bytes(signature[32:], "big")
    return signature[:32] + s.to_bytes(32, "big")


def cases(draft: Draft, stranger: str) -> dict[str, tuple[bytes, tuple[str, int]]]:
    """Transaction and (code space, code) that CheckTx has to answer; numbers are the SDK's."""
    good, rng = draft.raw(), random.Random(SEED)
    with_any = tx.TxBody.FromString(draft.body())
    with_any.messages[0].type_url = "/no.such.Message"
    decode, bundle = ("sdk", 2), ("market", 16)  # what begins with byte 0 would be a vote bundle
    return {
        "random bytes": (rng.randbytes(200), decode),
        "one byte 0": (b"\x00", bundle),
        "a tag without value": (b"\x0a", decode),
        "first byte 0": (b"\x00" + good[1:], bundle),
        "truncated": (good[: len(good) // 2], decode),
        "one byte short": (good[:-1], decode),
        "bytes behind": (good + b"\x00", decode),
        "unknown field of TxRaw": (good + UNKNOWN_FIELD, decode),
        "unknown field of the body": (draft.with_body(draft.body() + UNKNOWN_FIELD), decode),
        "unknown message": (draft.with_body(with_any.SerializeToString()), decode),
        "no messages": (draft.with_body(tx.TxBody(memo="x").SerializeToString()), ("sdk", 18)),
        "another chain's id": (replace(draft, chain_id="mgb-1").raw(), ("sdk", 4)),
        "another account's number": (replace(draft, number=draft.number + 1).raw(), ("sdk", 4)),
        "sequence ahead": (replace(draft, sequence=draft.sequence + 1).raw(), ("sdk", 32)),
        "signature of another text": (draft.signed_as(lambda _: draft.key.sign(b"other")), ("sdk", 4)),
        "signature high": (draft.signed_as(high_s), ("sdk", 4)),
        "signature short": (draft.signed_as(lambda text: text[:63]), ("sdk", 4)),
        "signature of zeros": (draft.signed_as(lambda _: bytes(64)), ("sdk", 4)),
        "memo too long": (replace(draft, memo="m" * 257).raw(), ("sdk", 12)),
        "too late": (replace(draft, timeout_height=1).raw(), ("sdk", 30)),
        "no gas": (replace(draft, gas=1).raw(), ("sdk", 11)),
        "somebody else's money": (replace(draft, sender=stranger).raw(), ("sdk", 8)),
        "sender that is no address": (replace(draft, sender="mga").raw(), ("undefined", 1)),
    }


async def test_transactions(net: Net) -> None:
    async with opened(net, node=1) as (a, _):
        draft = await draft_of(a)
        for name, (raw, wanted) in cases(draft, a.faucet.address).items():
            answer = await a.client.rpc.broadcast_tx_sync(raw)
            assert (answer.codespace, answer.code) == wanted, f"{name}: {answer}"
            assert answer.log, name
            assert "Traceback" not in answer.log, name
        empty = await a.client.rpc.broadcast_tx_sync(b"")
        assert (empty.code, empty.log.startswith("must contain at least one message")) == (18, True)
        with pytest.raises(RpcRefused, match="too large"):
            await a.client.rpc.broadcast_tx_sync(bytes(1_100_000))
        await _one_is_taken_once(a, draft)


async def _one_is_taken_once(side: Side, draft: Draft) -> None:
    """After all that the node still takes a good one, and the same bytes only once."""
    raw = draft.raw()
    ticket = side.client.feed.expect(sha256(raw).hexdigest().upper(), (await side.client.head()).height + BLOCKS)
    assert (await side.client.rpc.broadcast_tx_sync(raw)).code == 0
    with pytest.raises(RpcRefused, match="already exists in cache"):
        await side.client.rpc.broadcast_tx_sync(raw)
    assert (await ticket.found).result.code == 0
    rpc = Rpc(side.info.nodes[2].rpc)
    twin = replace(draft, memo="again").raw()
    late: Accepted = await rpc.broadcast_tx_sync(twin)
    await rpc.close()
    assert (late.codespace, late.code) == ("sdk", 32)
    assert late.log.startswith(f"account sequence mismatch, expected {draft.sequence + 1}, got {draft.sequence}")


async def test_a_payment_refused_in_its_block_moves_nothing(net: Net) -> None:
    """Two payments of more than half of what there is, in flight together: one of them has a code."""
    async with opened(net) as (a, _):
        lane, held = a.lane("relayer"), await a.balance(a.address("relayer"))
        amount = [coin.Coin(denom=a.denom, amount=str(held // 2 + 1))]
        message = bank_tx.MsgSend(from_address=lane.address, to_address=a.address("relayer-1"), amount=amount)
        outcomes = await asyncio.gather(lane.submit([message]), lane.submit([message]))
        good = [one for one in outcomes if one.ok]
        (bad,) = [one for one in outcomes if not one.ok]
        assert (bad.codespace, bad.code) == ("sdk", 5)
        assert len(good) == 1
        assert await a.balance(lane.address) == held - (held // 2 + 1)
