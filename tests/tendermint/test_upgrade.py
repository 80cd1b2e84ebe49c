"""MsgUpgradeClient over real proofs: ibc-go's case names (upgrade_test.go, client_test.go), our own cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Any, client_tx, commitment, ics23
from ibc_core import errors
from ibc_core.client import Clients, check_upgrade
from ibc_core.light_client import Height, Status
from ibc_core.state import encode, height_message
from ibc_core.tendermint import build
from ibc_core.tendermint import errors as tm
from ibc_core.tendermint.client import TendermintClient
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.times import duration, duration_ns
from ibc_core.tendermint.upgrade import scaled_period_ns, upgrade_path, zeroed
from ibc_core.tendermint.wire import ClientState, pack
from microgrid.store import StateDb, StoreOptions
from tests.tendermint.harness import CLIENT_ID, SPECS, TERMS, Host, client_state
from tests.tendermint.testgen import SECOND_NS, LightChain

OPTIONS = StoreOptions(stores=("ibc", "upgrade"), map_size=1 << 26, sync=False)
LAST = 2  # the old chain's last block: its header commits to the upgrade
SIGNER = to_bech32(b"\x07" * 20)


class Story:
    """A chain that halts for an upgrade, its successor, and a host that follows it."""

    def __init__(self, folder: Path) -> None:
        self.db = StateDb.open(folder, OPTIONS)
        self.old = LightChain("mga-1", "abcd")
        self.successor = LightChain("mga-2", "abcd", self.old.time_ns + 2 * SECOND_NS)
        self.own = client_state("mga-1", LAST)  # the host's client when the upgrade comes
        self.new = client_state("mga-2", 1, replace(TERMS, unbonding_period_ns=200 * SECOND_NS))
        self.consensus = self.successor.at(1).consensus
        self.committed_client: ClientState | None = None  # instead of what is asked for
        self.host = Host(0)
        self.message = client_tx.MsgUpgradeClient()

    def commit(self) -> None:
        """The last block of the old chain, the host's client at it, and an honest message."""
        keys = self.own.upgrade_path or build.UPGRADE_PATH
        committed = {
            "upgradedClient": zeroed(self.new) if self.committed_client is None else self.committed_client,
            "upgradedConsState": self.consensus,
        }
        places = {key: upgrade_path(keys, Height(1, LAST), key)[-1] for key in committed}
        stored = {places[key]: encode(pack(message)) for key, message in committed.items()}
        self.db.commit(self.db.put({"ibc": {b"k": b"v"}, "upgrade": stored}), 1, b"")
        self.old.next_block(self.db.app_hash)
        self.host.time_ns = self.old.time_ns + SECOND_NS
        trusted = self.old.at(LAST).consensus
        self.host.client.initialise(self.host.ctx, CLIENT_ID, pack(self.own), pack(trusted))
        self.message = client_tx.MsgUpgradeClient(
            client_id=CLIENT_ID,
            client_state=pack(self.new),
            consensus_state=pack(self.consensus),
            proof_upgrade_client=self.prove(places["upgradedClient"]),
            proof_upgrade_consensus_state=self.prove(places["upgradedConsState"]),
            signer=SIGNER,
        )

    def prove(self, key: bytes) -> bytes:
        with self.db.snapshot() as snapshot:
            _, ops = snapshot.prove("upgrade", key)
        proofs = [ics23.CommitmentProof.FromString(data) for _, _, data in ops]
        return commitment.MerkleProof(proofs=proofs).SerializeToString()

    def upgrade(self) -> None:
        check_upgrade(self.message)
        with self.host.ctx.branch() as ctx:
            Clients({TendermintClient.type_url: self.host.client}).upgrade(ctx, self.message)

    @property
    def states(self) -> ClientStates:
        return ClientStates(self.host.store, CLIENT_ID)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    made = Story(tmp_path / "db")
    yield made
    made.db.close()


def test_successful_upgrade(story: Story) -> None:
    story.commit()
    story.upgrade()
    state = story.states.client()
    assert (state.chain_id, state.latest_height, state.unbonding_period.seconds) == (
        "mga-2",
        height_message(Height(2, 1)),
        200,
    )
    assert (state.trusting_period, state.max_clock_drift) == (story.own.trusting_period, story.own.max_clock_drift)
    assert state.trust_level == story.own.trust_level
    assert story.host.client.status(story.host.ctx, CLIENT_ID) is Status.ACTIVE
    consensus = story.states.consensus(Height(2, 1))
    assert consensus.root.hash == b"sentinel_root"
    assert (consensus.timestamp, consensus.next_validators_hash) == (
        story.consensus.timestamp,
        story.consensus.next_validators_hash,
    )
    assert story.states.processed(Height(2, 1)) == (story.host.time_ns, 1)
    (event,) = [item for item in story.host.events if item.type == "upgrade_client"]
    assert dict(event.attributes) == {
        "client_id": CLIENT_ID,
        "client_type": "07-tendermint",
        "consensus_height": "2-1",
    }


