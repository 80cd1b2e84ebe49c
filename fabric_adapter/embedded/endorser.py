"""Runs proposals for the organisations' peers: each simulates by itself, signs what came out, and all must agree."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from cosmos_wire.errors import BsmgError, ToolError
from fabric_adapter.embedded.disk import Disk
from fabric_adapter.embedded.network import Network, Node, OnTheWay
from fabric_adapter.embedded.simulation import Call, Simulation
from fabric_adapter.stub import FAILED, REFUSED, Chaincode, Response
from fabric_wire import strict
from fabric_wire.errors import InvalidProposal
from fabric_wire.proposals import Invocation, Parts, read_proposal
from fabric_wire.protos import chaincode, proposal, proposal_response
from fabric_wire.responses import Endorsement, endorse

LOG = logging.getLogger("fabric_adapter.embedded")
CLOCK_SKEW_NS = 15 * 60 * 1_000_000_000  # a proposal's time may be this far from the node's clock (Fabric's own window)
PROPOSAL_BYTES_MAX = 8 << 20


class ChaincodeRefusedError(ToolError):
    """A chaincode's answer of 400 or more; in Fabric's words, which clients parse."""

    def __init__(self, node: Node, response: Response) -> None:
        self.node, self.response = node, response
        super().__init__(f"chaincode response {response.status}, {response.message}")


class DisagreementError(ToolError):
    """Endorsers came to different results."""


class DuplicateError(ToolError):
    """The transaction identifier is taken."""


class NoPeersError(ToolError):
    """Nobody can be asked."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of a simulation; endorsers agree when these are equal."""

    response: Response
    results: bytes  # TxReadWriteSet
    events: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An endorsed proposal."""

    accepted: Accepted
    payload: bytes
    endorsements: tuple[Endorsement, ...]


class Endorsers:
    """All peers of the process. Any thread may call; each call reads one view of the state."""

    def __init__(
        self, network: Network, disk: Disk, chaincodes: Mapping[str, Mapping[str, Chaincode]], way: OnTheWay
    ) -> None:
        self._network = network
        self._way = way
        self._disk = disk
        self._chaincodes = chaincodes  # by name, then by MSP id
        self._layouts: dict[tuple[str, str], tuple[Node, ...]] = {}

    def accept(self, signed: proposal.SignedProposal, now_ns: int) -> Accepted:
        """Check a proposal; raises a ChainError, DuplicateError."""
        if len(signed.proposal_bytes) > PROPOSAL_BYTES_MAX:
            raise InvalidProposal(f"at most {PROPOSAL_BYTES_MAX} bytes are expected, got {len(signed.proposal_bytes)}")
        parts, asked = read_proposal(signed.proposal_bytes)
        self._network.require_channel(asked.channel_id)
        if abs(asked.time_ns - now_ns) > CLOCK_SKEW_NS:
            raise InvalidProposal(f"time: expected within {CLOCK_SKEW_NS} ns of {now_ns}, got {asked.time_ns}")
        self._network.require_signed(asked.creator, signed.proposal_bytes, signed.signature, now_ns)
        self._way.read(parts, asked)
        tx_id = Simulation.tx_id_of(asked)
        with self._disk.view() as view:
            if view.place(tx_id) is not None:
                raise DuplicateError(f"duplicate transaction found [{tx_id}]: expected a new transaction identifier")
        return Accepted(parts=parts, asked=asked, tx_id=tx_id)

    def evaluate(self, accepted: Accepted, wanted: Wanted) -> Response:
        """One peer's answer; nothing is signed or kept. Raises ChaincodeRefusedError, NoPeersError."""
        named = [node for node in self._preferred(wanted.first) if node.msp_id in wanted.organisations]
        if wanted.organisations and not named:
            name, channel = accepted.asked.chaincode, accepted.asked.channel_id
            raise NoPeersError(f"no peers available to evaluate chaincode {name} in channel {channel}")
        node = (named or self._preferred(wanted.first))[0]
        response, _ = self._simulate(node, self._programs(accepted.asked.chaincode)[node.msp_id], accepted)
        return response

    def endorse(self, accepted: Accepted, wanted: Wanted) -> Ready:
        """Endorsements of the organisations' peers; of those that the policy needs when none is named.

        Raises ChaincodeRefusedError, NoPeersError, DisagreementError.
        """
        program = self._programs(accepted.asked.chaincode)
        nodes = self._named(wanted) if wanted.organisations else self._needed(accepted.asked.chaincode, wanted.first)
        outcomes = [self._outcome(node, program[node.msp_id], accepted) for node in nodes]
        if any(outcome != outcomes[0] for outcome in outcomes):
            raise DisagreementError("ProposalResponsePayloads do not match: expected the same result of every endorser")
        payload = _payload(accepted, outcomes[0])
        made = tuple(endorse(node.secret, node.identity, payload) for node in nodes)
        for item in made:
            self._way.keep(item.endorser, payload, item.signature)
        return Ready(accepted=accepted, payload=payload, endorsements=made)

    def _preferred(self, first: str) -> list[Node]:
        """All peers, those of one organisation first."""
        return sorted(self._network.peers, key=lambda node: node.msp_id != first)

    def _named(self, wanted: Wanted) -> list[Node]:
        """The peers of the named organisations."""
        known = {node.msp_id for node in self._network.peers}
        unknown = [name for name in wanted.organisations if name not in known]
        if unknown:
            raise NoPeersError(f"failed to find any endorsing peers for org(s): {', '.join(unknown[:16])}")
        return [node for node in self._preferred(wanted.first) if node.msp_id in wanted.organisations]

    def _needed(self, name: str, first: str) -> tuple[Node, ...]:
        """The fewest peers that satisfy the chaincode's policy, as a real gateway asks them; always the same ones."""
        if (name, first) not in self._layouts:
            self._layouts[name, first] = self._layout(name, first)
        return self._layouts[name, first]

    def _layout(self, name: str, first: str) -> tuple[Node, ...]:
        nodes, policy = self._preferred(first), self._network.policies[name]
        members = {node.msp_id: self._network.known(node.identity, time.time_ns()).member for node in nodes}
        for count in range(1, len(nodes) + 1):
            for chosen in combinations(nodes, count):
                if policy.is_satisfied([members[node.msp_id] for node in chosen]):
                    return chosen
        raise NoPeersError(f"no combination of peers can be derived which satisfy the endorsement policy: {policy}")

    def _outcome(self, node: Node, program: Chaincode, accepted: Accepted) -> Outcome:
        """What one peer's simulation came to."""
        response, simulation = self._simulate(node, program, accepted)
        return Outcome(response=response, results=simulation.results(), events=simulation.event_bytes())

    def _programs(self, name: str) -> Mapping[str, Chaincode]:
        """A chaincode, by MSP id."""
        if name not in self._chaincodes:
            raise InvalidProposal(f"chaincode: expected one of {sorted(self._chaincodes)}, got {name[:100]!r}")
        return self._chaincodes[name]

    def _simulate(self, node: Node, program: Chaincode, accepted: Accepted) -> tuple[Response, Simulation]:
        asked = accepted.asked
        call = Call(
            channel_id=asked.channel_id,
            namespace=asked.chaincode,
            tx_id=accepted.tx_id,
            timestamp_ns=asked.time_ns,
            creator=asked.creator,
            args=asked.args,
            transient=asked.transient,
        )
        with self._disk.view() as view:
            simulation = Simulation(view, call)
            response = run(program, simulation)
        if response.status >= REFUSED:
            raise ChaincodeRefusedError(node, response)
        return response, simulation


def _payload(accepted: Accepted, outcome: Outcome) -> bytes:
    """ProposalResponsePayload: what the endorsers sign."""
    said = outcome.response
    action = proposal.ChaincodeAction(
        results=outcome.results,
        events=outcome.events,
        response=proposal_response.Response(status=said.status, message=said.message, payload=said.payload),
        chaincode_id=chaincode.ChaincodeID(name=accepted.asked.chaincode, version="1"),
    )
    return strict.write(
        proposal_response.ProposalResponsePayload(proposal_hash=accepted.parts.hash, extension=strict.write(action))
    )


def run(program: Chaincode, simulation: Simulation) -> Response:
    """A chaincode's answer; what it raises is an answer too, as on a real peer."""
    try:
        return program.invoke(simulation)
    except BsmgError as error:
        return Response(status=FAILED, message=str(error))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as fault:
        LOG.exception("chaincode broke")
        return Response(status=FAILED, message=f"the chaincode broke: {fault!r}")
