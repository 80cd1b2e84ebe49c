"""`bsmg cell commit` and `reveal` against the market in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bsmg.cli import sealed
from bsmg.client.lane import TxOutcome
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import Message
from tests.energy.chain import Chain, address
from tests.energy.test_amend import bidding
from tests.energy.test_reveal import SEALED, to_reveals


@dataclass
class Lane:
    """Delivers as cell 1."""

    chain: Chain
    address: str = address(1)

    async def submit(self, messages: list[Message], memo: str = "") -> TxOutcome:
        assert not memo
        for message in messages:
            self.chain.deliver(message)
        return TxOutcome(height=1, code=0, codespace="", log="", events=(), tx_hash="")


@dataclass
class Client:
    """A chain client of one account."""

    chain: Chain
    chain_id: str = "mga-1"

    def lane(self, _credential: object) -> Lane:
        return Lane(self.chain)

    async def query(self, _path: str, request: Message, _response: object) -> object:
        return self.chain.query(request)


class Anybody:
    """A target whose credentials are of no interest."""

    def credential(self, who: str) -> str:
        return who


async def test_what_is_committed_is_revealed_from_its_file(tmp_path: Path) -> None:
    chain, slot = bidding(**SEALED)
    client, file = Client(chain), tmp_path / "kept.json"
    flags = {"sender": "cell1", "slot": slot, "side": "ask", "price_e4": 40_000, "quantity_mwh": 700}
    terms = {"min_fill": 700, "valid_to": 0, "keep": file}
    assert (await sealed._commit(client, Anybody(), {**flags, **terms})).ok
    assert int(chain.slot(slot).escrow) == 700 * (80_000 + 200 + 40_000)
    to_reveals(chain, slot)
    assert (await sealed._reveal(client, Anybody(), (file, "cell1"))).ok
    assert (chain.slot(slot).orders, chain.slot(slot).minimums, chain.slot(slot).commits) == (1, 1, 0)
    with pytest.raises(ToolError, match="expected a commit with the hash"):
        await sealed._reveal(client, Anybody(), (file, "cell1"))


def test_the_declared_escrow_covers_any_order() -> None:
    chain, slot = bidding()
    record = chain.slot(slot)
    worst = sealed.worst_e4(record)
    for side in (1, 2):
        for kind in (0, 1):
            message = chain.place(1, slot, side, 80_000, 1_000)
            message.kind = kind
            assert int(chain.deliver(message).escrow) <= 1_000 * worst
