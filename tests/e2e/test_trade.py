"""A trade packet each way on real chains: offer, lock, equivalence, delivery, settlement; money to the unit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest

from bsmg.client.lane import TxOutcome
from cosmos_wire.protos import Message, market_query, trade, trade_packet, trade_query, trade_tx
from tests.e2e.net import TRADE, Net, Side, nothing_pending, opened, quiet, until, until_time, voucher

pytestmark = pytest.mark.e2e
QUERY = "/bsmg.trade.v1.Query/"
LEVEL = 2
LEAD_MS = 20_000  # from now to T_lock of the first slot: an offer and a lock have to cross
UTILITY = "utility-cell"
BLOCKS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What is sold in a slot, what the two meters say, and what follows from it (docs/trade.md 4), done by hand."""

    seller: Side
    buyer: Side
    slot: int
    energy_mwh: int
    price_e4: int
    rate: tuple[int, int]
    export_mwh: int
    import_mwh: int
    forward: bool

    @property
    def delivered(self) -> int:
        """Both readings lie within the tolerance: their mean, rounded down."""
        return (self.export_mwh + self.import_mwh) // 2

    @property
    def pay(self) -> int:
        """What the seller earns in the buyer's token, rounded down."""
        num, den = self.rate
        return self.price_e4 * self.delivered * den // num

    @property
    def charge(self) -> int:
        """What the buyer pays, rounded up."""
        num, den = self.rate
        return -(-self.price_e4 * self.delivered * den // num)

    def fine(self, params: trade.Params) -> int:
        """What the seller owes for what is missing beyond the tolerance."""
        excused = params.pen_tol_ppm * self.energy_mwh // 10**6
        missing = max(0, self.energy_mwh - excused - self.delivered)
        return params.penalty_ppm * self.price_e4 * missing // 10**6


async def ask(side: Side, name: str, **fields: object) -> Message:
    request, response = (getattr(trade_query, f"Query{name}{what}") for what in ("Request", "Response"))
    return await side.client.query(QUERY + name, request(**fields), response)


async def done(side: Side, message: Message) -> TxOutcome:
    outcome = await side.lane(UTILITY).submit([message])
    assert outcome.ok, f"{message.DESCRIPTOR.name}: {outcome.codespace}/{outcome.code} {outcome.log}"
    return outcome


async def offer(deal: Deal) -> bytes:
    """Posted on S, heard on B."""
    address = deal.seller.address(UTILITY)
    message = trade_tx.MsgPostOffer(
        seller=address,
        channels=[deal.seller.channel(TRADE)],
        slot=deal.slot,
        energy_mwh=deal.energy_mwh,
        price_e4=deal.price_e4,
        rate=trade_packet.Rate(num=deal.rate[0], den=deal.rate[1]),
        level=LEVEL,
        bus=1,
        seller_payee=address,
        forward=deal.forward,
        nonce=deal.slot,
    )
    await done(deal.seller, message)

    async def heard() -> list[trade.OfferRecord]:
        found = await ask(deal.buyer, "Offers", slot=deal.slot, heard=True)
        return [item for item in found.offers if item.offer.slot == deal.slot]

    (record,) = await until(deal.buyer.client, heard, f"the offer of slot {deal.slot}")
    return record.offer.offer_id


async def lock(deal: Deal, offer_id: bytes) -> bytes:
    """Escrowed on B, reserved on S, confirmed on B; returns the contract's id."""
    message = trade_tx.MsgLock(
        buyer=deal.buyer.address(UTILITY),
        channel_id=deal.buyer.channel(TRADE),
        offer_id=offer_id,
        energy_mwh=deal.energy_mwh,
        energy_min_mwh=1,
        buyer_payee=deal.buyer.address(UTILITY),
        nonce=deal.slot,
    )
    await done(deal.buyer, message)
    found = await ask(deal.buyer, "Contracts", slot=deal.slot)
    (ident,) = [item.lock.contract_id for item in found.buyer]
    return ident


async def buyer_state(deal: Deal, ident: bytes) -> trade.BuyerContract:
    return (await ask(deal.buyer, "Contract", contract_id=ident)).buyer


async def seller_state(deal: Deal, ident: bytes) -> trade.SellerContract:
    return (await ask(deal.seller, "Contract", contract_id=ident)).seller


async def in_force(deal: Deal, ident: bytes) -> None:
    """Until both gates have passed: COMMITTED on B, ACTIVE on S with the claim that the lock covers."""

    async def committed() -> bool:
        return (await buyer_state(deal, ident)).active

    await until(deal.buyer.client, committed, "equivalence acknowledged", BLOCKS)
    bought, sold = await buyer_state(deal, ident), await seller_state(deal, ident)
    assert (bought.state, sold.state) == (trade.BUYER_STATE_COMMITTED, trade.SELLER_STATE_ACTIVE)
    num, den = deal.rate
    locked = -(-deal.price_e4 * deal.energy_mwh * den // num)
    assert int(sold.claim) == locked * num // den
    (claim,) = [one for one in (await ask(deal.seller, "Claims")).claims if one.contract_id == ident]
    assert claim.amount == sold.claim


async def meter(deal: Deal) -> None:
    """Both utility cells read the tie line after the slot."""
    for side, total in ((deal.seller, deal.export_mwh), (deal.buyer, deal.import_mwh)):
        message = trade_tx.MsgPostReading(
            utility=side.address(UTILITY),
            channel_id=side.channel(TRADE),
            slot=deal.slot,
            total_mwh=total,
            meters_root=bytes(32),
        )
        await done(side, message)


async def trade_once(deal: Deal) -> bytes:
    """The whole life of one contract."""
    ident = await lock(deal, await offer(deal))
    await in_force(deal, ident)
    slot_ms = int(deal.seller.info.doc["slot_ms"])
    for side in (deal.seller, deal.buyer):
        await until_time(side, (deal.slot + 1) * slot_ms)
    await meter(deal)

    async def settled() -> bool:
        bought, sold = await buyer_state(deal, ident), await seller_state(deal, ident)
        states = (bought.state, sold.state, sold.confirmation)
        return states == (trade.BUYER_STATE_SETTLED, trade.SELLER_STATE_SETTLED, trade.CONFIRMATION_CONFIRMED)

    await until(deal.buyer.client, settled, "settlement", BLOCKS)
    return ident


async def pools(side: Side) -> Mapping[str, int]:
    """Module accounts of the trade application by name, read from the bank."""
    found = (await ask(side, "Pools")).pools
    held = {pool.name: await side.balance(pool.address) for pool in found}
    assert held == {pool.name: int(pool.amount or 0) for pool in found}
    return held


Money = dict[str, int]


async def money(side: Side, other: Side) -> Money:
    """Who holds what on a chain, as far as the two trades touch it."""
    named = {f"pool {name}": amount for name, amount in (await pools(side)).items()}
    own, foreign = side.address(UTILITY), other.address(UTILITY)
    return {
        **named,
        "own utility": await side.balance(own),
        "foreign utility": await side.balance(foreign),
        "own voucher": await side.balance(own, voucher(side, other.denom)),
    }


def changes(before: Money, after: Money) -> Money:
    return {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}


async def next_slot(side: Side) -> int:
    """The first slot whose T_lock lies far enough ahead."""
    slot_ms, lock_ms = int(side.info.doc["slot_ms"]), -int(side.info.gates_ms["T_lock"])
    return (await side.time_ms() + LEAD_MS + lock_ms) // slot_ms + 1


async def test_a_trade_each_way_settles_to_the_unit(net: Net) -> None:
    """Beside contracts whose utility cells fall silent: they end by the chains' own clocks and move no money."""
    assert len(await trade_each_way(net, _fallen_silent)) == 2


Beside = Callable[[Side, Side, int], Awaitable[None]]  # what else happens from a slot on; it moves no money


async def trade_each_way(net: Net, *beside: Beside) -> list[bytes]:
    """One deal in full with the pay forwarded, one short with a fine; their contracts, with every amount checked."""
    async with opened(net) as (a, b):
        await quiet(a, b, port=TRADE)
        before = await money(a, b), await money(b, a)
        slot = await next_slot(a)
        full = Deal(seller=a, buyer=b, slot=slot, energy_mwh=5_000_000, price_e4=30_001, rate=(1, 1),
                    export_mwh=4_999_001, import_mwh=4_998_000, forward=True)  # fmt: skip
        short = Deal(seller=b, buyer=a, slot=slot + 1, energy_mwh=3_000_000, price_e4=60_007, rate=(3, 2),
                     export_mwh=2_000_003, import_mwh=1_990_000, forward=False)  # fmt: skip
        more = asyncio.gather(*(other(a, b, slot + 2) for other in beside))
        idents = await asyncio.gather(trade_once(full), trade_once(short))
        await more
        await quiet(a, b, port=TRADE)
        await quiet(a, b)
        after = await money(a, b), await money(b, a)
        params = (await ask(a, "Params")).params
        fees = [params.level2.fee_e4 * deal.delivered for deal in (full, short)]
        assert full.fine(params) == 0 < short.fine(params)
        assert changes(before[0], after[0]) == {
            "own utility": -short.charge - fees[1],
            "foreign utility": short.pay,
            "own voucher": full.pay,  # forwarded by ICS-20
            "pool trade/fees": fees[1],
            "pool trade/pool": short.charge - short.pay,
        }
        assert changes(before[1], after[1]) == {
            "own utility": -full.charge - fees[0] - short.fine(params),
            "foreign utility": short.fine(params),
            "pool trade/fees": fees[0],
        }
        for side in (a, b):
            assert not (await ask(side, "Claims")).claims
            assert await nothing_pending(side, port=TRADE)
        for deal, ident in zip((full, short), idents, strict=True):
            settlement = (await seller_state(deal, ident)).settlement
            assert (settlement.lo_mwh, settlement.hi_mwh) == (deal.delivered, deal.delivered)
            assert settlement.basis == trade_packet.BASIS_AGREED
            for kind in ("trade_locked", "trade_committed", "trade_settled"):
                assert await _has(deal.buyer, kind, ident), kind
        return idents


async def _fallen_silent(a: Side, b: Side, slot: int) -> None:
    """Nobody reads the tie line: nothing is owed. An offer taken back before LOCK arrives: a refund. Slots close."""
    silent = Deal(seller=a, buyer=b, slot=slot, energy_mwh=4_000_000, price_e4=30_001, rate=(1, 1),
                  export_mwh=0, import_mwh=0, forward=True)  # fmt: skip
    gone = Deal(seller=b, buyer=a, slot=slot + 1, energy_mwh=3_000_000, price_e4=60_007, rate=(3, 2),
                export_mwh=0, import_mwh=0, forward=False)  # fmt: skip
    await asyncio.gather(_never_metered(silent), _withdrawn(gone))
    for side in (a, b):
        await until(side.client, lambda side=side: _closed(side, slot + 1), "both slots closed", BLOCKS)


async def _never_metered(deal: Deal) -> None:
    ident = await lock(deal, await offer(deal))
    await in_force(deal, ident)

    async def ended() -> bool:
        states = (await buyer_state(deal, ident)).state, (await seller_state(deal, ident)).state
        return states == (trade.BUYER_STATE_SETTLED, trade.SELLER_STATE_SETTLED)

    await until(deal.buyer.client, ended, "an end without readings", BLOCKS)
    settlement = (await seller_state(deal, ident)).settlement
    assert (settlement.basis, settlement.lo_mwh, settlement.hi_mwh) == (trade_packet.BASIS_NONE, 0, 0)


async def _withdrawn(deal: Deal) -> None:
    offer_id = await offer(deal)
    await done(deal.seller, trade_tx.MsgCloseOffer(seller=deal.seller.address(UTILITY), offer_id=offer_id))
    ident = await lock(deal, offer_id)

    async def refunded() -> bool:
        return (await buyer_state(deal, ident)).state == trade.BUYER_STATE_REFUNDED

    await until(deal.buyer.client, refunded, "a refund", BLOCKS)


async def _closed(side: Side, slot: int) -> bool:
    """Whether no slot up to this one is live any more."""
    request = market_query.QuerySlotsRequest(live=True)
    answer = await side.client.query("/bsmg.market.v1.Query/Slots", request, market_query.QuerySlotsResponse)
    return all(live.slot > slot for live in answer.slots)


async def _has(side: Side, kind: str, ident: bytes) -> bool:
    """Whether the chain's index knows this event of the contract, in a transaction or a block's hook."""
    return bool(await side.events(kind, contract_id=ident.hex()))
