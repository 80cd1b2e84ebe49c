"""The light client `fabric-endorsement-1` as `ibc_core.light_client.LightClient`.

It trusts that the members of a Fabric channel who satisfy its endorsement policy attest only what they committed: no
more, and no consensus of validators. docs/trust.md says what that means; docs/adr/0016 why it is built so.
"""

from __future__ import annotations

from cosmos_wire.protos import Any
from fabric_wire import strict
from ibc_core import errors
from ibc_core.fabric import misbehaviour, records
from ibc_core.fabric.errors import (
    ConsensusExpired,
    HeaderFromFuture,
    HeaderTooOld,
    InvalidAttestation,
    MembershipBehind,
    MembershipSequence,
    PathNotAttested,
    WrongHeight,
    WrongPrefix,
    WrongTime,
    WrongValue,
)
from ibc_core.fabric.membership import check_membership, read_members
from ibc_core.fabric.recovery import CLIENT_TYPE, recover_client
from ibc_core.fabric.states import ClientStates
from ibc_core.fabric.verifier import Attested, Trust, verify
from ibc_core.fabric.wire import (
    ClientState,
    ConsensusState,
    EndorsedPayload,
    Header,
    Misbehaviour,
    check_client_state,
    check_consensus_state,
    scope_of,
    type_url,
    unpack,
)
from ibc_core.host import Context
from ibc_core.light_client import Height, Proof, Status, Upgrade
from ibc_core.state import height_message, height_of, revision_of
from ibc_core.tendermint.times import duration_ns

FROZEN_HEIGHT = Height(0, 1)  # a mark, as ibc-go's clients write it
SIGNATURE_GAS = 1000  # a P-256 check, as the SDK counts one of secp256r1
CHECKS_PER_ENDORSEMENT = 2  # its own signature and its certificate's


MESSAGE_URLS = (type_url(Header), type_url(Misbehaviour))


def _states(client_state: Any, consensus_state: Any) -> tuple[ClientState, ConsensusState]:
    client = unpack(client_state, ClientState, errors.InvalidClientType)
    consensus = unpack(consensus_state, ConsensusState, errors.InvalidConsensus)
    check_client_state(client)
    check_consensus_state(consensus, client)
    return client, consensus


