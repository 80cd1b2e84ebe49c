"""The gateway's JSON, shape by shape; `tests/interop` compares it with an ibc-go chain's own gateway."""

from __future__ import annotations

import pytest

from cosmos_wire.protos import (
    Any,
    Message,
    abci,
    auth,
    auth_query,
    bank_query,
    channel,
    channel_query,
    client,
    client_query,
    consensus_query,
    pagination,
    staking,
    staking_query,
    tendermint_client,
    tx,
)
from cosmos_wire.tx import pack
from microgrid.query.rest_json import document
from microgrid.staking_module import shown

NONE = {"revision_number": "0", "revision_height": "0"}
CASES: dict[str, tuple[Message, object]] = {
    "empty bytes and absent messages are null": (
        auth_query.QueryAccountsResponse(pagination=pagination.PageResponse(total=3)),
        {"accounts": [], "pagination": {"next_key": None, "total": "3"}},
    ),
    "an absent page": (bank_query.QueryTotalSupplyResponse(), {"supply": [], "pagination": None}),
    "bytes are base64": (pagination.PageResponse(next_key=b"\xff\xfe"), {"next_key": "//4=", "total": "0"}),
    "an Any beside its fields": (
        auth_query.QueryAccountResponse(account=pack(auth.BaseAccount(address="a", sequence=7))),
        {
            "account": {
                "@type": "/cosmos.auth.v1beta1.BaseAccount",
                "address": "a",
                "pub_key": None,
                "account_number": "0",
                "sequence": "7",
            }
        },
    ),
    "an Any that nobody knows": (
        auth_query.QueryAccountResponse(account=Any(type_url="/no.such.Type", value=b"\x01")),
        {"account": {"@type": "/no.such.Type", "value": "AQ=="}},
    ),
    "messages by value are always there": (
        channel_query.QueryPacketCommitmentsResponse(),
        {"commitments": [], "pagination": None, "height": NONE},
    ),
    "enums by name, or by number when unknown": (
        channel.Channel(state=channel.STATE_OPEN, ordering=channel.Order.ValueType(9)),
        {
            "state": "STATE_OPEN",
            "ordering": 9,
            "counterparty": {"port_id": "", "channel_id": ""},
            "connection_hops": [],
            "version": "",
        },
    ),
    "durations and decimals": (
        staking.Params(min_commission_rate="50000000000000000", max_validators=3),
        {
            "unbonding_time": "0s",
            "max_validators": 3,
            "max_entries": 0,
            "historical_entries": 0,
            "bond_denom": "",
            "min_commission_rate": "0.050000000000000000",
        },
    ),
    "32 bits are numbers, 64 are text": (client.Height(revision_number=1), {**NONE, "revision_number": "1"}),
    "a choice shows the chosen alone": (
        tx.ModeInfo(single=tx.ModeInfo.Single(mode=1)),
        {"single": {"mode": "SIGN_MODE_DIRECT"}},
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_shape(name: str) -> None:
    message, expected = CASES[name]
    assert document(message) == expected


def test_a_validator_as_explorers_read_it() -> None:
    update = abci.ValidatorUpdate(power=12)
    update.pub_key.ed25519 = b"k" * 32
    found = document(staking_query.QueryValidatorResponse(validator=shown(b"a" * 20, update)))["validator"]
    assert found["delegator_shares"] == "12.000000000000000000"
    assert found["commission"]["commission_rates"]["max_rate"] == "0.000000000000000000"
    assert found["consensus_pubkey"]["@type"] == "/cosmos.crypto.ed25519.PubKey"


def test_times_that_nobody_set_are_gos() -> None:
    assert document(staking.Commission())["update_time"] == "0001-01-01T00:00:00Z"
    state = client_query.QueryClientStateResponse(client_state=pack(tendermint_client.ClientState()))
    shown_state = document(state)["client_state"]
    assert (shown_state["frozen_height"], shown_state["trusting_period"]) == (NONE, "0s")
    assert document(consensus_query.QueryParamsResponse()) == {"params": None}
