"""The client's states: what is stored under which key, when it expires, freezes, is pruned, and what it proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_wire.errors import ChainError, OutOfGas
from cosmos_wire.protos import Any
from ibc_core import errors
from ibc_core.host import MemoryStore
from ibc_core.light_client import Height, LightClient, Proof, Status
from ibc_core.tendermint import build, states
from ibc_core.tendermint import errors as tm
from ibc_core.tendermint.client import TendermintClient
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.wire import ClientState, ConsensusState, Header, pack
from tests.tendermint.harness import CLIENT_ID, SPECS, TERMS, Host, client_state, copy_of, followed
from tests.tendermint.testgen import GENESIS_NS, SECOND_NS, LightChain, seal

PERIOD_NS = TERMS.trusting_period_ns


def height(number: int) -> Height:
    return Height(1, number)


def test_it_is_a_light_client() -> None:
    client: LightClient = TendermintClient()
    assert client.client_type == "07-tendermint"


# --- creation --------------------------------------------------------------------------------------------------------


def test_created_states_lie_where_ibc_go_puts_them() -> None:
    _, host = followed()
    order = b"iterateConsensusStates" + (1).to_bytes(8, "big") + (1).to_bytes(8, "big")
    assert sorted(host.dump()) == sorted(
        [
            b"clientState",
            b"consensusStates/1-1",
            b"consensusStates/1-1/processedHeight",
            b"consensusStates/1-1/processedTime",
            order,
        ]
    )
    assert host.dump()[order] == b"consensusStates/1-1"
    assert host.dump()[b"consensusStates/1-1/processedHeight"] == b"1-1"
    assert host.dump()[b"consensusStates/1-1/processedTime"] == host.time_ns.to_bytes(8, "big")
    assert host.client.processed(host.ctx, CLIENT_ID, height(1)) == (host.time_ns, 1)


def test_stored_bytes_are_those_of_gogoproto() -> None:
    """Non-nullable parts are written even when empty: an absent frozen height is `32 00`."""
    state = ClientState(chain_id="mga-1")
    host = Host(0)
    ClientStates(host.store, CLIENT_ID).set_client(state)
    stored = Any()
    stored.ParseFromString(host.dump()[b"clientState"])
    assert stored.type_url == "/ibc.lightclients.tendermint.v1.ClientState"
    assert stored.value == b"\x0a\x05mga-1" + bytes.fromhex("12001a0022002a0032003a00")
    ClientStates(host.store, CLIENT_ID).add_consensus(host.ctx, height(1), ConsensusState())
    stored.ParseFromString(host.dump()[b"consensusStates/1-1"])
    assert stored.value == bytes.fromhex("0a001200")


def spoil(name: str, value: object) -> Callable[[ClientState], None]:
    def change(state: ClientState) -> None:
        setattr(state, name, value)

    return change


def trust(numerator: int, denominator: int) -> Callable[[ClientState], None]:
    def change(state: ClientState) -> None:
        state.trust_level.numerator, state.trust_level.denominator = numerator, denominator

    return change


def span(name: str, seconds: int, nanos: int = 0) -> Callable[[ClientState], None]:
    def change(state: ClientState) -> None:
        getattr(state, name).seconds, getattr(state, name).nanos = seconds, nanos

    return change


def latest(revision: int, number: int) -> Callable[[ClientState], None]:
    def change(state: ClientState) -> None:
        state.latest_height.revision_number, state.latest_height.revision_height = revision, number

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (spoil("chain_id", " "), tm.InvalidChainID),
        (spoil("chain_id", "x" * 49 + "-1"), tm.InvalidChainID),
        (latest(2, 1), tm.InvalidHeaderHeight),
        (latest(1, 0), tm.InvalidHeaderHeight),
        (spoil("chain_id", "mga"), tm.InvalidHeaderHeight),
        (trust(1, 4), tm.InvalidTrustLevel),
        (trust(4, 3), tm.InvalidTrustLevel),
        (trust(0, 0), tm.InvalidTrustLevel),
        (trust(2**64 - 1, 2**63), tm.InvalidTrustLevel),
        (span("trusting_period", 0), tm.InvalidTrustingPeriod),
        (span("trusting_period", -1), tm.InvalidTrustingPeriod),
        (span("trusting_period", 1, -1), tm.InvalidTrustingPeriod),
        (span("trusting_period", 10**11), tm.InvalidTrustingPeriod),
        (span("trusting_period", 150), tm.InvalidTrustingPeriod),
        (span("unbonding_period", 0), tm.InvalidUnbondingPeriod),
        (span("max_clock_drift", 0), tm.InvalidMaxClockDrift),
        (lambda state: state.ClearField("proof_specs"), tm.InvalidProofSpecs),
        (lambda state: state.upgrade_path.append(" "), errors.InvalidClient),
    ],
)
def test_bad_client_states_are_refused(change: Callable[[ClientState], None], expected: type[ChainError]) -> None:
    chain = LightChain("mga-1", "ab")
    state = client_state()
    change(state)
    host = Host(chain.time_ns)
    with pytest.raises(expected):
        host.client.initialise(host.ctx, CLIENT_ID, pack(state), pack(chain.at(1).consensus))
    assert host.dump() == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.root.ClearField("hash"),
        lambda state: state.ClearField("root"),
        lambda state: state.ClearField("timestamp"),
        lambda state: setattr(state.timestamp, "seconds", -5),
        lambda state: setattr(state.timestamp, "nanos", 10**9),
        lambda state: setattr(state, "next_validators_hash", bytes(31)),
    ],
)
def test_bad_consensus_states_are_refused(change: Callable[[ConsensusState], None]) -> None:
    chain = LightChain("mga-1", "ab")
    consensus = chain.at(1).consensus
    change(consensus)
    host = Host(chain.time_ns)
    with pytest.raises(errors.InvalidConsensus):
        host.client.initialise(host.ctx, CLIENT_ID, pack(client_state()), pack(consensus))


def test_states_of_another_type_or_broken_bytes_are_refused() -> None:
    chain = LightChain("mga-1", "ab")
    host, good = Host(chain.time_ns), pack(chain.at(1).consensus)
    with pytest.raises(errors.InvalidClientType):
        host.client.initialise(host.ctx, CLIENT_ID, good, good)
    torn, more = Any(type_url=pack(client_state()).type_url, value=b"\x0a\xff"), pack(client_state())
    more.value += b"\xfa\x01\x01x"
    with pytest.raises(errors.IbcUnpackAny):
        host.client.initialise(host.ctx, CLIENT_ID, torn, good)
    with pytest.raises(errors.IbcUnpackAny, match="unknown fields"):
        host.client.initialise(host.ctx, CLIENT_ID, more, good)


# --- updates ---------------------------------------------------------------------------------------------------------


def test_adjacent_and_skipping_updates() -> None:
    chain, host = followed(blocks=9)
    assert host.submit(chain.update(1, 2)) == (height(2),)
    assert host.submit(chain.update(2, 9)) == (height(9),)
    assert host.client.latest_height(host.ctx, CLIENT_ID) == height(9)
    assert host.client.timestamp_ns(host.ctx, CLIENT_ID, height(9)) == GENESIS_NS + 8 * SECOND_NS
    with pytest.raises(errors.ConsensusStateNotFound):
        host.client.timestamp_ns(host.ctx, CLIENT_ID, height(5))


def test_an_update_in_the_past_fills_a_gap_and_keeps_the_latest_height() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 5))
    assert host.submit(chain.update(1, 3)) == (height(3),)
    assert host.client.latest_height(host.ctx, CLIENT_ID) == height(5)
    assert host.client.status(host.ctx, CLIENT_ID) is Status.ACTIVE


def test_a_header_that_is_known_changes_nothing() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 3))
    before = host.dump()
    host.height, host.time_ns = 7, host.time_ns + 1
    assert host.submit(chain.update(1, 3)) == (height(3),)
    assert host.dump() == before


def test_processed_time_and_height_are_the_hosts() -> None:
    chain, host = followed()
    host.height, host.time_ns = 42, host.time_ns + 5
    host.submit(chain.update(1, 3))
    assert host.client.processed(host.ctx, CLIENT_ID, height(3)) == (host.time_ns, 42)
    assert host.dump()[b"consensusStates/1-3/processedHeight"] == b"1-42"
    with pytest.raises(tm.ProcessedTimeNotFound):
        host.client.processed(host.ctx, CLIENT_ID, height(4))


def test_validators_change_step_by_step() -> None:
    chain = LightChain("mga-1", "abcd")
    for names in ("bcde", "cdef", "defg", "efgh"):
        chain.next_block(b"x" * 32, next_names=names)
    chain.next_block(b"x" * 32)
    host = Host(chain.time_ns)
    host.create(chain)
    with pytest.raises(errors.InvalidHeader, match="cant trust new val set"):
        host.submit(chain.update(1, 6))
    for number in range(1, 6):
        host.submit(chain.update(number, number + 1))
    assert host.client.latest_height(host.ctx, CLIENT_ID) == height(6)


def test_one_expired_consensus_state_is_pruned_an_update() -> None:
    chain, host = followed(blocks=4)
    host.submit(chain.update(1, 2))
    host.submit(chain.update(2, 3))
    chain.next_block(b"y" * 32, GENESIS_NS + 60 * SECOND_NS)
    host.time_ns = chain.time_ns
    host.submit(chain.update(3, 6))
    host.time_ns = GENESIS_NS + PERIOD_NS + SECOND_NS  # blocks 1 and 2 have expired by now
    chain.next_block(b"z" * 32, host.time_ns)
    host.submit(chain.update(6, 7))
    assert not [key for key in host.dump() if b"1-1" in key or key.endswith(b"\x00\x01")]
    assert b"consensusStates/1-2" in host.dump()
    chain.next_block(b"z" * 32)
    host.submit(chain.update(7, 8))
    assert b"consensusStates/1-2" not in host.dump()
    assert b"consensusStates/1-6" in host.dump()


class Meter:
    """Counts, and has a limit."""

    def __init__(self, limit: int) -> None:
        self.used, self.limit = 0, limit

    def consume(self, amount: int, what: str) -> None:
        self.used += amount
        if self.used > self.limit:
            raise OutOfGas(what)


def test_signatures_are_paid_for_before_they_are_checked() -> None:
    chain, host = followed()
    update = chain.update(1, 3)
    evidence = build.misbehaviour(CLIENT_ID, update, forked(chain, 1, 3))
    for message, cost in ((pack(update), 4 * 600), (pack(evidence), 8 * 600)):
        meter = Meter(cost)
        host.client.verify_client_message(replace(host.ctx, gas=meter), CLIENT_ID, message)
        assert meter.used == cost
        with pytest.raises(OutOfGas):
            host.client.verify_client_message(replace(host.ctx, gas=Meter(cost - 1)), CLIENT_ID, message)


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_follows_the_block_time() -> None:
    chain, host = followed()
    assert host.client.status(host.ctx, "07-tendermint-9") is Status.UNKNOWN
    assert host.client.latest_height(host.ctx, "07-tendermint-9") == Height(0, 0)
    host.time_ns = GENESIS_NS + PERIOD_NS - 1
    assert host.client.status(host.ctx, CLIENT_ID) is Status.ACTIVE
    host.time_ns += 1
    assert host.client.status(host.ctx, CLIENT_ID) is Status.EXPIRED
    with pytest.raises(tm.TrustingPeriodExpired):
        host.submit(chain.update(1, 2))
    host.client.freeze(host.ctx, CLIENT_ID)
    assert host.client.status(host.ctx, CLIENT_ID) is Status.FROZEN  # frozen is the worse of the two


def test_messages_for_a_client_that_does_not_exist() -> None:
    chain, host = followed()
    with pytest.raises(errors.ClientNotFound):
        host.client.verify_client_message(host.ctx, "07-tendermint-9", pack(chain.update(1, 2)))
    proof = Proof(height=height(1), data=b"")
    with pytest.raises(errors.ClientNotFound):
        host.client.verify_membership(host.ctx, "07-tendermint-9", proof, b"k", b"v")


# --- misbehaviour ----------------------------------------------------------------------------------------------------


def forked(chain: LightChain, trusted: int, number: int, time_ns: int | None = None) -> Header:
    """Another block at the height, signed by the same validators."""
    message = copy_of(chain.update(trusted, number))
    head = message.signed_header.header
    head.app_hash = b"\xff" * 32
    if time_ns is not None:
        head.time.seconds, head.time.nanos = divmod(time_ns, SECOND_NS)
    message.signed_header.CopyFrom(seal(head, chain.at(number).members))
    return message


def is_frozen(host: Host) -> bool:
    return host.client.status(host.ctx, CLIENT_ID) is Status.FROZEN


def test_two_blocks_at_one_height_freeze_the_client() -> None:
    chain, host = followed()
    evidence = build.misbehaviour(CLIENT_ID, chain.update(1, 3), forked(chain, 1, 3))
    assert host.submit(evidence) == ()
    assert is_frozen(host)
    frozen = ClientStates(host.store, CLIENT_ID).client().frozen_height
    assert (frozen.revision_number, frozen.revision_height) == (0, 1)


@pytest.mark.parametrize("extra_s", [0, 1])  # block 4 is as late, or earlier
def test_time_that_stands_or_runs_backwards_freezes_the_client(extra_s: int) -> None:
    chain, host = followed()
    late = forked(chain, 1, 3, GENESIS_NS + (3 + extra_s) * SECOND_NS)
    assert host.submit(build.misbehaviour(CLIENT_ID, chain.update(1, 4), late)) == ()
    assert is_frozen(host)


def test_equal_headers_are_no_misbehaviour() -> None:
    chain, host = followed()
    before = host.dump()
    assert host.submit(build.misbehaviour(CLIENT_ID, chain.update(1, 3), chain.update(1, 3))) == ()
    assert host.submit(build.misbehaviour(CLIENT_ID, chain.update(1, 4), chain.update(1, 3))) == ()
    assert host.dump() == before
    assert not is_frozen(host)


def test_an_update_that_conflicts_with_a_stored_state_freezes() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 3))
    assert host.submit(forked(chain, 1, 3)) == ()
    assert is_frozen(host)


@pytest.mark.parametrize(("number", "shift_ns"), [(4, -2 * SECOND_NS), (4, -SECOND_NS), (2, SECOND_NS)])
def test_an_update_that_breaks_the_order_of_time_freezes(number: int, shift_ns: int) -> None:
    """Block 3 is known; another one before it is later, or one after it is not later."""
    chain, host = followed()
    host.submit(chain.update(1, 3))
    at_ns = GENESIS_NS + (number - 1) * SECOND_NS + shift_ns
    assert host.submit(forked(chain, 1, number, at_ns)) == ()
    assert is_frozen(host)


def test_an_update_between_its_neighbours_is_fine() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 3))
    host.submit(chain.update(1, 5))
    assert host.submit(chain.update(3, 4)) == (height(4),)


# --- order of heights ------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    heights=st.sets(
        st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 40), st.integers(0, 2**63 - 1))), max_size=12
    ),
    asked=st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 40), st.integers(0, 2**63 - 1))),
)
def test_neighbours_are_those_of_a_sorted_list(heights: set[tuple[int, int]], asked: tuple[int, int]) -> None:
    mine = ClientStates(MemoryStore(), CLIENT_ID)
    host = Host(1)
    for item in sorted(heights):
        mine.add_consensus(host.ctx, Height(*item), ConsensusState())
    # another client's states must not be seen
    ClientStates(mine.store, "07-tendermint-00").add_consensus(host.ctx, Height(1, 5), ConsensusState())
    below = [item for item in sorted(heights) if item < asked]
    above = [item for item in sorted(heights) if item > asked]
    assert mine.preceding(Height(*asked)) == (Height(*below[-1]) if below else None)
    assert mine.following(Height(*asked)) == (Height(*above[0]) if above else None)
    assert mine.oldest() == (Height(*min(heights)) if heights else None)


def test_the_nearest_of_many_is_found_in_few_steps() -> None:
    """A client that is updated every few seconds keeps hundreds of thousands of states."""
    mine, host = ClientStates(MemoryStore(), CLIENT_ID), Host(1)
    for number in range(1, 3_000):
        mine.add_consensus(host.ctx, height(number * 7), ConsensusState())
    asked = 0
    real = mine.store.iterate

    def counted(prefix: bytes, start: bytes = b"") -> object:
        nonlocal asked
        for pair in real(prefix, start):
            asked += 1
            yield pair

    mine.store.iterate = counted  # type: ignore[method-assign]  # a spy
    assert mine.preceding(height(10_000)) == height(9_996)
    assert asked < 20


def test_iteration_prefix_is_not_confused_by_client_names() -> None:
    assert states.ITERATION == b"iterateConsensusStates"


# --- proofs ----------------------------------------------------------------------------------------------------------


def test_proofs_need_a_known_height_not_above_the_latest() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 4))
    with pytest.raises(errors.IbcInvalidHeight, match=r"client state height < proof height \(1-4 < 1-5\)"):
        host.client.verify_membership(host.ctx, CLIENT_ID, Proof(height=height(5), data=b"x"), b"k", b"v")
    with pytest.raises(errors.ConsensusStateNotFound):
        host.client.verify_non_membership(host.ctx, CLIENT_ID, Proof(height=height(3), data=b"x"), b"k")


def test_proofs_are_handed_to_ics23_with_prefix_and_root(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, host = followed()
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("ibc_core.ics23.merkle.verify_membership", lambda *args: calls.append(args))
    monkeypatch.setattr("ibc_core.ics23.merkle.verify_non_membership", lambda *args: calls.append(args))
    proof = replace(Proof(height=height(1), data=b"proof"), prefix=b"other")
    host.client.verify_membership(host.ctx, CLIENT_ID, proof, b"key", b"value")
    host.client.verify_non_membership(host.ctx, CLIENT_ID, proof, b"key")
    root = chain.at(1).header.app_hash
    assert [list(call[0]) for call in calls] == [list(SPECS)] * 2  # type: ignore[call-overload]  # specs
    assert calls[0][1:] == (root, (b"other", b"key"), b"proof", b"value")
    assert calls[1][1:] == (root, (b"other", b"key"), b"proof")
