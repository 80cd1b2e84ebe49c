"""The adversary's list, by hand: one line a trick, the refusal it gets, and nothing written."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest

from cosmos_wire import canonical, ed25519
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, cmt_validator
from ibc_core import errors
from ibc_core.errors import InvalidHeader
from ibc_core.tendermint import build, verifier
from ibc_core.tendermint import errors as tm
from ibc_core.tendermint.validators import TOTAL_POWER_MAX, read_validator_set
from ibc_core.tendermint.wire import Header, Misbehaviour, pack
from tests.tendermint.harness import CLIENT_ID, TERMS, Host, copy_of, followed
from tests.tendermint.testgen import SECOND_NS, LightChain, Members, resign, seal, seed_of, sign_commit, validator_of

TARGET = 4  # the block that is attacked; the client trusts block 1


class Attack:
    """A good update to break."""

    def __init__(self, names: str = "abcd") -> None:
        self.chain, self.host = followed(names)
        self.members = self.chain.at(TARGET).members
        self.message = copy_of(self.chain.update(1, TARGET))

    @property
    def header(self):  # type: ignore[no-untyped-def]  # a field of a message
        return self.message.signed_header.header

    @property
    def commit(self):  # type: ignore[no-untyped-def]  # a field of a message
        return self.message.signed_header.commit

    def seal(self, members: Members | None = None) -> None:
        """Hash and sign the changed header."""
        self.message.signed_header.CopyFrom(seal(self.header, members or self.members))


Trick = Callable[[Attack], None]


def duplicate_signer(it: Attack) -> None:
    """One trusted validator's vote in all places: 4 times 10 of 40, were it counted each time."""
    vote = it.commit.signatures[0]
    for index in range(1, 4):
        it.commit.signatures[index].CopyFrom(vote)


def duplicate_validator(it: Attack) -> None:
    """A set that holds its one signer four times."""
    alone = [validator_of(it.members.names[0])] * 4
    it.message.validator_set.CopyFrom(build.validator_set(alone))
    it.header.validators_hash = canonical.validator_set_hash(alone)
    it.seal()
    for index in range(4):
        it.commit.signatures[index].validator_address = alone[0].address
        resign("mga-1", it.commit, index, it.members.names[0])


def other_chains_signatures(it: Attack) -> None:
    sign_commit("mgx-1", it.commit, it.members, it.header.time)


def other_chain(it: Attack) -> None:
    it.header.chain_id = "mgx-1"
    it.seal()


def other_revision(it: Attack) -> None:
    it.header.chain_id = "mga-2"
    it.seal()


def nil_votes(it: Attack) -> None:
    """Two of four voted nil, properly: 20 of 40 for the block."""
    for index in (0, 1):
        it.commit.signatures[index].block_id_flag = cmt_validator.BLOCK_ID_FLAG_NIL
        resign("mga-1", it.commit, index, it.members.names[index])


def nil_votes_sold_as_votes(it: Attack) -> None:
    """Signatures over nil, flagged as votes for the block."""
    nil_votes(it)
    for index in (0, 1):
        it.commit.signatures[index].block_id_flag = cmt_validator.BLOCK_ID_FLAG_COMMIT


def exactly_two_thirds(it: Attack) -> None:
    sign_commit("mga-1", it.commit, it.members, it.header.time, absent=it.members.names[2:])


def absent_with_signature(it: Attack) -> None:
    it.commit.signatures[0].block_id_flag = cmt_validator.BLOCK_ID_FLAG_ABSENT


def unknown_flag(it: Attack) -> None:
    it.commit.signatures[0].block_id_flag = 7


def other_vote_time(it: Attack) -> None:
    it.commit.signatures[0].timestamp.nanos += 1


def impossible_vote_time(it: Attack) -> None:
    it.commit.signatures[0].timestamp.nanos = -1


def other_round(it: Attack) -> None:
    it.commit.round = 1


def swapped_votes(it: Attack) -> None:
    first, second = it.commit.signatures[0].signature, it.commit.signatures[1].signature
    it.commit.signatures[0].signature, it.commit.signatures[1].signature = second, first


