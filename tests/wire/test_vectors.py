"""Against the vectors: what the Cosmos SDK signs, derives and accepts, ours does."""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any as Json

import pytest

from cosmos_wire import multisig, public_keys
from cosmos_wire.errors import ChainError, TxDecode
from cosmos_wire.protos import Any, Message, feegrant_tx
from cosmos_wire.public_keys import ED25519, address, from_any
from cosmos_wire.sign_modes import SignBytes, Signer, SignModeError
from cosmos_wire.tx import DecodedTx, decode
from microgrid.modules import compose

FOLDER = Path(__file__).with_name("vectors")
PAIRS = 256  # at least so many transactions


def load(name: str) -> list[tuple[dict[str, Json], dict[str, Json]]]:
    return [(item["question"], item["answer"]) for item in json.loads((FOLDER / f"{name}.json").read_text())]


@cache
def types() -> dict[str, type[Message]]:
    grants = (feegrant_tx.MsgGrantAllowance, feegrant_tx.MsgRevokeAllowance)
    routed = {url: route.request for url, route in compose().messages.items()}
    return routed | {f"/{kind.DESCRIPTOR.full_name}": kind for kind in grants}


def signer_of(asked: dict[str, Json], decoded: DecodedTx) -> Signer:
    payer = decoded.auth_info.fee.payer
    return Signer(
        chain_id=asked["chain_id"],
        account_number=asked["number"],
        sequence=asked["sequence"],
        address=asked["address"],
        fee_payer=payer or asked["address"],
        key=from_any(Any.FromString(b64decode(asked["key"]))),
    )


def sign_bytes(asked: dict[str, Json]) -> bytes | None:
    """None for what can't be signed."""
    try:
        decoded = decode(b64decode(asked["tx"]), types())
        return SignBytes(decoded, signer_of(asked, decoded))(asked["mode"])
    except (SignModeError, TxDecode):
        return None


def test_amino_json_of_every_message() -> None:
    pairs = load("amino_json")
    assert len(pairs) > PAIRS
    refused = 0
    for asked, said in pairs:
        expected = b64decode(said["bytes"]) if said["ok"] else None
        assert sign_bytes(asked) == expected, said.get("error", "")
        refused += expected is None
    assert 5 <= refused <= 20


@pytest.mark.parametrize(("asked", "said"), load("sign_modes"), ids=lambda item: str(item.get("mode", "")))
def test_sign_modes(asked: dict[str, Json], said: dict[str, Json]) -> None:
    assert sign_bytes(asked) == (b64decode(said["bytes"]) if said["ok"] else None)


def test_addresses() -> None:
    pairs = load("keys")
    assert len(pairs) >= 10
    for asked, said in pairs:
        assert address(from_any(Any.FromString(b64decode(asked["key"])))) == b64decode(said["address"])


def test_signatures_good_and_bad() -> None:
    pairs = load("signatures")
    for asked, said in pairs:
        assert fault_of(asked) == ("" if said["ok"] else said["error"])
    assert {said["ok"] for _, said in pairs} == {True, False}
    assert any(ED25519 in str(b64decode(asked["key"])) for asked, _ in pairs)


def fault_of(asked: dict[str, Json]) -> str:
    try:
        decoded = decode(b64decode(asked["tx"]), types())
        signer = signer_of(asked, decoded)
        signature = multisig.read(decoded.auth_info.signer_infos[0].mode_info, decoded.raw.signatures[0])
        return multisig.fault(signer.key, signature, SignBytes(decoded, signer), public_keys.verify)
    except ChainError as error:
        return str(error)


def test_the_decoder_takes_what_the_sdk_s_takes() -> None:
    pairs = load("decode")
    taken = refused = odd = 0
    for asked, said in pairs:
        try:
            decode(b64decode(asked["tx"]), types())
        except ChainError as error:
            # gogoproto lets text pass that is not UTF-8; nobody's wallet makes it
            odd += said["ok"] and "is not that message" in str(error)
            refused += not said["ok"]
        else:
            taken += said["ok"]
    assert taken + refused + odd == len(pairs)
    assert min(taken, refused) > 100
    assert odd < 20
