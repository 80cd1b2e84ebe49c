"""Ballots: hashes, masks and tallies as properties; the life of a ballot on a chain in memory."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import market as pb
from cosmos_wire.protos import market_query as query
from cosmos_wire.protos import market_tx as tx
from cosmos_wire.protos import registry as registry_pb
from cosmos_wire.protos import registry_query, registry_tx
from energy.market import ballot, keys, state
from energy.market.ballot import Ballot, Vote
from energy.market.gates import cast_votes
from energy.registry import Registry
from energy.registry import state as registered
from tests.energy.chain import ASK, BID, UTILITY, Chain

IN_BALLOT = pb.SLOT_STATE_BALLOT
SECURED, RESIDUAL = pb.SLOT_STATE_SECURED, pb.SLOT_STATE_RESIDUAL
POWERS = {bytes([n]) * 20: 10 for n in range(1, 5)}
A, B, C, D = POWERS
ENERGY = 4_000


def ring(contingencies: tuple[int, ...] = (), mode: int = registry_pb.SECURITY_MODE_BALLOT) -> registry_pb.Feeder:
    """Buses 0 to 3 in a ring."""
    branches = [
        registry_pb.Branch(from_bus=at, to_bus=(at + 1) % 4, r_pu_q30=2**22, x_pu_q30=2**22, s_max_W=20_000)
        for at in range(4)
    ]
    fields = {"s_base_W": 10_000, "v0_permille": 1000, "vmin_permille": 900, "vmax_permille": 1100}
    return registry_pb.Feeder(root_bus=0, branches=branches, mode=mode, contingencies=contingencies, **fields)


class VotingChain(Chain):
    """One whose validators can vote, with a ring in force from its first slot on."""

    def __init__(self, **changes: object) -> None:
        super().__init__(**changes)
        self.registry.votes = lambda _ctx: True
        self.handlers.update({route.request: route.handle for route in self.registry.messages().values()})
        self.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=ring()))

    def in_ballot(self, *, crossing: bool = True) -> int:
        self.block()
        slot = self.live()[-1] + 1
        self.until(slot, pb.SLOT_STATE_BIDDING)
        self.deliver(self.place(1, slot, BID, 60_000 if crossing else 30_000, ENERGY))
        self.deliver(self.place(2, slot, ASK, 40_000, ENERGY))
        while self.slot(slot).state < IN_BALLOT:
            self.block(200)
        return slot

    def vote(self, slot: int, yes: int, no: int = 0, n: int = 0) -> Vote:
        record = self.slot(slot)
        hashes = ballot.hashes(self.ctx(), slot)
        n = n or record.ballot.n
        return Vote(slot=slot, n=n, hash=hashes[n - 1], yes=yes, no=no)

    def bundle(self, votes: dict[bytes, Vote | None], powers: dict[bytes, int] = POWERS, step_ms: int = 100) -> None:
        """A block that brings these votes, before anything else."""
        self.height += 1
        self.now_ms += step_ms
        ctx = self.ctx()
        cast_votes(ctx, [Ballot(validator=who, power=power, vote=votes.get(who)) for who, power in powers.items()])
        self.market.begin_block(ctx)
        self.end()

    def ballot(self, slot: int) -> query.QueryBallotResponse:
        return self.query(query.QueryBallotRequest(slot=slot))

    def secured_event(self) -> tuple[str, str]:
        found = self.events_of("slot_secured")[-1]
        return found["candidate"], found["factor_permille"]


# --- pure --------------------------------------------------------------------------------------------------------


def test_the_chain_of_hashes_is_as_written_down() -> None:
    start = sha256(b"bsmg/ballot/1" + b"mga-1" + (7).to_bytes(8, "big")).digest()
    assert ballot.first_hash("mga-1", 7) == start
    row = (3).to_bytes(2, "big") + (-5).to_bytes(8, "big", signed=True) + (6).to_bytes(8, "big")
    assert ballot.next_hash(start, [(3, -5, 6)]) == sha256(start + row).digest()


schedules = st.lists(st.tuples(st.integers(0, 9), st.integers(-(10**12), 10**12), st.integers(-9, 9)), max_size=4)


@given(st.lists(schedules, min_size=1, max_size=4), st.lists(schedules, min_size=1, max_size=4))
def test_different_candidates_have_different_hashes(one: list[list[ballot.Bus]], two: list[list[ballot.Bus]]) -> None:
    def chained(rows: list[list[ballot.Bus]]) -> list[bytes]:
        made = [ballot.first_hash("mga-1", 1)]
        for schedule in rows:
            made.append(ballot.next_hash(made[-1], schedule))
        return made

    assert (chained(one) == chained(two)) == (one == two)


voters = st.lists(st.tuples(st.integers(1, 10**15), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)), max_size=9)


@given(voters, st.integers(1, 16))
def test_a_tally_counts_each_power_once_a_candidate(votes: list[tuple[int, int, int]], n: int) -> None:
    for number, (yes, no) in enumerate(ballot.tally(n, votes)):
        assert yes == sum(power for power, mask, _ in votes if mask >> number & 1)
        assert no == sum(power for power, _, mask in votes if mask >> number & 1)


@given(st.integers(1, 16), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_contradictions_and_unknown_candidates_are_abstentions(n: int, yes: int, no: int) -> None:
    vote = Vote(slot=1, n=n, hash=b"", yes=yes, no=no)
    counted = ballot.tally(16, [(1, *ballot.masks_of(vote))])
    for number, found in enumerate(counted):
        said = (yes >> number & 1, no >> number & 1) if number < n else (0, 0)
        assert found == ((0, 0) if said == (1, 1) else said)


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_approval_takes_more_than_two_thirds(yes: int, total: int) -> None:
    assert ballot.is_approved(yes, total) == (yes * 3 > total * 2)


def test_three_of_four_approve_and_two_do_not() -> None:
    assert ballot.is_approved(30, 40)
    assert not ballot.is_approved(20, 30)  # exactly two thirds
    assert not ballot.is_approved(20, 40)


# --- opening --------------------------------------------------------------------------------------------------------


def test_clear_opens_a_ballot_on_four_candidates() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    assert chain.slot(slot).state == IN_BALLOT
    (opened,) = chain.events_of("ballot_opened")
    found = chain.ballot(slot)
    assert (opened["n"], opened["hash"]) == ("4", found.ballot.hash.hex())
    assert [made.factor_permille for made in found.candidates] == [1000, 750, 500, 250]
    assert [row.p_mWh for row in found.candidates[1].buses] == [0, 3 * ENERGY // 4, -3 * ENERGY // 4, 0]
    h = ballot.first_hash("mga-1", slot)
    for made in found.candidates:
        h = ballot.next_hash(h, [(row.bus, row.p_mWh, row.q_mvarh) for row in made.buses])
        assert made.hash == h
    assert chain.slot(slot).ballot.opened_height == chain.height


def test_firm_orders_are_whole_in_every_candidate() -> None:
    chain = VotingChain()
    chain.block()
    slot = chain.live()[-1] + 1
    chain.until(slot, pb.SLOT_STATE_BIDDING)
    for cell, side, price, kind in ((1, BID, 60_000, pb.ORDER_KIND_FIRM), (2, ASK, 40_000, pb.ORDER_KIND_FLEXIBLE)):
        message = chain.place(cell, slot, side, price, ENERGY)
        message.kind = kind
        chain.deliver(message)
    while chain.slot(slot).state < IN_BALLOT:
        chain.block(200)
    last = chain.ballot(slot).candidates[3]
    assert [row.p_mWh for row in last.buses] == [0, ENERGY, -ENERGY // 4, 0]


def test_nothing_crosses_nobody_votes() -> None:
    chain = VotingChain()
    slot = chain.in_ballot(crossing=False)
    assert chain.slot(slot).state == SECURED
    assert not chain.slot(slot).HasField("ballot")


# --- votes --------------------------------------------------------------------------------------------------------


def test_three_of_four_secure_the_cleared_schedule_at_once() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({A: chain.vote(slot, 0b1111), B: chain.vote(slot, 0b1111)})
    assert chain.slot(slot).state == IN_BALLOT
    chain.bundle({C: chain.vote(slot, 0b0001)})
    assert chain.slot(slot).state in (SECURED, RESIDUAL)
    assert chain.secured_event() == ("0", "1000")
    record = chain.until(slot, RESIDUAL, 100)
    assert (record.factor_permille, record.ballot.chosen, record.ballot.total) == (1000, 0, 40)
    assert (record.ballot.tallies[0].yes, record.ballot.tallies[1].yes) == (30, 20)
    assert record.export_permille == 0
    assert not list(chain.store.iterate(keys.CANDIDATES)) + list(chain.store.iterate(keys.VOTES))


def test_what_is_sealed_is_the_schedule_that_was_voted_on() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    cut = chain.ballot(slot).candidates[1]
    chain.bundle({who: chain.vote(slot, 0b1110, 0b0001) for who in (A, B, C)})
    record = chain.until(slot, pb.SLOT_STATE_SEALED, 100)
    assert (record.voided, record.factor_permille, record.ballot.chosen) == (False, 750, 1)
    sealed = chain.query(query.QueryScheduleRequest(slot=slot))
    assert {b.bus: (b.p_mWh, b.q_mvarh) for b in sealed.buses} == {
        b.bus: (b.p_mWh, b.q_mvarh) for b in cut.buses if b.bus in (1, 2)
    }


def test_a_liar_changes_nothing() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    votes = {who: chain.vote(slot, 0b1100, 0b0011) for who in (A, B, C)}
    chain.bundle({**votes, D: chain.vote(slot, 0b0011, 0b1100)})
    record = chain.until(slot, RESIDUAL, 100)
    assert (record.factor_permille, record.ballot.chosen) == (500, 2)
    assert [(t.yes, t.no) for t in record.ballot.tallies] == [(10, 30), (10, 30), (30, 10), (30, 10)]


def test_a_liar_and_an_absent_one_leave_the_fallback_and_no_halt() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({A: chain.vote(slot, 15), B: chain.vote(slot, 15), D: chain.vote(slot, 0, 15)})
    record = chain.until(slot, RESIDUAL, 100)
    assert (record.factor_permille, record.ballot.HasField("chosen")) == (0, False)
    assert chain.secured_event() == ("none", "0")
    chain.until(slot, pb.SLOT_STATE_CLOSED, 500)


def test_nobody_votes_the_slot_goes_on() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    record = chain.until(slot, RESIDUAL, 500)
    assert (record.factor_permille, record.voided) == (0, False)


def test_the_latest_vote_counts() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({A: chain.vote(slot, 0, 15), B: chain.vote(slot, 15), C: chain.vote(slot, 15)}, step_ms=10)
    assert chain.slot(slot).state == IN_BALLOT
    chain.bundle({A: chain.vote(slot, 15)}, step_ms=10)
    assert chain.slot(slot).state in (SECURED, RESIDUAL)


def test_votes_on_fewer_candidates_stay_good_when_caps_come() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    old = {who: chain.vote(slot, 0b1000, 0b0111) for who in (A, B, C)}
    caps = [tx.BusCap(bus=1, side=BID, cap_mWh=ENERGY * 3 // 5)]
    chain.deliver(tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=1, caps=caps))
    assert chain.ballot(slot).ballot.n == 5
    assert chain.events_of("caps_judged")[-1]["code"] == "0"
    chain.bundle(old, step_ms=10)
    assert [t.yes for t in chain.slot(slot).ballot.tallies] == [0, 0, 0, 30, 0]
    chain.bundle({who: chain.vote(slot, 0b11000, 0b00111) for who in (B, C, D)}, step_ms=10)
    record = chain.until(slot, RESIDUAL, 100)
    assert (record.ballot.chosen, record.factor_permille) == (4, 1000)
    assert (record.clearing.volume_mWh, len(record.clearing.cuts)) == (ENERGY * 3 // 5, 1)
    sealed = chain.query(query.QueryScheduleRequest(slot=slot))
    assert {b.bus: b.p_mWh for b in sealed.buses} == {1: ENERGY * 3 // 5, 2: -ENERGY * 3 // 5}


def test_set_points_of_inverters_are_voted_on_and_adopted_with_their_caps() -> None:
    chain = VotingChain()
    cell = registered.cell(chain.ctx(), 2)
    cell.inverter_VA = 10_000
    registered.save_cell(chain.ctx(), cell)
    slot = chain.in_ballot()
    chain.deliver(tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=1, q=[tx.BusQ(bus=2, q_mvarh=-700)]))
    last = chain.ballot(slot).candidates[4]
    assert [row.q_mvarh for row in last.buses] == [0, 0, -700, 0]
    chain.bundle({who: chain.vote(slot, 0b10000, 0b01111) for who in (A, B, C)}, step_ms=10)
    assert chain.until(slot, RESIDUAL, 100).ballot.chosen == 4
    sealed = chain.query(query.QueryScheduleRequest(slot=slot))
    assert {b.bus: (b.p_mWh, b.q_mvarh) for b in sealed.buses} == {1: (ENERGY, 0), 2: (-ENERGY, -700)}


def test_the_last_forecast_stands_in_and_is_what_was_voted_on() -> None:
    chain = VotingChain()
    chain.block()
    first = chain.live()[-1] + 1
    chain.until(first, pb.SLOT_STATE_FORECAST)
    baseline = [tx.BusBaseline(bus=3, p_mWh=500, q_mvarh=60)]
    chain.deliver(tx.MsgPostForecast(utility=UTILITY, slot=first, floor_e4=20_000, cap_e4=80_000, buses=baseline))
    chain.until(first, pb.SLOT_STATE_SEALED, 100)
    slot = chain.in_ballot()
    row = chain.ballot(slot).candidates[0].buses[3]
    assert (row.bus, row.p_mWh, row.q_mvarh) == (3, 500, 60)


def test_of_two_approved_the_one_of_more_welfare_and_of_equals_the_first() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    half = [tx.BusCap(bus=1, side=BID, cap_mWh=ENERGY // 2)]
    chain.deliver(tx.MsgProposeCaps(utility=UTILITY, slot=slot, attempt=1, caps=half))
    chain.bundle({who: chain.vote(slot, 0b11100, 0b00011) for who in (A, B, C)}, step_ms=10)
    assert chain.until(slot, RESIDUAL, 100).ballot.chosen == 2  # candidate 4 is worth the same


@pytest.mark.parametrize("changes", [{"slot": 10**6}, {"hash": bytes(32)}, {"n": 0}, {"n": 5}, {"n": 3}])
def test_votes_that_name_something_else_change_nothing(changes: dict[str, object]) -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    good = chain.vote(slot, 15)
    fields = {"slot": slot, "n": good.n, "hash": good.hash, "yes": 15, "no": 0, **changes}
    chain.bundle({who: Vote(**fields) for who in POWERS}, step_ms=10)
    assert [t.yes for t in chain.slot(slot).ballot.tallies] == [0, 0, 0, 0]


def test_powers_are_those_of_the_last_commit() -> None:
    """D has left the set since it voted, E has joined, A has grown."""
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({D: chain.vote(slot, 0, 15), C: chain.vote(slot, 15)}, step_ms=10)
    now = {A: 50, B: 10, C: 10, b"\x09" * 20: 5}
    chain.bundle({A: chain.vote(slot, 15)}, now, step_ms=10)
    record = chain.slot(slot)
    assert (record.ballot.tallies[0].yes, record.ballot.tallies[0].no, record.ballot.total) == (60, 0, 75)
    assert record.state in (SECURED, RESIDUAL)


def test_a_halt_beyond_seal_voids_the_slot_and_leaves_no_keys() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({A: chain.vote(slot, 15)}, step_ms=10)
    chain.block(60_000)
    record = chain.slot(slot)
    assert (record.voided, record.factor_permille) == (True, 0)
    assert not list(chain.store.iterate(keys.CANDIDATES)) + list(chain.store.iterate(keys.VOTES))
    assert all(not entry.ballot_height for entry in state.live(chain.ctx()).slots)


def test_money_is_conserved_whatever_was_approved() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    chain.bundle({who: chain.vote(slot, 0b1000) for who in (A, B, C)}, step_ms=10)
    before = chain.held_in_all()
    chain.until(slot, pb.SLOT_STATE_CLOSED, 500)
    assert chain.held_in_all() == before


# --- feeders --------------------------------------------------------------------------------------------------------


def test_a_mesh_needs_votes() -> None:
    mute = Chain()
    with pytest.raises(ChainError) as caught:
        mute.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=ring()))
    assert caught.value.ident == ("registry", 6)
    doc = {"params": {"utility": UTILITY, "microgrid": "mga"}, "feeder": {"mode": "SECURITY_MODE_BALLOT"}}
    with pytest.raises(ChainError) as caught:
        Registry().init_genesis(mute.ctx(), doc)
    assert caught.value.ident == ("registry", 6)


@pytest.mark.parametrize(
    ("code", "feeder"),
    [
        (4, ring(contingencies=tuple([0] * 65))),
        (4, ring(contingencies=(4,))),
        (4, ring(mode=registry_pb.SECURITY_MODE_CHAIN)),
        (6, ring(mode=3)),
    ],
)
def test_feeders_that_are_refused(code: int, feeder: registry_pb.Feeder) -> None:
    with pytest.raises(ChainError) as caught:
        VotingChain().deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
    assert caught.value.ident == ("registry", code)


def test_an_island_and_a_branch_without_impedance_are_refused() -> None:
    island, short = ring(), ring()
    island.branches.add(from_bus=8, to_bus=9, r_pu_q30=1, x_pu_q30=1, s_max_W=1)
    short.branches[0].r_pu_q30 = short.branches[0].x_pu_q30 = 0
    for feeder in (island, short):
        with pytest.raises(ChainError) as caught:
            VotingChain().deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
        assert caught.value.ident == ("registry", 4)


def test_sixty_four_contingencies_are_taken() -> None:
    feeder, chain = ring(contingencies=tuple([0] * 64)), VotingChain()
    chain.deliver(registry_tx.MsgSetFeeder(utility=UTILITY, feeder=feeder))
    chain.block()
    assert chain.query(registry_query.QueryFeederRequest()).feeder == feeder


def test_judges_are_asked_about_every_candidate_under_the_feeder_in_force() -> None:
    chain = VotingChain()
    slot = chain.in_ballot()
    asked = ballot.judge_requests(chain.ctx())
    assert [request.candidate.number for request in asked] == [0, 1, 2, 3]
    assert {request.digest for request in asked} == {ballot.judge_digest(ring(), 2)}
    assert {request.margin_permille for request in asked} == {2}
    chain.until(slot, RESIDUAL, 100)
    assert ballot.judge_requests(chain.ctx()) == []
