"""Client messages and handshakes that a stock client or relayer can send and no chain takes."""

from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.protos import (
    Any,
    Message,
    channel,
    channel_tx,
    client,
    client_tx,
    coin,
    connection,
    connection_tx,
    tendermint_client,
    transfer_tx,
)
from cosmos_wire.tx import pack
from ibc_core import paths
from ibc_core.light_client import Height
from ibc_core.state import height_message
from ibc_core.versions import supported
from ibc_relayer.clients import client_info
from tests.interop.bad_packets import first_height, flipped
from tests.interop.bad_txs import Case
from tests.interop.twins import Act, Seen, Side, edited


def update(host: Side, message: Any, client_id: str = "") -> client_tx.MsgUpdateClient:
    return client_tx.MsgUpdateClient(client_id=client_id or host.client_id, client_message=message, signer=host.address)


async def fresh_header(host: Side, peer: Side) -> tendermint_client.Header:
    head = await peer.client.head()
    known = (await client_info(host.party.chain, host.client_id)).latest
    if head.height <= known.height:
        head = await peer.client.feed.wait_above(known.height)
    return tendermint_client.Header.FromString((await peer.party.prover.header(head.height, known)).value)


def header(spoil: Callable[[tendermint_client.Header], None]) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        made = await fresh_header(host, peer)
        spoil(made)
        return await host.submit(update(host, pack(made)))

    return act


def to_client(client_id: str) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        return await host.submit(update(host, pack(await fresh_header(host, peer)), client_id))

    return act


def anything(message: Any) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(update(host, message))

    return act


def trusted(height: int, revision: int = 1) -> Callable[[tendermint_client.Header], None]:
    def spoil(made: tendermint_client.Header) -> None:
        made.trusted_height.CopyFrom(height_message(Height(revision, height)))

    return spoil


def other_hash(made: tendermint_client.Header) -> None:
    made.signed_header.header.app_hash = b"\x07" * 32


def spoilt_signature(made: tendermint_client.Header) -> None:
    entry = made.signed_header.commit.signatures[0]
    entry.signature = flipped(entry.signature, 3)


def no_signatures(made: tendermint_client.Header) -> None:
    del made.signed_header.commit.signatures[:]


def other_trusted_validators(made: tendermint_client.Header) -> None:
    made.trusted_validators.validators[0].voting_power += 1


def other_validators(made: tendermint_client.Header) -> None:
    made.validator_set.validators[0].voting_power += 1


def without(*names: str) -> Callable[[tendermint_client.Header], None]:
    def spoil(made: tendermint_client.Header) -> None:
        for name in names:
            made.ClearField(name)  # type: ignore[arg-type]  # the stub wants a literal

    return spoil


async def only_a_known_header(host: Side, peer: Side) -> Seen:
    """A client update alone is never redundant."""
    known = (await client_info(host.party.chain, host.client_id)).latest
    header = await peer.party.prover.header(known.height, await known_below(host, peer))
    return await host.submit(update(host, header))


async def known_below(host: Side, peer: Side) -> Height:
    at = await first_height(host, peer)
    return Height(at.revision_number, at.revision_height)


async def same_header_twice(host: Side, peer: Side) -> Seen:
    message = update(host, pack(await fresh_header(host, peer)))
    assert (await host.submit(message)).code == 0
    return await host.submit(message)


async def equal_headers_as_misbehaviour(host: Side, peer: Side) -> Seen:
    made = await fresh_header(host, peer)
    evidence = tendermint_client.Misbehaviour(client_id=host.client_id, header_1=made, header_2=made)
    return await host.submit(update(host, pack(evidence)))


async def half_a_misbehaviour(host: Side, peer: Side) -> Seen:
    made = await fresh_header(host, peer)
    return await host.submit(update(host, pack(tendermint_client.Misbehaviour(header_1=made))))


def create(spoil: Callable[[tendermint_client.ClientState, tendermint_client.ConsensusState], None]) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        head = await peer.client.head()
        state, consensus = await peer.party.prover.states(head.height)
        assert isinstance(state, tendermint_client.ClientState)
        assert isinstance(consensus, tendermint_client.ConsensusState)
        spoil(state, consensus)
        return await host.submit(
            client_tx.MsgCreateClient(client_state=pack(state), consensus_state=pack(consensus), signer=host.address)
        )

    return act


