"""A Fabric microgrid as a client sees it: queries and blocks by its front's gRPC, transactions and attestations by a
peer's gateway, as a member with a certificate.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bsmg.client.credential import Credential, credential_of
from bsmg.client.errors import BadAnswer, KeyFault
from bsmg.client.fabric_lane import FabricLane, is_loading, node_error
from bsmg.client.lane import FeePolicy
from bsmg.client.node import NodeClient
from bsmg.client.testnet_file import AccountInfo, ChainInfo
from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.errors import EndorseError, EvaluateError
from fabric_adapter.gateway import Endorsed, Gateway, Patience, text_args
from fabric_adapter.identity import Identity, Tls
from fabric_adapter.proposal import Options
from fabric_wire import strict
from fabric_wire.proposals import Parts, read_proposal
from fabric_wire.protos import common, ledger
from fabric_wire.responses import Endorsement, read_action
from ibc_core.fabric import build, records
from ibc_core.fabric.records import Attestation, Membership, Scope, TickRecord
from ibc_core.fabric.wire import EndorsedPayload

LEDGER = "qscc"  # the system chaincode that gives blocks
GATE = 256  # calls to one peer at a time; Fabric's own limit is 500
ATTEST_TRIES = 40
ATTEST_PAUSE_S = 0.05
_LAST = re.compile(r"expected the last height (\d+), got \d+")  # ibc_core.fabric.records.attest


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricEndpoints:
    """Where a Fabric microgrid can be asked: an organisation's front and peer, and what runs there."""

    grpc: str
    peer: str
    msp_id: str
    tls_ca: str = ""  # file of the roots of the peer's TLS; empty: no TLS, for a peer on this machine
    channel: str = "energy"
    chaincode: str = "microgrid"
    prefix: str = PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What the organisations' peers signed of one tick. `values` by ICS-24 path; None is absence.

    `endorsed` is the proof and goes into headers; what is read out of it here is not verified.
    """

    endorsed: EndorsedPayload
    height: int
    time_ns: int
    values: Mapping[bytes, bytes | None]
    tick: TickRecord | None = None
    membership: Membership | None = None


class FabricClient(NodeClient):
    """Use as `async with FabricClient(...) as chain`. `identity` asks for attestations; lanes have their own."""

    kinds = ("fabric", "fabric-embedded")

    def __init__(self, chain_id: str, endpoints: FabricEndpoints, identity: Identity | None = None) -> None:
        super().__init__(chain_id, endpoints.grpc, endpoints.prefix)
        self.endpoints, self.identity = endpoints, identity
        self.channel, self.chaincode, self.msp_id = endpoints.channel, endpoints.chaincode, endpoints.msp_id
        self.scope = Scope(chain_id=chain_id, channel_id=self.channel, namespace=self.chaincode)
        self.patience = Patience()
        self.gate = asyncio.Semaphore(GATE)
        self._gateways: dict[bytes, Gateway] = {}
        self._lanes: dict[bytes, FabricLane] = {}

    @classmethod
    def of(cls, info: ChainInfo, node: int = 0) -> FabricClient:
        """The client of a chain of testnet.json through one organisation; its first member asks for attestations."""
        if info.kind not in cls.kinds:
            raise ToolError(f"{info.chain_id}: expected a chain of kind {' or '.join(cls.kinds)}, got {info.kind!r}")
        chosen, member = info.nodes[node], _member(info, node)
        endpoints = FabricEndpoints(
            grpc=chosen.grpc,
            peer=chosen.peer,
            msp_id=chosen.msp_id,
            tls_ca=chosen.tls_ca,
            channel=info.channel,
            chaincode=info.chaincode,
            prefix=info.bech32_prefix,
        )
        identity = credential_of(member) if member else None
        made = cls(info.chain_id, endpoints, identity if isinstance(identity, Identity) else None)
        made.kind = info.kind
        return made

    async def close(self) -> None:
        """Stop following and close every connection."""
        await super().close()
        await asyncio.gather(*(gateway.close() for gateway in self._gateways.values()))
        self._gateways.clear()

    def lane(self, credential: Credential, policy: FeePolicy | None = None) -> FabricLane:
        """The one lane of a member; there are no fees, so that the policy says nothing."""
        del policy
        if not isinstance(credential, Identity):
            raise KeyFault(f"{self.chain_id}: expected a member's certificate, got a key of a mnemonic")
        lane = self._lanes.get(credential.serialized)
        if lane is None:
            lane = self._lanes[credential.serialized] = FabricLane(self, credential)
        return lane

    def gateway(self, identity: Identity) -> Gateway:
        """A member's connection to the peer, made at first use because it belongs to the running loop."""
        known = self._gateways.get(identity.serialized)
        if known is None:
            tls = Tls(roots=_roots(self.endpoints.tls_ca)) if self.endpoints.tls_ca else None
            known = Gateway(self.endpoints.peer, tls, identity, self.channel, self.patience)
            self._gateways[identity.serialized] = known
        return known

    async def attest(
        self,
        paths: Sequence[bytes] = (),
        *,
        tick: bool = True,
        membership_version: int = 0,
        msp_ids: Sequence[str] = (),
    ) -> Attested:
        """What is at ICS-24 paths (at most 128) as of the last tick, signed by as many peers as the policy asks for.

        `msp_ids`: by one peer of each of these organisations instead. When the tick moves on meanwhile it is asked
        again. Raises NodeError.
        """
        if len(set(paths)) > records.PATHS_MAX:
            raise ToolError(f"attestation: expected at most {records.PATHS_MAX} paths, got {len(set(paths))}")
        options = Options(organizations=tuple(msp_ids))
        height = (await self.head()).height
        for _ in range(ATTEST_TRIES):
            args = records.attest_args(height, tuple(paths), tick=tick, membership_version=membership_version)
            try:
                return self._read(await self._gateway().endorse(self.chaincode, args, options))
            except EndorseError as error:
                failure = error
            found = _LAST.search(failure.refusal.message) if failure.refusal else None
            if found is None and not is_loading(failure):
                raise node_error(failure, self.endpoints.peer) from failure
            if found is None or int(found[1]) <= height:  # a peer that is behind
                await asyncio.sleep(ATTEST_PAUSE_S)
            height = max(height, int(found[1]) if found else 0, (await self.head()).height)
        raise node_error(failure, self.endpoints.peer) from failure

    async def membership(self, version: int = 0) -> Membership:
        """The membership record of a version, by default the one in force at the last tick; raises NodeError."""
        if not version:
            tick = (await self.attest()).tick
            assert tick is not None, "it was asked for"
            version = tick.membership_version
        found = (await self.attest(membership_version=version)).membership
        if found is None:
            raise BadAnswer("Attest", self.endpoints.peer, f"expected membership {version}, got that it is absent")
        return found

    async def ledger_height(self) -> int:
        """Number of blocks on the peer's ledger; raises NodeError."""
        raw = await self._ask_ledger("GetChainInfo")
        return ledger.BlockchainInfo.FromString(raw).height

    async def ledger_block(self, number: int) -> common.Block:
        """A block of the peer's ledger, with its verdicts; raises NodeError."""
        return common.Block.FromString(await self._ask_ledger("GetBlockByNumber", str(number)))

    async def _ask_ledger(self, *words: str) -> bytes:
        try:
            async with self.gate:
                return await self._gateway().evaluate(LEDGER, text_args(words[0], self.channel, *words[1:]))
        except EvaluateError as error:
            raise node_error(error, self.endpoints.peer) from error

    def _gateway(self) -> Gateway:
        if self.identity is None:
            raise KeyFault(f"{self.chain_id}: expected a member to ask as, got none")
        return self.gateway(self.identity)

    def _read(self, ready: Endorsed) -> Attested:
        """The facts in an endorsed payload; raises BadAnswer."""
        try:
            parts, _ = read_proposal(ready.proposal_bytes)
            return attested(parts, ready, self.chaincode)
        except ChainError as error:
            raise BadAnswer("Attest", self.endpoints.peer, f"expected an attestation, got: {error}") from error