def swapped_entries(it: Attack) -> None:
    entries = [it.commit.signatures[index] for index in (1, 0, 2, 3)]
    del it.commit.signatures[:]
    it.commit.signatures.extend(entries)


def missing_entry(it: Attack) -> None:
    del it.commit.signatures[-1]


def no_entries(it: Attack) -> None:
    del it.commit.signatures[:]


def many_entries(it: Attack) -> None:
    last = it.commit.signatures[-1]
    it.commit.signatures.extend([last] * verifier.SIGNATURES_MAX)


def other_block_signed(it: Attack) -> None:
    it.message.signed_header.commit.CopyFrom(it.chain.at(3).signed.commit)


def changed_app_hash(it: Attack) -> None:
    it.header.app_hash = b"\xff" * 32


def strangers(it: Attack) -> None:
    """A block that four strangers made up."""
    members = Members(dict.fromkeys("wxyz", 10))
    it.header.validators_hash = members.hash
    it.message.validator_set.CopyFrom(members.message)
    it.seal(members)


def too_little_overlap(it: Attack) -> None:
    """One of four trusted ones helps: 10 of 40 is not above a third."""
    members = Members(dict.fromkeys("axyz", 10))
    it.header.validators_hash = members.hash
    it.message.validator_set.CopyFrom(members.message)
    it.seal(members)


def set_that_is_not_named(it: Attack) -> None:
    it.message.validator_set.CopyFrom(Members(dict.fromkeys("wxyz", 10)).message)


def other_power(it: Attack) -> None:
    it.message.validator_set.validators[0].voting_power = 100


def no_set(it: Attack) -> None:
    it.message.ClearField("validator_set")


def no_trusted_set(it: Attack) -> None:
    it.message.ClearField("trusted_validators")


def own_trusted_set(it: Attack) -> None:
    it.message.trusted_validators.CopyFrom(Members(dict.fromkeys("wxyz", 10)).message)


def no_proposer(it: Attack) -> None:
    it.message.validator_set.ClearField("proposer")


def foreign_proposer(it: Attack) -> None:
    it.message.validator_set.proposer.CopyFrom(validator_of("z"))


def foreign_key(it: Attack) -> None:
    it.message.validator_set.validators[0].pub_key.ed25519 = ed25519.public_key(seed_of("z"))


def short_key(it: Attack) -> None:
    it.message.validator_set.validators[0].pub_key.ed25519 = bytes(31)


def huge_power(it: Attack) -> None:
    for each in it.message.validator_set.validators:
        each.voting_power = TOTAL_POWER_MAX // 2


def wrapping_power(it: Attack) -> None:
    for each in it.message.validator_set.validators:
        each.voting_power = 2**63 - 1


def negative_power(it: Attack) -> None:
    it.message.validator_set.validators[0].voting_power = -1


def height_zero(it: Attack) -> None:
    it.header.height = it.commit.height = 0
    it.seal()


def not_newer(it: Attack) -> None:
    it.message.trusted_height.revision_height = TARGET


def trusted_height_unknown(it: Attack) -> None:
    it.message.trusted_height.revision_height = 2


def trusted_height_of_other_revision(it: Attack) -> None:
    it.message.trusted_height.revision_number = 0


def from_the_future(it: Attack) -> None:
    at_ns = it.host.time_ns + TERMS.max_clock_drift_ns
    it.header.time.seconds, it.header.time.nanos = divmod(at_ns, SECOND_NS)
    it.seal()


def from_the_past(it: Attack) -> None:
    it.header.time.CopyFrom(it.chain.at(1).header.time)
    it.seal()


def no_time(it: Attack) -> None:
    it.header.ClearField("time")
    it.seal()


def trusted_state_too_old(it: Attack) -> None:
    it.host.time_ns = it.chain.at(1).consensus.timestamp.seconds * SECOND_NS + TERMS.trusting_period_ns


def block_protocol(it: Attack) -> None:
    it.header.version.block = 12
    it.seal()


def long_hash(it: Attack) -> None:
    it.header.data_hash = bytes(33)
    it.seal()


def empty_message(it: Attack) -> None:
    it.message.Clear()


def no_header(it: Attack) -> None:
    it.message.signed_header.ClearField("header")