def long_ago(_state: tendermint_client.ClientState, consensus: tendermint_client.ConsensusState) -> None:
    consensus.timestamp.seconds = 1


def about_clients(make: Callable[[Side], Message]) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(make(host))

    return act


def upgrade(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        state, consensus = await peer.party.prover.states((await peer.client.head()).height)
        assert isinstance(state, tendermint_client.ClientState)
        state.latest_height.revision_height += 10**6
        message = client_tx.MsgUpgradeClient(
            client_id=host.client_id,
            client_state=pack(state),
            consensus_state=pack(consensus),
            proof_upgrade_client=b"\x0a\x00",
            proof_upgrade_consensus_state=b"\x0a\x00",
            signer=host.address,
        )
        return await host.submit(edited(message, **changes))

    return act


CLIENTS = [
    Case(name="update: a client that is not there", act=to_client("07-tendermint-99")),
    Case(name="update: a client of a type that is not there", act=to_client("77-nosuch-0")),
    Case(name="update: a client identifier of a bad form", act=to_client("07/x")),
    Case(name="update: a client identifier without a number", act=to_client("nonesuch")),
    Case(name="update: a header that is no header", act=anything(pack(coin.Coin(denom="x")))),
    Case(name="update: nothing", act=anything(Any())),
    Case(
        name="update: torn bytes",
        act=anything(Any(type_url="/ibc.lightclients.tendermint.v1.Header", value=b"\x0a\xff")),
    ),
    Case(name="update: an empty header", act=anything(pack(tendermint_client.Header()))),
    Case(name="update: trusted height that is not known", act=header(trusted(1))),
    Case(name="update: trusted height above the header's", act=header(trusted(10**9))),
    Case(name="update: trusted height of another revision", act=header(trusted(1, 0))),
    Case(name="update: another app hash", act=header(other_hash)),
    Case(name="update: a wrong signature", act=header(spoilt_signature)),
    Case(name="update: no signatures", act=header(no_signatures)),
    Case(name="update: other trusted validators", act=header(other_trusted_validators)),
    Case(name="update: other validators", act=header(other_validators)),
    Case(name="update: no validators", act=header(without("validator_set"))),
    Case(name="update: no trusted validators", act=header(without("trusted_validators"))),
    Case(name="update: no signed header", act=header(without("signed_header"))),
    Case(name="update: the same header again", act=same_header_twice),
    Case(name="update: a header that is known, alone", act=only_a_known_header),
    Case(name="misbehaviour: equal headers", act=equal_headers_as_misbehaviour),
    Case(name="misbehaviour: one header", act=half_a_misbehaviour),
    Case(name="create: trusting period 0", act=create(lambda state, _: state.trusting_period.Clear())),
    Case(
        name="create: trusting above unbonding",
        act=create(lambda state, _: setattr(state.trusting_period, "seconds", 10**8)),
    ),
    Case(name="create: trust level 1/4", act=create(lambda state, _: setattr(state.trust_level, "denominator", 4))),
    Case(name="create: no chain id", act=create(lambda state, _: setattr(state, "chain_id", ""))),
    Case(
        name="create: another revision", act=create(lambda state, _: setattr(state.latest_height, "revision_number", 9))
    ),
    Case(name="create: height 0", act=create(lambda state, _: setattr(state.latest_height, "revision_height", 0))),
    Case(name="create: no proof specs", act=create(lambda state, _: state.ClearField("proof_specs"))),
    Case(name="create: no root", act=create(lambda _, consensus: consensus.ClearField("root"))),
    Case(name="create: expired", act=create(long_ago)),
    Case(name="create: frozen", act=create(lambda state, _: setattr(state.frozen_height, "revision_height", 1))),
    Case(
        name="recover: by anybody",
        act=about_clients(
            lambda host: client_tx.MsgRecoverClient(
                subject_client_id=host.client_id, substitute_client_id="07-tendermint-7", signer=host.address
            )
        ),
    ),
    Case(
        name="recover: itself",
        act=about_clients(
            lambda host: client_tx.MsgRecoverClient(
                subject_client_id=host.client_id, substitute_client_id=host.client_id, signer=host.address
            )
        ),
    ),
    Case(
        name="parameters: by anybody",
        act=about_clients(
            lambda host: client_tx.MsgUpdateParams(params=client.Params(allowed_clients=["*"]), signer=host.address)
        ),
    ),
    Case(
        name="parameters: a blank type",
        act=about_clients(
            lambda host: client_tx.MsgUpdateParams(params=client.Params(allowed_clients=[" "]), signer=host.address)
        ),
    ),
    Case(
        name="parameters of connections: 0",
        act=about_clients(lambda host: connection_tx.MsgUpdateParams(signer=host.address)),
    ),
    Case(
        name="parameters of transfers: by anybody",
        act=about_clients(lambda host: transfer_tx.MsgUpdateParams(signer=host.address)),
    ),
    Case(
        name="creator: of a client that is not there",
        act=about_clients(
            lambda host: client_tx.MsgDeleteClientCreator(client_id="07-tendermint-99", signer=host.address)
        ),
    ),
    Case(
        name="creator: of another",
        act=about_clients(lambda host: client_tx.MsgDeleteClientCreator(client_id=host.client_id, signer=host.address)),
    ),
    Case(name="upgrade: empty proof", act=upgrade(proof_upgrade_client=b"")),
    Case(name="upgrade: proofs without a proof", act=upgrade()),
    Case(name="upgrade: proof that is none", act=upgrade(proof_upgrade_client=b"proof")),
    Case(name="upgrade: a client that is not there", act=upgrade(client_id="07-tendermint-99")),
]

# handshakes


def open_connection(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        message = connection_tx.MsgConnectionOpenInit(client_id=host.client_id, signer=host.address)
        message.counterparty.client_id = peer.client_id
        message.counterparty.prefix.key_prefix = b"ibc"
        return await host.submit(edited(message, **changes))

    return act


def try_connection(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        ground = await host.ground(peer)
        message = connection_tx.MsgConnectionOpenTry(
            client_id=host.client_id,
            counterparty_versions=supported(),
            proof_init=b"\x0a\x00",
            proof_height=height_message(ground.proof_height),
            signer=host.address,
        )
        message.counterparty.client_id, message.counterparty.connection_id = peer.client_id, "connection-99"
        message.counterparty.prefix.key_prefix = b"ibc"
        return await host.submit(edited(message, **changes))

    return act


def acknowledge_connection(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        message = connection_tx.MsgConnectionOpenAck(
            connection_id=host.connection_id,
            counterparty_connection_id=peer.connection_id,
            version=supported()[0],
            proof_try=b"\x0a\x00",
            proof_height=client.Height(revision_number=1, revision_height=5),
            signer=host.address,
        )
        return await host.submit(edited(message, **changes))

    return act


def open_channel(**changes: object) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        message = channel_tx.MsgChannelOpenInit(port_id="transfer", signer=host.address)
        end = message.channel
        end.state, end.ordering, end.version = channel.STATE_INIT, channel.ORDER_UNORDERED, "ics20-1"
        end.counterparty.port_id = "transfer"
        end.connection_hops.append(host.connection_id)
        return await host.submit(edited(message, **changes))

    return act


def try_channel(**changes: object) -> Act:
    async def act(host: Side, peer: Side) -> Seen:
        ground = await host.ground(peer)
        message = channel_tx.MsgChannelOpenTry(
            port_id="transfer",
            counterparty_version="ics20-1",
            proof_init=b"\x0a\x00",
            proof_height=height_message(ground.proof_height),
            signer=host.address,
        )
        end = message.channel
        end.state, end.ordering, end.version = channel.STATE_TRYOPEN, channel.ORDER_UNORDERED, "ics20-1"
        end.counterparty.port_id, end.counterparty.channel_id = "transfer", "channel-77"
        end.connection_hops.append(host.connection_id)
        return await host.submit(edited(message, **changes))

    return act


def confirm_channel(**changes: object) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        message = channel_tx.MsgChannelOpenConfirm(
            port_id="transfer",
            channel_id=host.end.channel,
            proof_ack=b"\x0a\x00",
            proof_height=client.Height(revision_number=1, revision_height=5),
            signer=host.address,
        )
        return await host.submit(edited(message, **changes))

    return act


async def close_transfer_channel(host: Side, _peer: Side) -> Seen:
    message = channel_tx.MsgChannelCloseInit(port_id="transfer", channel_id=host.end.channel, signer=host.address)
    return await host.submit(message)


async def confirm_close_of_an_open_one(host: Side, peer: Side) -> Seen:
    proof, at = await host.proven(peer, paths.channel(peer.end.port, peer.end.channel))
    message = channel_tx.MsgChannelCloseConfirm(
        port_id="transfer", channel_id=host.end.channel, proof_init=proof, proof_height=at, signer=host.address
    )
    return await host.submit(message)


BAD_VERSION = connection.Version(identifier="9", features=["ORDER_UNORDERED"])
HANDSHAKES = [
    Case(name="connection init: client that is not there", act=open_connection(client_id="07-tendermint-99")),
    Case(name="connection init: client of a bad form", act=open_connection(client_id="x")),
    Case(name="connection init: client without a number", act=open_connection(client_id="nonesuch")),
    Case(name="connection init: client of 65 characters", act=open_connection(client_id="c" * 65)),
    Case(name="connection init: version 9", act=open_connection(version=BAD_VERSION)),
    Case(
        name="connection init: version without a name", act=open_connection(version=connection.Version(features=["x"]))
    ),
    Case(name="connection init: no prefix", act=open_connection(counterparty__prefix__key_prefix=b"")),
    Case(
        name="connection init: counterparty is named", act=open_connection(counterparty__connection_id="connection-0")
    ),
    Case(name="connection try: forged proof", act=try_connection()),
    Case(name="connection try: proof empty", act=try_connection(proof_init=b"")),
    Case(name="connection try: no versions", act=try_connection(counterparty_versions=[])),
    Case(name="connection try: version 9", act=try_connection(counterparty_versions=[BAD_VERSION])),
    Case(name="connection try: client that is not there", act=try_connection(client_id="07-tendermint-99")),
    Case(name="connection try: height above the client's", act=try_connection(proof_height__revision_height=10**9)),
    Case(name="connection ack: one that is open", act=acknowledge_connection()),
    Case(name="connection ack: one that is not there", act=acknowledge_connection(connection_id="connection-99")),
    Case(name="connection ack: identifier of a bad form", act=acknowledge_connection(connection_id="conn")),
    Case(name="connection ack: proof empty", act=acknowledge_connection(proof_try=b"")),
    Case(name="channel init: port that is not there", act=open_channel(port_id="nosuchport")),
    Case(name="channel init: port of 129 characters", act=open_channel(port_id="p" * 129)),
    Case(
        name="channel init: connection that is not there", act=open_channel(channel__connection_hops=["connection-99"])
    ),
    Case(name="channel init: two hops", act=open_channel(channel__connection_hops=["connection-0", "connection-0"])),
    Case(name="channel init: no hops", act=open_channel(channel__connection_hops=[])),
    Case(name="channel init: another version", act=open_channel(channel__version="ics20-9")),
    Case(name="channel init: ordered", act=open_channel(channel__ordering=channel.ORDER_ORDERED)),
    Case(name="channel init: no ordering", act=open_channel(channel__ordering=0)),
    Case(name="channel init: state OPEN", act=open_channel(channel__state=channel.STATE_OPEN)),
    Case(name="channel init: counterparty is named", act=open_channel(channel__counterparty__channel_id="channel-0")),
    Case(name="channel init: counterparty's port empty", act=open_channel(channel__counterparty__port_id="")),
    Case(name="channel try: forged proof", act=try_channel()),
    Case(name="channel try: proof empty", act=try_channel(proof_init=b"")),
    Case(name="channel try: ordered", act=try_channel(channel__ordering=channel.ORDER_ORDERED)),
    Case(name="channel try: counterparty without a channel", act=try_channel(channel__counterparty__channel_id="")),
    Case(name="channel try: a previous channel", act=try_channel(previous_channel_id="channel-0")),
    Case(name="channel confirm: one that is open", act=confirm_channel()),
    Case(name="channel confirm: one that is not there", act=confirm_channel(channel_id="channel-99")),
    Case(name="channel confirm: identifier of a bad form", act=confirm_channel(channel_id="chan")),
    Case(name="channel close: by a user", act=close_transfer_channel),
    Case(name="channel close: counterparty is open", act=confirm_close_of_an_open_one),
]
