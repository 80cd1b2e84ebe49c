"""Identities: `stakeholder@microgrid`, `device@microgrid`."""

from __future__ import annotations

import re

from energy.errors import BadId

ID_LENGTH_MAX = 64
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


def require_id(text: str, microgrid: str) -> None:
    """Refuse an identity that isn't `name@microgrid`: a-z, 0-9 and inner `.`, `_`, `-`, 64 at most."""
    name, at, home = text.partition("@")
    if len(text) > ID_LENGTH_MAX or not at or not NAME.fullmatch(name) or home != microgrid:
        raise BadId(
            f"an identity has to be name@{microgrid}, at most {ID_LENGTH_MAX} of a-z 0-9 . _ -, got {text[:80]!r}"
        )


def require_microgrid(text: str) -> None:
    """Refuse a microgrid name that can't stand behind the @."""
    if len(text) > ID_LENGTH_MAX // 2 or not NAME.fullmatch(text):
        raise BadId(f"a microgrid's name has to be at most {ID_LENGTH_MAX // 2} of a-z 0-9 . _ -, got {text[:80]!r}")
