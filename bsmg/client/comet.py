"""A CometBFT chain as a client sees it: RPC beside gRPC, proofs of the store, light blocks."""

from __future__ import annotations

from dataclasses import dataclass

from bsmg.client.blocks import FoundEvent, FoundTx
from bsmg.client.chain import ChainClient, EventQuery, Proven
from bsmg.client.comet_feed import CometFeed
from bsmg.client.credential import Credential
from bsmg.client.errors import BadAnswer, KeyFault, QueryRefused
from bsmg.client.grpc import AbciQueries, GrpcQueries
from bsmg.client.keys import Key
from bsmg.client.lane import FeePolicy, SigningLane
from bsmg.client.rpc import Rpc
from bsmg.client.testnet_file import AccountInfo, ChainInfo
from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import cmt_types, cmt_validator, commitment, ics23


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


class CometClient(ChainClient):
    """Use as `async with CometClient(...) as chain`; or `await connect()` and `await close()`."""

    kinds = ("cometbft",)

    def __init__(self, chain_id: str, endpoints: Endpoints) -> None:
        self.rpc = Rpc(endpoints.rpc)
        queries = GrpcQueries(endpoints.grpc) if endpoints.grpc else AbciQueries(self.rpc)
        super().__init__(chain_id, endpoints.prefix, queries, CometFeed(self.rpc, chain_id))
        self._lanes: dict[bytes, SigningLane] = {}

    @classmethod
    def of(cls, info: ChainInfo, node: int = 0) -> CometClient:
        """The client of a chain of testnet.json; raises ToolError for one that is not CometBFT's."""
        if info.kind not in cls.kinds:
            raise ToolError(f"{info.chain_id}: expected a chain of kind {cls.kinds[0]}, got {info.kind!r}")
        chosen = info.nodes[node]
        return cls(info.chain_id, Endpoints(rpc=chosen.rpc, grpc=chosen.grpc, prefix=info.bech32_prefix))

    async def close(self) -> None:
        """Stop following and close every connection."""
        await super().close()
        await self.rpc.close()

    def lane(self, credential: Credential, policy: FeePolicy | None = None) -> SigningLane:
        """The one lane of a key; the first call fixes its policy."""
        if not isinstance(credential, Key):
            raise KeyFault(f"{self.chain_id}: expected a key of a mnemonic, got a certificate of {credential.msp_id}")
        lane = self._lanes.get(credential.secret)
        if lane is None:
            lane = self._lanes[credential.secret] = SigningLane(self, credential, policy or FeePolicy())
        return lane

    def lane_of(self, account: AccountInfo, policy: FeePolicy | None = None) -> SigningLane:
        """The lane of an account of testnet.json."""
        made = super().lane_of(account, policy)
        assert isinstance(made, SigningLane), "this client's lane() makes no other"
        return made

    async def find_tx(self, tx_hash: str) -> FoundTx | None:
        """A transaction of the node's index."""
        return await self.rpc.tx(tx_hash)

    async def find_events(self, wanted: EventQuery) -> tuple[FoundEvent, ...]:
        """Both indices, since hooks have events too."""
        terms = [f"{wanted.type}.{key}='{value}'" for key, value in wanted.attributes.items()]
        if wanted.range_key:
            place = f"{wanted.type}.{wanted.range_key}"
            terms += [f"{place}>={wanted.first}", f"{place}<={wanted.last}"]
        query = " AND ".join(terms)
        of_txs = [
            FoundEvent(height=tx.height, tx_hash=tx.tx_hash, event=event)
            for tx in await self.rpc.tx_search(query)
            if tx.result.code == 0
            for event in tx.result.events
        ]
        for height in await self.rpc.block_search(query):
            hooks = (await self.rpc.block_results(height)).hook_events
            of_txs += [FoundEvent(height=height, tx_hash="", event=event) for event in hooks]
        return tuple(sorted(filter(wanted.matches, of_txs), key=lambda found: found.height))

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
