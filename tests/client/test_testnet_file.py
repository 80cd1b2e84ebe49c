import json

import pytest

from bsmg.client.comet_json import parse_time, time_ns
from bsmg.client.testnet_file import load_testnet, parse_testnet
from cosmos_wire.errors import ToolError

DOC = {
    "version": 1,
    "chains": [
        {
            "chain_id": "mga-1", "kind": "cometbft", "bech32_prefix": "bsmg", "denom": "bmga",
            "nodes": [{"moniker": "mga-1-0", "rpc": "http://127.0.0.1:1", "pids": {"app": 5}}],
            "accounts": [{"name": "faucet", "address": "bsmg1x", "mnemonic": "a b"}],
        }
    ],
    "relayers": [{"pid": 9, "metrics": "http://127.0.0.1:2/metrics"}],
    "links": [
        {
            "a": {
                "chain_id": "mga-1", "client_id": "c-0", "connection_id": "k-0", "channels": {"transfer": "channel-0"},
            },
            "b": {
                "chain_id": "mgb-1", "client_id": "c-1", "connection_id": "k-1",
                "channels": {"transfer": {"id": "channel-7", "version": "ics20-1", "ordering": "UNORDERED"}},
            },
        }
    ],
}  # fmt: skip


def test_whole_file(tmp_path):
    (tmp_path / "testnet.json").write_text(json.dumps(DOC))
    file = load_testnet(tmp_path)
    assert file == load_testnet(tmp_path / "testnet.json")
    chain = file.chain("mga-1")
    assert (chain.account("faucet").mnemonic, chain.nodes[0].pids["app"]) == ("a b", 5)
    assert file.link("mgb-1", "mga-1").a.channels["transfer"].channel_id == "channel-7"
    assert file.link("mga-1", "mgb-1").b.channels["transfer"].version == "ics20-1"


@pytest.mark.parametrize("doc", [[], {"version": 2}, {"version": 1}, {**DOC, "links": [{}]}, {**DOC, "chains": [1]}])
def test_other_forms_are_refused(doc):
    with pytest.raises(ToolError, match="expected"):
        parse_testnet(doc)


def test_names_that_are_not_there(tmp_path):
    file = parse_testnet(DOC)
    with pytest.raises(ToolError, match="expected one of mga-1"):
        file.chain("mgz-1")
    with pytest.raises(ToolError, match="expected one of faucet"):
        file.chain("mga-1").account("bank")
    with pytest.raises(ToolError, match="expected a running testnet"):
        load_testnet(tmp_path)


def test_times():
    assert parse_time("0001-01-01T00:00:00Z") == (-62_135_596_800, 0)
    assert time_ns("1970-01-02T00:00:01.5Z") == 86_401_500_000_000
    for text in ("", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00+01:00", "2024-13-01T00:00:00Z"):
        with pytest.raises((ToolError, ValueError)):
            parse_time(text)
