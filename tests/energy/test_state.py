"""Keys byte by byte, queries, statuses from the next OPEN, genesis, and the whole day under random blocks."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError, InvalidRequest
from cosmos_wire.merkle import EMPTY_ROOT, grown, root_of_peaks
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query, meter_query, meter_tx, pagination, registry_query, registry_tx
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from energy.market import keys, state
from energy.market.clearing import BookOrder, Trade, schedule_hash, seal_root
from energy.market.defaults import default_params, params_document
from energy.meter.reading import sign_bytes
from ibc_core.bank import module_address
from tests.energy.chain import ASK, BID, DENOM, UTILITY, Chain, address

GOLDEN_KEYS = {
    "slot": (keys.slot_key(258), b"mk/s/\x00\x00\x00\x00\x00\x00\x01\x02"),
    "bid": (
        keys.book_key(258, keys.BID, 50_000, 3),
        b"mk/o/\x00\x00\x00\x00\x00\x00\x01\x02/\x01/\xff\xff\x3c\xaf/\x00\x00\x00\x00\x00\x00\x00\x03",
    ),
    "ask": (
        keys.book_key(258, keys.ASK, 50_000, 3),
        b"mk/o/\x00\x00\x00\x00\x00\x00\x01\x02/\x02/\x00\x00\xc3\x50/\x00\x00\x00\x00\x00\x00\x00\x03",
    ),
    "cell": (
        keys.order_key(258, 7, 3),
        b"mk/oc/\x00\x00\x00\x00\x00\x00\x01\x02/\x00\x00\x00\x07/\x00\x00\x00\x00\x00\x00\x00\x03",
    ),
    "baseline": (keys.baseline_key(258, 9), b"mk/b/\x00\x00\x00\x00\x00\x00\x01\x02/\x00\x09"),
    "work": (keys.work_key(258, keys.PRUNE), b"mk/w/\x00\x00\x00\x00\x00\x00\x01\x02/\x03"),
    "statement": (keys.statement_key(258, 7), b"mk/st/\x00\x00\x00\x00\x00\x00\x01\x02/\x00\x00\x00\x07"),
}


@pytest.mark.parametrize("name", GOLDEN_KEYS)
def test_keys_are_these_bytes(name: str) -> None:
    made, golden = GOLDEN_KEYS[name]
    assert made == golden


def scripted() -> Chain:
    """The same few blocks every time."""
    chain = Chain(cells=2)
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    chain.deliver(chain.place(1, slot, BID, 60_000, 1_000))
    chain.deliver(chain.place(2, slot, ASK, 40_000, 700))
    chain.until(slot, pb.SLOT_STATE_METERING)
    chain.deliver(chain.submit(chain.reading(1, slot, 900, 0)))
    return chain


def test_the_state_after_a_script_is_the_golden_one() -> None:
    chain = scripted()
    prefixes = sorted({key[: key.index(b"/", 3) + 1] if key.count(b"/") > 1 else key for key in chain.store.data})
    assert prefixes == [
        b"bk/b/", b"bk/s/", b"bk/x/", b"mk/live", b"mk/next", b"mk/o/", b"mk/oc/", b"mk/p", b"mk/pools", b"mk/s/",
        b"mt/c/", b"mt/r/", b"mt/t/", b"rg/a/", b"rg/b/", b"rg/c/", b"rg/d/", b"rg/e/", b"rg/i/", b"rg/n", b"rg/p",
    ]  # fmt: skip
    dump = b"".join(len(part).to_bytes(4, "big") + part for pair in sorted(chain.store.data.items()) for part in pair)
    assert sha256(dump).hexdigest() == GOLDEN_STATE
    assert scripted().store.data == chain.store.data


GOLDEN_STATE = "9c5d0430e7c248b1c7ee76ee1ac806e96b6a9aabca856f694b72d33da096c8d3"


def test_hashes_are_over_the_documented_bytes() -> None:
    trade = Trade(BookOrder(keys.BID, 50_000, 3, 7, 9, 100), 60)
    body = "010000c3500000000000000003000000070009000000000000003c"
    assert schedule_hash([trade], []) == sha256(b"bsmg/schedule/1" + bytes.fromhex(body)).digest()
    record = pb.Slot(slot=258, factor_permille=1000, export_permille=500, voided=True, schedule_hash=b"\x05" * 32)
    text = b"bsmg/seal/2" + b"\x00\x05mga-1" + (258).to_bytes(8, "big") + b"\x03\xe8\x01\xf4\x01" + b"\x05" * 32
    assert seal_root("mga-1", record) == sha256(text).digest()
    reading = meter_tx.Reading(
        device="m@mga", slot=258, import_mWh=1, export_mWh=2, import_total_mWh=3, export_total_mWh=4
    )
    numbers = b"".join(value.to_bytes(8, "big") for value in (258, 1, 2, 3, 4))
    assert sign_bytes("mga-1", reading) == b"bsmg/reading/1" + b"\x05mga-1" + b"\x05m@mga" + numbers


@given(st.lists(st.binary(max_size=9), max_size=20))
def test_the_growing_tree_is_rfc_6962(leaves: list[bytes]) -> None:
    def root(items: list[bytes]) -> bytes:
        if len(items) == 1:
            return sha256(b"\x00" + items[0]).digest()
        split = 1 << ((len(items) - 1).bit_length() - 1)
        return sha256(b"\x01" + root(items[:split]) + root(items[split:])).digest()

    peaks: list[bytes] = []
    for count, leaf in enumerate(leaves):
        peaks = grown(peaks, count, leaf)
    assert root_of_peaks(peaks) == (root(leaves) if leaves else EMPTY_ROOT)


def test_queries_answer_from_the_store() -> None:
    chain = scripted()
    slot = next(e for e in chain.live() if chain.slot(e).state == pb.SLOT_STATE_METERING)
    book = chain.query(market_query.QueryBookRequest(slot=slot, side=BID))
    assert [(o.cell, o.price_e4, o.quantity_mWh, o.bus) for o in book.orders] == [(address(1), 60_000, 1_000, 1)]
    assert chain.query(market_query.QueryOrdersRequest(slot=slot, cell="cell2@mga")).orders[0].escrow == str(
        (100_000 - 20_000 + 200 + 40_000) * 700
    )
    by_address = chain.query(market_query.QueryOrdersRequest(slot=slot, cell=address(2)))
    assert by_address.orders[0].seq == 2
    assert [chain.query(market_query.QueryFillRequest(slot=slot, seq=seq)).fill_mWh for seq in (1, 2)] == [700, 700]
    live = chain.query(market_query.QuerySlotsRequest(live=True)).slots
    assert [record.slot for record in live] == chain.live()
    page = chain.query(market_query.QuerySlotsRequest(pagination=pagination.PageRequest(limit=2)))
    rest = chain.query(market_query.QuerySlotsRequest(pagination=pagination.PageRequest(key=page.pagination.next_key)))
    everything = chain.query(market_query.QuerySlotsRequest()).slots
    assert [*page.slots, *rest.slots] == [*everything]
    assert chain.query(market_query.QuerySlotRequest(slot=slot)).slot == chain.slot(slot)
    assert chain.query(market_query.QueryParamsRequest()).params.denom == DENOM
    assert chain.query(meter_query.QueryReadingsRequest(slot=slot)).readings[0].import_mWh == 900
    assert chain.query(meter_query.QueryTotalsRequest(device="meter1@mga")).import_total_mWh == 900
    assert len(chain.query(registry_query.QueryCellsRequest()).cells) == 2
    assert chain.query(registry_query.QueryCellRequest(cell="cell1@mga")).cell.devices == 1
    found = chain.query(registry_query.QueryDevicesRequest(cell="cell2@mga")).devices
    assert [device.id for device in found] == ["meter2@mga"]
    assert len(chain.query(registry_query.QueryDevicesRequest()).devices) == 2
    assert chain.query(registry_query.QueryDeviceRequest(device="meter1@mga")).device.cell == "cell1@mga"
    assert chain.query(registry_query.QueryParamsRequest()).params.microgrid == "mga"


ABSENT = [
    (("market", 2), market_query.QuerySlotRequest(slot=3)),
    (("market", 2), market_query.QueryBookRequest(slot=3, side=BID)),
    (("sdk", 18), market_query.QueryBookRequest(slot=3)),
    (("market", 11), market_query.QueryFillRequest(slot=250_003, seq=99)),
    (("sdk", 38), market_query.QueryStatementRequest(slot=250_003, cell="cell1@mga")),
    (("registry", 3), market_query.QueryStatementRequest(slot=250_003, cell="nobody@mga")),
    (("registry", 3), registry_query.QueryCellRequest(cell="nobody@mga")),
    (("registry", 3), registry_query.QueryFeederRequest()),
    (("registry", 3), registry_query.QueryDeviceRequest(device="x")),
    (("meter", 2), meter_query.QueryTotalsRequest(device="x")),
]


@pytest.mark.parametrize(("ident", "request_"), ABSENT)
def test_queries_say_what_is_absent(ident: tuple[str, int], request_: object) -> None:
    chain = Chain(cells=1)
    chain.block()
    with pytest.raises(ChainError) as caught:
        chain.query(request_)
    assert caught.value.ident == ident


def test_a_status_and_a_feeder_hold_from_the_next_open() -> None:
    chain = Chain(cells=2)
    chain.block()
    chain.deliver(registry_tx.MsgSetStatus(utility=UTILITY, id="cell1@mga", status=registry_pb.STATUS_SUSPENDED))
    chain.deliver(registry_tx.MsgSetStatus(utility=UTILITY, id="meter2@mga", status=registry_pb.STATUS_REMOVED))
    feeder = registry_pb.Feeder(
        s_base_W=1, root_bus=1, v0_permille=1000, vmin_permille=900, vmax_permille=1100,
        branches=[registry_pb.Branch(from_bus=1, to_bus=2, s_max_W=5)],
    )  # fmt: skip
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
    before = len(chain.events_of("slot_opened"))
    assert chain.registry.cell(chain.ctx(), 1).status == registry_pb.STATUS_ACTIVE
    while len(chain.events_of("slot_opened")) == before:
        chain.block(100)
    assert chain.registry.cell(chain.ctx(), 1).status == registry_pb.STATUS_SUSPENDED
    assert chain.registry.cell(chain.ctx(), 2).devices == 0
    assert chain.query(registry_query.QueryFeederRequest()).feeder == feeder
    with pytest.raises(ChainError, match=r"removed"):
        chain.deliver(registry_tx.MsgSetStatus(utility=UTILITY, id="meter2@mga", status=registry_pb.STATUS_ACTIVE))


def test_an_estimate_stands_for_a_silent_meter_until_the_meter_speaks() -> None:
    chain = Chain(cells=2)
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_METERING)
    guesses = [meter_tx.Estimate(device=f"meter{n}@mga", net_mWh=-700 * n) for n in (1, 2)]
    chain.deliver(meter_tx.MsgPostEstimate(utility=UTILITY, slot=slot, estimates=guesses))
    chain.deliver(chain.submit(chain.reading(2, slot, 5, 0)))
    chain.until(slot, pb.SLOT_STATE_SETTLED)
    found = [pb.Statement.FromString(raw) for _, raw in chain.store.iterate(keys.statements_prefix(slot))]
    assert [(s.import_mWh, s.export_mWh, s.estimated) for s in found] == [(0, 700, True), (5, 0, False)]
    assert [chain.registry.cell(chain.ctx(), n).missed for n in (1, 2)] == [1, 0]
    assert [s.score_permille < 1000 for s in found] == [True, True]


@pytest.mark.parametrize(
    ("doc", "message"),
    [
        ({}, "needs 'params'"),
        ({"params": []}, "has to be an object"),
        ({"params": {"slot_ms": "x"}}, "slot_ms"),
        ({"params": {"slot_ns": 1}}, "slot_ns"),
    ],
)
def test_a_bad_genesis_is_refused_with_the_place(doc: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Chain(cells=0).market.init_genesis(Chain(cells=0).ctx(), doc)


def test_genesis_survives_json_and_pledged_collateral_has_to_be_there() -> None:
    chain = Chain(cells=1)
    doc = json.loads(json.dumps({"params": params_document(default_params(4_000, 12_000, DENOM, UTILITY, 1))}))
    state.move(chain.ctx(), state.COLLATERAL, b"\x05" * 20, 1)
    with pytest.raises(InvalidRequest, match=r"pledge"):
        chain.market.init_genesis(chain.ctx(), doc)
    chain.meter.init_genesis(chain.ctx(), {})
    with pytest.raises(InvalidRequest, match=r"empty"):
        chain.meter.init_genesis(chain.ctx(), {"devices": []})


def test_pools_are_module_accounts_that_nobody_sends_to() -> None:
    chain = Chain(cells=0)
    for name in state.POOL_NAMES:
        assert chain.store.get(b"bk/x/" + module_address(name)) == name.encode()


def test_every_message_and_query_of_the_packages_has_a_route() -> None:
    from bsmg_proto.market.v1 import query_pb2 as mq
    from bsmg_proto.market.v1 import tx_pb2 as mt
    from bsmg_proto.meter.v1 import query_pb2 as eq
    from bsmg_proto.meter.v1 import tx_pb2 as et
    from bsmg_proto.registry.v1 import query_pb2 as rq
    from bsmg_proto.registry.v1 import tx_pb2 as rt

    chain = Chain(cells=0)
    modules = (chain.registry, chain.market, chain.meter)
    routes = {path for module in modules for path in module.queries()}
    messages = {url for module in modules for url in module.messages()}
    for file in (mq, eq, rq):
        service = file.DESCRIPTOR.services_by_name["Query"]
        assert {f"/{service.full_name}/{method.name}" for method in service.methods} <= routes
    for file in (mt, et, rt):
        service = file.DESCRIPTOR.services_by_name["Msg"]
        assert {f"/{method.input_type.full_name}" for method in service.methods} <= messages
    for module in modules:
        for url, route in module.messages().items():
            assert route.request.DESCRIPTOR.fields[0].name == route.signer, url


actions = st.lists(
    st.tuples(
        st.integers(1, 12_000),
        st.lists(
            st.tuples(st.integers(1, 4), st.integers(0, 7), st.integers(20_000, 80_000), st.integers(1, 500_000)),
            max_size=4,
        ),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(days=actions, settle_units=st.integers(1, 6))
def test_a_market_under_any_block_times_keeps_its_books(
    days: list[tuple[int, list[tuple[int, int, int, int]]]], settle_units: int
) -> None:
    chain = Chain(cells=4, settle_units=settle_units, missed_before_suspension=1_000)
    for step, rows in days:
        chain.begin(step)
        for cell, kind, price, quantity in rows:
            act(chain, kind, (cell, price, quantity))
        chain.end()
        check_books(chain)
    for _ in range(70):
        chain.block(1_000)
        check_books(chain)
    done = [record for record in chain.query(market_query.QuerySlotsRequest()).slots if record.state >= 12]
    assert all(record.escrow in ("", "0") for record in done)


def act(chain: Chain, kind: int, row: tuple[int, int, int]) -> None:
    cell, price, quantity = row
    for slot in chain.live():
        now = chain.slot(slot).state
        try:
            if now == pb.SLOT_STATE_BIDDING and kind == 0:
                chain.deliver(tx.MsgCancelOrder(cell=address(cell), slot=slot, seq=1 + quantity % 5))
            elif now == pb.SLOT_STATE_BIDDING:
                chain.deliver(chain.place(cell, slot, BID if (kind + cell) % 2 else ASK, price, quantity))
            elif now == pb.SLOT_STATE_METERING and kind > 3:
                chain.deliver(chain.submit(chain.reading(cell, slot, quantity % 7 * 1_000, quantity)))
        except ChainError as error:
            if error.ident not in {("market", 6), ("market", 7), ("market", 11)}:
                raise


def check_books(chain: Chain) -> None:
    assert chain.held_in_all() == chain.supply
    records = [chain.slot(slot) for slot in chain.live()]
    assert chain.balance(state.ESCROW) == sum(int(record.escrow or 0) for record in records)
    for record in records:
        if record.state < pb.SLOT_STATE_SETTLING:
            orders = list(state.all_orders(chain.ctx(), record.slot))
            assert record.orders == len(orders)
            assert int(record.escrow or 0) == sum(state.escrow_of(record.prices, order) for order in orders)
