"""A chaincode that keeps the records of a microgrid and attests them: enough for proofs of real ledgers.

Write PATH VALUE        an ICS-24 path, binary; an empty value deletes
Tick N TIME_NS VERSION  the tick record, decimal
Found VERSION RECORD    a membership record
Attest ARGS             as every microgrid's chaincode
"""

from __future__ import annotations

from fabric_adapter.stub import Response, Stub
from fabric_wire import strict
from ibc_core.fabric import records
from ibc_core.fabric.records import Scope

CHAIN_ID, NAMESPACE = "mgf-1", "microgrid"


class Attester:
    """The chaincode."""

    def invoke(self, stub: Stub) -> Response:
        name, *args = stub.args
        if name == b"Write":
            self.write(stub, *args)
        elif name == b"Tick":
            height, time_ns, version = (int(arg) for arg in args)
            tick = records.TickRecord(height=height, time_ns=time_ns, state_hash=b"s", membership_version=version)
            stub.put_state(records.TICK, strict.write(tick))
        elif name == b"Found":
            stub.put_state(records.membership_key(int(args[0])), args[1])
        elif name == records.FUNCTION:
            scope = Scope(chain_id=CHAIN_ID, channel_id=stub.channel_id, namespace=NAMESPACE)
            for write in records.attest(scope, args[0], stub.get_state):
                stub.put_state(write.key, write.value)
        return Response()

    def write(self, stub: Stub, path: bytes, value: bytes) -> None:
        key = records.state_key(path)
        if value:
            stub.put_state(key, value)
        else:
            stub.del_state(key)
