"""Messages of ibc-go's DenomTrace(s) queries, which the compiled set lacks since v10 and relayers still ask."""

from __future__ import annotations

from cosmos_wire.protos import pagination, transfer_denomtrace
from ibc_core.late_messages import STRING, Spec, register

_PACKAGE = "ibc.applications.transfer.v1"
_TRACE = ("message", f".{_PACKAGE}.DenomTrace")
_MESSAGES: dict[str, tuple[Spec, ...]] = {
    "QueryDenomTraceRequest": (("hash", STRING, False),),
    "QueryDenomTraceResponse": (("denom_trace", _TRACE, False),),
    "QueryDenomTracesRequest": (("pagination", ("message", ".cosmos.base.query.v1beta1.PageRequest"), False),),
    "QueryDenomTracesResponse": (
        ("denom_traces", _TRACE, True),
        ("pagination", ("message", ".cosmos.base.query.v1beta1.PageResponse"), False),
    ),
}
LEGACY = register(
    "ibc/applications/transfer/v1/legacy_query.proto",
    _PACKAGE,
    (transfer_denomtrace.DESCRIPTOR, pagination.DESCRIPTOR),
    _MESSAGES,
)
