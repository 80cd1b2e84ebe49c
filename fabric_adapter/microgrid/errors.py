"""What the chaincode refuses beside what the chain's own modules do, in code space `chaincode`. Numbers are stable."""

from __future__ import annotations

from cosmos_wire.errors import ToolError, declare

InvalidCall = declare("chaincode", 2, "InvalidCall", "a function was called in a way that it does not take")
NotWriter = declare("chaincode", 3, "NotWriter", "the creator has not the role in a member organisation that it takes")
WrongTickTime = declare("chaincode", 4, "WrongTickTime", "time of the tick is out of range")
WrongTickHeight = declare("chaincode", 5, "WrongTickHeight", "height of the tick is not the next one")
NotFounded = declare("chaincode", 6, "NotFounded", "the microgrid has no genesis yet")
AlreadyFounded = declare("chaincode", 7, "AlreadyFounded", "the microgrid has its genesis already")
InvalidGenesis = declare("chaincode", 8, "InvalidGenesis", "genesis document can't be taken")
NotApproved = declare("chaincode", 9, "NotApproved", "too few organisations approved the membership")

NotSeen = declare("chaincode", 10, "NotSeen", "a transaction was not looked at since the last tick")


class NoImageError(ToolError):
    """The process has no state to work on: somebody has to evaluate `Load` on its peer."""

    def __init__(self, why: str) -> None:
        super().__init__(f"image not loaded: expected that Load was evaluated on this peer, got {why}")
