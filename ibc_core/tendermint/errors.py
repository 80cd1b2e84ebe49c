"""Refusals of the 07-tendermint client, with ibc-go's numbers (modules/light-clients/07-tendermint/errors.go)."""

from __future__ import annotations

from cosmos_wire.errors import declare

SPACE = "07-tendermint"

InvalidChainID = declare(SPACE, 2, "InvalidChainID", "invalid chain-id")
InvalidTrustingPeriod = declare(SPACE, 3, "InvalidTrustingPeriod", "invalid trusting period")
InvalidUnbondingPeriod = declare(SPACE, 4, "InvalidUnbondingPeriod", "invalid unbonding period")
InvalidHeaderHeight = declare(SPACE, 5, "InvalidHeaderHeight", "invalid header height")
InvalidHeader = declare(SPACE, 6, "InvalidHeader", "invalid header")
InvalidMaxClockDrift = declare(SPACE, 7, "InvalidMaxClockDrift", "invalid max clock drift")
ProcessedTimeNotFound = declare(SPACE, 8, "ProcessedTimeNotFound", "processed time not found")
ProcessedHeightNotFound = declare(SPACE, 9, "ProcessedHeightNotFound", "processed height not found")
DelayPeriodNotPassed = declare(SPACE, 10, "DelayPeriodNotPassed", "packet-specified delay period has not been reached")
TrustingPeriodExpired = declare(
    SPACE, 11, "TrustingPeriodExpired", "time since latest trusted state has passed the trusting period"
)
UnbondingPeriodExpired = declare(
    SPACE, 12, "UnbondingPeriodExpired", "time since latest trusted state has passed the unbonding period"
)
InvalidProofSpecs = declare(SPACE, 13, "InvalidProofSpecs", "invalid proof specs")
InvalidValidatorSet = declare(SPACE, 14, "InvalidValidatorSet", "invalid validator set")
InvalidTrustLevel = declare(SPACE, 15, "InvalidTrustLevel", "invalid trust level")
