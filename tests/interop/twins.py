"""Two chains with a transfer channel between them, one ours and one stock: what one gets, the other gets.

A case is a coroutine over (host, peer): it sends something to the host, with what it needs of the peer, and gives
what it saw. It is run with each of the two chains as host.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from typing import TypeVar

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.errors import RpcRefused
from bsmg.client.keys import Key, key_from_mnemonic
from bsmg.client.lane import FeePolicy
from cosmos_wire import tx as wire
from cosmos_wire.protos import Any, Message, auth, auth_query, client, signing, transfer_tx, tx
from ibc_core import paths
from ibc_core.state import height_message
from ibc_relayer import clients
from ibc_relayer.chain import Party
from ibc_relayer.client_chain import ClientChain
from ibc_relayer.clients import Ground
from ibc_relayer.cometbft import CometProver
from ibc_relayer.events import Sent, facts
from ibc_relayer.handshake import ChannelSpec, create_path
from ibc_relayer.plan import End, Packet
from tests.interop.net import GAS_PRICE, Chain

GAS = 2_000_000
NOWHERE = End("", "")
WAIT_BLOCKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of it. `where`: `rpc` (the node itself refused), `check`, `deliver` or `query`."""

    where: str
    codespace: str
    code: int
    log: str = field(compare=False)
    gas_wanted: int = field(default=0, compare=False)
    height: int = field(default=0, compare=False)

    @property
    def verdict(self) -> str:
        """In one word for the table."""
        return f"{self.where} {self.codespace}/{self.code}" if self.code else f"{self.where} ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a transaction departs from an honest one; None: as it should be."""

    gas: int = GAS
    fee: Sequence[tuple[str, str]] | None = None  # (denomination, amount)
    sequence_shift: int = 0
    chain_id: str | None = None
    memo: str = ""
    timeout_height: int = 0
    signing_key: Key | None = None  # who signs, under the right public key
    key: Key | None = None  # who is said to sign, and does
    change_body: Callable[[tx.TxBody], None] | None = None
    change_auth: Callable[[tx.AuthInfo], None] | None = None
    change_raw: Callable[[tx.TxRaw], None] | None = None


HONEST = Terms()
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two chains."""

    chain: Chain
    client: CometClient
    party: Party
    key: Key
    ours: bool
    client_id: str = ""
    connection_id: str = ""
    end: End = NOWHERE
    spent: dict[str, int] = field(default_factory=dict)  # address to its next sequence, as the last block has it

    @property
    def address(self) -> str:
        """Of the key that sends."""
        return self.key.address(self.client.prefix)

    @property
    def denom(self) -> str:
        """The chain's own token."""
        return self.chain.denom

    async def account(self, address: str) -> auth.BaseAccount:
        """Number and sequence."""
        request = auth_query.QueryAccountRequest(address=address)
        path = "/cosmos.auth.v1beta1.Query/Account"
        while True:
            answer = await self.client.query(path, request, auth_query.QueryAccountResponse)
            found = auth.BaseAccount.FromString(answer.account.value)
            if found.sequence >= self.spent.get(address, 0):
                return found
            await self.client.feed.wait_above((await self.client.head()).height)

    async def tx(self, messages: Sequence[Message | Any], terms: Terms = HONEST) -> bytes:
        """Bytes of a transaction."""
        key = terms.key or self.key
        account = await self.account(self.address)
        body = tx.TxBody(memo=terms.memo, timeout_height=terms.timeout_height)
        body.messages.extend(item if isinstance(item, Any) else wire.pack(item) for item in messages)
        info = self._auth_info(key, account.sequence + terms.sequence_shift, terms)
        for change, part in ((terms.change_body, body), (terms.change_auth, info)):
            if change is not None:
                change(part)  # type: ignore[operator]  # a pair of a change and what it changes
        raw = tx.TxRaw(body_bytes=body.SerializeToString(), auth_info_bytes=info.SerializeToString())
        chain_id = self.chain.id if terms.chain_id is None else terms.chain_id
        doc = wire.sign_doc(raw.body_bytes, raw.auth_info_bytes, chain_id, account.account_number)
        raw.signatures.append((terms.signing_key or key).sign(doc))
        if terms.change_raw is not None:
            terms.change_raw(raw)
        return raw.SerializeToString()

    def _auth_info(self, key: Key, sequence: int, terms: Terms) -> tx.AuthInfo:
        info = tx.AuthInfo()
        signer = info.signer_infos.add(sequence=sequence, public_key=wire.public_key_any(key.public))
        signer.mode_info.single.mode = signing.SIGN_MODE_DIRECT
        info.fee.gas_limit = terms.gas
        fee = [(self.denom, str(int(Decimal(GAS_PRICE) * terms.gas) + 1))] if terms.fee is None else terms.fee
        for denom, amount in fee:
            info.fee.amount.add(denom=denom, amount=amount)
        return info

    async def send(self, raw: bytes) -> Seen:
        """Broadcast; when CheckTx takes it, what the block made of it."""
        try:
            accepted = await self.client.rpc.broadcast_tx_sync(raw)
        except RpcRefused as error:
            return Seen(where="rpc", codespace="", code=error.code, log=str(error))
        if accepted.code:
            return Seen(where="check", codespace=accepted.codespace, code=accepted.code, log=accepted.log)
        return await self.included(raw)

    async def included(self, raw: bytes) -> Seen:
        """What the block made of a transaction that the mempool took."""
        tx_hash = sha256(raw).hexdigest().upper()
        head = await self.client.head()
        for _ in range(WAIT_BLOCKS):
            found = await self.client.rpc.tx(tx_hash)
            if found is not None:
                result = found.result
                self.spent[self.address] = sequence_of(raw) + 1
                return Seen(
                    where="deliver",
                    codespace=result.codespace,
                    code=result.code,
                    log=result.log,
                    gas_wanted=result.gas_wanted,
                    height=found.height,
                )
            head = await self.client.feed.wait_above(head.height)
        raise AssertionError(f"{tx_hash} is in no block of {self.chain.id}")

    async def submit(self, *messages: Message | Any, terms: Terms = HONEST) -> Seen:
        """An honest transaction around these messages, or one under other terms."""
        return await self.send(await self.tx(messages, terms))

    async def query(self, path: str, request: bytes, height: int = 0, *, prove: bool = False) -> Seen:
        """ABCI Query."""
        answer = await self.client.rpc.abci_query(path, request, height, prove=prove)
        return Seen(where="query", codespace=answer.codespace, code=answer.code, log=answer.log)

    # IBC

    def transfer(self, peer: Side, **changes: object) -> transfer_tx.MsgTransfer:
        """One unit to the peer's sender."""
        message = transfer_tx.MsgTransfer(
            source_port=self.end.port,
            source_channel=self.end.channel,
            sender=self.address,
            receiver=peer.address,
            timeout_timestamp=2**62,
        )
        message.token.denom, message.token.amount = self.denom, "1"
        return edited(message, **changes)

    async def sent(self, message: transfer_tx.MsgTransfer) -> tuple[Packet, int]:
        """The packet of a transfer and the block that holds it."""
        outcome = await self.party.chain.submit([edited(message, sender=self.party.chain.signer)])
        assert outcome.ok, outcome
        (fact,) = [item for item in facts(outcome.events) if isinstance(item, Sent)]
        return fact.packet, outcome.height

    async def ground(self, peer: Side, least: int = 0, asked: Sequence[bytes] = ()) -> Ground:
        """A height of the peer that this chain's client knows, with proofs of paths."""
        found = await clients.ground(self.party, peer.party, self.client_id, least, asked)
        if found.updates:
            outcome = await self.party.chain.submit(found.updates)
            assert outcome.ok, outcome
        return found

    async def proven(self, peer: Side, path: bytes, least: int = 0) -> tuple[bytes, client.Height]:
        """Proof of the peer's state at a path, with the height to check it at."""
        ground = await self.ground(peer, least, [path])
        return ground.proof(path), height_message(ground.proof_height)

    async def commitment_of(self, peer: Side, packet: Packet, least: int) -> tuple[bytes, client.Height]:
        """Proof that the peer sent it."""
        path = paths.commitment(packet.source.port, packet.source.channel, packet.sequence)
        return await self.proven(peer, path, least + 1)


