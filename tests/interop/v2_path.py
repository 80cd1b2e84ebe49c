"""An IBC v2 path between any two chains of a test: our relayer with its configuration, senders, balances."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from bsmg.client.comet import CometClient, Endpoints
from bsmg.client.keys import key_from_mnemonic
from bsmg.client.lane import FeePolicy, TxOutcome, parse_gas_price
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Message, bank_query, channel_v2, channel_v2_query, channel_v2_tx, coin, transfer_tx
from ibc_core.transfer.data import TokenPacket
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.encoding import JSON, PROTOBUF, encode
from ibc_core.transfer.ledger import VERSION, escrow_address
from tests.interop.net import Chain
from tests.interop.relay import Ours

R = TypeVar("R")
NS = 10**9
HOUR_S = 3_600
GAS = 300_000  # a transfer
MSGS_PER_TX = 25
ACCOUNT = "home-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathV2(Ours):
    """Our relayer on a path of two clients; `channels` are the clients too, as MsgTransfer names them."""

    def _path(self) -> str:
        a, b = self.chains
        ids = f'a_client = "{self.clients[0]}"\nb_client = "{self.clients[1]}"\n' if all(self.clients) else ""
        return f'[[path]]\na = "{a.id}"\nb = "{b.id}"\nversion = 2\n{ids}create = {str(not ids).lower()}\n'

    def create(self) -> PathV2:
        """`path create`; the same relayer with what it found or made."""
        (link,) = json.loads(self.run("path", "create"))
        clients = (link["a"]["client_id"], link["b"]["client_id"])
        return replace(self, channels=clients, clients=clients)

    def pending(self) -> int:
        """Packets of both directions that are not finished."""
        return sum(len(self.committed(side)) for side in (0, 1))

    def committed(self, side: int) -> list[int]:
        """Sequences that a side has sent and that are not finished."""
        request = channel_v2_query.QueryPacketCommitmentsRequest(client_id=self.clients[side])
        path = "/ibc.core.channel.v2.Query/PacketCommitments"

        async def ask(node: CometClient) -> list[int]:
            answer = await node.query(path, request, channel_v2_query.QueryPacketCommitmentsResponse)
            return [item.sequence for item in answer.commitments]

        return with_node(self.chains[side], ask)

    def voucher(self, side: int) -> str:
        """Denomination on the other side of the token of a side."""
        return Denom(self.chains[side].denom, (("transfer", self.clients[1 - side]),)).ledger_name

    def escrow(self, side: int) -> int:
        """What a side's client holds of the chain's own token."""
        chain = self.chains[side]
        account = to_bech32(escrow_address("transfer", self.clients[side]), chain.prefix)
        return with_node(chain, lambda node: node.balance(account, chain.denom))

    def issued(self, side: int) -> int:
        """Vouchers on the other side of a side's own token."""
        request = bank_query.QuerySupplyOfRequest(denom=self.voucher(side))

        async def ask(node: CometClient) -> int:
            path = "/cosmos.bank.v1beta1.Query/SupplyOf"
            answer = await node.query(path, request, bank_query.QuerySupplyOfResponse)
            return int(answer.amount.amount or 0)

        return with_node(self.chains[1 - side], ask)

    def send(self, side: int, messages: Sequence[Message], account: str = ACCOUNT) -> list[TxOutcome]:
        """Messages of an account in transactions of a few; each has to succeed."""
        chain = self.chains[side]

        async def work(node: CometClient) -> list[TxOutcome]:
            price, denom = parse_gas_price(chain.gas_price + chain.denom)
            policy = FeePolicy(price=price, denom=denom, fixed_gas=GAS * min(len(messages), MSGS_PER_TX))
            lane = node.lane(key_from_mnemonic(chain.accounts[account]["mnemonic"]), policy)
            parts = [messages[at : at + MSGS_PER_TX] for at in range(0, len(messages), MSGS_PER_TX)]
            return list(await asyncio.gather(*(lane.submit(part) for part in parts)))

        outcomes = with_node(chain, work)
        bad = [f"{item.codespace}/{item.code} {item.log}" for item in outcomes if not item.ok]
        assert not bad, bad[:3]
        return outcomes

    def transfer(self, side: int, amount: int, **fields: object) -> Message:
        """MsgTransfer of ACCOUNT through the client; fields `timeout_s` from now, `denom`, `receiver`, `encoding`."""
        chain, other = self.chains[side], self.chains[1 - side]
        return transfer_tx.MsgTransfer(
            source_port="transfer",
            source_channel=self.clients[side],
            token=coin.Coin(denom=str(fields.get("denom", chain.denom)), amount=str(amount)),
            sender=chain.address(ACCOUNT),
            receiver=str(fields.get("receiver", other.address(ACCOUNT))),
            timeout_timestamp=now_s(chain) + int(str(fields.get("timeout_s", HOUR_S))),
            encoding=str(fields.get("encoding", "")),
        )

    def send_packet(self, side: int, amount: int, encoding: str) -> Message:
        """MsgSendPacket with an ICS-20 payload of ACCOUNT."""
        chain, other = self.chains[side], self.chains[1 - side]
        data = TokenPacket(
            denom=Denom(chain.denom),
            amount=amount,
            sender=chain.address(ACCOUNT),
            receiver=other.address(ACCOUNT),
            memo="by MsgSendPacket",
        )
        payload = channel_v2.Payload(
            source_port="transfer",
            destination_port="transfer",
            version=VERSION,
            encoding=encoding,
            value=encode(data, encoding),
        )
        return self._packet(side, payload)

    def mock_packet(self, data: bytes, port: str = "mockv2B", timeout_s: int = HOUR_S) -> Message:
        """MsgSendPacket of side 0 from one of ibc-go's mock applications to a port."""
        payload = channel_v2.Payload(
            source_port="mockv2A", destination_port=port, version="mock-version", encoding=PROTOBUF, value=data
        )
        return self._packet(0, payload, timeout_s)

    def _packet(self, side: int, payload: channel_v2.Payload, timeout_s: int = HOUR_S) -> Message:
        return channel_v2_tx.MsgSendPacket(
            source_client=self.clients[side],
            timeout_timestamp=now_s(self.chains[side]) + timeout_s,
            payloads=[payload],
            signer=self.chains[side].address(ACCOUNT),
        )


def with_node(chain: Chain, work: Callable[[CometClient], Awaitable[R]]) -> R:
    """Ask one connected client."""

    async def inner() -> R:
        async with CometClient(chain.id, Endpoints(rpc=chain.rpc, grpc=chain.grpc, prefix=chain.prefix)) as node:
            return await work(node)

    return asyncio.run(inner())


def now_s(chain: Chain) -> int:
    """Time of the newest block, whole seconds."""

    async def ask(node: CometClient) -> int:
        return (await node.head()).time_ns // NS

    return with_node(chain, ask)


__all__ = ["ACCOUNT", "JSON", "PathV2", "now_s", "with_node"]
