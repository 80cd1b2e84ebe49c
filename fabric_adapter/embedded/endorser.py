"""Takes proposals for the organisations' peers: each simulates by itself, signs what came out, and all must agree."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import grpc

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.disk import Disk
from fabric_adapter.embedded.gathering import Gathering
from fabric_adapter.embedded.network import CHANNEL_WRITERS, Network, Node, OnTheWay, Prepared
from fabric_adapter.embedded.peer import Answer, Peer, Task
from fabric_adapter.embedded.refusals import (
    NO_LAYOUT,
    WRITERS,
    ChaincodeFailedError,
    ChaincodeRefusedError,
    DuplicateError,
    NoPeersError,
    ProposalRefusedError,
    UnknownChannelError,
    denied,
    malformed,
    no_metadata,
    policy_failed,
)
from fabric_adapter.stub import Chaincode, Invoked, Response
from fabric_wire.envelopes import transaction_payload
from fabric_wire.errors import InvalidProposal
from fabric_wire.proposals import Invocation, Parts, read_proposal, transaction_id
from fabric_wire.protos import DecodeError, identities, proposal
from fabric_wire.responses import Endorsement

PROPOSAL_BYTES_MAX = 9 << 20  # with its endorsements it has to fit into a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose peers are to answer: MSP ids, none for whom the policy needs; `first`: the asked gateway's own one."""

    organisations: tuple[str, ...] = ()
    first: str = ""


ANYBODY = Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A proposal whose form, signature and creator are good."""

    parts: Parts
    asked: Invocation
    tx_id: str

    @property
    def task(self) -> Task:
        """For the peers."""
        asked = self.asked
        call = Invoked(
            channel_id=asked.channel_id,
            tx_id=self.tx_id,
            timestamp_ns=asked.time_ns,
            creator=asked.creator,
            args=asked.args,
        )
        return Task(chaincode=asked.chaincode, call=call, proposal_hash=self.parts.hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An endorsed proposal."""

    accepted: Accepted
    payload: bytes
    endorsements: tuple[Endorsement, ...]

    def transaction(self, way: OnTheWay) -> bytes:
        """Payload of its transaction, for its creator to sign; who takes it back knows it again."""
        accepted = self.accepted
        payload = transaction_payload(accepted.parts, self.payload, self.endorsements)
        made = Prepared(
            tx_id=accepted.tx_id,
            parts=accepted.parts,
            asked=accepted.asked,
            response=self.payload,
            endorsements=self.endorsements,
        )
        way.prepare(payload, made)
        return payload


