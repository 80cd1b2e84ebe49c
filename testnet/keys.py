"""Fresh keys of a testnet: validators and nodes (ed25519, CometBFT's files), accounts (mnemonics), meters (ed25519)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bsmg.client.keys import key_from_mnemonic, new_mnemonic, write_key_file

ADDRESS_BYTES = 20
SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Ed25519:
    """An ed25519 key pair, raw bytes, 32 each."""

    seed: bytes = field(repr=False)
    public: bytes

    @property
    def address(self) -> bytes:
        """CometBFT's address of the key, 20 bytes."""
        return hashlib.sha256(self.public).digest()[:ADDRESS_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of genesis; `identity` and `device` are those of a cell.

    On Fabric it has no mnemonic: a certificate of the organisation `msp_id` and the key in a file.
    """

    name: str
    address: str
    mnemonic: str = field(default="", repr=False)
    amount: int
    identity: str = ""
    device: str = ""
    msp_id: str = ""
    certificate: str = ""
    key: str = ""


def new_ed25519() -> Ed25519:
    """A key from the system's randomness."""
    key = Ed25519PrivateKey.generate()
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return Ed25519(seed=seed, public=key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def new_account(name: str, amount: int, identity: str = "", device: str = "") -> Account:
    """An account with a fresh mnemonic and `amount` base units in genesis."""
    words = new_mnemonic()
    address = key_from_mnemonic(words).address()
    return Account(name=name, address=address, mnemonic=words, amount=amount, identity=identity, device=device)


def account_file(folder: Path, name: str) -> Path:
    """Key file of an account."""
    return folder / f"{name}.mnemonic"


def write_account(folder: Path, account: Account) -> Path:
    """Write an account's key file, readable by its owner only."""
    path = account_file(folder, account.name)
    write_key_file(path, account.mnemonic)
    return path


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(SECRET_MODE)
    path.chmod(SECRET_MODE)
    path.write_text(text, encoding="utf-8")


def write_device(folder: Path, device: str, key: Ed25519) -> Path:
    """Write a meter's private key as 64 hex digits."""
    path = folder / f"{device}.ed25519"
    write_secret(path, key.seed.hex() + "\n")
    return path


def public_doc(key: Ed25519) -> dict[str, str]:
    """CometBFT's JSON of a public key."""
    return {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(key.public).decode()}


def _private_doc(key: Ed25519) -> dict[str, str]:
    return {"type": "tendermint/PrivKeyEd25519", "value": base64.b64encode(key.seed + key.public).decode()}


def write_validator_files(home: Path, validator: Ed25519, node: Ed25519) -> None:
    """CometBFT's three key files below a node's home."""
    doc = {"address": validator.address.hex().upper(), "pub_key": public_doc(validator)}
    write_secret(home / "config" / "priv_validator_key.json", json.dumps({**doc, "priv_key": _private_doc(validator)}))
    write_secret(home / "config" / "node_key.json", json.dumps({"priv_key": _private_doc(node)}))
    state = {"height": "0", "round": 0, "step": 0}
    (home / "data" / "priv_validator_state.json").write_text(json.dumps(state), encoding="utf-8")
