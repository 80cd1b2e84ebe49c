"""What an account signs with: a key of a mnemonic, or the certificate and key of a Fabric member."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from bsmg.client.errors import KeyFault
from bsmg.client.keys import Key, key_from_mnemonic
from bsmg.client.testnet_file import AccountInfo
from fabric_adapter.identity import Identity, load_identity

Credential: TypeAlias = Key | Identity


def member(msp_id: str, certificate: Path, key: Path) -> Identity:
    """A Fabric member's from its two PEM files; raises ToolError when they can't be used."""
    return load_identity(msp_id, certificate, key)


def credential_of(account: AccountInfo) -> Credential:
    """An account's of testnet.json; raises KeyFault when the file names none, ToolError when it can't be read."""
    if account.certificate:
        return member(account.msp_id, Path(account.certificate), Path(account.key))
    if not account.mnemonic:
        raise KeyFault(f"account {account.name}: expected a mnemonic or a certificate in the testnet's file, got none")
    return key_from_mnemonic(account.mnemonic)
