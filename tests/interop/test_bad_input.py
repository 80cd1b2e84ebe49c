"""The same bad input to our chain and to ibc-go's: where it is refused, code space, code, and the text of the error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop import bad_clients, bad_packets, bad_txs
from tests.interop.bad_txs import Case
from tests.interop.net import GAS_PRICE, Net
from tests.interop.simd import DENOM, Simd, simd
from tests.interop.twins import Seen, Side, both, stable, twins

pytestmark = pytest.mark.interop
GROUPS = {
    "tx": bad_txs.TXS,
    "bank": bad_txs.COINS,
    "transfer": bad_packets.TRANSFERS,
    "receive": bad_packets.RECEIVES,
    "acknowledge": bad_packets.ACKS,
    "timeout": bad_packets.TIMEOUTS,
    "client": bad_clients.CLIENTS,
    "handshake": bad_clients.HANDSHAKES,
}
CASES = [pytest.param(case, id=f"{group}: {case.name}") for group, cases in GROUPS.items() for case in cases]
NO_CODE = "undefined"  # what the SDK says of an error that has no code


@dataclass(frozen=True, slots=True)
class World:
    """Both chains, and the loop that their clients live in."""

    runner: asyncio.Runner
    ours: Side
    stock: Side

    def run(self, case: Case) -> tuple[Seen, Seen]:
        return self.runner.run(both(case.act, self.ours, self.stock))


@pytest.fixture(scope="module")
def world(own_net: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("bad") / "sim"
    with simd(home, version="v10", chain_id="sim-1") as stock, asyncio.Runner() as runner:
        ask_a_price(stock)
        pair = twins(own_net.a, stock.chain())
        ours, other = runner.run(pair.__aenter__())
        try:
            yield World(runner, ours, other)
        finally:
            runner.run(pair.__aexit__(None, None, None))


def ask_a_price(chain: Simd) -> None:
    """The same lowest gas price as ours."""
    chain.stop()
    file = chain.home / "config" / "app.toml"
    priced = f'minimum-gas-prices = "{GAS_PRICE}{DENOM}"'
    file.write_text(re.sub(r"^minimum-gas-prices = .*$", priced, file.read_text(), flags=re.MULTILINE))
    chain.start()


@pytest.mark.parametrize("case", CASES)
def test_the_same_answer(world: World, case: Case) -> None:
    ours, stock = world.run(case)
    said = f"ours: {ours.verdict}: {ours.log}\nsimd: {stock.verdict}: {stock.log}"
    if case.differs:
        assert ours != stock, f"{said}\nno difference any more: {case.differs}"
        return
    assert ours.where == stock.where, said
    if stock.codespace == NO_CODE:
        assert ours.code != 0, said
        return
    assert ours == stock, said
    assert stable(ours.log) == stable(stock.log), said


def test_every_case_is_in_the_table() -> None:
    """docs/interop.md shows what each case gets."""
    doc = (Path(__file__).resolve().parents[2] / "docs" / "interop.md").read_text()
    missing = [f"{group}: {case.name}" for group, cases in GROUPS.items() for case in cases if case.name not in doc]
    assert not missing