class FabricClient:
    """Follows a microgrid on Hyperledger Fabric."""

    client_type = CLIENT_TYPE
    type_url = type_url(ClientState)
    message_urls: tuple[str, ...] = MESSAGE_URLS

    def check_states(self, client_state: Any, consensus_state: Any) -> None:
        """What both have to be by themselves."""
        _states(client_state, consensus_state)

    def check_message(self, message: Any) -> None:
        """That it is a header or a misbehaviour; the rest needs the client."""
        unpack(
            message, Misbehaviour if message.type_url == type_url(Misbehaviour) else Header, errors.InvalidClientType
        )

    def initialise(self, ctx: Context, client_id: str, client_state: Any, consensus_state: Any) -> None:
        """Check and store the first states of a new client."""
        client, consensus = _states(client_state, consensus_state)
        states = ClientStates(ctx.ibc, client_id)
        states.set_client(client)
        states.add_consensus(ctx, height_of(client.latest_height), consensus)

    def verify_client_message(self, ctx: Context, client_id: str, message: Any) -> None:
        """Check a header or a misbehaviour against the stored states."""
        states = ClientStates(ctx.ibc, client_id)
        if message.type_url == type_url(Misbehaviour):
            _verify_misbehaviour(ctx, states, unpack(message, Misbehaviour, errors.InvalidClientType))
        else:
            _verify_header(ctx, states, unpack(message, Header, errors.InvalidClientType))

    def check_for_misbehaviour(self, ctx: Context, client_id: str, message: Any) -> bool:
        """Whether a verified message proves that the endorsers contradicted themselves."""
        states = ClientStates(ctx.ibc, client_id)
        client = states.client()
        if message.type_url == type_url(Misbehaviour):
            pair = unpack(message, Misbehaviour, errors.InvalidClientType)
            first, second = (_attested(ctx, client, each) for each in (pair.first, pair.second))
            return misbehaviour.conflict(first, second)
        header = unpack(message, Header, errors.InvalidClientType)
        attested = _attested(ctx, client, header.endorsed)
        return misbehaviour.contradicts(states, _height(client, attested), attested)

    def update_state(self, ctx: Context, client_id: str, message: Any) -> tuple[Height, ...]:
        """Store what a verified header says, its membership too; prune the oldest state if it expired."""
        if message.type_url == type_url(Misbehaviour):
            return ()
        header, states = unpack(message, Header, errors.InvalidClientType), ClientStates(ctx.ibc, client_id)
        client = states.client()
        attested = _attested(ctx, client, header.endorsed)
        height = _height(client, attested)
        _prune_oldest(states, client, ctx.env.time_ns)
        if attested.membership is not None:
            client.membership.CopyFrom(attested.membership)
        if height > height_of(client.latest_height):
            client.latest_height.CopyFrom(height_message(height))
        states.set_client(client)
        if states.find_consensus(height) is None:
            state = ConsensusState(timestamp_ns=attested.time_ns, membership_version=client.membership.version)
            states.add_consensus(ctx, height, state)
        return (height,)

    def freeze(self, ctx: Context, client_id: str) -> None:
        """Stop the client after misbehaviour."""
        states = ClientStates(ctx.ibc, client_id)
        client = states.client()
        client.frozen_height.CopyFrom(height_message(FROZEN_HEIGHT))
        states.set_client(client)

    def status(self, ctx: Context, client_id: str) -> Status:
        """Active, frozen or expired as of the block time; unknown when there is no such client."""
        states = ClientStates(ctx.ibc, client_id)
        client = states.find_client()
        if client is None:
            return Status.UNKNOWN
        if not height_of(client.frozen_height).is_zero:
            return Status.FROZEN
        latest = states.find_consensus(height_of(client.latest_height))
        if latest is None or _is_over(client, latest.timestamp_ns, ctx.env.time_ns):
            return Status.EXPIRED
        return Status.ACTIVE

    def latest_height(self, ctx: Context, client_id: str) -> Height:
        """Newest height with a consensus state; 0-0 when there is no such client."""
        client = ClientStates(ctx.ibc, client_id).find_client()
        return Height(0, 0) if client is None else height_of(client.latest_height)

    def timestamp_ns(self, ctx: Context, client_id: str, height: Height) -> int:
        """Time of the tick at a height that the client knows; raises ConsensusStateNotFound."""
        return ClientStates(ctx.ibc, client_id).consensus(height).timestamp_ns

    def processed(self, ctx: Context, client_id: str, height: Height) -> tuple[int, int]:
        """Time (ns) and height of the own block that stored the consensus state."""
        return ClientStates(ctx.ibc, client_id).heights.processed(height)

    def verify_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes, value: bytes) -> None:
        """Check that the members attest `value` at `path` at exactly the proof's height."""
        found = _attested_value(ctx, client_id, proof, path)
        if found != value:
            got = "absence" if found is None else found.hex()[:200]
            raise WrongValue(f"{_text(path)}: expected {value.hex()[:200]}, got {got}")

    def verify_non_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes) -> None:
        """Check that they attest that nothing is there, at exactly the proof's height."""
        found = _attested_value(ctx, client_id, proof, path)
        if found is not None:
            raise WrongValue(f"{_text(path)}: expected absence, got {found.hex()[:200]}")

    def upgrade(self, ctx: Context, client_id: str, upgrade: Upgrade) -> None:  # noqa: ARG002  (nothing to look at)
        """A Fabric microgrid changes by membership records and halts for none; raises InvalidUpgradeClient."""
        raise errors.InvalidUpgradeClient(f"{client_id}: expected a client with upgrades, got {self.client_type}")

    def recover(self, ctx: Context, client_id: str, substitute_id: str) -> None:
        """Take over the newest state, the membership too, of another client of the same channel and chaincode."""
        recover_client(ctx, client_id, substitute_id)


def _text(path: bytes) -> str:
    return path.decode(errors="backslashreplace")[:200]


def _height(client: ClientState, attested: Attested) -> Height:
    return Height(revision_of(client.chain_id), attested.height)


def _is_over(client: ClientState, since_ns: int, now_ns: int) -> bool:
    """Whether the trusting period since a time is over."""
    return since_ns + duration_ns(client.trusting_period) <= now_ns


def _charge(ctx: Context, *payloads: EndorsedPayload) -> None:
    """Gas for the signatures that may have to be checked, before any is."""
    count = sum(len(payload.endorsements) for payload in payloads)
    ctx.gas.consume(count * CHECKS_PER_ENDORSEMENT * SIGNATURE_GAS, "signatures of endorsers")


def _attested(ctx: Context, client: ClientState, endorsed: EndorsedPayload) -> Attested:
    """What the client's members attest; raises the first check that fails."""
    trust = Trust(scope=scope_of(client), members=read_members(client.membership), now_ns=ctx.env.time_ns)
    return verify(trust, endorsed)