def no_commit(it: Attack) -> None:
    it.message.signed_header.ClearField("commit")


TRICKS: list[tuple[Trick, type[ChainError]]] = [
    (duplicate_signer, InvalidHeader),
    (duplicate_validator, tm.InvalidValidatorSet),
    (other_chains_signatures, InvalidHeader),
    (other_chain, InvalidHeader),
    (other_revision, tm.InvalidHeaderHeight),
    (nil_votes, InvalidHeader),
    (nil_votes_sold_as_votes, InvalidHeader),
    (exactly_two_thirds, InvalidHeader),
    (absent_with_signature, InvalidHeader),
    (unknown_flag, InvalidHeader),
    (other_vote_time, InvalidHeader),
    (impossible_vote_time, InvalidHeader),
    (other_round, InvalidHeader),
    (swapped_votes, InvalidHeader),
    (swapped_entries, InvalidHeader),
    (missing_entry, InvalidHeader),
    (no_entries, InvalidHeader),
    (many_entries, InvalidHeader),
    (other_block_signed, InvalidHeader),
    (changed_app_hash, InvalidHeader),
    (strangers, InvalidHeader),
    (too_little_overlap, InvalidHeader),
    (set_that_is_not_named, InvalidHeader),
    (other_power, InvalidHeader),
    (no_set, InvalidHeader),
    (no_trusted_set, tm.InvalidValidatorSet),
    (own_trusted_set, tm.InvalidValidatorSet),
    (no_proposer, tm.InvalidValidatorSet),
    (foreign_proposer, tm.InvalidValidatorSet),
    (foreign_key, tm.InvalidValidatorSet),
    (short_key, tm.InvalidValidatorSet),
    (huge_power, tm.InvalidValidatorSet),
    (wrapping_power, tm.InvalidValidatorSet),
    (negative_power, tm.InvalidValidatorSet),
    (height_zero, InvalidHeader),
    (not_newer, tm.InvalidHeaderHeight),
    (trusted_height_unknown, errors.ConsensusStateNotFound),
    (trusted_height_of_other_revision, errors.ConsensusStateNotFound),
    (from_the_future, InvalidHeader),
    (from_the_past, InvalidHeader),
    (no_time, InvalidHeader),
    (trusted_state_too_old, tm.TrustingPeriodExpired),
    (block_protocol, InvalidHeader),
    (long_hash, InvalidHeader),
    (empty_message, InvalidHeader),
    (no_header, InvalidHeader),
    (no_commit, InvalidHeader),
]


def test_the_untouched_update_is_accepted() -> None:
    it = Attack()
    assert it.host.submit(it.message)


@pytest.mark.parametrize(("trick", "expected"), TRICKS, ids=lambda each: getattr(each, "__name__", ""))
def test_trick_is_refused(trick: Trick, expected: type[ChainError]) -> None:
    it = Attack()
    trick(it)
    before = it.host.dump()
    with pytest.raises(expected) as caught:
        it.host.submit(it.message)
    assert caught.type is expected
    assert str(caught.value)
    assert it.host.dump() == before


def test_next_block_needs_the_announced_validators() -> None:
    """One step on, an overlap is not enough: three of four trusted ones sign, and a set that was not announced."""
    chain, host = followed()
    message, members = copy_of(chain.update(1, 2)), Members(dict.fromkeys("abcz", 10))
    message.signed_header.header.validators_hash = members.hash
    message.validator_set.CopyFrom(members.message)
    message.signed_header.CopyFrom(seal(message.signed_header.header, members))
    with pytest.raises(InvalidHeader, match="next validators"):
        host.submit(message)


@pytest.mark.parametrize("value", [b"\x0a\x05abc", b"\xff" * 9, b"\x0a", b"\x08\x01"])
def test_bytes_that_are_no_header(value: bytes) -> None:
    _, host = followed()
    with pytest.raises((errors.IbcUnpackAny, InvalidHeader)):
        host.submit(Any(type_url=pack(Header()).type_url, value=value))


