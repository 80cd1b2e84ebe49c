from pathlib import Path

import pytest

from cosmos_wire.errors import ToolError
from ibc_core.light_client import Height
from ibc_relayer.config import FREE_GAS, load_config, parse_config
from ibc_relayer.filter import PacketFilter, parse_ranges, transfer_lengths
from ibc_relayer.plan import Action, End, Packet, Step

CHAIN = {"id": "mga-1", "rpc": "http://127.0.0.1:1", "key": "a.key"}
OTHER = {"id": "mgb-1", "rpc": "http://127.0.0.1:2", "grpc": "127.0.0.1:3", "key": "b.key", "gas_price": "0.5bmgb"}
MEMBER = {
    "id": "mgf-1", "kind": "fabric-embedded", "grpc": "127.0.0.1:4", "peer": "127.0.0.1:5", "msp_id": "Org1MSP",
    "certificate": "relayer.pem", "key": "relayer.key",
}  # fmt: skip
PATH = {"a": "mga-1", "b": "mgb-1", "create": True, "channels": ["transfer", "trade"]}


def doc(**parts):
    return {"chain": [CHAIN, OTHER], "path": [PATH], **parts}


def test_defaults_and_values():
    config = parse_config(doc(relayer={"clear_interval_s": 7}), Path("/etc/relayer"))
    first, second = config.chains
    assert (first.limits.max_msgs, first.limits.max_tx_bytes, first.bech32_prefix) == (50, 700_000, "bsmg")
    assert first.key == Path("/etc/relayer/a.key")
    assert first.fees.fixed_gas > 0, "free gas needs no dry run"
    assert second.fees.fixed_gas == 0
    assert second.fees.fee(1_001) == (("bmgb", 501),)
    assert [item.spec.version for item in config.paths[0].channels] == ["ics20-1", "bsmg-trade-1"]
    assert config.clear_interval_s == 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"chains": []}, "unknown key 'chains'; the nearest known one is 'chain'"),
        ({"chain": [{**CHAIN, "rcp": "x"}, OTHER]}, "unknown key 'rcp'; the nearest known one is 'rpc'"),
        ({"chain": [{"id": "mga-1", "key": "k"}, OTHER]}, "expected a key rpc"),
        ({"chain": [{**CHAIN, "kind": "iroha"}, OTHER]}, "expected one of cometbft, fabric, fabric-embedded"),
        ({"chain": [{**CHAIN, "kind": "fabric"}, OTHER]}, "expected a key grpc"),
        ({"chain": [{**MEMBER, "rpc": "http://127.0.0.1:1"}, CHAIN, OTHER]}, "unknown key 'rpc'"),
        ({"chain": [{**MEMBER, "trusting_period_s": 0}, CHAIN, OTHER]}, "expected more than 0"),
        ({"chain": [{**CHAIN, "peer": "127.0.0.1:1"}, OTHER]}, "unknown key 'peer'"),
        ({"chain": [{**CHAIN, "gas_price": "cheap"}, OTHER]}, "expected a form like 0.025bmga"),
        ({"chain": [{**CHAIN, "gas_price": "1"}, OTHER]}, "expected a form like 0.025bmga"),
        ({"chain": [{**CHAIN, "max_msgs": 0}, OTHER]}, "expected more than 0"),
        ({"chain": [{**CHAIN, "max_msgs": "50"}, OTHER]}, "expected int"),
        ({"chain": [{**CHAIN, "gas_multiplier": 0.5}, OTHER]}, "expected at least 1"),
        ({"chain": [CHAIN, CHAIN]}, "expected each id once"),
        ({"chain": [CHAIN]}, "expected one of mga-1, got 'mgb-1'"),
        ({"path": [{**PATH, "b": "mga-1"}]}, "expected two different chains"),
        ({"path": [{**PATH, "create": False}]}, "or create = true"),
        ({"path": [{**PATH, "channels": []}]}, "expected at least one channel"),
        ({"path": [{**PATH, "channels": [{"port": "transfer", "b_channel": "channel-1"}]}]}, "or neither"),
        ({"path": [{**PATH, "filter": {"sequences": ["9-3"]}}]}, "lower bound first"),
        ({"path": [{**PATH, "filter": {"sequence": ["9"]}}]}, "nearest known one is 'sequences'"),
        ({"relayer": {"metrics": "9000"}}, "expected host:port"),
        ({"relayer": {"metric": ""}}, "nearest known one is 'metrics'"),
    ],
)
def test_refusals_say_what_was_expected(change, expected):
    with pytest.raises(ToolError) as caught:
        parse_config(doc(**change), Path())
    assert expected in str(caught.value)


