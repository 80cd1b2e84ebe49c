"""Parts of genesis as protobuf JSON (snake_case or camelCase names)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf import json_format

from cosmos_wire.errors import InvalidRequest
from cosmos_wire.protos import Message

M = TypeVar("M", bound=Message)


def message_from(doc: object, kind: type[M], what: str) -> M:
    """Read one message; raises InvalidRequest naming the place for a field that is unknown or of the wrong type."""
    if not isinstance(doc, Mapping):
        raise InvalidRequest(f"genesis {what} has to be an object, got {type(doc).__name__}")
    try:
        return json_format.ParseDict(dict(doc), kind())
    except json_format.ParseError as error:
        raise InvalidRequest(f"genesis {what}: {error}") from error


def message_of(doc: Mapping[str, object], key: str, kind: type[M]) -> M:
    """The message under a key that has to be there."""
    if key not in doc:
        raise InvalidRequest(f"genesis needs {key!r}, got {sorted(doc)}")
    return message_from(doc[key], kind, key)


def items_of(doc: Mapping[str, object], key: str, kind: type[M]) -> list[M]:
    """The messages of a list, which may be left out."""
    items = doc.get(key, [])
    if not isinstance(items, list):
        raise InvalidRequest(f"genesis {key} has to be a list, got {type(items).__name__}")
    return [message_from(item, kind, f"{key}[{at}]") for at, item in enumerate(items)]
