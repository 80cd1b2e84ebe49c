"""A forged proof in front of the user: one bit of a packet's proof is changed, and the chain refuses it."""

from __future__ import annotations

import asyncio

from bsmg.client.lane import TxOutcome
from bsmg.demo.day import Refusal
from bsmg.demo.outage import RELAYER
from bsmg.demo.scene import Scene, Way
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import channel_tx
from ibc_relayer.clients import ground
from ibc_relayer.connect import party_of
from ibc_relayer.events import Sent, facts
from ibc_relayer.messages import messages, needed
from ibc_relayer.plan import Action, Packet, Step
from processes import control
from testnet import lifecycle
from testnet.files import Home
from testnet.topology import COMETBFT

AMOUNT = 3 * 10**10
PATIENCE_MS = 600_000
OF_COMETBFT = (
    "The receiving chain keeps a light client of the sender: it knows the root of the sender's state at a height "
    "because two thirds of the sender's validators signed it. The proof has to lead from the packet to that root; "
    "with one bit changed it leads elsewhere. Nothing was credited. The same packet with its true proof was accepted "
    "afterwards."
)
OF_FABRIC = (
    "The receiving chain keeps a light client of the sender: it knows the certificates of the sender's organisations "
    "and how many of their peers have to sign. The proof is what those peers signed about the packet; with one bit "
    "changed it is no longer that. Nothing was credited. The same packet with its true proof was accepted "
    "afterwards."
)
MEANINGS = {True: OF_COMETBFT, False: OF_FABRIC}


async def refuse(scene: Scene, home: Home, way: Way) -> Refusal:
    """Offer a packet with a forged proof, then with the true one; the relayer is away meanwhile."""
    await asyncio.to_thread(control.kill, home, RELAYER)
    try:
        packet = await _fresh_packet(scene, way)
        forged, honest = await _offer(scene, packet, way)
    finally:
        await asyncio.to_thread(lifecycle.restart, home, RELAYER)
    if forged.ok or not honest.ok:
        raise ToolError(f"expected the forged proof refused and the true one taken, got {forged} and {honest}")
    source, target = way.near.chain_id, way.far.chain_id
    meaning = MEANINGS[scene.net.chain(source).kind == COMETBFT]
    return Refusal(
        source=source,
        target=target,
        code=forged.code,
        codespace=forged.codespace,
        log=forged.log,
        meaning=meaning,
    )


async def _fresh_packet(scene: Scene, way: Way) -> Packet:
    timeout_ms = await scene.time_ms(way.far.chain_id) + PATIENCE_MS
    outcome = await scene.send(way, AMOUNT, timeout_ms)
    for fact in facts(outcome.events):
        if isinstance(fact, Sent):
            return fact.packet
    raise ToolError(f"transfer on {way.near.chain_id}: expected a send_packet event, got {outcome}")


async def _offer(scene: Scene, packet: Packet, way: Way) -> tuple[TxOutcome, TxOutcome]:
    source, target = (party_of(scene.chains[end.chain_id], scene.faucets[end.chain_id]) for end in (way.near, way.far))
    head = await source.chain.head()
    step = Step(action=Action.RECV, side=1, end=packet.destination, peer=packet.source, ordered=False, packet=packet)
    base = await ground(target, source, way.far.client_id, head.height + source.prover.lag, needed([step]))
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
