# ruff: noqa: N818  (the class says what happened: NodeUnreachable, TxExpired)
"""What can go wrong between a client and a node: each error names the stage and the node.

ToolError
├── KeyFault             a mnemonic, derivation path or key file is not as it has to be
├── NodeError            (stage, node): the node could not be asked or did not answer as it has to
│   ├── NodeUnreachable  no connection, or the connection broke
│   ├── NodeTimeout      no answer within the limit
│   ├── RpcRefused       the node's JSON-RPC error (code, message)
│   ├── GatewayRefused   a Fabric gateway, peer or chaincode could not do it; nothing was ordered
│   └── BadAnswer        an answer that does not have the expected form
├── QueryRefused         (path, code, detail): the application refused a query
│   └── QueryNotFound    ... because what was asked for does not exist
└── TxError              (tx hash): a transaction that could not be brought into a block
    ├── SimulationFailed the application refused the dry run
    ├── TxExpired        its timeout height passed and no block holds it: safe to sign again
    ├── TxInvalid        Fabric's peers found it invalid, it changed nothing: safe to sign again
    └── TxUnknown        it was sent and may still be executed: look for its hash before the messages are sent again
"""

from __future__ import annotations

from cosmos_wire.errors import ToolError


class KeyFault(ToolError):
    """A mnemonic, derivation path or key file is not as it has to be."""


class NodeError(ToolError):
    """A node could not be asked or did not answer as it has to."""

    def __init__(self, stage: str, node: str, detail: str) -> None:
        super().__init__(f"{stage} at {node}: {detail}")
        self.stage, self.node, self.detail = stage, node, detail


class NodeUnreachable(NodeError):
    """No connection to the node, or it broke."""


class NodeTimeout(NodeError):
    """No answer within the limit."""


class RpcRefused(NodeError):
    """The node answered with a JSON-RPC error."""

    def __init__(self, stage: str, node: str, detail: str, *, code: int) -> None:
        super().__init__(stage, node, f"JSON-RPC error {code}: {detail}")
        self.code = code


class GatewayRefused(NodeError):
    """A Fabric gateway, a peer behind it or the chaincode could not do it; nothing was ordered."""


class BadAnswer(NodeError):
    """The answer does not have the expected form."""


class QueryRefused(ToolError):
    """The application refused a query; `code` is the ABCI code or the gRPC status number."""

    def __init__(self, path: str, node: str, code: int, detail: str) -> None:
        super().__init__(f"query {path} at {node}: refused with code {code}: {detail}")
        self.path, self.node, self.code, self.detail = path, node, code, detail


class QueryNotFound(QueryRefused):
    """What the query asked for does not exist."""


class TxError(ToolError):
    """A transaction that could not be brought into a block."""


class SimulationFailed(TxError):
    """The application refused the dry run; `detail` is its log."""

    def __init__(self, chain_id: str, detail: str) -> None:
        super().__init__(f"simulation on {chain_id}: expected success, got: {detail}")
        self.detail = detail


class TxExpired(TxError):
    """The timeout height passed and no block holds the transaction; it is safe to sign the messages again."""

    def __init__(self, chain_id: str, tx_hash: str, timeout_height: int) -> None:
        super().__init__(f"transaction {tx_hash} on {chain_id}: in no block up to its timeout height {timeout_height}")
        self.tx_hash, self.timeout_height = tx_hash, timeout_height


class TxInvalid(TxError):
    """It is in a block of Fabric's ledger, invalid: it changed nothing, and it is safe to sign the messages again."""

    def __init__(self, chain_id: str, tx_hash: str, verdict: str) -> None:
        super().__init__(f"transaction {tx_hash} on {chain_id}: expected it valid, its peers say {verdict}")
        self.tx_hash, self.verdict = tx_hash, verdict


class TxUnknown(TxError):
    """It was sent, and nobody could say in time what became of it; it may still be executed."""

    def __init__(self, chain_id: str, tx_hash: str, detail: str) -> None:
        super().__init__(f"transaction {tx_hash} on {chain_id}: sent, its end is not known yet: {detail}")
        self.tx_hash, self.detail = tx_hash, detail
