"""One chain whose cells and utility cell a test plays itself: orders, readings, and what the utility cell says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bsmg.client.chain import EventQuery
from bsmg.client.comet import CometClient
from bsmg.client.errors import QueryNotFound
from bsmg.client.lane import FeePolicy, TxOutcome
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.ed25519 import sign
from cosmos_wire.protos import Message, bank_query, market, market_query, market_tx, meter_query, meter_tx, pagination
from energy.meter.reading import sign_bytes
from tests.e2e.net import HANG_S, Net, connected, until
from utility_cell.agents.cell import Meter
from utility_cell.agents.view import read_market, read_schedule
from utility_cell.devices import Allowed

UTILITY, FAUCET = "utility-cell", "faucet"
GAS = 60_000_000
BLOCKS = 120  # a slot lives as many seconds as a third of it
MARKET, METER = "/bsmg.market.v1.Query/", "/bsmg.meter.v1.Query/"
OWNERS = "/cosmos.bank.v1beta1.Query/DenomOwners"
Order = tuple[str, market.Side.ValueType, int, int]  # cell, side, price in e-4, mWh


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A chain through its first node, and the meters of its cells."""

    info: ChainInfo
    client: CometClient
    meters: dict[str, Meter] = field(default_factory=dict)

    @property
    def cells(self) -> Sequence[str]:
        """Names of the cells' accounts."""
        return [item["name"] for item in self.info.doc["accounts"] if item.get("device")]

    def address(self, name: str) -> str:
        """Address of an account."""
        return self.info.account(name).address

    def device(self, cell: str) -> str:
        """Identity of a cell's meter."""
        return str(self._doc(cell)["device"])

    def _doc(self, cell: str) -> dict[str, str]:
        return next(item for item in self.info.doc["accounts"] if item["name"] == cell)

    async def send(self, name: str, *messages: Message) -> TxOutcome:
        """One transaction of an account, whatever comes of it."""
        return await self.client.lane_of(self.info.account(name), FeePolicy(fixed_gas=GAS)).submit(messages)

    async def done(self, name: str, *messages: Message) -> TxOutcome:
        """One that is taken."""
        outcome = await self.send(name, *messages)
        assert outcome.ok, f"{messages[0].DESCRIPTOR.name}: {outcome.codespace}/{outcome.code} {outcome.log}"
        return outcome

    async def refused(self, name: str, message: Message) -> tuple[str, int]:
        """(codespace, code) of one that isn't."""
        outcome = await self.send(name, message)
        assert outcome.code, f"{message.DESCRIPTOR.name} was taken"
        assert outcome.log
        return outcome.codespace, outcome.code

    async def slot(self, number: int) -> market.Slot | None:
        """A slot, None before its OPEN."""
        request, kind = market_query.QuerySlotRequest(slot=number), market_query.QuerySlotResponse
        with suppress(QueryNotFound):
            return (await self.client.query(MARKET + "Slot", request, kind)).slot
        return None

    async def at(self, number: int, state: market.SlotState.ValueType) -> market.Slot:
        """The slot once it is in a state; fails when it has left it unseen."""

        async def there() -> market.Slot | None:
            record = await self.slot(number)
            return record if record and record.state >= state else None

        name = market.SlotState.Name(state)
        record = await until(self.client, there, f"slot {number} in {name}", BLOCKS)
        assert record is not None
        assert record.state == state, f"slot {number}: expected {name}, got {market.SlotState.Name(record.state)}"
        return record

    async def order(self, number: int, orders: Iterable[Order]) -> None:
        """Place orders by the cells' own keys, each after the one before, so that the book is always the same."""
        for cell, side, price, quantity in orders:
            await self.done(
                cell,
                market_tx.MsgPlaceOrder(
                    cell=self.address(cell), slot=number, side=side, price_e4=price, quantity_mWh=quantity
                ),
            )

    async def reported(self, number: int) -> None:
        """Wait for the readings of all cells."""

        async def there() -> bool:
            request, kind = meter_query.QueryReadingsRequest(slot=number), meter_query.QueryReadingsResponse
            return len((await self.client.query(METER + "Readings", request, kind)).readings) == len(self.cells)

        await until(self.client, there, f"readings of slot {number}")

    async def statements(self, number: int) -> dict[str, market.Statement]:
        """What each cell's account was told at settlement."""
        found = await self.client.find_events(EventQuery(type="cell_settled", attributes={"slot": str(number)}))
        raw = [bytes.fromhex(dict(item.event.attributes)["statement"]) for item in found]
        made = [market.Statement.FromString(item) for item in raw]
        return {statement.cell: statement for statement in made}

    async def held(self) -> int:
        """The chain's own token, over all its owners."""
        total, page = 0, pagination.PageRequest(limit=1_000)
        while True:
            request = bank_query.QueryDenomOwnersRequest(denom=self.info.denom, pagination=page)
            answer = await self.client.query(OWNERS, request, bank_query.QueryDenomOwnersResponse)
            total += sum(int(owner.balance.amount) for owner in answer.denom_owners)
            if not answer.pagination.next_key:
                return total
            page = pagination.PageRequest(limit=1_000, key=answer.pagination.next_key)

    async def supply(self) -> int:
        """What the bank says there is of it."""
        path, request = "/cosmos.bank.v1beta1.Query/SupplyOf", bank_query.QuerySupplyOfRequest(denom=self.info.denom)
        return int((await self.client.query(path, request, bank_query.QuerySupplyOfResponse)).amount.amount)

    # --- meters --------------------------------------------------------------------------------------------------

    async def keep_metering(self) -> None:
        """Readings of every slot, signed by the devices: each cell does exactly what the chain scheduled."""
        told, head = set[int](), await self.client.head()
        while True:
            for slot in (await read_market(self.client, head)).in_state(market.SLOT_STATE_METERING):
                if slot.slot not in told:
                    told.add(slot.slot)
                    await self._report(slot.slot)
            head = await self.client.feed.wait_above(head.height)

    async def _report(self, number: int) -> None:
        allowed = await read_schedule(self.client, number)
        readings = [self._reading(cell, number, allowed.get(self.address(cell))) for cell in self.cells]
        outcome = await self.done(FAUCET, meter_tx.MsgSubmitReadings(sender=self.address(FAUCET), readings=readings))
        assert outcome.ok

    def _reading(self, cell: str, number: int, allowed: Allowed | None) -> meter_tx.Reading:
        meter, doc = self.meters.setdefault(cell, Meter()), self._doc(cell)
        drawn, fed = meter.count(allowed.import_mWh - allowed.export_mWh if allowed else 0)
        reading = meter_tx.Reading(
            device=doc["device"],
            slot=number,
            import_mWh=drawn,
            export_mWh=fed,
            import_total_mWh=meter.import_mWh,
            export_total_mWh=meter.export_mWh,
        )
        seed = bytes.fromhex(Path(doc["device_key"]).read_text(encoding="utf-8").strip())
        reading.signature = sign(seed, sign_bytes(self.info.chain_id, reading))
        return reading


@asynccontextmanager
async def played(net: Net, chain_id: str) -> AsyncIterator[Played]:
    """A chain whose meters report; a meter that is refused fails the test."""
    info = net.file.chain(chain_id)
    client = CometClient.of(info)
    await connected(client)
    chain = Played(info=info, client=client)
    try:
        async with asyncio.TaskGroup() as group:
            metering = group.create_task(chain.keep_metering())
            yield chain
            metering.cancel()
    finally:
        await client.close()


async def app_hashes(info: ChainInfo, height: int) -> list[bytes]:
    """Each validator's own app hash at a height, once it has it."""

    async def of(node: int) -> bytes:
        client = CometClient.of(info, node)
        try:
            await connected(client)
            async with asyncio.timeout(HANG_S):
                await client.feed.wait_above(height - 1)
            return bytes((await client.rpc.header(height)).app_hash)
        finally:
            await client.close()

    return list(await asyncio.gather(*(of(node) for node in range(len(info.nodes)))))
