"""Amino JSON under arbitrary and hostile input."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.amino_json import AminoJsonError, amino_name, camel, encode, json_text, utc_texts
from cosmos_wire.known import ANY_DEPTH_MAX
from cosmos_wire.protos import Any, Message, client_tx, multisig_keys
from cosmos_wire.public_keys import MULTISIG, to_any
from microgrid.modules import compose
from tests.wire import keys
from tests.wire.messages import arbitrary

KINDS = [route.request for _, route in sorted(compose().messages.items())]
LEDGER_NAME_MAX = 39  # the SDK registers no longer ones: Ledger's Nano could not show them


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**64 - 1))
def test_any_message_is_sorted_json_or_refused(kind: type[Message], seed: int) -> None:
    message = arbitrary(kind, Random(seed))
    try:
        text = encode(message)
    except AminoJsonError:
        return
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == json.dumps(
        json.loads(text), separators=(",", ":")
    )
    assert not any(sign in text for sign in "<>&\u2028\u2029")


def test_own_messages_have_names_that_hardware_wallets_show() -> None:
    names = [amino_name(kind.DESCRIPTOR) for kind in KINDS if kind.DESCRIPTOR.full_name.startswith("bsmg.")]
    assert len(names) == len(set(names)) >= 20
    assert all(name.startswith("bsmg/") and len(name) <= LEDGER_NAME_MAX for name in names)


def test_any_within_any_ends() -> None:
    inner: Message = client_tx.MsgUpdateClient()
    key = keys.SINGLE
    packed = to_any(key)
    for _ in range(ANY_DEPTH_MAX + 1):
        packed = Any(
            type_url=MULTISIG,
            value=multisig_keys.LegacyAminoPubKey(threshold=1, public_keys=[packed]).SerializeToString(),
        )
    inner = client_tx.MsgUpdateClient(client_message=packed)
    with pytest.raises(AminoJsonError, match="max depth exceeded"):
        encode(inner)


def test_unknown_fields_within_any_are_not_hidden() -> None:
    packed = to_any(keys.SINGLE)
    packed.value += b"\x82\x40\x01z"
    with pytest.raises(AminoJsonError, match="errUnknownField"):
        encode(client_tx.MsgUpdateClient(client_message=packed))


@pytest.mark.parametrize(
    ("name", "expected"), [("sum", "Sum"), ("public_key", "PublicKey"), ("a1b", "A1B"), ("x_2y", "X2Y")]
)
def test_names_of_oneofs(name: str, expected: str) -> None:
    assert camel(name) == expected


def test_text_and_times() -> None:
    assert json_text('a"\\\b\x01\x7f<>&\u2028é') == r'"a\"\\\b\u0001' + "\x7f" + r'\u003c\u003e\u0026\u2028é"'
    assert utc_texts(951_782_400 * 10**9) == ("2000-02-29", "00:00:00")
    assert utc_texts(-1) == ("1969-12-31", "23:59:59.999999999")
    assert utc_texts(253_402_300_799 * 10**9 + 500_000_000) == ("9999-12-31", "23:59:59.5")
