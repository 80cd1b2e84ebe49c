"""What can go wrong between a client and a Fabric network: one type a stage.

FabricError                 what stage, which transaction, and what the nodes said
├── EvaluateError           no peer answered a query, or the chaincode refused it
├── EndorseError            too few endorsements, or the chaincode refused
├── SubmitError             the orderer did not take the transaction
├── StatusError             nobody could say what became of it
├── CommitError             it is in a block and invalid: `validation_code` says why
└── EventsError             the stream of events ended and could not be resumed
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.rpc.status_pb2 import Status

from cosmos_wire.errors import ToolError
from fabric_wire.protos import DecodeError, gateway, transaction

DETAILS_KEY = "grpc-status-details-bin"
REFUSAL = re.compile(r"chaincode response (\d+), (.*)", re.DOTALL)
# A peer, the orderer or the chaincode is away, or two peers are not at the same block: the next attempt may work.
PASSING = (
    "connection refused",
    "connection error",
    "connection reset",
    "connection is closing",
    "code = Unavailable",  # what another peer said to the gateway
    "code = Canceled",
    "transport is closing",
    "error reading from server",
    "could not launch chaincode",
    "chaincode registration failed",
    "chaincode stream terminated",
    "error sending TRANSACTION",  # the chaincode went away between two messages
    "ProposalResponsePayloads do not match",
    "no combination of peers can be derived",
    "unavailability of peers",
    "failed to find any endorsing peers",
    "no peers available",
    "failed constructing descriptor",
    "no orderer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSaid:
    """A node's own words in an error of the gateway."""

    address: str
    msp_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.address} ({self.msp_id}): {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A chaincode's own answer: status (500 and up) and message."""

    status: int
    message: str


class FabricError(ToolError):
    """A stage failed."""

    stage = "fabric"

    def __init__(self, tx_id: str, code: grpc.StatusCode, message: str, nodes: Sequence[NodeSaid] = ()) -> None:
        self.tx_id, self.code, self.reason, self.nodes = tx_id, code, message, tuple(nodes)
        said = "; ".join((message or "no reason", *map(str, self.nodes)))
        super().__init__(f"{self.stage} {tx_id[:16]}: expected success, got {code.name}: {said}")

    @property
    def refusal(self) -> Refusal | None:
        """The chaincode's own answer, None when something else failed."""
        for text in (self.reason, *(node.message for node in self.nodes)):
            if found := REFUSAL.search(text):
                return Refusal(status=int(found[1]), message=found[2])
        return None

    @property
    def is_passing(self) -> bool:
        """Whether another attempt may succeed without anybody changing anything."""
        if self.refusal:
            return False
        if self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}:
            return True
        texts = (self.reason, *(node.message for node in self.nodes))
        return any(words in text for words in PASSING for text in texts)


class EvaluateError(FabricError):
    """A query was not answered."""

    stage = "evaluate"


class EndorseError(FabricError):
    """A proposal was not endorsed by enough peers."""

    stage = "endorse"


class SubmitError(FabricError):
    """The orderer did not take a transaction."""

    stage = "submit"


class StatusError(FabricError):
    """Nobody could say what became of a transaction."""

    stage = "commit status"


class EventsError(FabricError):
    """A stream of events ended for good."""

    stage = "chaincode events"


class CommitError(ToolError):
    """A transaction is in a block, and invalid: it changed nothing."""

    stage = "commit"

    def __init__(self, tx_id: str, validation_code: int, block: int) -> None:
        self.tx_id, self.validation_code, self.block = tx_id, validation_code, block
        super().__init__(f"commit {tx_id[:16]}: expected VALID, got {self.name} in block {block}")

    @property
    def name(self) -> str:
        """Name of the validation code, e.g. MVCC_READ_CONFLICT."""
        return code_name(self.validation_code)


def code_name(validation_code: int) -> str:
    """Fabric's name of a validation code."""
    known = transaction.TxValidationCode
    return next((name for name, number in known.items() if number == validation_code), f"code {validation_code}")


def read_details(raw: Sequence[bytes]) -> tuple[NodeSaid, ...]:
    """What the nodes said, of the details that a gateway attaches; nothing when there are none that can be read."""
    found = []
    try:
        for item in [detail for value in raw for detail in Status.FromString(value).details]:
            said = gateway.ErrorDetail()
            if item.Unpack(said):
                found.append(NodeSaid(address=said.address, msp_id=said.msp_id, message=said.message))
    except DecodeError:
        return ()
    return tuple(found)