def test_the_successor_is_followed_after_the_upgrade(story: Story) -> None:
    story.commit()
    story.upgrade()
    story.successor.next_block(b"\x05" * 32)
    story.host.time_ns = story.successor.time_ns
    assert story.host.submit(story.successor.update(1, 2)) == (Height(2, 2),)


def test_successful_upgrade_to_same_revision(story: Story) -> None:
    story.new = client_state("mga-1", LAST + 10)
    story.commit()
    story.upgrade()
    assert story.states.client().latest_height.revision_height == LAST + 10


def test_successful_upgrade_with_new_unbonding_period(story: Story) -> None:
    story.new = client_state("mga-2", 1, replace(TERMS, unbonding_period_ns=75 * SECOND_NS, trusting_period_ns=1))
    story.commit()
    story.upgrade()
    assert duration_ns(story.states.client().trusting_period) == 50 * SECOND_NS  # 100 s of 150 s are 50 s of 75 s


def test_what_the_relayer_puts_into_the_clients_own_fields_is_ignored(story: Story) -> None:
    """client-specified parameters do not match previous client"""
    story.commit()
    asked = client_state("mga-2", 1, replace(TERMS, unbonding_period_ns=200 * SECOND_NS, max_clock_drift_ns=7))
    asked.frozen_height.revision_height = 5
    story.message.client_state.CopyFrom(pack(asked))
    story.upgrade()
    assert story.states.client().max_clock_drift == story.own.max_clock_drift
    assert story.states.client().frozen_height.revision_height == 0


Change = Callable[[Story], None]


def nothing(_story: Story) -> None:
    """No change."""


def one_key(story: Story) -> None:
    """The lowest key alone: nobody says which tree it lies in."""
    story.own.upgrade_path[:] = ["upgradedIBCState"]


def no_path(story: Story) -> None:
    del story.own.upgrade_path[:]


def other_consensus(story: Story) -> None:
    consensus = story.successor.at(1).consensus
    consensus.next_validators_hash = b"\x07" * 32
    story.message.consensus_state.CopyFrom(pack(consensus))


def asked(**values: object) -> Change:
    def act(story: Story) -> None:
        state = ClientState()
        state.CopyFrom(story.new)
        for name, value in values.items():
            setattr(state, name, value)
        story.message.client_state.CopyFrom(pack(state))

    return act


def committed_whole(story: Story) -> None:
    story.committed_client = story.new


def new_height(revision: int, height: int) -> Change:
    def act(story: Story) -> None:
        story.new.latest_height.CopyFrom(height_message(Height(revision, height)))

    return act


def asked_height(story: Story) -> None:
    story.new.latest_height.revision_height += 10
    story.message.client_state.CopyFrom(pack(story.new))


def message(**values: object) -> Change:
    def act(story: Story) -> None:
        for name, value in values.items():
            if isinstance(value, Any):
                getattr(story.message, name).CopyFrom(value)
            else:
                setattr(story.message, name, value)

    return act


def proofs_swapped(story: Story) -> None:
    client, consensus = story.message.proof_upgrade_client, story.message.proof_upgrade_consensus_state
    story.message.proof_upgrade_client, story.message.proof_upgrade_consensus_state = consensus, client


def consensus_proof_of_client(story: Story) -> None:
    story.message.proof_upgrade_consensus_state = story.message.proof_upgrade_client


def no_proofs(story: Story) -> None:
    story.message.proof_upgrade_client = commitment.MerkleProof(proofs=[]).SerializeToString() or b"\x12\x00"


def latest_gone(story: Story) -> None:
    story.states.delete_consensus(Height(1, LAST))


def time_passes(story: Story) -> None:
    story.host.time_ns += TERMS.trusting_period_ns


def frozen(story: Story) -> None:
    story.host.client.freeze(story.host.ctx, CLIENT_ID)


def unbonding(seconds: int) -> Change:
    def act(story: Story) -> None:
        story.new.unbonding_period.CopyFrom(duration(seconds * SECOND_NS))

    return act


def equal_periods(story: Story) -> None:
    story.own.trusting_period.CopyFrom(duration(149 * SECOND_NS))
    story.new.unbonding_period.CopyFrom(duration(1))  # scaled, the trusting period is 0


