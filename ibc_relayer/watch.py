"""Misbehaviour watch: every header that a client was updated with is compared with the chain's own."""

from __future__ import annotations

import logging
from collections import deque

from bsmg.client.errors import NodeError
from bsmg.client.feed import Head
from cosmos_wire.errors import ToolError
from cosmos_wire.protos import client_tx
from ibc_relayer.chain import Party
from ibc_relayer.clients import client_info, client_status
from ibc_relayer.discover import genuine
from ibc_relayer.events import ClientUpdated, facts
from ibc_relayer.metrics import Metrics

log = logging.getLogger("ibc_relayer")

SUSPECTS_MAX = 1_000
CHECKS_PER_TURN = 20


class Watch:
    """Headers to be checked, by the side whose client took them."""

    def __init__(self, parties: tuple[Party, Party], clients: tuple[str, str], metrics: Metrics) -> None:
        self.parties, self.clients, self.metrics = parties, clients, metrics
        self._queues: tuple[deque[ClientUpdated], deque[ClientUpdated]] = (
            deque(maxlen=SUSPECTS_MAX),
            deque(maxlen=SUSPECTS_MAX),
        )

    def suspect(self, side: int, update: ClientUpdated) -> None:
        """A client on `side` took a header: check it."""
        if update.header:
            self._queues[side].append(update)

    async def audit(self, heads: tuple[int, int]) -> None:
        """What happened while nobody watched: the newest state of each client against the chain's own header."""
        for side in (0, 1):
            host, subject, client_id = self.parties[side], self.parties[1 - side], self.clients[side]
            latest = (await client_info(host.chain, client_id)).latest
            active = await client_status(host.chain, client_id) == "Active"
            if not active or latest.height > heads[1 - side] or await genuine(host, subject, client_id):
                continue
            log.error("client %s on %s holds a foreign state at %s", client_id, host.chain.chain_id, latest)
            for fact in facts(await host.chain.updates(client_id, latest)):
                if isinstance(fact, ClientUpdated):
                    self.suspect(side, fact)

    async def turn(self, heads: tuple[Head, Head]) -> None:
        """Check what can be checked; a header above its chain's head waits until the chain is there."""
        for side in (0, 1):
            await self.parties[1 - side].prover.witness(heads[1 - side])
            queue = self._queues[side]
            for _ in range(min(len(queue), CHECKS_PER_TURN)):
                update = queue[0]
                if update.height.height > heads[1 - side].height:
                    queue.rotate(-1)
                    continue
                await self._check(side, update)
                queue.popleft()

    async def _check(self, side: int, update: ClientUpdated) -> None:
        host, subject, client_id = self.parties[side], self.parties[1 - side], self.clients[side]
        try:
            info = await client_info(host.chain, client_id)
            evidence = await subject.prover.conflict(info, update.header)
        except NodeError:
            raise  # asked again in the next turn
        except ToolError as error:
            log.warning("client %s on %s: update cannot be checked: %s", client_id, host.chain.chain_id, error)
            return
        if evidence is None:
            return
        self.metrics.misbehaviour.labels(host.chain.chain_id, client_id).inc()
        log.error("client %s on %s took a forged header at %s", client_id, host.chain.chain_id, update.height)
        message = client_tx.MsgUpdateClient(client_id=client_id, client_message=evidence, signer=host.chain.signer)
        outcome = await host.chain.submit([message])
        if not outcome.ok and await client_status(host.chain, client_id) == "Active":
            got = f"{outcome.codespace}/{outcome.code}: {outcome.log}"
            raise ToolError(f"misbehaviour of {subject.chain.chain_id} on {host.chain.chain_id}: refused with {got}")
        word = "submitted" if outcome.ok else "submitted by somebody else"
        log.error("misbehaviour of %s %s on %s", subject.chain.chain_id, word, host.chain.chain_id)
