"""The audit shares no code with the chain: wire formats and the client's RPC, nothing else of the project."""

from __future__ import annotations

import subprocess
import sys

from tests.style.source import imports, product

OURS = (
    "abci_app", "bsmg", "cosmos_wire", "energy", "fabric_adapter", "fabric_wire", "ibc_core", "ibc_relayer",
    "microgrid", "testnet", "tools", "utility_cell",
)  # fmt: skip
ALLOWED = ("bsmg.audit", "bsmg.client", "cosmos_wire", "fabric_wire.protos")
CHAINS_OWN = (
    "energy",
    "abci_app",
    "microgrid",
    "bsmg.demo",
    "ibc_core.transfer",
    "ibc_core.bank",
    "ibc_core.packet",
    "ibc_core.core",
)


def test_the_audit_imports_nothing_of_the_chain() -> None:
    found = [
        f"{source.at(node)} imports {module}"
        for source in product()
        if source.path.startswith("bsmg/audit/")
        for node, module in imports(source)
        if module.split(".")[0] in OURS and not module.startswith(ALLOWED)
    ]
    assert found == []


def test_nothing_of_the_chain_is_loaded_with_it() -> None:
    program = (
        f"import sys, bsmg.audit.run, bsmg.audit.fetch; print([m for m in sys.modules if m.startswith({CHAINS_OWN})])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
