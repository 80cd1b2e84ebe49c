"""Refusals of the light client `fabric-endorsement-1`; certificates and policies have theirs in `fabric_wire`."""

from __future__ import annotations

from cosmos_wire.errors import declare

SPACE = "fabric-endorsement-1"

WrongChannel = declare(SPACE, 2, "WrongChannel", "endorsed for another channel")
WrongNamespace = declare(SPACE, 3, "WrongNamespace", "endorsed for another chaincode")
WrongChain = declare(SPACE, 4, "WrongChain", "attested by another chain")
WrongFunction = declare(SPACE, 5, "WrongFunction", "endorsed result of another function")
ProposalHashMismatch = declare(SPACE, 6, "ProposalHashMismatch", "endorsed result of another proposal")
InvalidResponse = declare(SPACE, 7, "InvalidResponse", "invalid chaincode response")
InvalidAttestation = declare(SPACE, 8, "InvalidAttestation", "invalid attestation")
ForeignWrite = declare(SPACE, 9, "ForeignWrite", "endorsed writes are not exactly the attestations")
UncommittedRead = declare(SPACE, 10, "UncommittedRead", "attestation disagrees with what the peers read")
InvalidEndorsements = declare(SPACE, 11, "InvalidEndorsements", "invalid endorsements")
DuplicateEndorser = declare(SPACE, 12, "DuplicateEndorser", "endorser signed twice")
WrongHeight = declare(SPACE, 13, "WrongHeight", "attested at another height")
WrongTime = declare(SPACE, 14, "WrongTime", "attested at another time")
PathNotAttested = declare(SPACE, 15, "PathNotAttested", "path is not attested")
WrongValue = declare(SPACE, 16, "WrongValue", "attested value is another")
InvalidMembership = declare(SPACE, 17, "InvalidMembership", "invalid membership")
MembershipSequence = declare(SPACE, 18, "MembershipSequence", "membership is not the next one")
MembershipBehind = declare(SPACE, 19, "MembershipBehind", "client has to learn a newer membership first")
HeaderFromFuture = declare(SPACE, 20, "HeaderFromFuture", "header is from the future")
HeaderTooOld = declare(SPACE, 21, "HeaderTooOld", "header is older than the trusting period")
ConsensusExpired = declare(SPACE, 22, "ConsensusExpired", "consensus state is older than the trusting period")
InvalidTerms = declare(SPACE, 23, "InvalidTerms", "invalid client terms")
WrongPrefix = declare(SPACE, 24, "WrongPrefix", "no such store")
