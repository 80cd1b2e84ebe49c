"""The audit's settlement against the chain's."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from bsmg.audit import market as own_market
from bsmg.audit.settle import Said, Tariff, Trades, bill, paid_in_order
from cosmos_wire import merkle
from cosmos_wire.protos import market as pb
from energy.market import settlement

ENERGY = st.one_of(st.integers(0, 3), st.integers(0, 10**12))
MONEY = st.integers(0, 10**20)


@st.composite
def saids(draw: st.DrawFn) -> Said:
    return Said(
        import_mWh=draw(ENERGY),
        export_mWh=draw(ENERGY),
        readings=draw(st.integers(0, 3)),
        estimates=draw(st.integers(0, 2)),
        estimated_mWh=draw(st.integers(-(10**12), 10**12)),
        gap_mWh=draw(st.integers(-(10**12), 10**12)),
        first_readings=draw(st.integers(0, 1)),
    )


@settings(max_examples=500, deadline=None)
@given(
    said=saids(),
    trades=st.builds(
        Trades,
        bought_mWh=ENERGY,
        sold_mWh=ENERGY,
        paid=MONEY,
        earned=MONEY,
        escrow=MONEY,
        grid_bought_mWh=ENERGY,
        grid_sold_mWh=ENERGY,
    ),
    cell=st.tuples(st.integers(1, 3), st.integers(-(10**9), 10**9), st.integers(0, 1000)),
    rates=st.tuples(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000)),
)
def test_both_settle_alike(
    said: Said, trades: Trades, cell: tuple[int, int, int], rates: tuple[int, int, int, int]
) -> None:
    penalty, tol, alpha, e_max = rates
    tariff = Tariff(
        up_e4=100_000,
        down_e4=10_000,
        fee_e4=200,
        price_e4=43_210,
        penalty_permille=penalty,
        tol_permille=tol,
        alpha_permille=alpha,
        e_max_permille=e_max,
        floor_e4=20_000,
        cap_e4=80_000,
        loss_e4=43_210,
        loss_mWh=tol * 100,
        metered_mWh=alpha,
    )
    mine = bill(tariff, trades, said, cell)
    params = pb.Params(penalty_permille=penalty, tol_permille=tol, alpha_permille=alpha, e_max_permille=e_max)
    terms = settlement.Terms(
        prices=pb.FrozenPrices(up_e4=100_000, down_e4=10_000, fee_e4=200, floor_e4=20_000, cap_e4=80_000),
        params=params,
        clearing=pb.Clearing(price_e4=43_210, volume_mWh=1),
        loss_mWh=tol * 100,
        metered_mWh=alpha,
    )
    names = ("bought_mWh", "sold_mWh", "paid", "earned", "escrow", "grid_bought_mWh", "grid_sold_mWh")
    position = settlement.Position(**{name: getattr(trades, name) for name in names})
    theirs = settlement.settle_cell(terms, position, chains_view(said, cell), cell[2])
    charges = theirs.charges
    assert (mine.import_mWh, mine.export_mWh) == (theirs.import_mWh, theirs.export_mWh)
    assert (mine.imbalance, mine.catch_up, mine.catch_up_mWh) == (
        theirs.imbalance,
        theirs.catch_up,
        theirs.catch_up_mWh,
    )
    assert (mine.grid, mine.loss) == (theirs.grid, theirs.loss)
    assert mine.assumed_mWh == theirs.carried_mWh
    assert mine.charges == (charges.balancing, charges.fees, charges.incentive)
    assert (mine.credit, mine.net, mine.income) == (theirs.credit, theirs.net, theirs.income)
    assert mine.score_permille == theirs.score_permille


def chains_view(said: Said, cell: tuple[int, int, int]) -> settlement.Metered:
    return settlement.Metered(
        import_mWh=said.import_mWh,
        export_mWh=said.export_mWh,
        estimated_mWh=said.estimated_mWh,
        silent=said.readings + said.estimates < cell[0],
        missing=said.readings < cell[0],
        gap_mWh=said.gap_mWh,
        carried_mWh=cell[1],
        fresh=said.first_readings > 0,
    )


@given(charges=st.tuples(MONEY, MONEY, MONEY), money=st.one_of(st.integers(0, 3), MONEY))
def test_both_pay_in_the_same_order(charges: tuple[int, int, int], money: int) -> None:
    theirs = settlement.Charges(balancing=charges[0], fees=charges[1], incentive=charges[2]).up_to(money)
    assert paid_in_order(charges, money) == (theirs.balancing, theirs.fees, theirs.incentive)


@given(leaves=st.lists(st.binary(max_size=4), max_size=40))
def test_both_trees_have_one_root(leaves: list[bytes]) -> None:
    peaks: list[bytes] = []
    for count, leaf in enumerate(leaves):
        peaks = merkle.grown(peaks, count, leaf)
    assert own_market.tree_root(leaves) == merkle.root_of_peaks(peaks)


def test_the_root_of_nothing() -> None:
    assert own_market.tree_root([]) == sha256(b"").digest()
