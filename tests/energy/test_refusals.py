"""One line per refusal, in the order in which the code checks; nothing changes when something is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cosmos_wire.errors import REGISTRY, ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import meter_tx, registry_tx
from cosmos_wire.protos import registry as registry_pb
from energy.market import state
from energy.market.defaults import default_params
from tests.energy.chain import ASK, BID, DENOM, UTILITY, Chain, address, device_key

OTHER = address(77)
KEY = b"\x07" * 32


@pytest.fixture
def chain() -> Chain:
    """Two cells; the last live slot is BIDDING."""
    made = Chain(cells=2, max_orders_per_cell=2, max_orders_per_slot=3, min_score_permille=200)
    made.block()
    made.until(made.live()[-1], pb.SLOT_STATE_BIDDING)
    return made


def bidding(chain: Chain) -> int:
    found = [slot for slot in chain.live() if chain.slot(slot).state == pb.SLOT_STATE_BIDDING]
    return found[-1]


def order(chain: Chain, **changes: object) -> tx.MsgPlaceOrder:
    slot = changes.pop("slot", None) or bidding(chain)
    message = chain.place(1, slot, BID, 50_000, 1_000)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def with_cell(**changes: object) -> Callable[[Chain], None]:
    def change(chain: Chain) -> None:
        cell = chain.registry.cell(chain.ctx(), 1)
        for name, value in changes.items():
            setattr(cell, name, value)
        chain.registry.save_cell(chain.ctx(), cell)

    return change


def two_orders(chain: Chain) -> None:
    chain.deliver(order(chain))
    chain.deliver(order(chain))


def full_slot(chain: Chain) -> None:
    two_orders(chain)
    chain.deliver(order(chain, cell=address(2)))


def poor(chain: Chain) -> None:
    held = chain.balance((1).to_bytes(20, "big"))
    state.move(chain.ctx(), (1).to_bytes(20, "big"), b"\x09" * 20, held)


def nothing(chain: Chain) -> None:
    """No preparation."""


E_MAX = 10_000 * 250
PLACE = [
    ("market", 2, nothing, {"slot": 3}),
    ("market", 3, nothing, {"slot": 250_003, "price_e4": 1}),  # see the test: moved on before
    ("market", 4, nothing, {"cell": OTHER}),
    ("sdk", 7, nothing, {"cell": "bsmg1rubbish"}),
    ("market", 10, with_cell(status=registry_pb.STATUS_SUSPENDED), {}),
    ("market", 10, with_cell(arrears="1"), {}),
    ("sdk", 18, nothing, {"side": 0}),
    ("sdk", 18, nothing, {"side": 3}),
    ("market", 5, nothing, {"price_e4": 19_999}),
    ("market", 5, nothing, {"price_e4": 80_001}),
    ("market", 6, nothing, {"quantity_mWh": 0}),
    ("market", 6, nothing, {"quantity_mWh": 10**12 + 1}),
    ("market", 7, two_orders, {}),
    ("market", 7, full_slot, {"cell": address(2)}),
    ("market", 6, nothing, {"quantity_mWh": E_MAX + 1}),
    ("market", 6, nothing, {"quantity_mWh": E_MAX + 1, "side": ASK}),
    ("market", 10, with_cell(missed=4), {}),
    ("market", 19, with_cell(score_permille=199), {"side": ASK}),
    ("market", 9, with_cell(collateral=str(140_000 * E_MAX * 8 - 1)), {}),
    ("market", 8, poor, {}),
]


@pytest.mark.parametrize(("space", "code", "prepare", "change"), PLACE)
def test_place_order_refuses(
    chain: Chain, space: str, code: int, prepare: Callable[[Chain], None], change: dict[str, object]
) -> None:
    prepare(chain)
    if (space, code) == ("market", 3):
        chain.until(250_003, pb.SLOT_STATE_SECURED, 100)
    before = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(order(chain, **change))
    assert caught.value.ident == (space, code)
    assert len(str(caught.value)) > 20
    assert chain.store.data == before


def test_orders_that_are_just_inside_are_taken(chain: Chain) -> None:
    with_cell(score_permille=200, missed=3, collateral=str(140_000 * E_MAX * 8))(chain)
    chain.deliver(order(chain, price_e4=20_000, quantity_mWh=E_MAX, side=ASK))
    answer = chain.deliver(order(chain, price_e4=80_000, quantity_mWh=E_MAX))
    # pen = 500 permille of the cap
    assert int(answer.escrow) == (80_000 + 200 + 40_000) * E_MAX


def test_cancel_returns_everything_and_only_to_the_owner(chain: Chain) -> None:
    slot, before = bidding(chain), chain.balance((1).to_bytes(20, "big"))
    placed = chain.deliver(order(chain, side=ASK))
    mine = tx.MsgCancelOrder(cell=address(1), slot=slot, seq=placed.seq)
    for cell, seq in ((address(2), placed.seq), (OTHER, placed.seq), (address(1), placed.seq + 1)):
        with pytest.raises(ChainError) as caught:
            chain.deliver(tx.MsgCancelOrder(cell=cell, slot=slot, seq=seq))
        assert caught.value.ident == ("market", 11)
    assert chain.balance((1).to_bytes(20, "big")) == before - int(placed.escrow)
    assert chain.deliver(mine).refund == placed.escrow
    record = chain.slot(slot)
    assert (record.orders, record.escrow, record.ask_mWh) == (0, "0", 0)
    assert chain.balance((1).to_bytes(20, "big")) == before
    with pytest.raises(ChainError) as caught:
        chain.deliver(mine)
    assert caught.value.ident == ("market", 11)


def forecast(**changes: object) -> tx.MsgPostForecast:
    fields: dict[str, object] = {"utility": UTILITY, "floor_e4": 30_000, "cap_e4": 70_000, **changes}
    return tx.MsgPostForecast(**fields)


FORECASTS = [
    (("market", 4), {"utility": OTHER}),
    (("market", 2), {"slot": 3}),
    (("market", 5), {"floor_e4": 19_999}),
    (("market", 5), {"cap_e4": 80_001}),
    (("market", 5), {"floor_e4": 60_000, "cap_e4": 50_000}),
    (("market", 6), {"buses": [tx.BusBaseline(bus=2), tx.BusBaseline(bus=2)]}),
    (("market", 6), {"buses": [tx.BusBaseline(bus=70_000)]}),
    (("market", 6), {"buses": [tx.BusBaseline(bus=n) for n in range(1_001)]}),
    (("market", 6), {"buses": [tx.BusBaseline(bus=1, p_mWh=10**12 + 1)]}),
]


def awaiting_forecast() -> tuple[Chain, int]:
    chain = Chain(cells=1)
    for _ in range(40):
        chain.block(300)
        slot = chain.live()[-1]
        if chain.slot(slot).state == pb.SLOT_STATE_FORECAST:
            return chain, slot
    raise AssertionError("no slot awaits a forecast")


@pytest.mark.parametrize(("ident", "change"), FORECASTS)
def test_forecast_refuses(ident: tuple[str, int], change: dict[str, object]) -> None:
    chain, slot = awaiting_forecast()
    with pytest.raises(ChainError) as caught:
        chain.deliver(forecast(**{"slot": slot, **change}))
    assert caught.value.ident == ident


def test_a_forecast_narrows_the_band_and_a_second_one_replaces_it() -> None:
    chain, slot = awaiting_forecast()
    chain.deliver(forecast(slot=slot, buses=[tx.BusBaseline(bus=1, p_mWh=5), tx.BusBaseline(bus=2, p_mWh=-5)]))
    chain.deliver(forecast(slot=slot, floor_e4=35_000, buses=[tx.BusBaseline(bus=2, p_mWh=7)]))
    assert len(list(chain.store.iterate(b"mk/b/"))) == 1
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    for price in (34_999, 70_001):
        with pytest.raises(ChainError) as caught:
            chain.deliver(chain.place(1, slot, BID, price, 1))
        assert caught.value.ident == ("market", 5)
    chain.deliver(chain.place(1, slot, BID, 35_000, 1))
    with pytest.raises(ChainError) as caught:
        chain.deliver(forecast(slot=slot))
    assert caught.value.ident == ("market", 3)


CAPS = [
    (("market", 4), {"utility": OTHER}),
    (("market", 2), {"slot": 3}),
    (("market", 12), {"attempt": 6}),
    (("market", 12), {"attempt": 0}),
    (("market", 13), {"caps": [tx.BusCap(bus=2, side=BID), tx.BusCap(bus=1, side=BID)]}),
    (("market", 13), {"caps": [tx.BusCap(bus=1)]}),
    (("market", 3), {}),
]


@pytest.mark.parametrize(("ident", "change"), CAPS)
def test_caps_are_refused_while_no_check_has_failed(
    chain: Chain, ident: tuple[str, int], change: dict[str, object]
) -> None:
    fields = {"utility": UTILITY, "slot": bidding(chain), "attempt": 1, **change}
    with pytest.raises(ChainError) as caught:
        chain.deliver(tx.MsgProposeCaps(**fields))
    assert caught.value.ident == ident


MONEY = [
    (("sdk", 18), tx.MsgDeposit(cell=address(1), amount="0")),
    (("sdk", 18), tx.MsgDeposit(cell=address(1), amount="01")),
    (("sdk", 18), tx.MsgDeposit(cell=address(1), amount="-1")),
    (("sdk", 18), tx.MsgDeposit(cell=address(1), amount="")),
    (("sdk", 18), tx.MsgDeposit(cell=address(1), amount="9" * 78)),
    (("market", 8), tx.MsgDeposit(cell=address(1), amount=str(10**19))),
    (("market", 4), tx.MsgDeposit(cell=address(99), amount="1")),
    (("market", 9), tx.MsgWithdraw(cell=address(1), amount=str(10**18 + 1))),
    (("market", 4), tx.MsgWithdraw(cell=OTHER, amount="1")),
    (("market", 8), tx.MsgWithdraw(cell=UTILITY, amount=str(10**18 - 10**12 + 1))),
]


@pytest.mark.parametrize(("ident", "message"), MONEY)
def test_deposit_and_withdraw_refuse(chain: Chain, ident: tuple[str, int], message: object) -> None:
    state.move(chain.ctx(), b"\x01" * 20, (99).to_bytes(20, "big"), 5)
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    assert caught.value.ident == ident


def test_collateral_of_open_orders_stays(chain: Chain) -> None:
    needed = 140_000 * E_MAX * 8
    chain.deliver(order(chain))
    with pytest.raises(ChainError) as caught:
        chain.deliver(tx.MsgWithdraw(cell=address(1), amount=str(10**18 - needed + 1)))
    assert caught.value.ident == ("market", 9)
    chain.deliver(tx.MsgWithdraw(cell=address(1), amount=str(10**18 - needed)))
    chain.deliver(tx.MsgWithdraw(cell=address(2), amount=str(10**18)))  # has no orders
    chain.deliver(tx.MsgWithdraw(cell=UTILITY, amount=str(10**18 - 10**12)))
    assert chain.balance(state.COLLATERAL) == needed
    assert chain.balance(state.BALANCING) == 10**12


def changed_gate(name: str, offset: int) -> Callable[[pb.Params], None]:
    def change(params: pb.Params) -> None:
        next(gate for gate in params.gates if gate.name == name).offset_permille = offset

    return change


def setter(**values: object) -> Callable[[pb.Params], None]:
    def change(params: pb.Params) -> None:
        for name, value in values.items():
            setattr(params, name, value)

    return change


PARAMS = [
    (("sdk", 18), setter(slot_ms=8_000)),
    (("sdk", 18), setter(denom="bother")),
    (("sdk", 18), setter(first_slot=5)),
    (("sdk", 18), setter(window_min_ms=12_345)),
    (("market", 20), setter(max_live_slots=6)),
    (("market", 20), setter(window_min_ms=120_000)),
    (("sdk", 18), changed_gate("BID", -660)),
    (("sdk", 18), changed_gate("SEAL", 1)),
    (("sdk", 18), changed_gate("METER", 1)),
    (("sdk", 18), setter(floor_e4=9_999)),
    (("sdk", 18), setter(up_e4=79_999)),
    (("sdk", 18), setter(k_num=3)),
    (("sdk", 18), setter(k_den=0)),
    (("sdk", 18), setter(mechanism=0)),
    (("sdk", 18), setter(e_max_permille=0)),
    (("sdk", 18), setter(settle_units=0)),
    (("sdk", 18), setter(balancing_min="1.5")),
    (("sdk", 7), setter(authority="nobody")),
]


@pytest.mark.parametrize(("ident", "change"), PARAMS)
def test_parameters_are_checked(chain: Chain, ident: tuple[str, int], change: Callable[[pb.Params], None]) -> None:
    params = state.params(chain.ctx())
    change(params)
    with pytest.raises(ChainError) as caught:
        chain.deliver(tx.MsgUpdateParams(authority=UTILITY, params=params))
    assert caught.value.ident == ident


def test_new_parameters_hold_from_the_next_open_and_never_for_a_live_slot(chain: Chain) -> None:
    params, live = state.params(chain.ctx()), chain.live()
    params.fee_e4 = 777
    with pytest.raises(ChainError) as caught:
        chain.deliver(tx.MsgUpdateParams(authority=OTHER, params=params))
    assert caught.value.ident == ("market", 4)
    chain.deliver(tx.MsgUpdateParams(authority=UTILITY, params=params))
    for _ in range(12):
        chain.block(500)
    fees = {slot: chain.slot(slot).prices.fee_e4 for slot in chain.live()}
    assert {slot: fee for slot, fee in fees.items() if slot in live} == {slot: 200 for slot in live if slot in fees}
    assert [fee for slot, fee in fees.items() if slot not in live] == [777] * sum(slot not in live for slot in fees)
    assert 777 in fees.values()


def cell(**changes: object) -> registry_tx.MsgRegisterCell:
    fields: dict[str, object] = {"utility": UTILITY, "cell": address(50), "id": "new@mga", "bus": 1, **changes}
    return registry_tx.MsgRegisterCell(**fields)


def device(**changes: object) -> registry_tx.MsgRegisterDevice:
    fields: dict[str, object] = {"utility": UTILITY, "cell": "cell1@mga", "device": "m@mga", "pubkey": KEY, **changes}
    return registry_tx.MsgRegisterDevice(**fields)


STIFF = registry_pb.Branch(from_bus=1, to_bus=2, s_max_W=1, r_pu_q30=2**40)


def feeder(*pairs: tuple[int, int], **changes: object) -> registry_tx.MsgSetFeeder:
    branches = [registry_pb.Branch(from_bus=a, to_bus=b, s_max_W=1_000) for a, b in pairs]
    fields: dict[str, object] = {
        "s_base_W": 10**6,
        "root_bus": 1,
        "v0_permille": 1000,
        "vmin_permille": 900,
        "vmax_permille": 1100,
        "branches": branches,
        **changes,
    }
    return registry_tx.MsgSetFeeder(utility=UTILITY, feeder=registry_pb.Feeder(**fields))


REGISTRY_LINES = [
    (("sdk", 4), cell(utility=OTHER)),
    (("registry", 5), cell(id="new@mgb")),
    (("registry", 5), cell(id="New@mga")),
    (("registry", 5), cell(id="@mga")),
    (("registry", 5), cell(id="new")),
    (("registry", 5), cell(id="a" * 61 + "@mga")),
    (("registry", 5), cell(id="new@mga\n")),
    (("registry", 2), cell(id="cell1@mga")),
    (("registry", 2), cell(id="meter1@mga")),
    (("registry", 2), cell(cell=address(1))),
    (("sdk", 7), cell(cell="nobody")),
    (("sdk", 18), cell(bus=65_536)),
    (("sdk", 18), cell(max_import_W=4_000_000_001)),
    (("sdk", 4), device(utility=OTHER)),
    (("sdk", 8), device(pubkey=KEY[:31])),
    (("registry", 3), device(cell="nobody@mga")),
    (("registry", 2), device(device="cell2@mga")),
    (("registry", 5), device(device="m@elsewhere")),
    (("sdk", 4), registry_tx.MsgSetStatus(utility=OTHER, id="cell1@mga", status=2)),
    (("registry", 3), registry_tx.MsgSetStatus(utility=UTILITY, id="nobody@mga", status=2)),
    (("sdk", 18), registry_tx.MsgSetStatus(utility=UTILITY, id="cell1@mga", status=0)),
    (("registry", 4), feeder()),
    (("registry", 4), feeder((1, 2), (2, 3), (3, 1))),
    (("registry", 4), feeder((1, 2), (3, 4))),
    (("registry", 4), feeder((2, 3), (3, 2), (1, 4))),
    (("registry", 4), feeder((1, 1))),
    (("registry", 4), feeder((1, 2), vmin_permille=1001)),
    (("registry", 4), feeder((1, 2), contingencies=[1])),
    (("registry", 6), feeder((1, 2), mode=registry_pb.SECURITY_MODE_CHAIN, contingencies=[0])),
    (("registry", 4), feeder(mode=registry_pb.SECURITY_MODE_CHAIN, branches=[STIFF])),
    (("registry", 6), feeder((1, 2), mode=registry_pb.SECURITY_MODE_BALLOT)),
    (("sdk", 4), registry_tx.MsgUpdateParams(authority=OTHER)),
    (("sdk", 18), registry_tx.MsgUpdateParams(authority=UTILITY, params={"utility": UTILITY, "microgrid": "mgx"})),
]


@pytest.mark.parametrize(("ident", "message"), REGISTRY_LINES)
def test_the_registry_refuses(chain: Chain, ident: tuple[str, int], message: object) -> None:
    before = dict(chain.store.data)
    with pytest.raises(ChainError) as caught:
        chain.deliver(message)
    assert caught.value.ident == ident
    assert chain.store.data == before


def reading(chain: Chain, of_slot: int, /, **changes: object) -> meter_tx.Reading:
    made = meter_tx.Reading(
        device="meter1@mga", slot=of_slot, import_mWh=500, export_mWh=0, import_total_mWh=1_500, export_total_mWh=10
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return chain.sign(1, made)


READINGS = [
    (("meter", 2), {"device": "nobody@mga"}),
    (("market", 2), {"slot": 3}),
    (("market", 3), {"slot": 0}),  # stands for a slot that is still BIDDING
    (("meter", 4), {"slot": -1}),  # stands for one that the device reported
    (("meter", 5), {"import_mWh": E_MAX * 12 // 10 + 1}),
    (("meter", 5), {"export_mWh": E_MAX * 12 // 10 + 1}),
    (("meter", 6), {"import_total_mWh": 1_499}),
    (("meter", 6), {"export_total_mWh": 9}),
    (("meter", 6), {"import_total_mWh": 1_501}),
]


@pytest.fixture
def metered() -> tuple[Chain, int]:
    """The device reported one slot with counters (1000, 10); the next slot is METERING."""
    chain = Chain(cells=2, window_min_ms=60_000, max_live_slots=30)
    chain.block()
    slot = chain.live()[0]
    chain.until(slot, pb.SLOT_STATE_METERING)
    first = reading(chain, slot, import_mWh=300, import_total_mWh=1_000)
    (answer,) = chain.block(1, chain.submit(first))
    assert [result.code for result in answer.results] == [0]
    chain.until(slot + 1, pb.SLOT_STATE_METERING, 100)
    assert chain.slot(slot).state == pb.SLOT_STATE_METERING
    return chain, slot + 1


@pytest.mark.parametrize(("ident", "change"), READINGS)
def test_a_wrong_reading_gets_its_code_and_stops_nothing_else(
    metered: tuple[Chain, int], ident: tuple[str, int], change: dict[str, object]
) -> None:
    chain, slot = metered
    named = {0: chain.live()[-1], -1: slot - 1}
    if "slot" in change:
        change = {"slot": named.get(change["slot"], change["slot"])}
    wrong, good = reading(chain, slot, **change), reading(chain, slot)
    answer = chain.deliver(chain.submit(wrong, good))
    assert [(result.codespace, result.code) for result in answer.results] == [ident, ("", 0)]
    assert answer.results[0].log


@pytest.mark.parametrize(
    "field", ["slot", "import_mWh", "export_mWh", "import_total_mWh", "export_total_mWh", "signature"]
)
def test_every_field_of_a_reading_is_signed(metered: tuple[Chain, int], field: str) -> None:
    chain, slot = metered
    forged = reading(chain, slot)
    if field == "signature":
        forged.signature = device_key(2).sign(b"else")
    else:
        base = {"slot": slot, "import_mWh": 499, "export_mWh": 0, "import_total_mWh": 1_499, "export_total_mWh": 10}
        forged = reading(chain, slot, **base)
        forged.signature = reading(chain, slot, **{**base, field: base[field] + 1}).signature
    answer = chain.deliver(chain.submit(forged))
    assert [(result.codespace, result.code) for result in answer.results] == [("meter", 3)]


def test_a_reading_for_another_chain_is_refused(metered: tuple[Chain, int]) -> None:
    from energy.meter.reading import sign_bytes

    chain, slot = metered
    other = reading(chain, slot)
    other.signature = device_key(1).sign(sign_bytes("mga-2", other))
    answer = chain.deliver(chain.submit(other))
    assert answer.results[0].code == 3


def test_a_batch_has_1_to_500_readings(metered: tuple[Chain, int]) -> None:
    chain, slot = metered
    for batch in ([], [reading(chain, slot)] * 501):
        with pytest.raises(ChainError) as caught:
            chain.deliver(chain.submit(*batch))
        assert caught.value.ident == ("sdk", 18)


def estimate(chain: Chain, slot: int, *entries: tuple[str, int], **changes: object) -> meter_tx.MsgPostEstimate:
    fields: dict[str, object] = {"utility": UTILITY, "slot": slot, **changes}
    return meter_tx.MsgPostEstimate(
        estimates=[meter_tx.Estimate(device=name, net_mWh=net) for name, net in entries], **fields
    )


def test_estimates_are_for_silent_meters_inside_their_rating(metered: tuple[Chain, int]) -> None:
    chain, slot = metered
    chain.deliver(chain.submit(reading(chain, slot)))
    lines = [
        (("market", 4), estimate(chain, slot, utility=OTHER)),
        (("market", 2), estimate(chain, 3)),
        (("market", 3), estimate(chain, chain.live()[-1])),
        (("sdk", 18), estimate(chain, slot, residual_root=b"\x01" * 31)),
        (("meter", 2), estimate(chain, slot, ("nobody@mga", 1))),
        (("meter", 7), estimate(chain, slot, ("meter1@mga", 1))),
        (("meter", 7), estimate(chain, slot, ("meter2@mga", 1), ("meter2@mga", 1))),
        (("meter", 5), estimate(chain, slot, ("meter2@mga", E_MAX + 1))),
        (("meter", 5), estimate(chain, slot, ("meter2@mga", -E_MAX - 1))),
        (("sdk", 18), estimate(chain, slot, *[("meter2@mga", 1)] * 501)),
    ]
    for ident, message in lines:
        with pytest.raises(ChainError) as caught:
            chain.deliver(message)
        assert caught.value.ident == ident
    chain.deliver(estimate(chain, slot, ("meter2@mga", -700), residual_root=b"\x01" * 32))
    with pytest.raises(ChainError) as caught:
        chain.deliver(estimate(chain, slot, ("meter2@mga", 5)))
    assert caught.value.ident == ("meter", 7)


# Of the parts that come later: the network check and the validators' votes.
LATER = {("market", 14), ("market", 15), ("market", 16), ("market", 17), ("market", 18)}
ELSEWHERE = {("market", 30), ("market", 31), ("market", 32)}  # in tests/mechanisms
ELSEWHERE |= {("market", 33)}  # in test_absent_or_lying
ELSEWHERE |= {("market", code) for code in range(40, 47)}  # in test_reveal, test_forward, test_storage


def test_every_code_of_this_build_is_reached_above() -> None:
    table = [(space, code) for space, code, *_ in PLACE]
    for lines in (FORECASTS, CAPS, MONEY, PARAMS, REGISTRY_LINES, READINGS):
        table += [line[0] for line in lines]
    reached = {*table, ("market", 11), ("meter", 3), ("meter", 7)}
    declared = {ident for ident in REGISTRY if ident[0] in ("market", "meter", "registry")}
    assert declared - reached == LATER | ELSEWHERE


def test_default_parameters_pass_their_own_check() -> None:
    from energy.market.params import check_params

    for slot_ms, window_ms in ((900_000, 12_000), (4_000, 12_000), (4_000, 120_000), (1_000, 1_000)):
        check_params(default_params(slot_ms, window_ms, DENOM, UTILITY, 7))


def test_after_clear_nothing_can_be_cancelled() -> None:
    chain = Chain(cells=1)
    chain.block()
    slot = chain.live()[-1]
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    placed = chain.deliver(chain.place(1, slot, BID, 50_000, 1_000))
    chain.until(slot, pb.SLOT_STATE_SECURED, 100)
    with pytest.raises(ChainError) as caught:
        chain.deliver(tx.MsgCancelOrder(cell=address(1), slot=slot, seq=placed.seq))
    assert caught.value.ident == ("market", 3)
