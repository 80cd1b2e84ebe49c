"""Asks a node to prove what it told of the end state, under the app hash of the next header."""

from __future__ import annotations

import asyncio
from random import SystemRandom

from bsmg.audit.claims import Claim, claims_of
from bsmg.audit.record import FinalState, Proven, StateProofs
from bsmg.client.rpc import Rpc

PATH = "store/app/key"
AT_ONCE = 12  # requests to one node


async def read_proofs(rpc: Rpc, final: FinalState, most: int) -> StateProofs | None:
    """Proofs of so many records; which ones no node can guess, once it has told them all. None asked for: None."""
    claims = claims_of(final)
    if most < len(claims):
        claims = SystemRandom().sample(claims, most)
    if not claims or (await rpc.status()).height <= final.height:
        return None
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(claim: Claim) -> Proven:
        async with gate:
            answer = await rpc.abci_query(PATH, claim.key, final.height, prove=True)
        return Proven(key=claim.key, value=answer.value, proofs=tuple(op.data for op in answer.proof_ops.ops))

    records = await asyncio.gather(*(one(claim) for claim in claims))
    return StateProofs(signed=await rpc.commit(final.height + 1), records=tuple(records))
