"""Fee allowances (cosmos.feegrant.v1beta1): what a granter lets another account spend on fees.

    BasicAllowance       up to a limit, until a time; no limit when none is given
    PeriodicAllowance    and within each period up to another limit
    AllowedMsgAllowance  one of the two, for some message types only

Rules, codes and logs are those of cosmossdk.io/x/feegrant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from cosmos_wire.amino_json import DURATION_S_MAX, TIMESTAMP_S_MAX, TIMESTAMP_S_MIN
from cosmos_wire.errors import InvalidCoins, TxDecode, declare
from cosmos_wire.protos import Any, Timestamp, coin, feegrant
from cosmos_wire.strict import parse
from cosmos_wire.tx import pack
from ibc_core.host import Context
from microgrid import coins
from microgrid.coins import Coin

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

FeeLimitExceeded = declare("feegrant", 2, "FeeLimitExceeded", "fee limit exceeded")
FeeLimitExpired = declare("feegrant", 3, "FeeLimitExpired", "fee allowance expired")
InvalidDuration = declare("feegrant", 4, "InvalidDuration", "invalid duration")
NoAllowance = declare("feegrant", 5, "NoAllowance", "no allowance")
NoMessages = declare("feegrant", 6, "NoMessages", "allowed messages are empty")
MessageNotAllowed = declare("feegrant", 7, "MessageNotAllowed", "message not allowed")

MESSAGE_CHECK = 10  # gas for each allowed and each sent message
NESTED_MAX = 10  # the SDK's MaxUnpackAnyRecursionDepth
ZERO_TIME_S = TIMESTAMP_S_MIN  # Go's zero time: what an absent reset stands for
NS = 10**9

Basic = feegrant.BasicAllowance
Periodic = feegrant.PeriodicAllowance
Filtered = feegrant.AllowedMsgAllowance
Allowance = Basic | Periodic | Filtered
KINDS: Mapping[str, type[Basic | Periodic | Filtered]] = {
    f"/{kind.DESCRIPTOR.full_name}": kind for kind in (Basic, Periodic, Filtered)
}


def unpack(packed: Any, nested: int = NESTED_MAX) -> Allowance:
    """The allowance within an Any, nested ones read once as well; raises NoAllowance or TxDecode."""
    if not packed.type_url:
        raise NoAllowance("failed to get allowance")
    if packed.type_url not in KINDS or not nested:
        url = packed.type_url[:200]
        raise TxDecode(f"no concrete type registered for type URL {url} against interface *feegrant.FeeAllowanceI")
    made = parse(KINDS[packed.type_url], packed.value, packed.type_url)
    if isinstance(made, Filtered) and made.HasField("allowance"):
        made.allowance.CopyFrom(pack(unpack(made.allowance, nested - 1)))
    if isinstance(made, Periodic) and not made.HasField("period_reset"):
        made.period_reset.seconds = ZERO_TIME_S
    _check_times(made)
    return made


def _check_times(allowance: Allowance) -> None:
    """What Go's time types can't hold is not decoded there."""
    if isinstance(allowance, Filtered):
        return
    basic = allowance if isinstance(allowance, Basic) else allowance.basic
    moments = [basic.expiration, *([allowance.period_reset] if isinstance(allowance, Periodic) else [])]
    for moment in moments:
        if not (TIMESTAMP_S_MIN <= moment.seconds <= TIMESTAMP_S_MAX and 0 <= moment.nanos < NS):
            raise TxDecode(f"timestamp: {moment.seconds} s and {moment.nanos} ns are not in the years 1 to 9999")
    if isinstance(allowance, Periodic) and abs(allowance.period.seconds) > DURATION_S_MAX:
        raise TxDecode(f"duration: {allowance.period.seconds} s are out of range")


def validate(allowance: Allowance) -> None:
    """Refuse what means nothing; raises InvalidCoins, InvalidDuration, NoAllowance, NoMessages."""
    if isinstance(allowance, Basic):
        _validate_basic(allowance)
    elif isinstance(allowance, Periodic):
        _validate_periodic(allowance)
    else:
        if not allowance.HasField("allowance"):
            raise NoAllowance("allowance should not be empty")
        if not allowance.allowed_messages:
            raise NoMessages("allowed messages shouldn't be empty")
        validate(unpack(allowance.allowance))


def _validate_basic(allowance: Basic) -> None:
    _valid(allowance.spend_limit, "send amount is invalid")
    if allowance.HasField("expiration") and allowance.expiration.seconds < 0:
        raise InvalidDuration("expiration time cannot be negative")


def _validate_periodic(allowance: Periodic) -> None:
    _validate_basic(allowance.basic)
    limit = _valid(allowance.period_spend_limit, "spend amount is invalid")
    if not limit:
        raise InvalidCoins("spend limit must be positive")
    _valid(allowance.period_can_spend, "can spend amount is invalid")
    total = dict(_amounts(allowance.basic.spend_limit))
    if total and any(denom not in total for denom, _ in limit):
        raise InvalidCoins("period spend limit has different currency than basic spend limit")
    if allowance.period.seconds < 0:
        raise InvalidDuration("negative clock step")


def _valid(listed: Sequence[coin.Coin], what: str) -> tuple[Coin, ...]:
    try:
        return coins.parse(listed)
    except InvalidCoins as error:
        written = ",".join(f"{item.amount}{item.denom}" for item in listed)[:1_000]
        raise InvalidCoins(f"{what}: {written}") from error


def _amounts(listed: Sequence[coin.Coin]) -> tuple[Coin, ...]:
    return tuple((item.denom, int(item.amount)) for item in listed)


def expiration(allowance: Allowance) -> Timestamp | None:
    """When it ends, None for never."""
    if isinstance(allowance, Filtered):
        return expiration(unpack(allowance.allowance))
    basic = allowance if isinstance(allowance, Basic) else allowance.basic
    return basic.expiration if basic.HasField("expiration") else None


def time_ns(moment: Timestamp) -> int:
    """Nanoseconds of Unix time."""
    return moment.seconds * NS + moment.nanos


def spend(ctx: Context, allowance: Allowance, fee: Sequence[Coin], urls: Iterable[str]) -> bool:
    """Take a fee off the allowance, in place; whether nothing is left. Raises codes of `feegrant`."""
    if isinstance(allowance, Basic):
        return _spend_basic(ctx, allowance, fee)
    if isinstance(allowance, Periodic):
        return _spend_periodic(ctx, allowance, fee)
    _check_messages(ctx, allowance, urls)
    inner = unpack(allowance.allowance)
    used_up = spend(ctx, inner, fee, urls)
    allowance.allowance.CopyFrom(pack(inner))
    return used_up


def _check_messages(ctx: Context, allowance: Filtered, urls: Iterable[str]) -> None:
    allowed = dict.fromkeys(allowance.allowed_messages)
    ctx.gas.consume(MESSAGE_CHECK * len(allowance.allowed_messages), "check msg")
    for url in urls:
        ctx.gas.consume(MESSAGE_CHECK, "check msg")
        if url not in allowed:
            raise MessageNotAllowed("message does not exist in allowed messages")


def _spend_basic(ctx: Context, allowance: Basic, fee: Sequence[Coin]) -> bool:
    if allowance.HasField("expiration") and time_ns(allowance.expiration) < ctx.env.time_ns:
        raise FeeLimitExpired("basic allowance")
    return _take(allowance.spend_limit, fee, "basic allowance") if allowance.spend_limit else False


def _spend_periodic(ctx: Context, allowance: Periodic, fee: Sequence[Coin]) -> bool:
    basic = allowance.basic
    if basic.HasField("expiration") and time_ns(basic.expiration) < ctx.env.time_ns:
        raise FeeLimitExpired("absolute limit")
    _begin_period(ctx.env.time_ns, allowance)
    _take(allowance.period_can_spend, fee, "period limit")
    return _take(basic.spend_limit, fee, "absolute limit") if basic.spend_limit else False


def _begin_period(now_ns: int, allowance: Periodic) -> None:
    reset_ns = time_ns(allowance.period_reset)
    if now_ns < reset_ns:
        return
    limit, total = _amounts(allowance.period_spend_limit), _amounts(allowance.basic.spend_limit)
    held = dict(total)
    less = bool(total) and any(held.get(denom, 0) < amount for denom, amount in limit)
    _write(allowance.period_can_spend, total if less else limit)
    period_ns = allowance.period.seconds * NS + allowance.period.nanos
    reset_ns += period_ns
    if now_ns > reset_ns:
        reset_ns = now_ns + period_ns
    allowance.period_reset.seconds, allowance.period_reset.nanos = divmod(reset_ns, NS)


def _take(listed: RepeatedCompositeFieldContainer[coin.Coin], fee: Sequence[Coin], what: str) -> bool:
    left = dict(_amounts(listed))
    for denom, amount in fee:
        left[denom] = left.get(denom, 0) - amount
        if left[denom] < 0:
            raise FeeLimitExceeded(what)
    _write(listed, tuple((denom, left[denom]) for denom in sorted(left) if left[denom]))
    return not any(left.values())


def _write(listed: RepeatedCompositeFieldContainer[coin.Coin], pairs: Sequence[Coin]) -> None:
    del listed[:]
    listed.extend(coins.proto(pairs))
