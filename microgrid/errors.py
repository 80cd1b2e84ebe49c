"""Refusals that only a host makes; the SDK's numbers."""

from __future__ import annotations

from cosmos_wire.errors import ToolError, declare

# errors.ErrPanic of the SDK: a handler met a state it can't handle; its writes are rolled back, the chain goes on.
HandlerFault = declare("undefined", 111222, "HandlerFault", "panic")
NotImplementedMethod = declare("sdk", 120, "NotImplementedMethod", "this chain does not serve the method")


class BrokenInvariantError(ToolError):
    """The node must stop: going on could fork it from the others."""


class GenesisError(BrokenInvariantError):
    """The genesis document is not one that this state machine starts from."""
