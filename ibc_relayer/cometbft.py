"""CometBFT chains: `Chain` and `Prover` over `bsmg.client`."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction

from bsmg.client.chain import Proven
from bsmg.client.comet import CometClient, LightBlock
from bsmg.client.feed import Head
from bsmg.client.rpc import Rpc
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import (
    Any,
    DecodeError,
    cmt_types,
    cmt_validator,
    staking_query,
    tendermint_client,
)
from cosmos_wire.tx import pack
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.light_client import Height
from ibc_core.tendermint import build
from ibc_relayer.chain import Evidence, FirstStates, Need, Proof
from ibc_relayer.client_types import NS, TENDERMINT_CLIENT_URL, TENDERMINT_HEADER_URL, ClientInfo
from ibc_relayer.clients import MAX_CLOCK_DRIFT_S

TRUSTING_SHARE = Fraction(2, 3)  # of unbonding, as Hermes and the Go relayer choose it
LIGHT_BLOCKS_KEPT = 64
PROOFS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """Consensus parameters of a block; -1: no limit."""

    max_bytes: int
    max_gas: int


async def block_limits(rpc: Rpc, height: int) -> BlockLimits:
    """What a block may hold by the consensus parameters at a height that exists; raises NodeError.

    Without a height a node answers for its next block, whose parameters it may not have written yet.
    """
    block = (await rpc.consensus_params(max(height, 1)))["block"]
    return BlockLimits(max_bytes=int(block["max_bytes"]), max_gas=int(block["max_gas"]))


class CometProver:
    """Headers and proofs of a CometBFT chain: header n + 1 proves the state after block n."""

    lag = 1

    def __init__(self, client: CometClient) -> None:
        self.client = client
        self.chain_id = client.chain_id
        self._light_blocks: OrderedDict[int, LightBlock] = OrderedDict()

    def height(self, number: int) -> Height:
        """IBC height of a block."""
        return self.client.height(number)

    async def prove(self, need: Need) -> Evidence:
        """Proofs at the client's newest height where that is not behind the head; else at the head, with its header."""
        head, latest = await self.client.head(), need.client.latest
        height, headers = latest, []
        if latest.height < head.height:
            height, headers = self.height(head.height), [await self.header(head.height, latest)]
        gate = asyncio.Semaphore(PROOFS_AT_ONCE)

        async def one(path: bytes) -> Proof:
            async with gate:
                found = await self.proof(path, height.height - self.lag)
                return Proof(value=found.value, data=found.proof)

        proofs = await asyncio.gather(*(one(path) for path in need.paths))
        known = dict(zip(need.paths, proofs, strict=True))
        return Evidence(height=height, time_ns=head.time_ns, headers=tuple(headers), proofs=known)

    async def light_block(self, height: int) -> LightBlock:
        """Signed header and validators, kept for repeated use."""
        known = self._light_blocks.get(height)
        if known is None:
            known = self._light_blocks[height] = await self.client.light_block(height)
            while len(self._light_blocks) > LIGHT_BLOCKS_KEPT:
                self._light_blocks.popitem(last=False)
        return known

    async def header(self, height: int, trusted: Height) -> Any:
        """07-tendermint Header from a trusted height."""
        block = await self.light_block(height)
        trusted_validators = await self._validators(trusted.height + 1)
        return pack(build.header(block.signed_header, block.validators, trusted, trusted_validators))

    async def _validators(self, height: int) -> cmt_validator.ValidatorSet:
        known = self._light_blocks.get(height)
        return known.validators if known is not None else await self.client.validators(height)

    async def proof(self, path: bytes, height: int) -> Proven:
        """Value and proof of the `ibc` store."""
        return await self.client.query_with_proof(path, height)

    async def first_states(self) -> FirstStates:
        """Client and consensus state of a new client at the head."""
        head = await self.client.head()
        state, consensus = await self.states(head.height)
        return FirstStates(client=pack(state), consensus=pack(consensus), time_ns=head.time_ns)

    async def states(self, height: int) -> tuple[tendermint_client.ClientState, tendermint_client.ConsensusState]:
        """The same at any height."""
        header = (await self.light_block(height)).signed_header.header
        return await self._terms(height), build.consensus_state(header)

    async def _terms(self, height: int) -> tendermint_client.ClientState:
        path = "/cosmos.staking.v1beta1.Query/Params"
        answer = await self.client.query(path, staking_query.QueryParamsRequest(), staking_query.QueryParamsResponse)
        unbonding = answer.params.unbonding_time
        return client_state(self.chain_id, self.height(height), unbonding.seconds * NS + unbonding.nanos)

    async def is_genuine(self, client: ClientInfo, consensus: Any) -> bool:
        """By the header at the client's newest height."""
        if client.state.type_url != TENDERMINT_CLIENT_URL:
            return False
        own = build.consensus_state((await self.light_block(client.latest.height)).signed_header.header)
        known = tendermint_client.ConsensusState.FromString(consensus.value)
        return known.SerializeToString(deterministic=True) == own.SerializeToString(deterministic=True)

    async def is_own_form(self, client: ClientInfo) -> bool:
        """By what we would write at its height."""
        own = await self._terms(client.latest.height)
        known = tendermint_client.ClientState.FromString(client.state.value)
        return known.SerializeToString(deterministic=True) == own.SerializeToString(deterministic=True)

    def is_behind(self, client: ClientInfo) -> bool:  # noqa: ARG002  (the interface's)
        """Never: headers skip over validator sets, and old blocks stay."""
        return False

    async def witness(self, head: Head) -> None:
        """Nothing: a node has all headers."""

    async def conflict(self, client: ClientInfo, header: bytes) -> Any | None:
        """Misbehaviour against a submitted header that is not the chain's own."""
        submitted = parse_header(header)
        number = submitted.signed_header.header.height
        real = (await self.light_block(number)).signed_header.header
        if _same(real, submitted.signed_header.header):
            return None
        trusted = Height(submitted.trusted_height.revision_number, submitted.trusted_height.revision_height)
        own = tendermint_client.Header.FromString((await self.header(number, trusted)).value)
        return pack(build.misbehaviour(client.client_id, submitted, own))


def parse_header(data: bytes) -> tendermint_client.Header:
    """The header in an Any, as update_client events carry it."""
    try:
        item = Any.FromString(data)
        if item.type_url != TENDERMINT_HEADER_URL:
            raise ToolError(f"client message: expected {TENDERMINT_HEADER_URL}, got {item.type_url!r}")
        return tendermint_client.Header.FromString(item.value)
    except DecodeError as error:
        raise ToolError(f"client message: expected an Any with a header, got {len(data)} other bytes") from error


def _same(one: cmt_types.Header, other: cmt_types.Header) -> bool:
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def client_state(chain_id: str, latest: Height, unbonding_ns: int) -> tendermint_client.ClientState:
    """Client state of a new client; trusting period 2/3 of unbonding, proof specs IAVL and Tendermint."""
    if unbonding_ns <= 0:
        raise ToolError(f"unbonding time of {chain_id}: expected more than 0, got {unbonding_ns} ns")
    terms = build.Terms(
        trusting_period_ns=int(TRUSTING_SHARE * unbonding_ns),
        unbonding_period_ns=unbonding_ns,
        max_clock_drift_ns=MAX_CLOCK_DRIFT_S * NS,
    )
    return build.client_state(chain_id, latest.height, terms, (IAVL_SPEC, TENDERMINT_SPEC))