def test_a_member_of_a_fabric_microgrid():
    (first, _, _) = parse_config(doc(chain=[{**MEMBER, "tls_ca": "ca.pem"}, CHAIN, OTHER]), Path("/etc/relayer")).chains
    assert (first.kind, first.grpc, first.fabric.peer) == ("fabric-embedded", "127.0.0.1:4", "127.0.0.1:5")
    files = (first.key, first.fabric.certificate, first.fabric.tls_ca)
    assert [str(file) for file in files] == [
        f"/etc/relayer/{name}" for name in ("relayer.key", "relayer.pem", "ca.pem")
    ]
    assert (first.fabric.channel, first.fabric.chaincode) == ("energy", "microgrid")
    assert first.fabric.trusting_period_s == 14 * 86_400


def test_channels_by_id_need_neither_clients_nor_create():
    known = {"port": "transfer", "a_channel": "channel-0", "b_channel": "channel-4"}
    (path,) = parse_config(doc(path=[{**PATH, "create": False, "channels": [known]}]), Path()).paths
    assert path.channels[0].ends == (End("transfer", "channel-0"), End("transfer", "channel-4"))
    with pytest.raises(ToolError, match="or create = true"):
        parse_config(doc(path=[{**PATH, "create": False, "channels": [known, "trade"]}]), Path())


def test_blocks_that_hold_little():
    first, second = parse_config(doc(), Path()).chains
    assert [first.fees_within(gas).fixed_gas for gas in (-1, 10**9, 40_000_000)] == [FREE_GAS, FREE_GAS, 0]
    assert second.fees_within(40_000_000) == second.fees
    kept = parse_config(doc(chain=[{**CHAIN, "fixed_gas": 9_000_000}, OTHER]), Path()).chains[0]
    assert kept.fees_within(8_000_000).fixed_gas == 9_000_000, "as it is written"
    assert [first.limits.within(size).max_tx_bytes for size in (-1, 10**7, 200_000)] == [700_000, 700_000, 150_000]


def test_files(tmp_path):
    path = tmp_path / "relayer.toml"
    path.write_text('[[chain]]\nid = "mga-1"\n')
    with pytest.raises(ToolError, match="expected a key"):
        load_config(path)
    path.write_text("[[chain")
    with pytest.raises(ToolError, match="expected TOML"):
        load_config(path)
    with pytest.raises(ToolError, match="expected a readable file"):
        load_config(tmp_path / "none")


def step(sequence=1, data=b"{}", port="transfer"):
    ends = End(port, "channel-0"), End(port, "channel-9")
    packet = Packet(
        sequence=sequence, source=ends[0], destination=ends[1], data=data, timeout_height=Height(0, 0), timeout_ns=1
    )
    return Step(action=Action.RECV, side=1, end=ends[1], peer=ends[0], ordered=False, packet=packet)


def test_filter():
    assert PacketFilter().admits(step())
    assert PacketFilter(channels=("transfer/*",)).admits(step())
    assert not PacketFilter(channels=("trade/*",)).admits(step())
    assert not PacketFilter(deny=("*/channel-9",)).admits(step())
    ranges = PacketFilter(sequences=parse_ranges(["1-3", "7", "9-"]))
    assert [n for n in range(1, 12) if ranges.admits(step(n))] == [1, 2, 3, 7, 9, 10, 11]


def test_memo_and_receiver_limits_hold_for_transfers_only():
    long = b'{"memo":"' + b"x" * 40_000 + b'"}'
    assert not PacketFilter().admits(step(data=long))
    assert PacketFilter().admits(step(data=long, port="trade"))
    assert PacketFilter(memo_bytes_max=50_000).admits(step(data=long))
    assert transfer_lengths(b'{"memo":"abc","receiver":"xy"}') == (3, 2)
    assert transfer_lengths(b"\xff") == (0, 0)
    assert transfer_lengths(b"[" * 100_000) == (0, 0)
