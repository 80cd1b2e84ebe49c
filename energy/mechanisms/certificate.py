"""Is an outcome right? For anybody who has read a book, and for the tests.

Whatever the mechanism, `sound_fault` checks what every outcome has to keep: fills inside quantities, energy bought =
sold, nobody pays above or gets below its limit. `uniform_fault` is C1 with area prices: no search, O(orders +
areas^3). The others have no certificate that is cheaper than their rule; it is deterministic, so that `fault`
computes it again and compares.

C1 with areas: flows add up to the areas' fills; an order better than its area's price is filled, one worse gets
nothing; buy[j] <= sell[i] + fee[i][j], equal where energy flows. By complementary slackness of the transport problem
the duality gap is then zero, so the trade is efficient. The prices are those that k picks between the least and the
greatest supporting vector, and at one price an area serves by sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

from energy.mechanisms.book import ASK, BID, Award, Book, Order, Outcome, Terms
from energy.mechanisms.merit import Mechanism
from energy.mechanisms.transport import Edge, between, edges, prices


def sound_fault(book: Book, outcome: Outcome) -> str | None:
    """What no mechanism may do; None when nothing is wrong."""
    known = {order.seq: order for order in (*book.bids, *book.asks)}
    awards = (*outcome.bids, *outcome.asks)
    if len({award.order.seq for award in awards}) != len(awards):
        return "an order has two awards"
    for award in awards:
        fault = _award_fault(award, known)
        if fault is not None:
            return f"order {award.order.seq}: {fault}"
    sold = sum(award.fill_mWh for award in outcome.asks)
    return None if outcome.volume_mWh == sold else f"bought {outcome.volume_mWh} mWh, sold {sold} mWh"


def _award_fault(award: Award, known: dict[int, Order]) -> str | None:
    order, fill, amount, fee = award
    if known.get(order.seq) != order:
        return "is not in the book"
    if not 1 <= fill <= order.quantity_mWh:
        return f"fill has to be 1..{order.quantity_mWh}, got {fill}"
    limit = order.price_e4 * fill
    if order.side == BID and not 0 <= amount <= limit:
        return f"pays {amount}, has to pay 0..{limit}"
    if order.side == ASK and (amount < limit or fee):
        return f"gets {amount} and fee {fee}, has to get at least {limit} and no fee"
    return None if fee >= 0 else f"fee {fee} is below 0"


def uniform_fault(book: Book, terms: Terms, outcome: Outcome) -> str | None:
    """C1 with area prices; None when the outcome is the uniform auction's."""
    fault = sound_fault(book, outcome)
    if fault is not None or outcome.prices is None:
        return fault or "a uniform outcome carries its prices"
    fills = {award.order.seq: award.fill_mWh for award in (*outcome.bids, *outcome.asks)}
    ends = tuple(_ends(side, fills, terms) for side in (book.bids, book.asks))
    return (
        _flow_fault(outcome, terms)
        or _slack_fault((ends[0], ends[1]), terms, outcome)
        or _idle_fault((ends[0], ends[1]), terms, outcome)
        or _sequence_fault(book, fills, terms)
        or _money_fault(outcome, terms)
    )


def _ends(side: Sequence[Order], fills: dict[int, int], terms: Terms) -> list[Edge]:
    return edges(side, [fills.get(order.seq, 0) for order in side], terms.fees)


def _flow_fault(outcome: Outcome, terms: Terms) -> str | None:
    size = range(terms.fees.areas)
    rows = [sum(a.fill_mWh for a in outcome.asks if terms.fees.area(a.order.bus) == i) for i in size]
    columns = [sum(a.fill_mWh for a in outcome.bids if terms.fees.area(a.order.bus) == j) for j in size]
    flows = outcome.flows
    if any(flow < 0 for row in flows for flow in row):
        return "a flow is negative"
    if [sum(row) for row in flows] != rows or [sum(row[j] for row in flows) for j in size] != columns:
        return f"flows {flows} don't add up to {rows} sold and {columns} bought by area"
    return None