def _verify_header(ctx: Context, states: ClientStates, header: Header) -> None:
    _charge(ctx, header.endorsed)
    client = states.client()
    attested = _attested(ctx, client, header.endorsed)
    if attested.tick is None:
        raise InvalidAttestation("header: expected an attested tick record, got none")
    latest_ns = ctx.env.time_ns + duration_ns(client.max_clock_drift)
    if attested.time_ns > latest_ns:
        raise HeaderFromFuture(f"expected a time up to {latest_ns} ns, got {attested.time_ns}")
    if _is_over(client, attested.time_ns, ctx.env.time_ns):
        raise HeaderTooOld(
            f"expected a time within {duration_ns(client.trusting_period)} ns before {ctx.env.time_ns}, "
            f"got {attested.time_ns}"
        )
    _check_membership(client, attested)


def _check_membership(client: ClientState, attested: Attested) -> None:
    """The next membership, or the present one again, or none while it is the newest: no replay, no skipping.

    A rival of the present one passes, so that it can freeze the client.
    """
    assert attested.tick is not None
    current, update = client.membership.version, attested.membership
    if update is None:
        if attested.tick.membership_version > current:
            raise MembershipBehind(
                f"expected membership {current + 1} in the header, for the chain is at "
                f"{attested.tick.membership_version}, got none"
            )
        return
    if update.version not in {current, current + 1}:
        raise MembershipSequence(f"expected version {current + 1}, got {update.version}")
    if attested.tick.membership_version < update.version:
        raise MembershipSequence(
            f"expected at most the tick's version {attested.tick.membership_version}, got {update.version}"
        )
    if update.version != current:
        check_membership(update)


def _verify_misbehaviour(ctx: Context, states: ClientStates, pair: Misbehaviour) -> None:
    _charge(ctx, pair.first, pair.second)
    if pair.client_id != states.client_id:
        raise errors.InvalidMisbehaviour(f"expected client {states.client_id}, got {pair.client_id[:80]!r}")
    client = states.client()
    for payload in (pair.first, pair.second):
        attested = _attested(ctx, client, payload)
        if _is_over(client, attested.time_ns, ctx.env.time_ns):
            raise HeaderTooOld(
                f"misbehaviour: expected a time within {duration_ns(client.trusting_period)} ns before "
                f"{ctx.env.time_ns}, got {attested.time_ns}"
            )


def _attested_value(ctx: Context, client_id: str, proof: Proof, path: bytes) -> bytes | None:
    """What a proof shows of a path: its value, None for absence."""
    states = ClientStates(ctx.ibc, client_id)
    client, consensus = _provable(ctx, states, proof)
    endorsed = strict.read(EndorsedPayload, proof.data, errors.InvalidProof)
    _charge(ctx, endorsed)
    attested = _attested(ctx, client, endorsed)
    if _height(client, attested) != proof.height:
        raise WrongHeight(f"expected a proof at {proof.height}, got one at {_height(client, attested)}")
    if attested.time_ns != consensus.timestamp_ns:
        raise WrongTime(f"expected the header's time {consensus.timestamp_ns} ns, got {attested.time_ns}")
    if path not in attested.values:
        raise PathNotAttested(f"expected {_text(path)}, got {[_text(each) for each in list(attested.values)[:4]]}")
    return attested.values[path]


def _provable(ctx: Context, states: ClientStates, proof: Proof) -> tuple[ClientState, ConsensusState]:
    """Client state and the consensus state at the proof's height, which has to be fresh."""
    if proof.prefix != records.STORE:
        raise WrongPrefix(f"expected the store {records.STORE!r}, got {proof.prefix[:64]!r}")
    client = states.client()
    latest = height_of(client.latest_height)
    if latest < proof.height:
        raise errors.IbcInvalidHeight(
            f"client state height < proof height ({latest} < {proof.height}), please ensure the client has been updated"
        )
    consensus = states.consensus(proof.height)
    if _is_over(client, consensus.timestamp_ns, ctx.env.time_ns):
        raise ConsensusExpired(
            f"expected a state younger than {duration_ns(client.trusting_period)} ns at {ctx.env.time_ns}, "
            f"got one of {consensus.timestamp_ns}"
        )
    return client, consensus


def _prune_oldest(states: ClientStates, client: ClientState, now_ns: int) -> None:
    """Remove the oldest consensus state if it expired: one an update keeps the work bounded."""
    oldest = states.heights.oldest()
    if oldest is not None and _is_over(client, states.consensus(oldest).timestamp_ns, now_ns):
        states.heights.delete_consensus(oldest)
