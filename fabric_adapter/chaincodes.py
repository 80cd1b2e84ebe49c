"""Which chaincodes a network can be told to run: some by name, any by MODULE:NAME."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from cosmos_wire.errors import ToolError
from fabric_adapter.stub import Chaincode

KEY_VALUE, MICROGRID = "keyvalue", "microgrid"
NAMED: Mapping[str, str] = {
    KEY_VALUE: "fabric_adapter.shim.keyvalue:KeyValue",
    MICROGRID: "fabric_adapter.microgrid.chaincode:MicrogridChaincode",
}


def load(name: str) -> Chaincode:
    """The chaincode of a name or of MODULE:NAME, called without arguments; raises ToolError when it is not there."""
    module, _, factory = NAMED.get(name, name).partition(":")
    try:
        made = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, ValueError) as error:
        wanted = f"{', '.join(NAMED)} or MODULE:NAME that can be imported"
        raise ToolError(f"chaincode {name!r}: expected {wanted}, got {error}") from error
    if not callable(getattr(made, "invoke", None)):
        raise ToolError(f"chaincode {name!r}: expected something with `invoke`, got {type(made).__name__}")
    program: Chaincode = made
    return program
