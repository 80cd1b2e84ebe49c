"""ICS-04 acknowledgements in ibc-go's JSON: `{"result":"AQ=="}` or `{"error":"..."}`.

Nobody may act on an acknowledgement that could be written in two ways (ASA-2025-004): reading is by comparison with
what writing would give. An error carries a code and never the text of an exception, which could differ between nodes.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from cosmos_wire.errors import ChainError
from ibc_core import flat_json
from ibc_core.errors import InvalidAcknowledgement

ERROR_TEXT = "ABCI code: {code}: error handling packet: see events for details"  # state: never changes


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Either a result or an error."""

    result: bytes | None
    error: str | None

    @property
    def success(self) -> bool:
        """Whether the packet was acted on."""
        return self.error is None


def success(result: bytes = b"\x01") -> bytes:
    """Acknowledgement of a packet that was acted on."""
    return flat_json.dump({"result": base64.b64encode(result).decode()})


def failure(error: ChainError) -> bytes:
    """Acknowledgement of a packet that the application refused."""
    return flat_json.dump({"error": ERROR_TEXT.format(code=error.code)})


def parse(data: bytes) -> Acknowledgement:
    """Read one; raises InvalidAcknowledgement unless it re-serialises to identical bytes."""
    found = _members(data)
    if found is None or flat_json.dump(found) != data:
        raise InvalidAcknowledgement(f"expected result or error in canonical JSON, got {data[:80].hex()}")
    if "error" in found:
        return Acknowledgement(None, found["error"])
    try:
        result = base64.b64decode(found["result"], validate=True)
    except binascii.Error as error:
        raise InvalidAcknowledgement(f"result is no base64: {found['result'][:80]!r}") from error
    if success(result) != data:
        raise InvalidAcknowledgement(f"result is no canonical base64: {found['result'][:80]!r}")
    return Acknowledgement(result, None)


def require_unambiguous(data: bytes) -> None:
    """Refuse what reads as such an acknowledgement and would be written differently; other formats pass."""
    if _members(data) is not None:
        parse(data)


def is_one(data: bytes) -> bool:
    """Whether the bytes read as such an acknowledgement, canonical or not."""
    return _members(data) is not None


def _members(data: bytes) -> dict[str, str] | None:
    try:
        found = flat_json.parse(data)
    except flat_json.NotFlatError:
        return None
    return found if len(found) == 1 and next(iter(found)) in {"result", "error"} else None
