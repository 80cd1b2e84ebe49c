"""An organisation's peer: runs a checked proposal on committed state, and signs what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from cosmos_wire.errors import BsmgError
from fabric_adapter.embedded.disk import Disk
from fabric_adapter.embedded.network import Node
from fabric_adapter.embedded.refusals import ChaincodeFailedError, ChaincodeRefusedError
from fabric_adapter.embedded.simulation import Simulation
from fabric_adapter.stub import REFUSED, Chaincode, Invoked, Response
from fabric_wire import strict
from fabric_wire.protos import chaincode, proposal, proposal_response
from fabric_wire.responses import endorse

LOG = logging.getLogger("fabric_adapter.embedded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a checked proposal asks of a chaincode; with the proposal's hash, which endorsers sign."""

    chaincode: str
    call: Invoked
    proposal_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A chaincode's answer; when it was to be endorsed, the ProposalResponsePayload and the peer's signature."""

    response: Response
    payload: bytes = b""
    signature: bytes = b""


class Peer:
    """Any thread may call; each call reads one view of the state."""

    def __init__(self, node: Node, disk: Disk, programs: Mapping[str, Chaincode]) -> None:
        self.node = node
        self._disk, self._programs = disk, programs

    def evaluate(self, task: Task) -> Answer:
        """The chaincode's answer; nothing is signed. Raises ChaincodeRefusedError, ChaincodeFailedError."""
        return Answer(response=self._simulated(task)[0])

    def endorse(self, task: Task) -> Answer:
        """The same, signed with all that it read and wants written."""
        response, simulation = self._simulated(task)
        payload = _payload(task, response, simulation)
        made = endorse(self.node.secret, self.node.identity, payload)
        return Answer(response=response, payload=payload, signature=made.signature)

    def _simulated(self, task: Task) -> tuple[Response, Simulation]:
        with self._disk.view() as view:
            simulation = Simulation(view, task.chaincode, task.call)
            response = run(self._programs[task.chaincode], simulation, self.node.msp_id)
        if response.status >= REFUSED:
            raise ChaincodeRefusedError(self.node, response)
        return response, simulation


def _payload(task: Task, said: Response, simulation: Simulation) -> bytes:
    """ProposalResponsePayload: what the endorsers sign."""
    action = proposal.ChaincodeAction(
        results=simulation.results(),
        events=simulation.event_bytes(),
        response=proposal_response.Response(status=said.status, message=said.message, payload=said.payload),
        chaincode_id=chaincode.ChaincodeID(name=task.chaincode, version="1"),
    )
    return strict.write(
        proposal_response.ProposalResponsePayload(proposal_hash=task.proposal_hash, extension=strict.write(action))
    )


def run(program: Chaincode, simulation: Simulation, msp_id: str) -> Response:
    """A chaincode's answer; what it raises is an answer too, as with the shim of a real peer.

    Raises ChaincodeFailedError when it breaks.
    """
    try:
        return program.invoke(simulation)
    except BsmgError as error:
        return Response(status=REFUSED, message=str(error))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as fault:
        LOG.exception("chaincode broke")
        raise ChaincodeFailedError(f"{type(fault).__name__}: {fault}", (msp_id,)) from fault
