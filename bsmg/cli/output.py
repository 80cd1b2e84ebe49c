"""What the command line prints: JSON for data, one line for an error."""

from __future__ import annotations

import json
from typing import Any as Json

import click
from google.protobuf import json_format

from cosmos_wire.errors import BsmgError, ChainError
from cosmos_wire.protos import Message

FAILURE = 1


def fail(error: BsmgError) -> int:
    """One line on standard error, with the code if the chain has one; returns the exit code."""
    code = f"{error.codespace}/{error.code}: " if isinstance(error, ChainError) else ""
    click.echo(f"error: {code}{error}", err=True)
    return FAILURE


def show(doc: Json) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(doc, indent=2, ensure_ascii=False))


def message_doc(message: Message) -> dict[str, Json]:
    """Protobuf JSON with the names of the .proto files, zeros too."""
    return dict(
        json_format.MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )


def note(text: str) -> None:
    """Progress, on standard error, so that standard output stays data."""
    click.echo(text, err=True)
