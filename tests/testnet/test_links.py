"""What the links of a testnet become in the relayer's file and in testnet.json."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ibc_relayer.config import parse_config
from ibc_relayer.handshake import ChannelSpec, PathIds
from ibc_relayer.plan import End
from ibc_relayer.v2.path import client_path
from testnet import links

CHAINS = ("mga-1", "mgb-1")
V1 = PathIds(
    chains=CHAINS,
    clients=("07-tendermint-0", "07-tendermint-1"),
    connections=("connection-0", "connection-1"),
    channels=((End("transfer", "channel-0"), End("transfer", "channel-1")),),
    specs=(ChannelSpec(ports=("transfer", "transfer"), version="ics20-1"),),
)
V2 = client_path(CHAINS, ("07-tendermint-2", "07-tendermint-3"))


def test_a_path_of_ibc_v2_stands_beside_the_link() -> None:
    (doc,) = links.link_docs([V1, V2])
    assert (doc["a"]["client_id"], doc["a"]["v2_client_id"]) == ("07-tendermint-0", "07-tendermint-2")
    assert (doc["b"]["client_id"], doc["b"]["v2_client_id"]) == ("07-tendermint-1", "07-tendermint-3")
    (plain,) = links.link_docs([V1])
    assert "v2_client_id" not in plain["a"]


def test_relayers_are_told_both_paths() -> None:
    chains = [{"id": name, "rpc": "http://127.0.0.1:1", "key": "k"} for name in CHAINS]
    text = "".join(links._open_path(item) for item in (V1, V2))
    v1, v2 = parse_config({"chain": chains, **tomllib.loads(text)}, Path()).paths
    assert (v1.version, v1.clients, v1.complete) == (1, V1.clients, True)
    assert (v2.version, v2.clients, v2.complete, v2.create) == (2, V2.clients, True, False)
