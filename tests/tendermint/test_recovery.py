"""MsgRecoverClient: ibc-go's case names (client_test.go, proposal_handle_test.go, light_client_module_test.go)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from cosmos_wire.address import to_bech32
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import client_tx
from ibc_core import authority, errors
from ibc_core.client import Clients, check_recovery
from ibc_core.host import Context, MemoryStore
from ibc_core.light_client import Height, Status
from ibc_core.tendermint.client import TendermintClient
from ibc_core.tendermint.recovery import is_match
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.times import duration
from ibc_core.tendermint.wire import ClientState, pack
from tests.tendermint.harness import CLIENT_ID, TERMS, Host, client_state
from tests.tendermint.testgen import LightChain

SUBSTITUTE_ID = "07-tendermint-1"
AUTHORITY = to_bech32(b"\x07" * 20)


@dataclass
class Story:
    """Subject at block 1 of a chain, substitute at block 4; the host's clock stands at block 5."""

    chain: LightChain
    host: Host
    app: MemoryStore
    message: client_tx.MsgRecoverClient

    @property
    def ctx(self) -> Context:
        return replace(self.host.ctx, app=self.app)

    def recover(self) -> None:
        check_recovery(self.message)
        Clients({TendermintClient.type_url: self.host.client}).recover(self.ctx, self.message)

    def states(self, client_id: str = CLIENT_ID) -> ClientStates:
        return ClientStates(self.host.store, client_id)

    def change(self, client_id: str, **values: object) -> None:
        state = self.states(client_id).client()
        for name, value in values.items():
            setattr(state, name, value)
        self.states(client_id).set_client(state)


def story(substitute_height: int = 4, *, frozen: bool = True) -> Story:
    chain = LightChain("mga-1", "abcd")
    for number in range(4):
        chain.next_block(bytes([number + 2]) * 32)
    host = Host(chain.time_ns)
    host.create(chain)
    host.height = 7
    state = client_state("mga-1", substitute_height)
    host.client.initialise(host.ctx, SUBSTITUTE_ID, pack(state), pack(chain.at(substitute_height).consensus))
    if frozen:
        host.client.freeze(host.ctx, CLIENT_ID)
    message = client_tx.MsgRecoverClient(
        subject_client_id=CLIENT_ID, substitute_client_id=SUBSTITUTE_ID, signer=AUTHORITY
    )
    made = Story(chain, host, MemoryStore(), message)
    authority.set_authority(made.ctx, AUTHORITY)
    return made


def test_success() -> None:
    """A frozen client goes on; heights between stay unknown."""
    told = story()
    told.change(SUBSTITUTE_ID, chain_id="mga-1", allow_update_after_expiry=True)
    state = told.states(SUBSTITUTE_ID).client()
    state.trusting_period.CopyFrom(duration(TERMS.trusting_period_ns + 9))
    told.states(SUBSTITUTE_ID).set_client(state)
    told.host.height, told.host.time_ns = 20, told.host.time_ns + 1
    told.recover()
    subject, other = told.states().client(), told.states(SUBSTITUTE_ID).client()
    assert told.host.client.status(told.ctx, CLIENT_ID) is Status.ACTIVE
    assert (subject.latest_height, subject.trusting_period) == (other.latest_height, other.trusting_period)
    assert subject.frozen_height.revision_height == 0
    assert not subject.allow_update_after_expiry
    height = Height(1, 4)
    assert told.states().consensus(height) == told.states(SUBSTITUTE_ID).consensus(height)
    assert told.states().processed(height) == told.states(SUBSTITUTE_ID).processed(height) == (told.host.time_ns - 1, 7)
    assert told.states().following(Height(1, 1)) == height
    (event,) = [item for item in told.host.events if item.type == "recover_client"]
    assert dict(event.attributes) == {"subject_client_id": CLIENT_ID, "client_type": "07-tendermint"}
    assert told.host.submit(told.chain.update(4, 5)) == (Height(1, 5),)


def test_an_expired_client_goes_on() -> None:
    told = story(frozen=False)
    for _ in range(2):
        told.chain.next_block(b"x" * 32, told.chain.time_ns + TERMS.trusting_period_ns)
    told.host.time_ns = told.chain.time_ns
    assert told.host.client.status(told.ctx, CLIENT_ID) is Status.EXPIRED
    state = client_state("mga-1", 7)
    told.host.client.initialise(told.ctx, SUBSTITUTE_ID, pack(state), pack(told.chain.at(7).consensus))
    told.recover()
    assert told.host.client.status(told.ctx, CLIENT_ID) is Status.ACTIVE


def test_success_subject_and_substitute_use_different_revision_number() -> None:
    told = story()
    successor = LightChain("mga-2", "abcd", told.chain.time_ns)
    state = client_state("mga-2", 1)
    told.host.client.initialise(told.ctx, SUBSTITUTE_ID, pack(state), pack(successor.at(1).consensus))
    told.recover()
    assert told.states().client().chain_id == "mga-2"
    assert told.host.client.latest_height(told.ctx, CLIENT_ID) == Height(2, 1)


Change = Callable[[Story], None]


def message(**values: str) -> Change:
    def act(told: Story) -> None:
        for name, value in values.items():
            setattr(told.message, name, value)

    return act


