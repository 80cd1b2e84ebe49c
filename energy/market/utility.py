"""What the utility cell may say about a slot: its forecast, and caps when the network check fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_tx as tx
from energy.errors import (
    AttemptsUsed,
    CapsMalformed,
    NotAuthorized,
    NotCertified,
    PriceOutOfBand,
    QuantityOutOfRange,
    WelfareNotBetter,
)
from energy.market import ballot, inverters, keys, security, state
from energy.market.clearing import Caps
from energy.market.forecast import require_plausible
from energy.market.life import Step, require_step
from energy.records import keys_of, load_int, save, save_int
from energy.units import PRICE_MAX_E4, QUANTITY_MAX_MWH, U16_MAX, require_range
from ibc_core.host import Context, event

BUSES_MAX = 1_000


def post_forecast(ctx: Context, msg: tx.MsgPostForecast) -> tx.MsgPostForecastResponse:
    """Narrow the slot's price band and state the buses' baselines, while the slot awaits its forecast.

    A later post replaces an earlier one. Without any the tariff band holds. Raises NotAuthorized, UnknownSlot,
    WrongState, PriceOutOfBand (band not inside the parameters'), QuantityOutOfRange (buses), ForecastTooHigh.
    """
    require_utility(ctx, msg.utility)
    record = state.slot_record(ctx, msg.slot)
    require_step(record, Step.FORECAST)
    tariff = record.params
    if not tariff.floor_e4 <= msg.floor_e4 <= msg.cap_e4 <= tariff.cap_e4:
        raise PriceOutOfBand(
            f"{tariff.floor_e4} <= floor <= cap <= {tariff.cap_e4} is expected, got {msg.floor_e4}, {msg.cap_e4}"
        )
    _check_buses(msg.buses)
    _check_expected(msg)
    require_plausible(ctx, msg.buses)
    record.prices.floor_e4, record.prices.cap_e4 = msg.floor_e4, msg.cap_e4
    record.prices.expect_low_e4, record.prices.expect_high_e4 = msg.price_low_e4, msg.price_high_e4
    state.save_slot(ctx, record)
    for key in keys_of(ctx.app, keys.baseline_prefix(record.slot), BUSES_MAX):
        ctx.app.delete(key)
    for bus in msg.buses:
        save(ctx, keys.baseline_key(record.slot, bus.bus), _baseline(bus))
    ctx.events.emit(
        event(
            "forecast_posted",
            slot=record.slot,
            floor_e4=msg.floor_e4,
            cap_e4=msg.cap_e4,
            price_low_e4=msg.price_low_e4,
            price_high_e4=msg.price_high_e4,
        )
    )
    return tx.MsgPostForecastResponse()


def propose_caps(ctx: Context, msg: tx.MsgProposeCaps) -> tx.MsgProposeCapsResponse:
    """Judge caps on buses while a slot is in RECLEAR; every well-formed try counts, the event says what came of it.

    In BALLOT they become one more candidate that the validators judge.

    Raises NotAuthorized, UnknownSlot, AttemptsUsed, CapsMalformed, WrongState. What isn't certified or better changes
    nothing but the number of tries, and is no refusal of the message: code 14 or 15 in the event `caps_judged`.
    """
    require_utility(ctx, msg.utility)
    record = state.slot_record(ctx, msg.slot)
    if not 1 <= msg.attempt <= record.params.max_reclear:
        raise AttemptsUsed(f"attempt has to be 1..{record.params.max_reclear}, got {msg.attempt}")
    _check_caps(msg)
    require_step(record, Step.CAPS)
    before = load_int(ctx, keys.attempts_key(record.slot))
    if msg.attempt != before + 1:
        raise AttemptsUsed(f"attempt {before + 1} is the next one, got {msg.attempt}")
    points = inverters.check_set_points(ctx, record, msg.q)
    caps: Caps = {(cap.bus, cap.side): cap.cap_mWh for cap in msg.caps}
    save_int(ctx, keys.attempts_key(record.slot), msg.attempt)
    code, detail = (_nominate if ballot.is_open(record) else _judge)(ctx, record, caps, points)
    ctx.events.emit(event("caps_judged", slot=record.slot, attempt=msg.attempt, code=code, detail=detail))
    return tx.MsgProposeCapsResponse()


def _check_caps(msg: tx.MsgProposeCaps) -> None:
    places = [(cap.bus, cap.side) for cap in msg.caps]
    if places != sorted(dict.fromkeys(places)) or any(side not in (keys.BID, keys.ASK) for _, side in places):
        raise CapsMalformed(f"caps have to ascend by (bus, side), each once, got {places[:8]}")
    require_range(len(places), (0, 2 * BUSES_MAX), "number of caps", CapsMalformed)
    buses = [point.bus for point in msg.q]
    if buses != sorted(dict.fromkeys(buses)) or len(buses) > BUSES_MAX:
        raise CapsMalformed(f"set-points have to ascend by bus, each once, at most {BUSES_MAX}, got {buses[:8]}")


def _judge(ctx: Context, record: pb.Slot, caps: Caps, set_points: Mapping[int, int]) -> tuple[int, str]:
    try:
        welfare = security.improve(ctx, record, caps, set_points)
    except (NotCertified, WelfareNotBetter) as error:
        return error.code, str(error)
    state.save_slot(ctx, record)
    return 0, f"welfare {welfare}"


def _nominate(ctx: Context, record: pb.Slot, caps: Caps, set_points: Mapping[int, int]) -> tuple[int, str]:
    made = ballot.add_caps(ctx, record, caps, set_points)
    state.save_slot(ctx, record)
    return 0, f"candidate {made.number}, welfare {made.welfare}"


def _baseline(bus: tx.BusBaseline) -> pb.Baseline:
    return pb.Baseline(p_mWh=bus.p_mWh, q_mvarh=bus.q_mvarh, net_low_mWh=bus.net_low_mWh, net_high_mWh=bus.net_high_mWh)


def _check_expected(msg: tx.MsgPostForecast) -> None:
    """Bounds are in order; where none are given both are 0."""
    require_range(msg.price_low_e4, (0, msg.price_high_e4), "price_low_e4", PriceOutOfBand)
    require_range(msg.price_high_e4, (0, PRICE_MAX_E4), "price_high_e4", PriceOutOfBand)
    for bus in msg.buses:
        require_range(
            bus.net_low_mWh, (-QUANTITY_MAX_MWH, bus.net_high_mWh), f"net_low_mWh of bus {bus.bus}", QuantityOutOfRange
        )
        require_range(
            bus.net_high_mWh,
            (-QUANTITY_MAX_MWH, QUANTITY_MAX_MWH),
            f"net_high_mWh of bus {bus.bus}",
            QuantityOutOfRange,
        )


def _check_buses(buses: Sequence[tx.BusBaseline]) -> None:
    require_range(len(buses), (0, BUSES_MAX), "number of buses", QuantityOutOfRange)
    before = -1
    for bus in buses:
        require_range(bus.bus, (before + 1, U16_MAX), "bus, ascending and each once,", QuantityOutOfRange)
        for energy in (bus.p_mWh, bus.q_mvarh):
            require_range(
                energy, (-QUANTITY_MAX_MWH, QUANTITY_MAX_MWH), f"baseline of bus {bus.bus}", QuantityOutOfRange
            )
        before = bus.bus


def require_utility(ctx: Context, sender: str) -> None:
    """Raises NotAuthorized."""
    expected = state.params(ctx).utility
    if sender != expected:
        raise NotAuthorized(f"the utility cell {expected} is expected, got {sender}")
