"""A front on the embedded ledger: it writes ticks, follows them, and answers as any node does."""

from __future__ import annotations

from tests.fabric_chaincode.world import CHAIN, RICH
from tests.fabric_node.world import world


async def test_ticks_come_and_payments_show(tmp_path):
    async with world(tmp_path) as net:
        await net.found()
        async with net.front() as front:
            await front.height_above(1)
            status = await front.status()
            assert (status.chain_id, status.kind, status.earliest_height) == (CHAIN, "fabric-embedded", 1)
            tx_id = await net.pay(5)
            height = status.height
            while True:
                height += 1
                await front.height_above(height - 1)
                block = await front.block(height)
                if block.txs:
                    break
            assert [(tx.hash, tx.result.code) for tx in block.txs] == [(tx_id.upper(), 0)]
            assert await front.balance(net.bob) == RICH + 5
            assert await front.balance(net.bob, height - 1) == RICH