def test_unknown_fields_anywhere_in_a_header_are_refused() -> None:
    it = Attack()
    raw, inside = it.message.SerializeToString(), it.message.trusted_height.SerializeToString()
    extra = b"\x78\x01"  # field 15
    longer = bytes([0x1A, len(inside) + len(extra)]) + inside + extra
    deeper = raw.replace(bytes([0x1A, len(inside)]) + inside, longer)
    assert Header.FromString(deeper).trusted_height.revision_height == 1
    for value in (raw + extra, deeper):
        with pytest.raises(errors.IbcUnpackAny, match="unknown fields"):
            it.host.submit(Any(type_url=pack(it.message).type_url, value=value))


@pytest.mark.parametrize(
    "type_url", ["", "/ibc.lightclients.tendermint.v1.ClientState", "ibc.lightclients.tendermint.v1.Header"]
)
def test_other_types_are_refused(type_url: str) -> None:
    it = Attack()
    with pytest.raises(errors.InvalidClientType):
        it.host.submit(Any(type_url=type_url, value=it.message.SerializeToString()))


# --- false accusations -----------------------------------------------------------------------------------------------


def accusation() -> tuple[LightChain, Host, Misbehaviour]:
    chain, host = followed()
    other = copy_of(chain.update(1, TARGET))
    other.signed_header.header.app_hash = b"\xff" * 32
    other.signed_header.CopyFrom(seal(other.signed_header.header, chain.at(TARGET).members))
    return chain, host, build.misbehaviour(CLIENT_ID, chain.update(1, TARGET), other)


def reseal(header: Header, names: str) -> None:
    members = Members(dict.fromkeys(names, 10))
    header.signed_header.header.validators_hash = members.hash
    header.validator_set.CopyFrom(members.message)
    header.signed_header.CopyFrom(seal(header.signed_header.header, members))


def by_strangers(it: Misbehaviour) -> None:
    reseal(it.header_2, "wxyz")


def by_too_few(it: Misbehaviour) -> None:
    reseal(it.header_2, "axyz")


def unsigned(it: Misbehaviour) -> None:
    for each in it.header_2.signed_header.commit.signatures:
        each.signature = bytes(64)


def by_half(it: Misbehaviour) -> None:
    """Enough for the trusted set, too few for its own."""
    signed, members = it.header_2.signed_header, Members(dict.fromkeys("abcd", 10))
    sign_commit("mga-1", signed.commit, members, signed.header.time, absent=members.names[2:])


def chains_differ(it: Misbehaviour) -> None:
    it.header_2.signed_header.header.chain_id = "mgx-1"
    it.header_2.signed_header.CopyFrom(seal(it.header_2.signed_header.header, Members(dict.fromkeys("abcd", 10))))


def both_of_another_chain(it: Misbehaviour) -> None:
    for each in (it.header_1, it.header_2):
        each.signed_header.header.chain_id = "mgx-1"
        each.signed_header.CopyFrom(seal(each.signed_header.header, Members(dict.fromkeys("abcd", 10))))


def wrong_order(it: Misbehaviour) -> None:
    it.header_1.CopyFrom(followed()[0].update(1, 3))


def no_trusted_height(it: Misbehaviour) -> None:
    it.header_1.trusted_height.revision_height = 0


def no_trusted_validators(it: Misbehaviour) -> None:
    it.header_2.ClearField("trusted_validators")


def only_one(it: Misbehaviour) -> None:
    it.ClearField("header_2")


def own_trust(it: Misbehaviour) -> None:
    it.header_2.trusted_validators.CopyFrom(Members(dict.fromkeys("wxyz", 10)).message)


def unknown_height(it: Misbehaviour) -> None:
    it.header_2.trusted_height.revision_height = 2