def _member(info: ChainInfo, node: int) -> AccountInfo | None:
    """Who asks: an account of the node's organisation, else any with a certificate."""
    able = [account for account in info.accounts if account.certificate]
    own = [account for account in able if account.msp_id == info.nodes[node].msp_id]
    return next(iter((*own, *able)), None)


def _roots(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ToolError(f"{file}: expected the roots of the peer's TLS, got {error.strerror}") from error


def attested(parts: Parts, ready: Endorsed, namespace: str) -> Attested:
    """An endorsed `Attest` with what it says; raises ChainError for what is none."""
    found = dict(_attestations(ready.payload, namespace))
    first = next(iter(found.values()), Attestation())
    endorsements = [Endorsement(endorser=endorser, signature=signature) for endorser, signature in ready.endorsements]
    tick, membership = (found.get(records.RESERVED + name) for name in (records.TICK, records.MEMBERSHIP))
    return Attested(
        endorsed=build.endorsed_payload(parts, ready.payload, endorsements),
        height=first.height,
        time_ns=first.time_ns,
        values={it.path: it.value if it.present else None for it in found.values() if it.path},
        tick=strict.read(TickRecord, tick.value) if tick else None,
        membership=strict.read(Membership, membership.value) if membership and membership.present else None,
    )


def _attestations(payload: bytes, namespace: str) -> Iterator[tuple[str, Attestation]]:
    for item in read_action(payload).sets:
        if item.namespace == namespace:
            for write in item.writes:
                yield write.key, strict.read(Attestation, write.value)
