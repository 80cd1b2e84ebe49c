"""`bsmg keys ...`: mnemonics, addresses, key files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bsmg.cli.output import note, show
from bsmg.cli.target import Target, with_target
from bsmg.client.keys import HD_PATH, Key, key_from_mnemonic, new_mnemonic, read_key_file, write_key_file
from cosmos_wire.address import PREFIX
from cosmos_wire.errors import ToolError

path_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
prefix_option = click.option("--prefix", default=PREFIX, show_default=True, help="Bech32 prefix.")


@click.group()
def command() -> None:
    """Mnemonics, addresses, key files."""


def _doc(key: Key, prefix: str) -> dict[str, str]:
    return {"address": key.address(prefix), "public_key": key.public.hex(), "path": HD_PATH}


@command.command("new")
@path_argument
@prefix_option
def new(file: Path, prefix: str) -> None:
    """Write a fresh mnemonic of 24 words into FILE, readable by you only."""
    words = new_mnemonic()
    write_key_file(file, words)
    show(_doc(key_from_mnemonic(words), prefix))
    note(f"the words are in {file}; who has them has the account")


@command.command("import")
@path_argument
@prefix_option
def import_(file: Path, prefix: str) -> None:
    """Write a mnemonic from standard input into FILE."""
    words = " ".join(sys.stdin.read().split())
    write_key_file(file, words)
    show(_doc(key_from_mnemonic(words), prefix))


@command.command("show")
@path_argument
@prefix_option
def show_key(file: Path, prefix: str) -> None:
    """Address and public key of FILE."""
    show(_doc(read_key_file(file), prefix))


@command.command("list")
@with_target
def list_(target: Target) -> None:
    """Accounts of a testnet's chain."""
    info = target.info()
    if info is None:
        raise ToolError("keys list: expected a testnet (--home), got --rpc")
    members = [{"msp_id": a.msp_id, "certificate": a.certificate} if a.certificate else {} for a in info.accounts]
    rows = zip(info.accounts, members, strict=True)
    show([{"name": a.name, "address": a.address, "identity": a.identity, **member} for a, member in rows])
