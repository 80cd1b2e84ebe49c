"""ICS-07: the 07-tendermint client as `ibc_core.light_client.LightClient`, state for state as ibc-go keeps it."""

from __future__ import annotations

from cosmos_wire.protos import Any
from ibc_core import errors
from ibc_core.host import Context
from ibc_core.light_client import Height, Proof, Status, Upgrade
from ibc_core.state import height_message, height_of
from ibc_core.tendermint import misbehaviour, proofs, verifier
from ibc_core.tendermint.errors import InvalidHeaderHeight
from ibc_core.tendermint.recovery import CLIENT_TYPE, recover_client
from ibc_core.tendermint.states import ClientStates
from ibc_core.tendermint.times import duration_ns, time_ns
from ibc_core.tendermint.upgrade import upgrade_client
from ibc_core.tendermint.validators import read_validator_set
from ibc_core.tendermint.wire import (
    ClientState,
    ConsensusState,
    Header,
    Misbehaviour,
    check_client_state,
    check_consensus_state,
    check_header,
    consensus_of,
    header_height,
    type_url,
    unpack,
)

FROZEN_HEIGHT = Height(0, 1)  # a mark, not a place: ibc-go writes the same whatever happened
MESSAGE_URLS = (type_url(Header), type_url(Misbehaviour))
SIGNATURE_GAS = 600  # an ed25519 check, as the SDK counts it


class TendermintClient:
    """Follows a chain that CometBFT drives."""

    client_type = CLIENT_TYPE
    type_url = type_url(ClientState)
    message_urls: tuple[str, ...] = MESSAGE_URLS

    def check_states(self, client_state: Any, consensus_state: Any) -> None:
        """`Validate` and `ValidateBasic` of both."""
        _states(client_state, consensus_state)

    def check_message(self, message: Any) -> None:
        """`ValidateBasic` of a header or a misbehaviour, without its signatures: nobody has paid for them yet."""
        if message.type_url == type_url(Misbehaviour):
            misbehaviour.check_form(unpack(message, Misbehaviour, errors.InvalidClientType))
        else:
            check_header(unpack(message, Header, errors.InvalidClientType))

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
            parsed = unpack(message, Misbehaviour, errors.InvalidClientType)
            charge(ctx, parsed.header_1, parsed.header_2)
            misbehaviour.verify_misbehaviour(states, parsed, ctx.env.time_ns)
        else:
            header = unpack(message, Header, errors.InvalidClientType)
            charge(ctx, header)
            verify_header(states, header, ctx.env.time_ns)

    def check_for_misbehaviour(self, ctx: Context, client_id: str, message: Any) -> bool:
        """Whether a verified message proves that the counterparty's consensus broke its rules."""
        if message.type_url == type_url(Misbehaviour):
            return misbehaviour.headers_conflict(unpack(message, Misbehaviour, errors.InvalidClientType))
        header = unpack(message, Header, errors.InvalidClientType)
        return misbehaviour.contradicts(ClientStates(ctx.ibc, client_id), header, consensus_of(header))

    def update_state(self, ctx: Context, client_id: str, message: Any) -> tuple[Height, ...]:
        """Store the consensus state of a verified header, prune the oldest if it expired; the height it has now.

        A misbehaviour that proved nothing changes nothing; nor does a known header, apart from the pruning.
        """
        if message.type_url == type_url(Misbehaviour):
            return ()
        header, states = unpack(message, Header, errors.InvalidClientType), ClientStates(ctx.ibc, client_id)
        client, height = states.client(), header_height(header)
        prune_oldest(states, client, ctx.env.time_ns)
        if states.find_consensus(height) is None:
            if height > height_of(client.latest_height):
                client.latest_height.CopyFrom(height_message(height))
            states.set_client(client)
            states.add_consensus(ctx, height, consensus_of(header))
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
        if latest is None or is_expired(client, latest, ctx.env.time_ns):
            return Status.EXPIRED
        return Status.ACTIVE

    def latest_height(self, ctx: Context, client_id: str) -> Height:
        """Newest height with a consensus state; 0-0 when there is no such client."""
        client = ClientStates(ctx.ibc, client_id).find_client()
        return Height(0, 0) if client is None else height_of(client.latest_height)

    def timestamp_ns(self, ctx: Context, client_id: str, height: Height) -> int:
        """Counterparty block time at a height that the client knows; raises ConsensusStateNotFound."""
        return time_ns(ClientStates(ctx.ibc, client_id).consensus(height).timestamp)

    def processed(self, ctx: Context, client_id: str, height: Height) -> tuple[int, int]:
        """Time (ns) and height of the own block that stored the consensus state."""
        return ClientStates(ctx.ibc, client_id).processed(height)

    def verify_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes, value: bytes) -> None:
        """Check that the counterparty's store (`proof.prefix`) holds `value` at `path`."""
        proofs.check_member(_anchor(ctx, client_id, proof.height), _keys(proof, path), proof.data, value)

    def verify_non_membership(self, ctx: Context, client_id: str, proof: Proof, path: bytes) -> None:
        """Check that it holds nothing at `path`."""
        proofs.check_absent(_anchor(ctx, client_id, proof.height), _keys(proof, path), proof.data)

    def upgrade(self, ctx: Context, client_id: str, upgrade: Upgrade) -> None:
        """Go over to the states that the counterparty committed to before its upgrade."""
        upgrade_client(ctx, client_id, upgrade)

    def recover(self, ctx: Context, client_id: str, substitute_id: str) -> None:
        """Go on from the newest state of an active client with the same terms."""
        recover_client(ctx, client_id, substitute_id)


