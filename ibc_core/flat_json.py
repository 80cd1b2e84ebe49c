"""JSON objects whose values are all strings, read strictly and written as Go's encoding/json writes them.

ICS-20 packet data and acknowledgements are such objects. A small grammar of our own keeps what reaches state apart from
what a JSON library may change: nothing nested, no numbers, no duplicate keys, valid UTF-8 only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_STRING = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_SPACE = r"[ \t\r\n]*"
_PAIR = re.compile(f"{_SPACE}({_STRING}){_SPACE}:{_SPACE}({_STRING}){_SPACE}")
_GO_ESCAPES = {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"}
_GO_ESCAPED = re.compile("[<>&\u2028\u2029]")


class NotFlatError(ValueError):
    """The bytes are no such object; the message says why."""


def parse(data: bytes) -> dict[str, str]:
    """Read an object; raises NotFlatError."""
    try:
        text = data.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise NotFlatError("invalid UTF-8") from error
    if not (text.startswith("{") and text.endswith("}") and len(text) > 1):
        raise NotFlatError("expected one JSON object")
    return _pairs(text[1:-1])


def _pairs(body: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if not body.strip(" \t\r\n"):
        return found
    at = 0
    while True:
        pair = _PAIR.match(body, at)
        if pair is None:
            raise NotFlatError(f"expected a string member at character {at + 1}")
        key, value = _unquote(pair[1]), _unquote(pair[2])
        if key in found:
            raise NotFlatError(f"member {key!r} comes twice")
        found[key] = value
        at = pair.end()
        if at == len(body):
            return found
        if body[at] != ",":
            raise NotFlatError(f"expected a comma at character {at + 1}")
        at += 1


def _unquote(token: str) -> str:
    text = str(json.loads(token))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotFlatError("half of a surrogate pair") from error
    return text


def dump(members: Mapping[str, str]) -> bytes:
    """Write without spaces, in the mapping's order, UTF-8 unescaped, `<`, `>`, `&` escaped as Go does."""
    text = json.dumps(dict(members), ensure_ascii=False, separators=(",", ":"))
    return _GO_ESCAPED.sub(lambda found: _GO_ESCAPES[found[0]], text).encode("utf-8")