class Endorsers:
    """What a gateway does before its peers and after them, and the peers of this process. Any thread may call."""

    def __init__(self, network: Network, disk: Disk, chaincodes: Mapping[str, Mapping[str, Chaincode]]) -> None:
        self._network = network
        self._disk = disk
        self._names = frozenset(chaincodes)  # by name, then by MSP id; none there when peers run elsewhere
        self._peers = {
            node.msp_id: Peer(node, disk, {name: programs[node.msp_id] for name, programs in chaincodes.items()})
            for node in network.peers
            if all(node.msp_id in programs for programs in chaincodes.values())
        }
        self._layouts: dict[tuple[str, str, frozenset[str]], tuple[Node, ...]] = {}

    def accept(self, signed: proposal.SignedProposal, now_ns: int) -> Accepted:
        """Check a proposal; raises ProposalRefusedError, UnknownChannelError, DuplicateError.

        As in Fabric its time is the client's word: a chaincode that reads it has to bound it.
        """
        parts, asked = self._read(signed)
        try:
            self._network.require_channel(asked.channel_id)
        except ChainError as error:
            raise UnknownChannelError(asked.channel_id, asked.chaincode, error) from error
        self._require_writer(signed, asked, now_ns)
        tx_id = transaction_id(asked.nonce, asked.creator)
        if self._disk.place(tx_id) is not None:
            raise DuplicateError(tx_id, asked.creator)
        return Accepted(parts=parts, asked=asked, tx_id=tx_id)

    def _read(self, signed: proposal.SignedProposal) -> tuple[Parts, Invocation]:
        if len(signed.proposal_bytes) > PROPOSAL_BYTES_MAX:
            size = len(signed.proposal_bytes)
            raise malformed(InvalidProposal(f"at most {PROPOSAL_BYTES_MAX} bytes are expected, got {size}"))
        try:
            return read_proposal(signed.proposal_bytes)
        except ChainError as error:
            raise malformed(error) from error

    def _require_writer(self, signed: proposal.SignedProposal, asked: Invocation, now_ns: int) -> None:
        try:
            member = self._network.require_signed(asked.creator, signed.proposal_bytes, signed.signature, now_ns)
        except ChainError as error:
            raise denied(asked.channel_id, claimed_msp_id(asked.creator), error) from error
        try:
            self._network.require_role(member, CHANNEL_WRITERS)
        except ChainError as error:
            raise ProposalRefusedError(policy_failed(WRITERS, asked.channel_id, error)) from error

    def evaluate(self, accepted: Accepted, wanted: Wanted) -> Response:
        """One peer's answer; nothing is signed or kept. When its chaincode breaks, the others are asked, as in Fabric.

        Raises ChaincodeRefusedError, ChaincodeFailedError, NoPeersError.
        """
        nodes, failed = self.evaluators(accepted, wanted), []
        for node in nodes:
            try:
                return self._peers[node.msp_id].evaluate(accepted.task).response
            except ChaincodeFailedError as error:
                failed.append(error)
        raise ChaincodeFailedError(failed[0].fault, tuple(node.msp_id for node in nodes))

    def endorse(self, accepted: Accepted, wanted: Wanted) -> Ready:
        """Endorsements of the organisations' peers; of those that the policy needs when none is named.

        Raises ChaincodeRefusedError, NoPeersError, DisagreementError.
        """
        gathering = self.gathering(accepted, wanted)
        while nodes := gathering.missing():
            for node in nodes:
                if not gathering.hear(node, self._endorsed_by(node, accepted)):
                    break
        return self.together(accepted, *gathering.agreed())

    def _endorsed_by(self, node: Node, accepted: Accepted) -> Answer | ToolError:
        try:
            return self._peers[node.msp_id].endorse(accepted.task)
        except (ChaincodeRefusedError, ChaincodeFailedError) as error:
            return error

    def evaluators(self, accepted: Accepted, wanted: Wanted) -> list[Node]:
        """Who may answer a question, in this order; raises NoPeersError."""
        name, channel = accepted.asked.chaincode, accepted.asked.channel_id
        nodes = [
            n for n in self._preferred(wanted.first) if not wanted.organisations or n.msp_id in wanted.organisations
        ]
        if not nodes or name not in self._names:
            words = f"no peers available to evaluate chaincode {name} in channel {channel}"
            raise NoPeersError(grpc.StatusCode.FAILED_PRECONDITION, words)
        return nodes

    def gathering(self, accepted: Accepted, wanted: Wanted) -> Gathering:
        """Whom to ask for endorsements; raises NoPeersError."""
        name = accepted.asked.chaincode
        if name not in self._names:
            raise NoPeersError(grpc.StatusCode.FAILED_PRECONDITION, no_metadata(name, self._network.channel_id))
        if wanted.organisations:
            return Gathering(lambda without: self._named(wanted, without), wanted.first)
        return Gathering(lambda without: self._needed(name, wanted.first, without), wanted.first)

    def together(self, accepted: Accepted, nodes: Sequence[Node], answers: Sequence[Answer]) -> Ready:
        """Their endorsements of the one payload that all came to."""
        payload = answers[0].payload
        made = tuple(
            [
                Endorsement(endorser=node.identity, signature=each.signature)
                for node, each in zip(nodes, answers, strict=True)
            ]
        )
        return Ready(accepted=accepted, payload=payload, endorsements=made)

    def _preferred(self, first: str) -> list[Node]:
        """All peers, those of one organisation first."""
        return sorted(self._network.peers, key=lambda node: node.msp_id != first)

    def _named(self, wanted: Wanted, without: frozenset[str]) -> list[Node]:
        """The peers of the named organisations, all of them."""
        known = {node.msp_id for node in self._network.peers} - without
        unknown = [name for name in wanted.organisations if name not in known]
        if unknown:
            words = f"failed to find any endorsing peers for org(s): {', '.join(unknown[:16])}"
            raise NoPeersError(grpc.StatusCode.UNAVAILABLE, words)
        return [node for node in self._preferred(wanted.first) if node.msp_id in wanted.organisations]

    def _needed(self, name: str, first: str, without: frozenset[str]) -> tuple[Node, ...]:
        """The fewest peers that satisfy the chaincode's policy, as a real gateway asks them; always the same ones."""
        asked = name, first, without
        if asked not in self._layouts:
            self._layouts[asked] = self._layout(name, first, without)
        return self._layouts[asked]

    def _layout(self, name: str, first: str, without: frozenset[str]) -> tuple[Node, ...]:
        nodes, policy = [n for n in self._preferred(first) if n.msp_id not in without], self._network.policies[name]
        members = {node.msp_id: self._network.known(node.identity, time.time_ns()).member for node in nodes}
        for count in range(1, len(nodes) + 1):
            for chosen in combinations(nodes, count):
                if policy.is_satisfied([members[node.msp_id] for node in chosen]):
                    return chosen
        raise NoPeersError(grpc.StatusCode.FAILED_PRECONDITION, f"{NO_LAYOUT}: {policy}")


def claimed_msp_id(creator: bytes) -> str:
    """The organisation that a SerializedIdentity names, true or not."""
    try:
        return identities.SerializedIdentity.FromString(creator).mspid[:64]
    except DecodeError:
        return ""
