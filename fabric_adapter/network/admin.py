"""What an administrator does once: join the channel, install, approve and commit the chaincode."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import aiohttp
import grpc

from cosmos_wire.errors import ToolError
from fabric_adapter.errors import EndorseError, EvaluateError
from fabric_adapter.gateway import Gateway
from fabric_adapter.identity import Identity, Tls, load_identity, open_channel
from fabric_adapter.network.plan import HOST, ORDERER, Home, Peer, Plan
from fabric_adapter.proposal import Call, Options, propose
from fabric_wire.policy import parse_policy, write_policy
from fabric_wire.protos import Message, common, lifecycle, policies, policy, proposal_response
from fabric_wire.services import endorser_services

LIFECYCLE, CONFIGURATION = "_lifecycle", "cscc"
VERSION, FIRST = "1.0", 1
JOIN_TIMEOUT_S = 60.0
CREATED, ALREADY_THERE = 201, 405
OK = 200
NOT_CONNECTED, PAUSE_S = "failed to connect", 0.2
T = TypeVar("T")


def tls_of(home: Home, peer: Peer) -> Tls:
    """TLS towards a peer."""
    return Tls(roots=(home.crypto(peer.org) / "tlsca.crt").read_bytes())


def member(home: Home, peer: Peer, name: str) -> Identity:
    """A member of a peer's organisation."""
    folder = home.crypto(peer.org) / "members"
    return load_identity(peer.msp_id, folder / f"{name}.crt", folder / f"{name}.key")


def gateway(home: Home, plan: Plan, peer: Peer, name: str = "admin") -> Gateway:
    """A client of a peer."""
    return Gateway(peer.address, tls_of(home, peer), member(home, peer, name), plan.wish.channel)


async def join_orderer(home: Home, plan: Plan) -> None:
    """Give the orderer the channel's first block, by its administration service."""
    keys = home.crypto(ORDERER)
    context = ssl.create_default_context(cafile=str(keys / "tlsca.crt"))
    context.load_cert_chain(str(keys / "tls" / "admin.crt"), str(keys / "tls" / "admin.key"))
    form = aiohttp.FormData()
    form.add_field("config-block", home.block.read_bytes(), filename="config.block")
    url = f"https://{HOST}:{plan.orderer['admin']}/participation/v1/channels"
    try:
        async with aiohttp.ClientSession() as session, session.post(url, data=form, ssl=context) as answer:
            text = await answer.text()
            if answer.status not in {CREATED, ALREADY_THERE}:
                raise ToolError(f"orderer: expected it to join the channel, got {answer.status}: {text.strip()}")
    except aiohttp.ClientError as error:
        raise ToolError(f"orderer at {url}: expected an answer, got {error}") from error


async def join_peer(home: Home, peer: Peer) -> None:
    """Give a peer the channel's first block."""
    call = Call(
        channel="",
        chaincode=CONFIGURATION,
        args=(b"JoinChain", home.block.read_bytes()),
        options=Options(header_type=common.CONFIG),
    )
    await _ask_peer(home, peer, call)


async def install(home: Home, peer: Peer) -> None:
    """Give a peer the chaincode's package."""
    request = lifecycle.InstallChaincodeArgs(chaincode_install_package=home.package.read_bytes())
    await _ask_peer(home, peer, Call(channel="", chaincode=LIFECYCLE, args=_args("InstallChaincode", request)))


async def _ask_peer(home: Home, peer: Peer, call: Call) -> proposal_response.ProposalResponse:
    """A proposal to one peer as its administrator, without a channel; raises ToolError when it refuses."""
    made = propose(member(home, peer, "admin"), call)
    connection = open_channel(peer.address, tls_of(home, peer))
    what = f"{peer.name}: {call.chaincode}.{call.args[0].decode()}"
    answer: proposal_response.ProposalResponse
    try:
        ask = endorser_services.EndorserStub(connection).ProcessProposal
        answer = await _connected(lambda: ask(made.signed, timeout=JOIN_TIMEOUT_S, wait_for_ready=True))
    except grpc.aio.AioRpcError as error:
        raise ToolError(f"{what}: expected success, got {error.code().name}: {error.details()}") from error
    finally:
        await connection.close()
    if answer.response.status != OK:
        raise ToolError(f"{what}: expected success, got {answer.response.status}: {answer.response.message}")
    return answer


