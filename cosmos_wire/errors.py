"""The error tree: every refusal has a code space, a stable code, and what was expected and what came.

    BsmgError                   whatever this project raises on purpose
    ├── ChainError              what the chain refuses: (codespace, code) as in docs/errors.md
    │   ├── cosmos_wire.errors  code space `sdk`, with the Cosmos SDK's numbers
    │   ├── fabric_wire.errors  `fabric`
    │   ├── ibc_core.errors     `client`, `connection`, `channel`, `transfer`, `07-tendermint`, with ibc-go's numbers
    │   ├── ibc_core.fabric.errors  `fabric-endorsement-1`
    │   └── energy.errors       `market`, `meter`, `registry`, `trade`
    └── ToolError               a command, configuration or remote program that can't do what was asked (never on chain)

A class per reason. Codes are never renumbered. The message of an error may carry values but never reaches state:
acknowledgements carry the code alone.
"""

from __future__ import annotations

from typing import ClassVar


class BsmgError(Exception):
    """Base of everything that the project raises on purpose; `str` of it is never empty."""

    def __init__(self, message: str) -> None:
        if not message:
            raise ValueError("an error has to say what was expected and what came")
        super().__init__(message)


class ToolError(BsmgError):
    """Outside the chain: a file, flag, process or peer is not as it has to be."""


class ChainError(BsmgError):
    """A refusal with a code. Subclasses set `codespace`, `code` and a one-line `reason` for docs/errors.md."""

    codespace: ClassVar[str] = ""
    code: ClassVar[int] = 0
    reason: ClassVar[str] = ""
    bare: ClassVar[bool] = False  # whether the text is the detail alone

    def __init__(self, detail: str) -> None:
        super().__init__(detail if self.bare or not self.reason else f"{detail}: {self.reason}")

    @property
    def ident(self) -> tuple[str, int]:
        """(codespace, code)."""
        return self.codespace, self.code


REGISTRY: dict[tuple[str, int], type[ChainError]] = {}


def declare(codespace: str, code: int, name: str, reason: str) -> type[ChainError]:
    """Make and register the error class of one (codespace, code); taking a number twice is a bug."""
    if (codespace, code) in REGISTRY:
        raise ValueError(f"{codespace}/{code} is {REGISTRY[codespace, code].__name__} already")
    made = type(name, (ChainError,), {"codespace": codespace, "code": code, "reason": reason, "__doc__": reason + "."})
    REGISTRY[codespace, code] = made
    return made


# A Go error for which the SDK has no code of its own: the log is the error's text alone.
PlainError = declare("undefined", 1, "PlainError", "an error without a code of its own")
PlainError.bare = True
# The Cosmos SDK's own numbers (types/errors/errors.go).
TxDecode = declare("sdk", 2, "TxDecode", "tx parse error")
InvalidSequence = declare("sdk", 3, "InvalidSequence", "invalid sequence")
Unauthorized = declare("sdk", 4, "Unauthorized", "unauthorized")
InsufficientFunds = declare("sdk", 5, "InsufficientFunds", "insufficient funds")
UnknownRequest = declare("sdk", 6, "UnknownRequest", "unknown request")
InvalidAddress = declare("sdk", 7, "InvalidAddress", "invalid address")
InvalidPubKey = declare("sdk", 8, "InvalidPubKey", "invalid pubkey")
UnknownAddress = declare("sdk", 9, "UnknownAddress", "unknown address")
InvalidCoins = declare("sdk", 10, "InvalidCoins", "invalid coins")
OutOfGas = declare("sdk", 11, "OutOfGas", "out of gas")
MemoTooLarge = declare("sdk", 12, "MemoTooLarge", "memo too large")
InsufficientFee = declare("sdk", 13, "InsufficientFee", "insufficient fee")
TooManySignatures = declare("sdk", 14, "TooManySignatures", "maximum number of signatures exceeded")
NoSignatures = declare("sdk", 15, "NoSignatures", "no signatures supplied")
NoSignatures.bare = True
InvalidRequest = declare("sdk", 18, "InvalidRequest", "invalid request")
TxInMempoolCache = declare("sdk", 19, "TxInMempoolCache", "tx already in mempool")
MempoolIsFull = declare("sdk", 20, "MempoolIsFull", "mempool is full")
TxTooLarge = declare("sdk", 21, "TxTooLarge", "tx too large")
KeyNotFound = declare("sdk", 22, "KeyNotFound", "key not found")
InvalidSignerInfo = declare("sdk", 24, "InvalidSignerInfo", "tx intended signer does not match the given signer")
InvalidHeight = declare("sdk", 26, "InvalidHeight", "invalid height")
InvalidChainId = declare("sdk", 28, "InvalidChainId", "invalid chain-id")
InvalidType = declare("sdk", 29, "InvalidType", "invalid type")
TxTimeoutHeight = declare("sdk", 30, "TxTimeoutHeight", "tx timeout height")
UnknownExtensionOptions = declare("sdk", 31, "UnknownExtensionOptions", "unknown extension options")
WrongSequence = declare("sdk", 32, "WrongSequence", "incorrect account sequence")
UnpackAny = declare("sdk", 34, "UnpackAny", "failed unpacking protobuf message from Any")
InternalLogic = declare("sdk", 35, "InternalLogic", "internal logic error")
NotSupported = declare("sdk", 37, "NotSupported", "feature not supported")
NotFound = declare("sdk", 38, "NotFound", "not found")
InvalidGasLimit = declare("sdk", 41, "InvalidGasLimit", "invalid gas limit")
TxTimeout = declare("sdk", 42, "TxTimeout", "tx timeout")