REFUSED: list[tuple[str, Change, Change, type[ChainError]]] = [
    ("upgrade path not set", no_path, nothing, errors.InvalidUpgradeClient),
    ("upgrade consensus state must be tendermint consensus state", nothing,
     message(consensus_state=Any(type_url="/ibc.lightclients.solomachine.v2.ConsensusState")), errors.InvalidConsensus),
    ("upgrade client is not tendermint", nothing,
     message(client_state=Any(type_url="/ibc.lightclients.solomachine.v2.ClientState")), errors.InvalidClientType),
    ("upgrade client can't be read", nothing,
     message(client_state=Any(type_url="/ibc.lightclients.tendermint.v1.ClientState", value=b"\x0a")),
     errors.IbcUnpackAny),
    ("upgrade height revision height is more than the current client revision height", nothing, asked_height,
     errors.InvalidProof),
    ("committed client does not have zeroed custom fields", committed_whole, nothing, errors.InvalidProof),
    ("chain-specified parameters do not match committed client", nothing, asked(chain_id="mga-2x-2"),
     errors.InvalidProof),
    ("relayer-submitted consensus state does not match counterparty-committed consensus state", nothing,
     other_consensus, errors.InvalidProof),
    ("client proof unmarshal failed", nothing, message(proof_upgrade_client=b"proof"), errors.InvalidProof),
    ("consensus state proof unmarshal failed", nothing, message(proof_upgrade_consensus_state=b"proof"),
     errors.InvalidProof),
    ("client proof verification failed", nothing, proofs_swapped, errors.InvalidProof),
    ("consensus state proof verification failed", nothing, consensus_proof_of_client, errors.InvalidProof),
    ("client state merkle path is empty", one_key, nothing, errors.InvalidProof),
    ("upgraded height is not greater than current height", new_height(1, LAST), nothing, errors.IbcInvalidHeight),
    ("upgraded height is not greater: revision below", new_height(0, LAST + 9), nothing, errors.IbcInvalidHeight),
    ("consensus state for upgrade height cannot be found", nothing, latest_gone, errors.ClientNotActive),
    ("client is expired", nothing, time_passes, errors.ClientNotActive),
    ("client state is not active", nothing, frozen, errors.ClientNotActive),
    ("client state not found", nothing, message(client_id="07-tendermint-9"), errors.ClientNotActive),
    ("client of no type", nothing, message(client_id="08-wasm-0"), errors.RouteNotFound),
    ("client identifier", nothing, message(client_id="nonesuch"), errors.InvalidIdentifier),
    ("updated unbonding period is equal to trusting period", equal_periods, nothing, tm.InvalidTrustingPeriod),
    ("final client is not valid", unbonding(0), nothing, tm.InvalidTrustingPeriod),
    ("proof of upgrade client is empty", nothing, message(proof_upgrade_client=b""), errors.InvalidUpgradeClient),
    ("proof of upgrade consensus state is empty", nothing, message(proof_upgrade_consensus_state=b""),
     errors.InvalidUpgradeClient),
    ("proofs without a proof", nothing, message(proof_upgrade_client=b"\x0a\x00"), errors.InvalidMerkleProof),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "error"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_unsuccessful_upgrade(story: Story, before: Change, after: Change, error: type[ChainError]) -> None:
    before(story)
    story.commit()
    after(story)
    kept = story.host.dump()
    with pytest.raises(error):
        story.upgrade()
    assert story.host.dump() == kept


def test_the_refusal_names_the_client(story: Story) -> None:
    story.commit()
    proofs_swapped(story)
    with pytest.raises(
        errors.InvalidProof, match=r"^cannot upgrade client with ID 07-tendermint-0: .*: invalid proof$"
    ):
        story.upgrade()


@given(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1))
def test_the_trusting_period_is_scaled_as_legacy_dec_scales_it(trusting: int, before: int, after: int) -> None:
    """Decimal of 18 places, half to even, cut to whole nanoseconds."""
    with localcontext() as context:
        context.prec = 200
        exact = (Decimal(trusting) * after / before).quantize(Decimal("1e-18"), rounding="ROUND_HALF_EVEN")
    assert scaled_period_ns(trusting, before, after) == int(exact)


def test_the_last_decimal_is_rounded() -> None:
    """One part in 2^63 below a whole nanosecond is a whole one at 18 decimals."""
    assert scaled_period_ns(1, 2**63 - 1, 2**63 - 2) == 1
    assert scaled_period_ns(1, 2**60, 2**60 - 1) == 0
    assert scaled_period_ns(10, 5, 0) == 0


def test_specs_of_the_committed_client_are_taken_over(story: Story) -> None:
    del story.new.proof_specs[1:]
    story.commit()
    story.upgrade()
    assert list(story.states.client().proof_specs) == [SPECS[0]]