async def _connected(call: Callable[[], Awaitable[T]]) -> T:
    """A call's answer; one that never reached its peer, which a busy machine has yet to start, is made again."""
    loop = asyncio.get_running_loop()
    end = loop.time() + JOIN_TIMEOUT_S
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if NOT_CONNECTED not in (error.details() or "") or loop.time() >= end:
                raise
        await asyncio.sleep(PAUSE_S)


def _args(function: str, request: Message) -> tuple[bytes, bytes]:
    return function.encode(), request.SerializeToString()


def endorsement_bytes(text: str) -> bytes:
    """An endorsement policy as the chaincode's definition carries it."""
    rule = policies.SignaturePolicyEnvelope.FromString(write_policy(parse_policy(text)))
    return policy.ApplicationPolicy(signature_policy=rule).SerializeToString()


async def deploy(home: Home, plan: Plan, package_id: str) -> None:
    """Approve for every organisation, then commit the definition; back when every peer has it."""
    gateways = [gateway(home, plan, peer) for peer in plan.peers]
    try:
        approvals = [_approve(item, plan, peer, package_id) for item, peer in zip(gateways, plan.peers, strict=True)]
        await _seen(gateways, await asyncio.gather(*approvals))
        request = lifecycle.CommitChaincodeDefinitionArgs(
            sequence=FIRST,
            name=plan.wish.chaincode,
            version=VERSION,
            validation_parameter=endorsement_bytes(plan.endorsement),
        )
        everyone = Options(organizations=[peer.msp_id for peer in plan.peers])
        done = await gateways[0].transact(LIFECYCLE, _args("CommitChaincodeDefinition", request), everyone)
        await _seen(gateways, [done.tx_id])
    finally:
        await asyncio.gather(*(item.close() for item in gateways))


async def _approve(client: Gateway, plan: Plan, peer: Peer, package_id: str) -> str:
    """An organisation agrees to the definition, endorsed by its own peer alone."""
    request = lifecycle.ApproveChaincodeDefinitionForMyOrgArgs(
        sequence=FIRST,
        name=plan.wish.chaincode,
        version=VERSION,
        validation_parameter=endorsement_bytes(plan.endorsement),
        source=lifecycle.ChaincodeSource(local_package=lifecycle.ChaincodeSource.Local(package_id=package_id)),
    )
    own = Options(organizations=[peer.msp_id])
    done = await client.transact(LIFECYCLE, _args("ApproveChaincodeDefinitionForMyOrg", request), own)
    return done.tx_id


async def _seen(gateways: Sequence[Gateway], tx_ids: Sequence[str]) -> None:
    """Wait until every peer has these transactions: only then do they agree about what is approved."""
    await asyncio.gather(*(client.commit_status(tx_id) for client in gateways for tx_id in tx_ids))


async def chaincode_answers(home: Home, plan: Plan, args: Sequence[bytes]) -> None:
    """Wait until every peer gets answers from the chaincode, and the gateways find every endorser.

    A refusal is an answer: not every chaincode knows `args`.
    """
    await asyncio.gather(*(_answers(home, plan, peer, args) for peer in plan.peers))


async def _answers(home: Home, plan: Plan, peer: Peer, args: Sequence[bytes]) -> None:
    name, everyone = plan.wish.chaincode, Options(organizations=[each.msp_id for each in plan.peers])
    async with gateway(home, plan, peer) as client:
        await _or_refused(client.evaluate(name, args, Options(organizations=[peer.msp_id])))
        await _or_refused(client.endorse(name, args))
        await _or_refused(client.endorse(name, args, everyone))  # a refusal comes before all endorsers are asked


async def _or_refused(asked: Awaitable[object]) -> None:
    try:
        await asked
    except (EvaluateError, EndorseError) as error:
        if error.refusal is None:
            raise
