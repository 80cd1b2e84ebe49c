"""What the tools of this room can't do, in words for a person."""

from __future__ import annotations

from cosmos_wire.errors import ToolError


class PowerFlowError(ToolError):
    """The power flow has no solution that the solver finds."""


class DispatchError(ToolError):
    """The optimal power flow is infeasible, or the solver gave up."""


class ObservabilityError(ToolError):
    """The measurements don't determine the state."""


class ModelError(ToolError):
    """The parameters of a model contradict themselves."""
