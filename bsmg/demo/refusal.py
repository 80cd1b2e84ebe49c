"""A forged proof in front of the user: one bit of a packet's proof is changed, and the chain refuses it."""

from __future__ import annotations

import asyncio

from bsmg.client.comet import CometClient
from bsmg.client.lane import SigningLane, TxOutcome
from bsmg.demo.day import Refusal
from bsmg.demo.outage import RELAYER
from bsmg.demo.scene import Scene
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel_tx
from ibc_relayer.chain import Party
from ibc_relayer.clients import ground
from ibc_relayer.cometbft import CometChain, CometProver
from ibc_relayer.events import Sent, facts
from ibc_relayer.messages import messages, needed
from ibc_relayer.plan import Action, Packet, Step
from processes import control
from testnet import lifecycle
from testnet.files import Home

AMOUNT = 3 * 10**10
PATIENCE_MS = 600_000
MEANING = (
    "The receiving chain keeps a light client of the sender: it knows the root of the sender's state at a height "
    "because two thirds of the sender's validators signed it. The proof has to lead from the packet to that root; "
    "with one bit changed it leads elsewhere. Nothing was credited. The same packet with its true proof was accepted "
    "afterwards."
)


async def refuse(scene: Scene, home: Home) -> Refusal:
    """Offer a packet with a forged proof, then with the true one; the relayer is away meanwhile."""
    source, target = scene.link.a.chain_id, scene.link.b.chain_id
    await asyncio.to_thread(control.kill, home, RELAYER)
    try:
        packet = await _fresh_packet(scene, source, target)
        forged, honest = await _offer(scene, packet, (source, target))
    finally:
        await asyncio.to_thread(lifecycle.restart, home, RELAYER)
    if forged.ok or not honest.ok:
        raise ToolError(f"expected the forged proof refused and the true one taken, got {forged} and {honest}")
    return Refusal(code=forged.code, codespace=forged.codespace, log=forged.log, meaning=MEANING)


async def _fresh_packet(scene: Scene, source: str, target: str) -> Packet:
    timeout_ms = await scene.time_ms(target) + PATIENCE_MS
    outcome = await scene.send(source, (scene.net.chain(source).denom, AMOUNT), timeout_ms)
    for fact in facts(outcome.events):
        if isinstance(fact, Sent):
            return fact.packet
    raise ToolError(f"transfer on {source}: expected a send_packet event, got code {outcome.code}: {outcome.log}")


async def _offer(scene: Scene, packet: Packet, way: tuple[str, str]) -> tuple[TxOutcome, TxOutcome]:
    source, target = (_party(scene, chain_id) for chain_id in way)
    end = scene.link.a if scene.link.a.chain_id == way[1] else scene.link.b
    head = await source.chain.head()
    step = Step(action=Action.RECV, side=1, end=packet.destination, peer=packet.source, ordered=False, packet=packet)
    base = await ground(target, source, end.client_id, head.height + source.prover.lag, needed([step]))
    (true,) = messages([step], base, target.chain.signer)
    assert isinstance(true, channel_tx.MsgRecvPacket)
    await target.chain.submit(base.updates)
    return await target.chain.submit([with_a_bit_changed(true)]), await target.chain.submit([true])


def with_a_bit_changed(message: channel_tx.MsgRecvPacket) -> channel_tx.MsgRecvPacket:
    """The same message with the last bit in the middle of its proof flipped."""
    forged, proof = channel_tx.MsgRecvPacket(), bytearray(message.proof_commitment)
    forged.CopyFrom(message)
    proof[len(proof) // 2] ^= 1
    forged.proof_commitment = bytes(proof)
    return forged


def _party(scene: Scene, chain_id: str) -> Party:
    client, lane = scene.chains[chain_id], scene.faucets[chain_id]
    if not isinstance(client, CometClient) or not isinstance(lane, SigningLane):
        raise ToolError(f"forged proof: expected a link of CometBFT chains, got {chain_id}")
    return Party(chain=CometChain(client, lane), prover=CometProver(client))
