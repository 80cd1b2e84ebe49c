"""Genesis, routes, queries, module accounts, life cycle tables, clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError, Unauthorized
from cosmos_wire.protos import pagination, trade, trade_query
from energy.trade import keys, life
from energy.trade.clock import slot_times
from energy.trade.errors import Malformed, WrongState
from energy.trade.life import Buyer, BuyerEvent, Delivery, DeliveryEvent, Seller, SellerEvent
from energy.trade.params import check_params, default_params, terms_for, terms_hash
from ibc_core import bank

from .pair import SLOT, Chain, account, new_pair, reading_msg, small_params

UTILITY = account("u")


def test_the_defaults_are_valid_and_survive_json():
    params = default_params(UTILITY, "bmga", "utility@mga")
    check_params(params)
    chain = Chain("mga-1", "bmga")
    chain.start(params, {})
    assert chain.query(trade_query.QueryParamsRequest()).params == params


BAD_GENESIS = [
    ("level2.gate_permille", 301, "T_lock <= T_gate"),
    ("level2.act_permille", 280, "T_gate < T_act"),
    ("level3.close_ms", 59_999, "2 x skew"),
    ("level2.disp_ms", 20_000, "T_meter < T_disp"),
    ("level2.meter_ms", 19_999, "equal at both levels"),
    ("slot_ms", 1_500, "slot_ms"),
    ("window_ms", 50_000, "window_ms"),
    ("loss_ppm", 1_000_001, "loss_ppm"),
    ("line_max_mwh", 0, "line_max"),
    ("floor_e4", 4_001, "floor_e4"),
    ("sweeps_per_block", 0, "sweeps"),
    ("denom", "", "denom"),
    ("buyer_identity", "", "buyer_identity"),
]


@pytest.mark.parametrize(("name", "value", "what"), BAD_GENESIS)
def test_bad_parameters_are_refused(name, value, what):
    params = small_params(UTILITY, "bmga")
    target = params
    *outer, last = name.split(".")
    for part in outer:
        target = getattr(target, part)
    setattr(target, last, value)
    with pytest.raises(Malformed, match=what):
        check_params(params)


@pytest.mark.parametrize("doc", [{}, {"params": 1}, {"params": {}, "x": 1}, {"params": {"unknown": 1}}])
def test_a_genesis_of_another_shape_is_refused(doc):
    chain = Chain("mga-1", "bmga")
    with pytest.raises(ChainError, match="trade"):
        chain.run(lambda ctx: chain.trade.init_genesis(ctx, doc))


def test_terms_differ_with_every_shared_parameter_but_not_with_the_fee():
    base = small_params(UTILITY, "bmga")
    hashes = [terms_hash(terms_for(base, 2, "channel-1"))]
    for name in ("tol_ppm", "tol_mwh", "pen_tol_ppm", "penalty_ppm", "loss_ppm", "line_max_mwh", "max_skew_s"):
        other = small_params(UTILITY, "bmga", **{name: getattr(base, name) + 1})
        hashes.append(terms_hash(terms_for(other, 2, "channel-1")))
    hashes.append(terms_hash(terms_for(base, 3, "channel-1")))
    assert len(dict.fromkeys(hashes)) == len(hashes)
    base.level2.fee_e4 += 1
    assert terms_hash(terms_for(base, 2, "channel-1")) == hashes[0]


def test_the_clock_of_900_second_slots():
    terms = terms_for(default_params(UTILITY, "bmga", "u@a"), 2, "channel-1")
    times, hour = slot_times(terms, 2_000_000), 3_600_000
    assert times.start_ms - times.lock_ms == 270_000
    assert times.start_ms - times.gate_ms == 252_000
    assert times.start_ms - times.act_ms == 135_000
    assert (times.meter_ms, times.disp_ms, times.close_ms) == tuple(times.end_ms + h * hour for h in (36, 60, 84))
    for slot in (0, 2**48):
        with pytest.raises(Malformed, match="times"):
            slot_times(terms, slot)


def test_module_accounts_take_no_transfers():
    chain = new_pair().s
    for name in ("trade/escrow/channel-1", "trade/fees", "trade/pool", "trade/collateral"):
        with pytest.raises(Unauthorized, match=name):
            bank.require_recipient(chain.context(), bank.module_address(name))


def test_routes_name_every_rpc():
    chain = new_pair().s
    from cosmos_wire.protos import trade_tx

    service = trade_tx.DESCRIPTOR.services_by_name["Msg"]
    assert sorted(chain.trade.messages()) == sorted(f"/{m.input_type.full_name}" for m in service.methods)
    for route in chain.trade.messages().values():
        assert route.request.DESCRIPTOR.fields[0].name == route.signer
    service = trade_query.DESCRIPTOR.services_by_name["Query"]
    assert sorted(chain.trade.queries()) == sorted(f"/{service.full_name}/{m.name}" for m in service.methods)
    for method in service.methods:
        route = chain.trade.queries()[f"/{service.full_name}/{method.name}"]
        assert (method.input_type, method.output_type) == (route.request.DESCRIPTOR, route.response.DESCRIPTOR)


def test_queries_show_a_contract_from_both_ends():
    pair, q = new_pair(), trade_query
    ident = pair.reach_metering()
    assert pair.s.query(q.QueryContractRequest(contract_id=ident)).seller.lock.contract_id == ident
    assert pair.b.query(q.QueryContractRequest(contract_id=ident, channel_id="channel-1")).buyer.escrow
    claim = pair.s.query(q.QueryClaimsRequest()).claims[0]
    assert (claim.contract_id, claim.holder) == (ident, pair.s.utility)
    assert int(claim.amount) == int(pair.s.sold(ident).claim)
    pair.s.deliver(reading_msg(pair.s, 7))
    pair.b.deliver(reading_msg(pair.b, 8))
    assert pair.s.query(q.QueryDeliveryRequest(channel_id="channel-1", slot=SLOT)).delivery.export_mwh == 7
    assert pair.b.query(q.QueryDeliveryRequest(channel_id="channel-1", slot=SLOT)).reading.import_mwh == 8
    pools = {pool.name: pool for pool in pair.b.query(q.QueryPoolsRequest()).pools}
    assert sorted(pools) == ["trade/collateral", "trade/escrow/channel-1", "trade/fees", "trade/pool"]
    escrow = pools["trade/escrow/channel-1"]
    assert escrow.address == to_bech32(bank.module_address("trade/escrow/channel-1"))
    assert int(escrow.amount) == pair.b.escrow() > 0
    for unknown in (
        q.QueryContractRequest(contract_id=bytes(32)),
        q.QueryContractRequest(contract_id=ident, channel_id="c" * 300),
        q.QueryDeliveryRequest(channel_id="channel-1", slot=SLOT + 1),
        q.QueryDeliveryRequest(channel_id="c" * 300, slot=SLOT),
    ):
        with pytest.raises(ChainError, match="not found"):
            pair.s.query(unknown)


@pytest.mark.parametrize(
    "where", [{}, {"channel_id": "channel-1"}, {"slot": SLOT}, {"channel_id": "channel-1", "slot": SLOT}]
)
def test_contracts_come_in_pages(where):
    pair = new_pair()
    pair.time(pair.t0 - 100_000)
    offer = pair.offer()
    idents = sorted(pair.lock(offer, nonce=nonce, energy_mwh=10) for nonce in range(5))
    found, key = [], b""
    while True:
        request = trade_query.QueryContractsRequest(pagination=pagination.PageRequest(limit=2, key=key), **where)
        page = pair.b.query(request)
        found += [contract.lock.contract_id for contract in page.buyer]
        key = page.pagination.next_key
        if not key:
            break
    assert found == idents
    elsewhere = trade_query.QueryContractsRequest(channel_id="channel-9", slot=SLOT)
    assert not pair.b.query(elsewhere).buyer


def test_due_entries_read_back_from_their_keys_in_time_order():
    due = keys.Due(time_ms=5, kind=keys.DueKind.BUYER_GATE, channel_id="channel-12", slot=9, ident=bytes(range(32)))
    assert keys.due_from_key(due.key) == due
    assert replace(due, time_ms=256).key > replace(due, time_ms=255, kind=keys.DueKind.BUYER_CLOSE).key


TABLES = [
    (Seller, SellerEvent, life.seller_next, life.require_seller),
    (Buyer, BuyerEvent, life.buyer_next, life.require_buyer),
    (Delivery, DeliveryEvent, life.delivery_next, life.require_delivery),
]


@pytest.mark.parametrize(("states", "events", "after", "require"), TABLES)
def test_what_is_not_in_a_table_is_refused(states, events, after, require):
    for state in states:
        for event in events:
            if after(state, event) is None:
                with pytest.raises(WrongState, match=state.name):
                    require(state, event)
            else:
                assert require(state, event) == after(state, event)


def test_the_records_number_their_states_as_the_tables_do():
    for states, kind in ((Seller, trade.SellerState), (Buyer, trade.BuyerState), (Delivery, trade.DeliveryState)):
        names = {name.split("_STATE_")[1]: number for name, number in kind.items()}
        assert names == {state.name: state.value for state in states}


def test_terminal_states_of_the_buyer_have_no_rows():
    assert [life.BUYER_LIFE[s] for s in (Buyer.SETTLED, Buyer.REFUNDED, Buyer.LAPSED)] == [{}, {}, {}]