def sequence_of(raw: bytes) -> int:
    """The first signer's."""
    return tx.AuthInfo.FromString(tx.TxRaw.FromString(raw).auth_info_bytes).signer_infos[0].sequence


def edited(message: M, **changes: object) -> M:
    """The message with other values; `a__b` names a field of a submessage, a message or list is put in place."""
    made = type(message)()
    made.CopyFrom(message)
    for name, value in changes.items():
        target: object = made
        *way, last = name.split("__")
        for part in way:
            target = getattr(target, part)
        if isinstance(value, Message):
            getattr(target, last).CopyFrom(value)
        elif isinstance(value, list):
            del getattr(target, last)[:]
            getattr(target, last).extend(value)
        else:
            setattr(target, last, value)
    return made


Act = Callable[[Side, Side], Awaitable[Seen]]


@asynccontextmanager
async def twins(ours: Chain, stock: Chain) -> AsyncIterator[tuple[Side, Side]]:
    """Both sides, with a client, a connection and a transfer channel between them."""
    async with AsyncExitStack() as stack:
        sides = [await _side(stack, chain, ours=chain is ours) for chain in (ours, stock)]
        spec = ChannelSpec(ports=("transfer", "transfer"), version="ics20-1")
        made = await create_path(sides[0].party, sides[1].party, [spec])
        one, other = (
            replace(side, client_id=made.clients[n], connection_id=made.connections[n], end=made.channels[0][n])
            for n, side in enumerate(sides)
        )
        yield one, other


async def _side(stack: AsyncExitStack, chain: Chain, *, ours: bool) -> Side:
    prefix = chain.address("faucet").rpartition("1")[0]
    endpoints = Endpoints(rpc=chain.rpc, grpc=chain.grpc, prefix=prefix)
    made = await stack.enter_async_context(CometClient(chain.id, endpoints))
    relayer, faucet = (key_from_mnemonic(chain.accounts[name]["mnemonic"]) for name in ("relayer", "faucet"))
    lane = made.lane(relayer, FeePolicy(price=Decimal(GAS_PRICE), denom=chain.denom))
    party = Party(chain=ClientChain(made, lane), prover=CometProver(made))
    return Side(chain=chain, client=made, party=party, key=faucet, ours=ours)


_VARIES = (
    (re.compile(r"(?:cosmos|bsmg)1[0-9a-z]{38,58}"), "ADDRESS"),
    (re.compile(r"[0-9a-fA-F]{40,}"), "HEX"),
    (re.compile(r"\b\d+(?:\.\d+)?"), "N"),
)


def stable(log: str) -> str:
    """The last part of a log: the registered text of the error, which does not vary between implementations."""
    for pattern, name in _VARIES:
        log = pattern.sub(name, log)
    return re.sub(r" \[[^\[\]]*\]$", "", log.strip()).rpartition(": ")[2]


async def both(act: Act, one: Side, other: Side) -> tuple[Seen, Seen]:
    """The case with each side as host, at the same time: the sending key is the host's, the peer's relayer helps."""
    seen = await asyncio.gather(act(one, other), act(other, one))
    return seen[0], seen[1]


__all__ = ["HONEST", "Act", "Seen", "Side", "Terms", "both", "edited", "stable", "twins"]
