"""grpcurl, which knows nothing but reflection: every service listed, described and called."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any as Json

import pytest

from tests.interop import clients
from tests.interop.net import Net, until

pytestmark = pytest.mark.interop
OURS = {"bsmg.market.v1.Query", "bsmg.meter.v1.Query", "bsmg.registry.v1.Query", "bsmg.trade.v1.Query"}
COSMOS = {"cosmos.auth.v1beta1.Query", "cosmos.bank.v1beta1.Query", "cosmos.tx.v1beta1.Service"}
IBC = {"ibc.core.client.v1.Query", "ibc.core.connection.v1.Query", "ibc.core.channel.v1.Query"}
HEIGHT = "x-cosmos-block-height"


@pytest.fixture(scope="module")
def binary() -> Path:
    return clients.grpcurl()


def run(binary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), "-plaintext", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def said(binary: Path, *arguments: str) -> str:
    done = run(binary, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(binary: Path, net: Net, method: str, request: dict[str, Json] | None = None) -> Json:
    return json.loads(said(binary, "-d", json.dumps(request or {}), net.a.grpc, method))


def test_list_and_describe_everything(binary: Path, net: Net) -> None:
    services = said(binary, net.a.grpc, "list").split()
    assert OURS | COSMOS | IBC | {"grpc.health.v1.Health"} <= set(services)
    described = {service: said(binary, net.a.grpc, "describe", service) for service in services}
    assert all(text.startswith(f"{service} is a service") for service, text in described.items())
    kinds = re.findall(r"\( (?:stream )?\.([\w.]+) \)", "".join(described[service] for service in sorted(OURS)))
    for kind in sorted(set(kinds)):
        assert said(binary, net.a.grpc, "describe", kind).startswith(f"{kind} is a message")


def test_calls_without_a_stub(binary: Path, net: Net) -> None:
    who = {"address": net.a.address("faucet"), "denom": net.a.denom}
    assert int(asked(binary, net, "cosmos.bank.v1beta1.Query/Balance", who)["balance"]["amount"]) > 0
    account = asked(binary, net, "cosmos.auth.v1beta1.Query/Account", {"address": who["address"]})["account"]
    assert account["@type"] == "/cosmos.auth.v1beta1.BaseAccount"
    assert asked(binary, net, "bsmg.registry.v1.Query/Cells")["cells"]
    assert asked(binary, net, "bsmg.market.v1.Query/Params")["params"]
    info = asked(binary, net, "cosmos.base.tendermint.v1beta1.Service/GetNodeInfo")
    assert info["default_node_info"]["network"] == net.a.id
    assert asked(binary, net, "grpc.health.v1.Health/Check")["status"] == "SERVING"


def test_a_height_of_the_past(binary: Path, net: Net) -> None:
    until(lambda: int(net.a.status()["latest_block_height"]) > 3, "block 4")
    method = ("cosmos.bank.v1beta1.Query/TotalSupply",)
    answer = said(binary, "-v", "-H", f"{HEIGHT}: 3", net.a.grpc, *method)
    assert re.search(rf"^{HEIGHT}: 3$", answer, re.MULTILINE)
    future = run(binary, "-H", f"{HEIGHT}: 99999999", net.a.grpc, *method)
    assert "Code: InvalidArgument" in future.stderr


def test_refusals(binary: Path, net: Net) -> None:
    absent = run(
        binary, "-d", '{"connection_id": "connection-9"}', net.a.grpc, "ibc.core.connection.v1.Query/Connection"
    )
    assert "Code: NotFound" in absent.stderr
    nobody = run(binary, net.a.grpc, "cosmos.gov.v1.Query/Proposals")
    assert "does not expose service" in nobody.stderr
