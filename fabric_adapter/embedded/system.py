"""The system chaincode `qscc`: what clients ask of any Fabric peer about the channel's chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosmos_wire.errors import ToolError
from fabric_wire import strict
from fabric_wire.proposals import Invocation
from fabric_wire.protos import common, ledger, proposal_response

if TYPE_CHECKING:
    from fabric_adapter.embedded.ledger import Ledger

QUERY = "qscc"
SYSTEM = (QUERY,)


class SystemQueryError(ToolError):
    """A question that `qscc` does not answer."""


def answer(chain: Ledger, asked: Invocation) -> proposal_response.Response:
    """GetChainInfo, GetBlockByNumber, GetBlockByTxID; raises SystemQueryError."""
    name, *args = [part.decode("utf-8", "replace") for part in asked.args]
    if not args or args[0] != asked.channel_id:
        raise SystemQueryError(f"{name}: expected the channel {asked.channel_id!r} first, got {args[:1]}")
    if name == "GetChainInfo":
        info = ledger.BlockchainInfo(height=chain.height(), currentBlockHash=chain.last_hash())
        return _ok(strict.write(info))
    if name == "GetBlockByNumber" and len(args) == 2 and args[1].isdecimal():
        return _ok(strict.write(_block(chain, int(args[1]))))
    if name == "GetBlockByTxID" and len(args) == 2:
        place = chain.place(args[1])
        if place is None:
            raise SystemQueryError(f"{name}: no transaction is named {args[1][:80]!r}")
        return _ok(strict.write(_block(chain, place.block)))
    raise SystemQueryError(f"qscc: expected GetChainInfo, GetBlockByNumber or GetBlockByTxID, got {name!r} {args[1:3]}")


def _block(chain: Ledger, number: int) -> common.Block:
    found = chain.block(number)
    if found is None:
        raise SystemQueryError(f"expected a block below {chain.height()}, got {number}")
    return found


def _ok(payload: bytes) -> proposal_response.Response:
    return proposal_response.Response(status=common.SUCCESS, payload=payload)
