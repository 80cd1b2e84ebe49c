"""Our REST gateway beside that of a stock ibc-go chain: the same paths give JSON of one shape, and the same refusals.

A difference on purpose: what a caller got wrong (an address that is none) is 400 here, where the SDK says 500.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any as Json

import pytest

from cosmos_wire.address import to_bech32
from tests.interop.net import Chain, Net, until
from tests.interop.simd import simd

pytestmark = pytest.mark.interop
PATHS = """
/cosmos/auth/v1beta1/accounts/{account}
/cosmos/auth/v1beta1/account_info/{account}
/cosmos/auth/v1beta1/accounts?pagination.limit=1
/cosmos/auth/v1beta1/bech32
/cosmos/auth/v1beta1/params
/cosmos/bank/v1beta1/balances/{account}
/cosmos/bank/v1beta1/balances/{account}/by_denom?denom={denom}
/cosmos/bank/v1beta1/denom_owners/{denom}
/cosmos/bank/v1beta1/params
/cosmos/bank/v1beta1/spendable_balances/{account}
/cosmos/bank/v1beta1/supply
/cosmos/bank/v1beta1/supply/by_denom?denom={denom}
/cosmos/base/node/v1beta1/config
/cosmos/base/node/v1beta1/status
/cosmos/base/tendermint/v1beta1/blocks/2
/cosmos/base/tendermint/v1beta1/blocks/latest
/cosmos/base/tendermint/v1beta1/node_info
/cosmos/base/tendermint/v1beta1/syncing
/cosmos/base/tendermint/v1beta1/validatorsets/2
/cosmos/base/tendermint/v1beta1/validatorsets/latest
/cosmos/consensus/v1/params
/cosmos/staking/v1beta1/delegations/{account}
/cosmos/staking/v1beta1/delegators/{account}/unbonding_delegations
/cosmos/staking/v1beta1/params
/cosmos/staking/v1beta1/pool
/cosmos/staking/v1beta1/validators
/cosmos/tx/v1beta1/txs?query=tx.height%3E1
/cosmos/tx/v1beta1/txs/block/2
/cosmos/upgrade/v1beta1/current_plan
/cosmos/upgrade/v1beta1/module_versions?module_name=bank
/ibc/apps/transfer/v1/denoms
/ibc/apps/transfer/v1/params
/ibc/core/channel/v1/channels
/ibc/core/client/v1/client_states
/ibc/core/client/v1/params
/ibc/core/connection/v1/connections
/ibc/core/connection/v1/params
"""
REFUSED = """
/cosmos/auth/v1beta1/accounts/{nobody}
/cosmos/tx/v1beta1/txs/ABAB
/cosmos/tx/v1beta1/txs/ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
/cosmos/bank/v1beta1/balances/{account}/by_denom
/cosmos/base/tendermint/v1beta1/blocks/99999999
/ibc/core/channel/v1/channels/channel-7/ports/transfer
/ibc/core/client/v1/client_states/07-tendermint-7
/ibc/core/connection/v1/connections/connection-7
/nothing/here
"""
NOBODY = bytes(range(20))


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with simd(tmp_path_factory.mktemp("shapes") / "home", version="v10", chain_id="shapes-1") as one:
        chain = one.chain()
        until(lambda: int(chain.status()["latest_block_height"]) >= 3, "blocks", one.log)
        yield chain


def get(chain: Chain, template: str) -> tuple[int, Json]:
    path = template.format(account=chain.address("faucet"), denom=chain.denom, nobody=to_bech32(NOBODY, chain.prefix))
    try:
        with urllib.request.urlopen(chain.rest + path) as answer:  # noqa: S310  (our own node)
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def differences(theirs: Json, ours: Json, at: str = "") -> list[str]:
    """Where the two have other members or other kinds of value."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = [f"{at}.{name}: only theirs" for name in sorted(theirs.keys() - ours.keys())]
        found += [f"{at}.{name}: only ours" for name in sorted(ours.keys() - theirs.keys())]
        for name in theirs:
            if name in ours:
                found += differences(theirs[name], ours[name], f"{at}.{name}")
        return found
    if isinstance(theirs, list) and isinstance(ours, list):
        return differences(theirs[0], ours[0], f"{at}[]") if theirs and ours else []
    if type(theirs) is type(ours):
        return []
    return [f"{at}: theirs {json.dumps(theirs)[:60]}, ours {json.dumps(ours)[:60]}"]


@pytest.mark.parametrize("template", PATHS.split())
def test_the_same_shape(own_net: Net, stock: Chain, template: str) -> None:
    until(lambda: int(own_net.a.status()["latest_block_height"]) >= 3, "blocks")
    (their_status, theirs), (our_status, ours) = get(stock, template), get(own_net.a, template)
    assert (our_status, their_status) == (200, 200), (ours, theirs)
    assert differences(theirs, ours) == []


@pytest.mark.parametrize("template", REFUSED.split())
def test_the_same_refusal(own_net: Net, stock: Chain, template: str) -> None:
    (their_status, theirs), (our_status, ours) = get(stock, template), get(own_net.a, template)
    assert ours.keys() == theirs.keys()
    assert (our_status, ours["code"]) == (their_status, theirs["code"]), (ours, theirs)
