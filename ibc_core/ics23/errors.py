"""Why a proof is refused, in code space `ics23`. Numbers are stable; a light client wraps them."""

from __future__ import annotations

from cosmos_wire.errors import ChainError, declare

MalformedProof = declare("ics23", 2, "MalformedProof", "proof can't be read")
EmptyInput = declare("ics23", 3, "EmptyInput", "empty root, key, value or path")
BadSpec = declare("ics23", 4, "BadSpec", "proof specification can't be used")
WrongLength = declare("ics23", 5, "WrongLength", "number of proofs, specifications and path keys differ")
UnsupportedProof = declare("ics23", 6, "UnsupportedProof", "kind of proof not accepted")
WrongProofKind = declare("ics23", 7, "WrongProofKind", "existence given for absence, or the reverse")
WrongKey = declare("ics23", 8, "WrongKey", "proof is for another key")
WrongValue = declare("ics23", 9, "WrongValue", "proof is for another value")
WrongRoot = declare("ics23", 10, "WrongRoot", "proof leads to another root")
BadLeaf = declare("ics23", 11, "BadLeaf", "leaf is not as the specification has it")
BadInner = declare("ics23", 12, "BadInner", "inner node is not as the specification has it")
BadDepth = declare("ics23", 13, "BadDepth", "path is shorter or longer than the specification allows")
BadIavlPrefix = declare("ics23", 14, "BadIavlPrefix", "prefix is not one of an IAVL node")
KeyOutOfRange = declare("ics23", 15, "KeyOutOfRange", "absent key does not lie between its neighbours")
NotNeighbours = declare("ics23", 16, "NotNeighbours", "neighbours of the absent key are not adjacent")
UnsupportedHash = declare("ics23", 17, "UnsupportedHash", "hash or length operation not supported")
EmptyProof = declare("ics23", 18, "EmptyProof", "empty proof or root")

__all__ = [
    "BadDepth",
    "BadIavlPrefix",
    "BadInner",
    "BadLeaf",
    "BadSpec",
    "ChainError",
    "EmptyInput",
    "EmptyProof",
    "KeyOutOfRange",
    "MalformedProof",
    "NotNeighbours",
    "UnsupportedHash",
    "UnsupportedProof",
    "WrongKey",
    "WrongLength",
    "WrongProofKind",
    "WrongRoot",
    "WrongValue",
]
