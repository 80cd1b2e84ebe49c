"""Refusals of the IBC handlers, with ibc-go's code spaces and numbers (modules/core/*/types/errors.go, v8 and v10)."""

from __future__ import annotations

from cosmos_wire.errors import declare

# 02-client
ClientExists = declare("client", 2, "ClientExists", "light client already exists")
InvalidClient = declare("client", 3, "InvalidClient", "light client is invalid")
ClientNotFound = declare("client", 4, "ClientNotFound", "light client not found")
ClientFrozen = declare("client", 5, "ClientFrozen", "light client is frozen due to misbehaviour")
InvalidClientMetadata = declare("client", 6, "InvalidClientMetadata", "invalid client metadata")
ConsensusStateNotFound = declare("client", 7, "ConsensusStateNotFound", "consensus state not found")
InvalidConsensus = declare("client", 8, "InvalidConsensus", "invalid consensus state")
ClientTypeNotFound = declare("client", 9, "ClientTypeNotFound", "client type not found")
InvalidClientType = declare("client", 10, "InvalidClientType", "invalid client type")
RootNotFound = declare("client", 11, "RootNotFound", "commitment root not found")
InvalidHeader = declare("client", 12, "InvalidHeader", "invalid client header")
InvalidMisbehaviour = declare("client", 13, "InvalidMisbehaviour", "invalid light client misbehaviour")
FailedClientStateVerification = declare(
    "client", 14, "FailedClientStateVerification", "client state verification failed"
)
FailedClientConsensusStateVerification = declare(
    "client", 15, "FailedClientConsensusStateVerification", "client consensus state verification failed"
)
FailedConnectionStateVerification = declare(
    "client", 16, "FailedConnectionStateVerification", "connection state verification failed"
)
FailedChannelStateVerification = declare(
    "client", 17, "FailedChannelStateVerification", "channel state verification failed"
)
FailedPacketCommitmentVerification = declare(
    "client", 18, "FailedPacketCommitmentVerification", "packet commitment verification failed"
)
FailedPacketAckVerification = declare(
    "client", 19, "FailedPacketAckVerification", "packet acknowledgement verification failed"
)
FailedPacketReceiptVerification = declare(
    "client", 20, "FailedPacketReceiptVerification", "packet receipt verification failed"
)
FailedNextSeqRecvVerification = declare(
    "client", 21, "FailedNextSeqRecvVerification", "next sequence receive verification failed"
)
SelfConsensusStateNotFound = declare("client", 22, "SelfConsensusStateNotFound", "self consensus state not found")
UpdateClientFailed = declare("client", 23, "UpdateClientFailed", "unable to update light client")
InvalidRecoveryClient = declare("client", 24, "InvalidRecoveryClient", "invalid recovery client")
InvalidUpgradeClient = declare("client", 25, "InvalidUpgradeClient", "invalid client upgrade")
InvalidHeight = declare("client", 26, "InvalidHeight", "invalid height")
InvalidSubstitute = declare("client", 27, "InvalidSubstitute", "invalid client state substitute")
InvalidUpgradeProposal = declare("client", 28, "InvalidUpgradeProposal", "invalid upgrade proposal")
ClientNotActive = declare("client", 29, "ClientNotActive", "client state is not active")
FailedMembershipVerification = declare("client", 30, "FailedMembershipVerification", "membership verification failed")
FailedNonMembershipVerification = declare(
    "client", 31, "FailedNonMembershipVerification", "non-membership verification failed"
)
RouteNotFound = declare("client", 32, "RouteNotFound", "light client module route not found")
ClientTypeNotSupported = declare("client", 33, "ClientTypeNotSupported", "client type not supported")

# 23-commitment
InvalidProof = declare("commitment", 2, "InvalidProof", "invalid proof")
InvalidPrefix = declare("commitment", 3, "InvalidPrefix", "invalid prefix")
InvalidMerkleProof = declare("commitment", 4, "InvalidMerkleProof", "invalid merkle proof")

# modules/core/errors: what all of them share
IbcInvalidSequence = declare("ibc", 1, "IbcInvalidSequence", "invalid sequence")
IbcUnauthorized = declare("ibc", 2, "IbcUnauthorized", "unauthorized")
IbcInsufficientFunds = declare("ibc", 3, "IbcInsufficientFunds", "insufficient funds")
IbcUnknownRequest = declare("ibc", 4, "IbcUnknownRequest", "unknown request")
IbcInvalidAddress = declare("ibc", 5, "IbcInvalidAddress", "invalid address")
IbcInvalidCoins = declare("ibc", 6, "IbcInvalidCoins", "invalid coins")
IbcOutOfGas = declare("ibc", 7, "IbcOutOfGas", "out of gas")
IbcInvalidRequest = declare("ibc", 8, "IbcInvalidRequest", "invalid request")
IbcInvalidHeight = declare("ibc", 9, "IbcInvalidHeight", "invalid height")
IbcInvalidVersion = declare("ibc", 10, "IbcInvalidVersion", "invalid version")
IbcInvalidChainID = declare("ibc", 11, "IbcInvalidChainID", "invalid chain-id")
IbcInvalidType = declare("ibc", 12, "IbcInvalidType", "invalid type")
IbcPackAny = declare("ibc", 13, "IbcPackAny", "failed packing protobuf message to Any")
IbcUnpackAny = declare("ibc", 14, "IbcUnpackAny", "failed unpacking protobuf message from Any")
IbcLogic = declare("ibc", 15, "IbcLogic", "internal logic error")
IbcNotFound = declare("ibc", 16, "IbcNotFound", "not found")
