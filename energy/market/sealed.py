"""When a slot takes sealed orders, and when it opens them.

    |-- BID gate -- commits -- commit_permille of the time to CLEAR -- reveals -- CLEAR gate --|

By block time. With `sealed` on, orders come no other way, and bind: none is cancelled or amended.
"""

from __future__ import annotations

from cosmos_wire.protos import market as pb
from energy.errors import OrdersSealed
from energy.market.clock import Gate, gate_ms
from energy.units import PERMILLE


def reveals_from_ms(record: pb.Slot) -> int:
    """Block time at which reveals begin and commits end."""
    first, last = (gate_ms(record.params, record.slot, gate) for gate in (Gate.BID, Gate.CLEAR))
    return first + (last - first) * record.params.commit_permille // PERMILLE


def require_open(record: pb.Slot, what: str) -> None:
    """Raises OrdersSealed where the slot's orders are sealed."""
    if record.params.sealed:
        raise OrdersSealed(f"orders of slot {record.slot} come by MsgCommitOrder and MsgRevealOrder, none is {what}")