def _slack_fault(ends: tuple[list[Edge], list[Edge]], terms: Terms, outcome: Outcome) -> str | None:
    found = outcome.prices
    assert found is not None  # the caller checked
    for i, row in enumerate(terms.fees.pair_e4):
        for j, fee in enumerate(row):
            gap = found.buy_e4[j] - found.sell_e4[i] - fee
            if gap > 0 or (gap and outcome.flows[i][j]):
                return f"between areas {i} and {j} the price differs by {gap} from the fee"
    for j, edge in enumerate(ends[0]):
        if any(
            (edge.last and edge.last.price_e4 < found.buy_e4[j], edge.open and edge.open.price_e4 > found.buy_e4[j])
        ):
            return f"a bid of area {j} regrets its fill at {found.buy_e4[j]}"
    for i, edge in enumerate(ends[1]):
        if any(
            (edge.last and edge.last.price_e4 > found.sell_e4[i], edge.open and edge.open.price_e4 < found.sell_e4[i])
        ):
            return f"an ask of area {i} regrets its fill at {found.sell_e4[i]}"
    expected = between(*prices(ends, outcome.flows, terms), terms)
    return None if found == expected else f"prices have to be {expected}, are {found}"


def _idle_fault(ends: tuple[list[Edge], list[Edge]], terms: Terms, outcome: Outcome) -> str | None:
    """Orders at the money that could still trade: an unfilled ask reaches an unfilled bid where no gain is lost."""
    found, fees = outcome.prices, terms.fees.pair_e4
    assert found is not None  # the caller checked
    size = range(terms.fees.areas)
    sells = [edge.open is not None and edge.open.price_e4 == found.sell_e4[i] for i, edge in enumerate(ends[1])]
    buys = [False for _ in size]
    for _ in size:  # a path is at most as long as there are areas
        for i in size:
            for j in size:
                tight = found.buy_e4[j] - found.sell_e4[i] == fees[i][j]
                buys[j] |= sells[i] and tight
                sells[i] |= buys[j] and outcome.flows[i][j] > 0
    for j, edge in enumerate(ends[0]):
        if buys[j] and edge.open is not None and edge.open.price_e4 == found.buy_e4[j]:
            return f"orders on both sides at {found.buy_e4[j]} of area {j} are not filled"
    return None


def _sequence_fault(book: Book, fills: dict[int, int], terms: Terms) -> str | None:
    """Inside an area nobody is served before an order of better rank is filled."""
    for side in (book.bids, book.asks):
        short: set[int] = set()
        for order in side:
            fill, area = fills.get(order.seq, 0), terms.fees.area(order.bus)
            if fill and area in short:
                return f"order {order.seq} is served before a better one of area {area}"
            if fill < order.quantity_mWh:
                short.add(area)
    return None


def _money_fault(outcome: Outcome, terms: Terms) -> str | None:
    found, table = outcome.prices, terms.fees
    assert found is not None  # the caller checked
    for award in outcome.bids:
        if award.amount != found.buy_e4[table.area(award.order.bus)] * award.fill_mWh:
            return f"order {award.order.seq} pays {award.amount}, not its area's price"
    for award in outcome.asks:
        if award.amount != found.sell_e4[table.area(award.order.bus)] * award.fill_mWh:
            return f"order {award.order.seq} gets {award.amount}, not its area's price"
    return (
        None
        if outcome.surplus == 0
        else f"fees have to be what buyers pay above sellers' pay, {outcome.surplus} is left"
    )


def fault(mechanism: Mechanism, book: Book, terms: Terms, outcome: Outcome) -> str | None:
    """The deterministic rule, computed again; None when the outcome is the rule's."""
    problem = sound_fault(book, outcome)
    if problem is not None:
        return problem
    return None if mechanism(book, terms) == outcome else "the mechanism's rule gives another outcome"