def unfreeze(told: Story) -> None:
    state = told.states().client()
    state.ClearField("frozen_height")
    told.states().set_client(state)


def trust_level(told: Story) -> None:
    state = told.states(SUBSTITUTE_ID).client()
    state.trust_level.numerator, state.trust_level.denominator = 2, 3
    told.states(SUBSTITUTE_ID).set_client(state)


def move(client_id: str, height: int) -> Change:
    def act(told: Story) -> None:
        state = client_state("mga-1", height)
        told.host.client.initialise(told.ctx, client_id, pack(state), pack(told.chain.at(height).consensus))
        if client_id == CLIENT_ID:
            told.host.client.freeze(told.ctx, client_id)

    return act


def freeze_substitute(told: Story) -> None:
    told.host.client.freeze(told.ctx, SUBSTITUTE_ID)


def expire_substitute(told: Story) -> None:
    told.host.time_ns += TERMS.trusting_period_ns


def no_authority(told: Story) -> None:
    told.app.delete(authority.KEY)


def metadata_gone(told: Story) -> None:
    told.host.store.delete(f"clients/{SUBSTITUTE_ID}/consensusStates/1-4/processedTime".encode())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param(change, error, id=name)
        for name, change, error in (
            ("subject client does not exist", message(subject_client_id="07-tendermint-9"), errors.ClientNotFound),
            ("subject is Active", unfreeze, errors.InvalidRecoveryClient),
            ("substitute client does not exist", message(substitute_client_id="07-tendermint-9"),
             errors.ClientNotActive),
            ("subject and substitute have equal latest height", move(CLIENT_ID, 4), errors.InvalidHeight),
            ("subject height is greater than substitute height", move(CLIENT_ID, 5), errors.InvalidHeight),
            ("substitute is frozen", freeze_substitute, errors.ClientNotActive),
            ("substitute is expired", expire_substitute, errors.ClientNotActive),
            ("substitute client trust level doesn't match subject client trust level", trust_level,
             errors.InvalidSubstitute),
            ("cannot parse malformed substitute client ID", message(substitute_client_id="nonesuch"),
             errors.ClientNotActive),
            ("solo machine used for substitute", message(substitute_client_id="06-solomachine-0"),
             errors.ClientNotActive),
            ("subject of no type", message(subject_client_id="06-solomachine-0"), errors.RouteNotFound),
            ("subject and substitute are the same", message(substitute_client_id=CLIENT_ID), errors.InvalidSubstitute),
            ("signer is not the authority", message(signer="bsmg1xxxx"), errors.IbcUnauthorized),
            ("no authority", no_authority, errors.IbcUnauthorized),
            ("processed time not found", metadata_gone, errors.UpdateClientFailed),
        )
    ],
)  # fmt: skip
def test_recovery_is_refused(change: Change, error: type[ChainError]) -> None:
    told = story()
    change(told)
    with pytest.raises(error):
        told.recover()


def test_another_type_is_no_substitute_for_the_light_client() -> None:
    told = story()
    with pytest.raises(errors.InvalidClientType, match="expected: 07-tendermint, got: 06-solomachine"):
        told.host.client.recover(told.ctx, CLIENT_ID, "06-solomachine-0")
    with pytest.raises(errors.InvalidIdentifier):
        told.host.client.recover(told.ctx, CLIENT_ID, "nonesuch")
    with pytest.raises(errors.ClientNotFound):
        told.host.client.recover(told.ctx, CLIENT_ID, "07-tendermint-9")
    with pytest.raises(errors.ClientNotFound):
        told.host.client.recover(told.ctx, "07-tendermint-9", SUBSTITUTE_ID)


def test_without_an_authority_the_refusal_names_the_governance_account() -> None:
    told = story()
    no_authority(told)
    with pytest.raises(errors.IbcUnauthorized, match=f"expected {authority.NOBODY}, got {AUTHORITY}: unauthorized"):
        told.recover()


def _state(**values: object) -> ClientState:
    made = client_state()
    for name, value in values.items():
        if isinstance(value, int | str | bool):
            setattr(made, name, value)
        else:
            getattr(made, name).CopyFrom(value)
    return made


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(client_state(), True, id="matching clients"),
        pytest.param(_state(chain_id="mgb-7"), True, id="matching, chain id is different"),
        pytest.param(_state(trusting_period=duration(5)), True, id="matching, trusting period is different"),
        pytest.param(client_state("mga-1", 99), True, id="matching, latest height is not used in check for equality"),
        pytest.param(_state(allow_update_after_expiry=True), True, id="matching, deprecated flags are not used"),
        pytest.param(_state(unbonding_period=duration(5)), False, id="not matching, unbonding period"),
        pytest.param(_state(max_clock_drift=duration(5)), False, id="not matching, max clock drift"),
    ],
)
def test_is_matching_client_state(other: ClientState, *, same: bool) -> None:
    assert is_match(client_state(), other) is same


def test_proof_specs_and_upgrade_path_have_to_match() -> None:
    for name in ("proof_specs", "upgrade_path"):
        other = client_state()
        other.ClearField(name)  # type: ignore[arg-type]  # the stub wants a literal
        assert not is_match(client_state(), other)
    frozen = client_state()
    frozen.frozen_height.revision_height = 1
    assert is_match(frozen, client_state())