def bad_client_id(it: Misbehaviour) -> None:
    it.client_id = "x/y"


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        (by_strangers, errors.InvalidMisbehaviour, "too much change"),
        (by_too_few, errors.InvalidMisbehaviour, "too much change"),
        (by_half, errors.InvalidMisbehaviour, "did not commit"),
        (unsigned, errors.InvalidMisbehaviour, "wrong signature"),
        (chains_differ, errors.InvalidMisbehaviour, "identical chainIDs"),
        (both_of_another_chain, errors.InvalidMisbehaviour, "another chain"),
        (wrong_order, errors.InvalidMisbehaviour, "less than Header2"),
        (no_trusted_height, tm.InvalidHeaderHeight, "zero revision height"),
        (no_trusted_validators, tm.InvalidValidatorSet, "cannot be empty"),
        (only_one, tm.InvalidHeader, "cannot be nil"),
        (own_trust, tm.InvalidValidatorSet, "do not hash"),
        (unknown_height, errors.ConsensusStateNotFound, "1-2"),
        (bad_client_id, errors.InvalidIdentifier, "client ID"),
    ],
)
def test_false_accusation_is_refused(
    change: Callable[[Misbehaviour], None], expected: type[ChainError], why: str
) -> None:
    _, host, message = accusation()
    change(message)
    before = host.dump()
    with pytest.raises(expected, match=why):
        host.submit(message)
    assert host.dump() == before


def test_stale_accusation_is_refused() -> None:
    chain, host, message = accusation()
    host.time_ns = chain.at(1).consensus.timestamp.seconds * SECOND_NS + TERMS.trusting_period_ns
    with pytest.raises(tm.TrustingPeriodExpired):
        host.submit(message)


# --- torn bytes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_torn_bytes_are_refused_or_mean_the_same(seed: int) -> None:
    """Nothing but a refusal comes out; what is accepted (changes in what no hash covers) stores the true state."""
    rng = random.Random(seed)
    chain, host, evidence = accusation()
    good = [pack(chain.update(1, TARGET)), pack(evidence)]
    host.submit(good[0])
    expected = host.dump()[b"consensusStates/1-4"]
    for _ in range(250):
        torn = Any()
        torn.CopyFrom(rng.choice(good))
        torn.value = torn_bytes(rng, torn.value)
        fresh = Host(host.time_ns)
        fresh.create(chain)
        with contextlib.suppress(ChainError):
            fresh.submit(torn)
        assert fresh.dump().get(b"consensusStates/1-4", expected) == expected, f"seed {seed}"


def torn_bytes(rng: random.Random, value: bytes) -> bytes:
    at, size = rng.randrange(len(value)), rng.choice((1, 1, 1, 8, 40))
    kind = rng.randrange(4)
    if kind == 0:
        return value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]
    if kind == 1:
        return value[:at] + value[at + size :]
    if kind == 2:
        return value[:at] + rng.randbytes(size) + value[at:]
    return value[:at] + value[at : at + size] * 2 + value[at + size :]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_two_hundred_validators_are_followed_and_one_more_is_not() -> None:
    names = [f"n{number}" for number in range(verifier.SIGNATURES_MAX)]
    for extra, accepted in (([], True), (["m"], False)):
        chain = LightChain("mga-1", [*names, *extra])
        chain.next_block(b"x" * 32)
        host = Host(chain.time_ns)
        host.create(chain)
        if accepted:
            assert host.submit(chain.update(1, 2))
        else:
            with pytest.raises(InvalidHeader, match="200 signatures"):
                host.submit(chain.update(1, 2))


def test_power_up_to_the_cap_is_counted() -> None:
    chain = LightChain("mga-1", {"a": TOTAL_POWER_MAX - 1, "b": 1})
    assert read_validator_set(chain.at(1).members.message).total_power == TOTAL_POWER_MAX
    chain.next_block(b"x" * 32)
    chain.next_block(b"x" * 32)
    host = Host(chain.time_ns)
    host.create(chain)
    assert host.submit(chain.update(1, 3))


def test_trust_level_times_power_beyond_64_bits_is_refused() -> None:
    chain = LightChain("mga-1", {"a": TOTAL_POWER_MAX})
    chain.next_block(b"x" * 32)
    chain.next_block(b"x" * 32)
    host = Host(chain.time_ns)
    host.create(
        chain,
        terms=build.Terms(
            trusting_period_ns=TERMS.trusting_period_ns,
            unbonding_period_ns=TERMS.unbonding_period_ns,
            max_clock_drift_ns=TERMS.max_clock_drift_ns,
            trust_level=(100, 200),
        ),
    )
    with pytest.raises(InvalidHeader, match="64 bits"):
        host.submit(chain.update(1, 3))
