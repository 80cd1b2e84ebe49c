"""Refusals of the IBC handlers, with ibc-go's code spaces and numbers (modules/core/*/types/errors.go, v8 and v10)."""

from __future__ import annotations

from cosmos_wire.errors import PlainError, declare

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

# What ibc-go refuses without a registered error; clients see the SDK's word for that.
InvalidParams = PlainError

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

# 03-connection
ConnectionExists = declare("connection", 2, "ConnectionExists", "connection already exists")
ConnectionNotFound = declare("connection", 3, "ConnectionNotFound", "connection not found")
ClientConnectionPathsNotFound = declare(
    "connection", 4, "ClientConnectionPathsNotFound", "light client connection paths not found"
)
ConnectionPath = declare(
    "connection", 5, "ConnectionPath", "connection path is not associated to the given light client"
)
InvalidConnectionState = declare("connection", 6, "InvalidConnectionState", "invalid connection state")
InvalidConnectionCounterparty = declare(
    "connection", 7, "InvalidConnectionCounterparty", "invalid counterparty connection"
)
InvalidConnection = declare("connection", 8, "InvalidConnection", "invalid connection")
InvalidConnectionVersion = declare("connection", 9, "InvalidConnectionVersion", "invalid connection version")
VersionNegotiationFailed = declare(
    "connection", 10, "VersionNegotiationFailed", "connection version negotiation failed"
)
InvalidConnectionIdentifier = declare("connection", 11, "InvalidConnectionIdentifier", "invalid connection identifier")

# 04-channel
ChannelExists = declare("channel", 2, "ChannelExists", "channel already exists")
ChannelNotFound = declare("channel", 3, "ChannelNotFound", "channel not found")
InvalidChannel = declare("channel", 4, "InvalidChannel", "invalid channel")
InvalidChannelState = declare("channel", 5, "InvalidChannelState", "invalid channel state")
InvalidChannelOrdering = declare("channel", 6, "InvalidChannelOrdering", "invalid channel ordering")
InvalidChannelCounterparty = declare("channel", 7, "InvalidChannelCounterparty", "invalid counterparty channel")
SequenceSendNotFound = declare("channel", 10, "SequenceSendNotFound", "sequence send not found")
SequenceReceiveNotFound = declare("channel", 11, "SequenceReceiveNotFound", "sequence receive not found")
SequenceAckNotFound = declare("channel", 12, "SequenceAckNotFound", "sequence acknowledgement not found")
InvalidPacket = declare("channel", 13, "InvalidPacket", "invalid packet")
PacketTimeout = declare("channel", 14, "PacketTimeout", "packet timeout")
TooManyConnectionHops = declare("channel", 15, "TooManyConnectionHops", "too many connection hops")
InvalidAcknowledgement = declare("channel", 16, "InvalidAcknowledgement", "invalid acknowledgement")
AcknowledgementExists = declare("channel", 17, "AcknowledgementExists", "acknowledgement for packet already exists")
InvalidChannelIdentifier = declare("channel", 18, "InvalidChannelIdentifier", "invalid channel identifier")
PacketReceived = declare("channel", 19, "PacketReceived", "packet already received")
PacketCommitmentNotFound = declare("channel", 20, "PacketCommitmentNotFound", "packet commitment not found")
PacketSequenceOutOfOrder = declare("channel", 21, "PacketSequenceOutOfOrder", "packet sequence is out of order")
RedundantTx = declare("channel", 22, "RedundantTx", "packet messages are redundant")
InvalidChannelVersion = declare("channel", 24, "InvalidChannelVersion", "invalid channel version")
PacketNotSent = declare("channel", 25, "PacketNotSent", "packet has not been sent")
InvalidTimeout = declare("channel", 26, "InvalidTimeout", "invalid packet timeout")
TimeoutNotReached = declare("channel", 39, "TimeoutNotReached", "timeout not reached")
TimeoutElapsed = declare("channel", 40, "TimeoutElapsed", "timeout elapsed")

# 05-port, 24-host
PortNotFound = declare("port", 3, "PortNotFound", "port not found")
InvalidPort = declare("port", 4, "InvalidPort", "invalid port")
InvalidRoute = declare("port", 5, "InvalidRoute", "route not found")
InvalidIdentifier = declare("host", 2, "InvalidIdentifier", "invalid identifier")
InvalidPath = declare("host", 3, "InvalidPath", "invalid path")

# ICS-20
InvalidPacketTimeout = declare("transfer", 2, "InvalidPacketTimeout", "invalid packet timeout")
InvalidDenomForTransfer = declare(
    "transfer", 3, "InvalidDenomForTransfer", "invalid denomination for cross-chain transfer"
)
InvalidTransferVersion = declare("transfer", 4, "InvalidTransferVersion", "invalid ICS20 version")
InvalidAmount = declare("transfer", 5, "InvalidAmount", "invalid token amount")
DenomNotFound = declare("transfer", 6, "DenomNotFound", "denomination not found")
SendDisabled = declare("transfer", 7, "SendDisabled", "fungible token transfers from this chain are disabled")
ReceiveDisabled = declare("transfer", 8, "ReceiveDisabled", "fungible token transfers to this chain are disabled")
MaxTransferChannels = declare("transfer", 9, "MaxTransferChannels", "max transfer channels")
InvalidTransferMemo = declare("transfer", 11, "InvalidTransferMemo", "invalid memo")
AbiEncoding = declare("transfer", 14, "AbiEncoding", "encoding abi failed")
AbiDecoding = declare("transfer", 15, "AbiDecoding", "decoding abi failed")
ReceiveFailed = declare("transfer", 16, "ReceiveFailed", "receive packet failed")

# IBC v2: 02-client/v2, 04-channel/v2
InvalidCounterparty = declare("clientv2", 34, "InvalidCounterparty", "invalid counterparty")
CounterpartyNotFound = declare("clientv2", 35, "CounterpartyNotFound", "counterparty not found")
InvalidPacketV2 = declare("channelv2", 2, "InvalidPacketV2", "invalid packet")
InvalidPayload = declare("channelv2", 3, "InvalidPayload", "invalid payload")
SequenceSendNotFoundV2 = declare("channelv2", 4, "SequenceSendNotFoundV2", "sequence send not found")
InvalidAcknowledgementV2 = declare("channelv2", 5, "InvalidAcknowledgementV2", "invalid acknowledgement")
PacketCommitmentNotFoundV2 = declare("channelv2", 6, "PacketCommitmentNotFoundV2", "packet commitment not found")
AcknowledgementNotFoundV2 = declare("channelv2", 7, "AcknowledgementNotFoundV2", "packet acknowledgement not found")
InvalidTimeoutV2 = declare("channelv2", 8, "InvalidTimeoutV2", "invalid packet timeout")
TimeoutElapsedV2 = declare("channelv2", 9, "TimeoutElapsedV2", "timeout elapsed")
TimeoutNotReachedV2 = declare("channelv2", 10, "TimeoutNotReachedV2", "timeout not reached")
AcknowledgementExistsV2 = declare(
    "channelv2", 11, "AcknowledgementExistsV2", "acknowledgement for packet already exists"
)
