"""A small chaincode, a table of keys: what a new network runs until it is given another one.

ping                        "pong"
put KEY VALUE [KEY VALUE ...]
get KEY                     the value; refused when there is none
delete KEY
add KEY NUMBER              read, add, write: two at the same time conflict
range START END [LIMIT]     JSON: [[key, value in hex], ...]
emit KEY VALUE NAME         put, with an event NAME that carries the value
whoami                      JSON: channel, tx, time, creator in hex
refuse TEXT                 refused with TEXT
fail TEXT                   the chaincode breaks
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice

from cosmos_wire.errors import ToolError
from fabric_adapter.stub import Response, Stub

LIMIT = 100_000


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"argument: expected UTF-8, got {value[:32].hex()}") from error


def _ping(stub: Stub) -> bytes:
    del stub
    return b"pong"


def _put(stub: Stub) -> bytes:
    pairs = stub.args[1:]
    if not pairs or len(pairs) % 2:
        raise ToolError(f"put: expected pairs of key and value, got {len(pairs)} arguments")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        stub.put_state(_text(key), value)
    return b""


def _get(stub: Stub) -> bytes:
    _, key = stub.args
    found = stub.get_state(_text(key))
    if found is None:
        raise ToolError(f"get: expected a known key, got {_text(key)!r}")
    return found


def _delete(stub: Stub) -> bytes:
    _, key = stub.args
    stub.del_state(_text(key))
    return b""


def _add(stub: Stub) -> bytes:
    _, key, number = stub.args
    total = int(stub.get_state(_text(key)) or 0) + int(number)
    stub.put_state(_text(key), str(total).encode())
    return str(total).encode()


def _range(stub: Stub) -> bytes:
    _, start, end, *limit = stub.args
    found = stub.range(_text(start), _text(end))
    rows = [[key, value.hex()] for key, value in islice(found, int(limit[0]) if limit else LIMIT)]
    return json.dumps(rows).encode()


def _emit(stub: Stub) -> bytes:
    _, key, value, name = stub.args
    stub.put_state(_text(key), value)
    stub.set_event(_text(name), value)
    return b""


def _whoami(stub: Stub) -> bytes:
    doc = {
        "channel": stub.channel_id,
        "tx": stub.tx_id,
        "time_ns": stub.timestamp_ns,
        "creator": stub.creator.hex(),
    }
    return json.dumps(doc).encode()


def _refuse(stub: Stub) -> bytes:
    raise ToolError(_text(stub.args[1]))


def _fail(stub: Stub) -> bytes:
    raise RuntimeError(_text(stub.args[1]))


FUNCTIONS: Mapping[str, tuple[Callable[[Stub], bytes], range]] = {
    "ping": (_ping, range(1)),
    "put": (_put, range(2, 2001)),
    "get": (_get, range(1, 2)),
    "delete": (_delete, range(1, 2)),
    "add": (_add, range(2, 3)),
    "range": (_range, range(2, 4)),
    "emit": (_emit, range(3, 4)),
    "whoami": (_whoami, range(1)),
    "refuse": (_refuse, range(1, 2)),
    "fail": (_fail, range(1, 2)),
}


class KeyValue:
    """The chaincode."""

    def invoke(self, stub: Stub) -> Response:
        """Run the function that the first argument names."""
        name = _text(stub.args[0]) if stub.args else ""
        if name not in FUNCTIONS:
            raise ToolError(f"function: expected one of {', '.join(FUNCTIONS)}, got {name!r}")
        function, counts = FUNCTIONS[name]
        if len(stub.args) - 1 not in counts:
            raise ToolError(f"{name}: expected {counts.start} to {counts.stop - 1} arguments, got {len(stub.args) - 1}")
        return Response(payload=function(stub))