def _states(client_state: Any, consensus_state: Any) -> tuple[ClientState, ConsensusState]:
    client = unpack(client_state, ClientState, errors.InvalidClientType)
    consensus = unpack(consensus_state, ConsensusState, errors.InvalidConsensus)
    check_client_state(client)
    check_consensus_state(consensus)
    return client, consensus


def _keys(proof: Proof, path: bytes) -> tuple[bytes, ...]:
    """From the root down; a counterparty without a prefix has one tree."""
    return (proof.prefix, path) if proof.prefix else (path,)


def charge(ctx: Context, *headers: Header) -> None:
    """Gas for the signatures that may have to be checked, before any is."""
    count = sum(len(header.signed_header.commit.signatures) for header in headers)
    ctx.gas.consume(count * SIGNATURE_GAS, "signatures of client message")


def _anchor(ctx: Context, client_id: str, height: Height) -> proofs.Anchor:
    """Specifications and the root at the proof's height."""
    states = ClientStates(ctx.ibc, client_id)
    client = states.client()
    latest = height_of(client.latest_height)
    if latest < height:
        raise errors.IbcInvalidHeight(
            f"client state height < proof height ({latest} < {height}), please ensure the client has been updated"
        )
    found = states.find_consensus(height)
    if found is None:
        raise errors.ConsensusStateNotFound(
            f"client {client_id} has no consensus state at {height}, please ensure the proof was constructed "
            "against a height that exists on the client"
        )
    return client.proof_specs, found.root.hash


def verify_header(states: ClientStates, header: Header, now_ns: int) -> None:
    """Check a header against the consensus state it builds on; raises what ibc-go would."""
    check_header(header)
    client, trusted_height = states.client(), height_of(header.trusted_height)
    trusted = states.find_consensus(trusted_height)
    if trusted is None:
        raise errors.ConsensusStateNotFound(
            f"could not get trusted consensus state from clientStore for Header at TrustedHeight: {trusted_height}"
        )
    step, height = _step(client, trusted, header, now_ns), header_height(header)
    stranger = verifier.announced_set_is_genuine(step)
    if stranger is not None:
        raise stranger.error(f"failed to verify header: {stranger.detail}")
    if height.revision != trusted_height.revision:
        raise InvalidHeaderHeight(
            f"header height revision {height.revision} does not match trusted header revision {trusted_height.revision}"
        )
    verdict = verifier.verify(step)
    if isinstance(verdict, verifier.NotEnoughTrust):
        raise errors.InvalidHeader(f"failed to verify header: cant trust new val set: {verdict}")
    if isinstance(verdict, verifier.Invalid):
        raise verdict.error(f"failed to verify header: {verdict.detail}")


def _step(client: ClientState, trusted: ConsensusState, header: Header, now_ns: int) -> verifier.Step:
    return verifier.Step(
        trusted=verifier.Trusted(
            chain_id=client.chain_id,
            height=header.trusted_height.revision_height,
            time_ns=time_ns(trusted.timestamp),
            next_validators_hash=trusted.next_validators_hash,
            next_validators=read_validator_set(header.trusted_validators),
        ),
        block=verifier.LightBlock(
            header=header.signed_header.header,
            commit=header.signed_header.commit,
            validators=read_validator_set(header.validator_set),
        ),
        options=misbehaviour.options_of(client),
        now_ns=now_ns,
    )


def is_expired(client: ClientState, consensus: ConsensusState, now_ns: int) -> bool:
    """Whether the trusting period since that state is over."""
    return time_ns(consensus.timestamp) + duration_ns(client.trusting_period) <= now_ns


def prune_oldest(states: ClientStates, client: ClientState, now_ns: int) -> None:
    """Remove the oldest consensus state if it expired: one an update keeps the work bounded, as ibc-go does."""
    oldest = states.oldest()
    if oldest is not None and is_expired(client, states.consensus(oldest), now_ns):
        states.delete_consensus(oldest)
