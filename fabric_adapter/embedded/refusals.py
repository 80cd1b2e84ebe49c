"""Why a gateway of the embedded ledger says no: a real gateway's words first, then what was expected and what came.

Clients look for Fabric's words; `tests/fabric_conformance` compares them with those of a real network.
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.network import Node
from fabric_adapter.stub import Response
from fabric_wire.errors import UnknownOrganisation, UntrustedCertificate

Code = grpc.StatusCode
WRITERS, READERS = "Writers", "Readers"
NOBODY = (
    "implicit policy evaluation failed - 0 sub-policies were satisfied, "
    "but this policy requires 1 of the '{0}' sub-policies to be satisfied"
)
POLICY = (
    "Failed evaluating policy on signed data during check policy on channel [{1}] "
    f"with policy [/Channel/Application/{{0}}]: [{NOBODY}]"
)
NO_LAYOUT = "no combination of peers can be derived which satisfy the endorsement policy"


class NoPeersError(ToolError):
    """Nobody can be asked."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnknownChannelError(ToolError):
    """The proposal is for another channel."""

    def __init__(self, channel_id: str, chaincode: str, reason: ChainError) -> None:
        super().__init__(str(reason))
        self.channel_id, self.chaincode = channel_id, chaincode


class ChaincodeRefusedError(ToolError):
    """A chaincode's answer of 400 or more; in Fabric's words, which clients parse."""

    def __init__(self, node: Node, response: Response) -> None:
        self.node, self.response = node, response
        super().__init__(f"chaincode response {response.status}, {response.message}")


class ChaincodeFailedError(ToolError):
    """A chaincode broke; which organisations' did."""

    def __init__(self, fault: str, msp_ids: tuple[str, ...]) -> None:
        super().__init__(f"error in simulation: transaction returned with failure: {fault}")
        self.fault, self.msp_ids = fault, msp_ids


class ProposalRefusedError(ToolError):
    """Form, signature or creator of a proposal are no good."""


class DisagreementError(ToolError):
    """Endorsers came to different results."""


class NotEnoughError(ToolError):
    """Too few peers endorsed; why each of the others didn't, by MSP id."""

    def __init__(self, failed: Mapping[str, ToolError]) -> None:
        self.said = {msp_id: _as_a_peer_says(error) for msp_id, error in failed.items()}
        super().__init__("; ".join(f"{msp_id}: {said}" for msp_id, said in self.said.items()))


def _as_a_peer_says(error: ToolError) -> str:
    """One that is away says nothing; its gateway does, in gRPC's words."""
    return f"rpc error: code = Unavailable desc = {error}" if isinstance(error, NoPeersError) else str(error)


class DuplicateError(ToolError):
    """The transaction identifier is taken."""

    def __init__(self, tx_id: str, creator: bytes) -> None:
        super().__init__(
            f"duplicate transaction found [{tx_id}]. Creator [{creator.hex()}]: expected a new transaction identifier"
        )


def malformed(reason: ChainError) -> ProposalRefusedError:
    """A proposal that says different things, or none."""
    return ProposalRefusedError(f"error validating proposal: {reason}")


def denied(channel_id: str, msp_id: str, reason: ChainError) -> ProposalRefusedError:
    """A creator who is no member, or did not sign."""
    strange = isinstance(reason, UnknownOrganisation | UntrustedCertificate)
    who = "unknown, creator is malformed" if strange else f"[{msp_id}]"
    return ProposalRefusedError(
        f"error validating proposal: access denied: channel [{channel_id}] creator org {who}: {reason}"
    )


def no_metadata(chaincode: str, channel_id: str) -> str:
    """A chaincode that is not there."""
    return f"{NO_LAYOUT}: No metadata was found for chaincode {chaincode} in channel {channel_id}"


def policy_failed(name: str, channel_id: str, reason: object) -> str:
    """Who may not read, or write."""
    return f"{POLICY.format(name, channel_id)}: {reason}"


def orderer_refused(status: str, info: str) -> str:
    """The orderer's no, through the gateway."""
    return f"received unsuccessful response from orderer: status={status}, info={info}"


def forbidden(reason: ChainError) -> str:
    """An envelope that no writer has signed."""
    return orderer_refused("FORBIDDEN", f"{NOBODY.format(WRITERS)}: permission denied: {reason}")
