"""One chain as a client sees it: RPC, queries, block feed, signing lanes, proofs and light blocks."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from bsmg.client.errors import BadAnswer, QueryRefused
from bsmg.client.feed import BlockFeed, Head
from bsmg.client.grpc import AbciQueries, GrpcQueries, QueryClient, R
from bsmg.client.keys import Key
from bsmg.client.lane import FeePolicy, SigningLane
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.address import PREFIX
from cosmos_wire.protos import Message, bank_query, cmt_types, cmt_validator, commitment, ics23
from ibc_core.light_client import Height


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A value of the `ibc` store (empty: absent) with its MerkleProof, to be checked against `proof_height`."""

    value: bytes
    proof: bytes
    proof_height: Height


@dataclass(frozen=True, slots=True, kw_only=True)
class LightBlock:
    """A signed header and the validators that signed it."""

    signed_header: cmt_types.SignedHeader
    validators: cmt_validator.ValidatorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a chain can be asked. Without `grpc` queries go by ABCI through the RPC alone."""

    rpc: str
    grpc: str = ""
    prefix: str = PREFIX


def revision_of(chain_id: str) -> int:
    """IBC revision: the number after the last dash, 0 when there is none."""
    name, dash, number = chain_id.rpartition("-")
    well_formed = name and dash and number.isascii() and number.isdigit() and not number.startswith("0")
    return int(number) if well_formed else 0


class ChainClient:
    """Use as `async with ChainClient.open(...) as chain`; or `await connect()` and `await close()`."""

    def __init__(self, chain_id: str, endpoints: Endpoints) -> None:
        self.chain_id, self.prefix = chain_id, endpoints.prefix
        self.rpc = Rpc(endpoints.rpc)
        self.queries: QueryClient = GrpcQueries(endpoints.grpc) if endpoints.grpc else AbciQueries(self.rpc)
        self.feed = BlockFeed(self.rpc, chain_id)
        self.revision = revision_of(chain_id)
        self._lanes: dict[bytes, SigningLane] = {}

    @classmethod
    def of(cls, info: ChainInfo, node: int = 0) -> ChainClient:
        """The client of a chain of testnet.json, through one of its nodes."""
        chosen = info.nodes[node]
        return cls(info.chain_id, Endpoints(rpc=chosen.rpc, grpc=chosen.grpc, prefix=info.bech32_prefix))

    async def connect(self) -> ChainClient:
        """Check the chain id and follow its blocks."""
        await self.feed.start()
        return self

    async def close(self) -> None:
        """Stop following and close every connection."""
        await self.feed.close()
        await self.queries.close()
        await self.rpc.close()

    async def __aenter__(self) -> ChainClient:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def query(self, path: str, request: Message, response: type[R], height: int | None = None) -> R:
        """Typed query of any service."""
        return await self.queries.query(path, request, response, height)

    def lane(self, key: Key, policy: FeePolicy | None = None) -> SigningLane:
        """The one lane of a key; the first call fixes its policy."""
        lane = self._lanes.get(key.secret)
        if lane is None:
            lane = self._lanes[key.secret] = SigningLane(self, key, policy or FeePolicy())
        return lane

    async def head(self) -> Head:
        """The newest block that the feed knows."""
        return self.feed.head or await self.feed.start()

    def height(self, number: int) -> Height:
        """IBC height of a block of this chain."""
        return Height(self.revision, number)

    async def balance(self, address: str, denom: str, height: int | None = None) -> int:
        """Amount in base units."""
        path = "/cosmos.bank.v1beta1.Query/Balance"
        request = bank_query.QueryBalanceRequest(address=address, denom=denom)
        answer = await self.query(path, request, bank_query.QueryBalanceResponse, height)
        return int(answer.balance.amount or 0)

    async def query_with_proof(self, key: bytes, height: int, store: str = "ibc") -> Proven:
        """Value after block `height` (0: the newest) and its proof, which the header one above can check."""
        path = f"store/{store}/key"
        answer = await self.rpc.abci_query(path, key, height, prove=True)
        if answer.code:
            raise QueryRefused(path, self.rpc.url, answer.code, answer.log or "no log")
        if height and answer.height != height:
            raise BadAnswer(path, self.rpc.url, f"expected an answer as of height {height}, got {answer.height}")
        proofs = [ics23.CommitmentProof.FromString(op.data) for op in answer.proof_ops.ops]
        proof = commitment.MerkleProof(proofs=proofs).SerializeToString(deterministic=True)
        return Proven(value=answer.value, proof=proof, proof_height=self.height(answer.height + 1))

    async def light_block(self, height: int) -> LightBlock:
        """Signed header and validator set at a height."""
        signed = await self.rpc.commit(height)
        validators = await self.rpc.validators(height, signed.header.proposer_address)
        return LightBlock(signed_header=signed, validators=validators)

    async def validators(self, height: int) -> cmt_validator.ValidatorSet:
        """Validator set at a height, the first one as proposer."""
        return await self.rpc.validators(height)
