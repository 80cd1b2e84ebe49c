"""Cases of ibc-go's 07-tendermint tests by their names, as far as the other files do not have them."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError
from ibc_core import errors
from ibc_core.light_client import Height, Status
from ibc_core.tendermint import build
from ibc_core.tendermint import errors as tm
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.wire import Header, Misbehaviour, check_client_state, pack
from tests.tendermint.harness import CLIENT_ID, TERMS, Host, client_state, copy_of, followed
from tests.tendermint.test_client import forked, is_frozen
from tests.tendermint.testgen import SECOND_NS, LightChain, Members, seal, sign_commit

# client_state_test.go


def test_chain_id_of_length_50_is_valid_and_of_51_is_not() -> None:
    state = client_state()
    for length, fine in ((50, True), (51, False)):
        state.chain_id = "x" * (length - 2) + "-1"
        if fine:
            check_client_state(state)
        else:
            with pytest.raises(tm.InvalidChainID):
                check_client_state(state)


def test_valid_client_with_nil_upgrade_path() -> None:
    state = client_state()
    state.ClearField("upgrade_path")
    check_client_state(state)
    assert not state.upgrade_path


# light_client_module_test.go


def test_client_status_without_consensus_state() -> None:
    _, host = followed()
    ClientStates(host.store, CLIENT_ID).delete_consensus(Height(1, 1))
    assert host.client.status(host.ctx, CLIENT_ID) is Status.EXPIRED


# update_test.go


def other_chain_id(header: Header, chain_id: str, names: str = "abcd") -> Header:
    """The header under another name of the chain, signed by these validators."""
    made, members = copy_of(header), Members(dict.fromkeys(names, 10))
    head = made.signed_header.header
    head.chain_id, head.validators_hash = chain_id, members.hash
    made.signed_header.CopyFrom(seal(head, members))
    made.validator_set.CopyFrom(members.message)
    return made


def test_header_height_revision_and_trusted_height_revision_mismatch() -> None:
    chain, host = followed()
    with pytest.raises(tm.InvalidHeaderHeight, match="header height revision 2 does not match trusted header revision"):
        host.submit(other_chain_id(chain.update(1, 3), "mga-2"))


def test_trusted_validators_are_looked_at_before_the_revision() -> None:
    chain, host = followed()
    header = other_chain_id(chain.update(1, 3), "mga-2")
    header.trusted_validators.CopyFrom(Members(dict.fromkeys("wxyz", 10)).message)
    with pytest.raises(tm.InvalidValidatorSet):
        host.submit(header)


def test_success_with_pruned_consensus_state_using_duplicate_header() -> None:
    chain, host = followed(blocks=2)
    host.submit(chain.update(1, 2))
    half_ns = TERMS.trusting_period_ns // 2
    chain.next_block(b"y" * 32, chain.at(1).consensus.timestamp.seconds * 10**9 + half_ns)
    host.time_ns = chain.time_ns
    host.submit(chain.update(2, 4))
    host.time_ns += half_ns + 2 * SECOND_NS  # blocks 1 and 2 have expired, 4 has not
    chain.next_block(b"z" * 32, host.time_ns)
    host.submit(chain.update(4, 5))
    assert b"consensusStates/1-1" not in host.dump()
    assert b"consensusStates/1-2" in host.dump()
    assert host.submit(chain.update(4, 5)) == (Height(1, 5),)
    assert b"consensusStates/1-2" not in host.dump()


# misbehaviour_handle_test.go, misbehaviour_test.go


def accused(one: Header, other: Header) -> Misbehaviour:
    return build.misbehaviour(CLIENT_ID, one, other)


def test_valid_misbehaviour_at_height_greater_than_last_consensus_state() -> None:
    chain, host = followed()
    assert host.submit(accused(chain.update(1, 5), forked(chain, 1, 5))) == ()
    assert is_frozen(host)


def test_valid_misbehaviour_with_different_trusted_heights() -> None:
    chain, host = followed()
    host.submit(chain.update(1, 3))
    assert host.submit(accused(chain.update(1, 5), forked(chain, 3, 5))) == ()
    assert is_frozen(host)


@pytest.mark.parametrize(
    ("followed_id", "accused_id"),
    [
        pytest.param("mga-3", "mga-2", id="valid misbehaviour at a previous revision"),
        pytest.param("mga-1", "mga-7", id="valid misbehaviour at a future revision"),
        pytest.param("mga", "mga", id="chain id without a revision"),
    ],
)
def test_misbehaviour_of_another_revision(followed_id: str, accused_id: str) -> None:
    chain = LightChain(followed_id, "abcd")
    for number in range(4):
        chain.next_block(bytes([number + 2]) * 32)
    host = Host(chain.time_ns)
    host.create(chain)
    first = chain.update(1, 4)
    first.trusted_height.revision_height = 1
    pair = [other_chain_id(header, accused_id) for header in (first, first)]
    pair[1].signed_header.header.app_hash = b"\xff" * 32
    pair[1].signed_header.CopyFrom(seal(pair[1].signed_header.header, Members(dict.fromkeys("abcd", 10))))
    evidence = Misbehaviour(client_id=CLIENT_ID, header_1=pair[0], header_2=pair[1])
    if accused_id == "mga-2":
        with pytest.raises(errors.InvalidMisbehaviour, match="must be less than header height"):
            host.submit(evidence)  # trusted at revision 3: no header of revision 2 can follow it
        for header in (evidence.header_1, evidence.header_2):
            header.trusted_height.revision_number = 2
        store = ClientStates(host.store, CLIENT_ID)
        store.add_consensus(host.ctx, Height(2, 1), store.consensus(Height(3, 1)))
    assert host.submit(evidence) == ()
    assert is_frozen(host)


def test_header_1_valset_has_too_much_change_and_both() -> None:
    chain, host = followed()
    good, bad = chain.update(1, 3), other_chain_id(forked(chain, 1, 3), "mga-1", "wxyz")
    worse = other_chain_id(chain.update(1, 3), "mga-1", "stuv")
    for one, other in ((bad, good), (bad, worse)):
        with pytest.raises(errors.InvalidMisbehaviour, match="too much change"):
            host.submit(Misbehaviour(client_id=CLIENT_ID, header_1=one, header_2=other))
    assert not is_frozen(host)


def test_header_1_doesnt_have_two_thirds_majority() -> None:
    chain, host = followed()
    weak, members = forked(chain, 1, 3), Members(dict.fromkeys("abcd", 10))
    signed = weak.signed_header
    sign_commit("mga-1", signed.commit, members, signed.header.time, absent=members.names[2:])
    with pytest.raises(errors.InvalidMisbehaviour, match="did not commit"):
        host.submit(Misbehaviour(client_id=CLIENT_ID, header_1=weak, header_2=chain.update(1, 3)))


def test_validators_sign_off_on_wrong_commit() -> None:
    chain, host = followed()
    wrong = forked(chain, 1, 3)
    wrong.signed_header.commit.block_id.hash = b"\x09" * 32
    with pytest.raises(errors.InvalidMisbehaviour, match="header 2 failed validation"):
        host.submit(Misbehaviour(client_id=CLIENT_ID, header_1=chain.update(1, 3), header_2=wrong))


# what the mempool sees before anything is paid for


def test_a_message_is_judged_by_itself_without_its_signatures() -> None:
    chain, host = followed()
    unsigned = copy_of(chain.update(1, 3))
    for entry in unsigned.signed_header.commit.signatures:
        entry.signature = bytes(64)
    host.client.check_message(pack(unsigned))
    host.client.check_message(pack(accused(unsigned, forked(chain, 1, 3))))
    broken = copy_of(unsigned)
    broken.signed_header.header.app_hash = b"\x01"
    for bad in (broken, accused(broken, unsigned)):
        with pytest.raises(ChainError):
            host.client.check_message(pack(bad))
