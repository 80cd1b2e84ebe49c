"""Two whole applications in one process: signed transactions, blocks, Merkle roots, headers, light clients.

`tests.ibc.harness` drives them as it drives bare handlers. Every transaction is simulated first, as wallets and
relayers do, and runs with exactly the gas that the simulation said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import Any as Whatever

from abci_app.app_process import build
from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from cosmos_wire.protos import Message, abci, base_abci, tx, tx_service
from cosmos_wire.tx import unsigned
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas
from microgrid import accounts
from microgrid.modules import compose
from microgrid.operator import Operator
from microgrid.query.query_server import QueryServer
from tests.app.chain import ALICE, GAS, START_S, Draft, Key, genesis
from tests.ibc.harness import AppFactory, Coordinator
from tests.ibc.real_chain import RealChain
from tests.tendermint.testgen import LightChain

GAS_PRICE_PERCENT = 1  # 0.01 a unit of gas
CHAINS = ("mga-1", "mgb-1")
SECOND_NS = 10**9
BLOCK_NS = SECOND_NS // 5
ROUTES = compose().messages


class AppChain(RealChain):
    """A chain whose blocks go through the application's ABCI methods; `key` signs what the harness sends."""

    def __init__(self, folder: FilePath, chain_id: str, net: Coordinator, apps: Mapping[str, AppFactory]) -> None:
        super().__init__(folder, chain_id, net, apps)
        self.node = build(self.db, Operator())
        self.server = QueryServer(self.db, CometBlocks(CometRpc("")), Operator())  # type: ignore[arg-type]  # a StateDb is a History
        self.key: Key = ALICE
        self.sequences: dict[bytes, int] = {}
        self.fee_named = False  # whether simulations carry a fee, as the Go relayer's second ones do
        self.growth: list[bytes] = []  # transactions of others that come between a simulation and its transaction
        self.results: list[abci.ExecTxResult] = []  # of all transactions
        self.margins: list[tuple[str, int, int]] = []  # (message types, gas simulated, gas used)

    def genesis(self, docs: Mapping[str, Mapping[str, object]]) -> None:  # noqa: ARG002  (the application's own)
        request = abci.RequestInitChain(chain_id=self.chain_id, app_state_bytes=genesis(), initial_height=1)
        request.time.seconds = START_S
        update = request.validators.add(power=10)
        update.pub_key.ed25519 = b"v" * 32
        self.node.init_chain(request)
        self.block()

    def view(self) -> Context:
        return self.context()

    def context(self, events: EventLog | None = None) -> Context:
        env = BlockEnv(chain_id=self.chain_id, height=self.height, time_ns=self.net.time_ns)
        app, ibc = self.db.store("app"), self.db.store("ibc")
        return Context(env=env, app=app, ibc=ibc, events=events or EventLog(), gas=FreeGas())

    def block(self, *txs: bytes) -> list[abci.ExecTxResult]:
        """One block; header h commits to the state after block h - 1."""
        if self.headers is None:
            self.headers = LightChain(self.chain_id, [f"{self.chain_id}-{n}" for n in range(4)], self.net.time_ns)
        else:
            self.headers.next_block(self.db.app_hash, self.net.time_ns)
        self.height += 1
        request = abci.RequestFinalizeBlock(txs=txs, height=self.height)
        request.time.seconds, request.time.nanos = divmod(self.net.time_ns, SECOND_NS)
        response = self.node.finalize_block(request)
        self.node.commit(abci.RequestCommit())
        self.ibc = self.db.store("ibc")  # type: ignore[assignment]  # the harness reads it as any store
        self.net.time_ns += BLOCK_NS
        self.results += response.tx_results
        return list(response.tx_results)

    def simulate(self, data: bytes) -> int:
        """Gas by cosmos.tx Simulate of an unsigned transaction."""
        parts = tx.TxRaw.FromString(data)
        raw = unsigned(parts.body_bytes, parts.auth_info_bytes)
        request = tx_service.SimulateRequest(tx_bytes=raw).SerializeToString()
        return tx_service.SimulateResponse.FromString(self.server._simulate(request)).gas_info.gas_used

    def draft(self, *messages: Message, key: Key | None = None) -> Draft:
        """Not signed and without gas and fee; the next of the signer's sequence."""
        key = key or self.key
        sequence = self.sequences.get(key.raw, 0)
        return Draft(key=key, sequence=sequence, messages=messages, gas=0, fee=0, chain_id=self.chain_id)

    def number_of(self, key: Key) -> int:
        """Account number."""
        found = accounts.find(self.context(), key.raw)
        assert found is not None, f"{key.text} has no account"
        return int(found.account_number)

    def count(self, key: Key) -> None:
        self.sequences[key.raw] = self.sequences.get(key.raw, 0) + 1

    def deliver(self, *messages: Message) -> list[Whatever]:
        """Simulate, let the state grow, run with the gas that was simulated."""
        if not messages:
            self.block()
            return []
        for message in messages:
            self._sign_for(message)
        return self.send(*messages)

    def send(self, *messages: Message, key: Key | None = None) -> list[Whatever]:
        """The same for messages whose signer is right."""
        draft = self.draft(*messages, key=key)
        gas = self.simulate((replace(draft, gas=GAS, fee=GAS) if self.fee_named else draft).bytes())
        if self.growth:
            refused = [result.log for result in self.block(*self.growth) if result.code]
            assert not refused, refused
            self.growth = []
        fee = -(-gas * GAS_PRICE_PERCENT // 100)
        (result,) = self.block(replace(draft, gas=gas, fee=fee).bytes())
        self.count(draft.key)
        names = "+".join(message.DESCRIPTOR.name for message in messages)
        self.margins.append((names, gas, result.gas_used))
        assert result.code == 0, f"{names}: {result.log}"
        self.events = [_event(item) for item in result.events]
        found = base_abci.TxMsgData.FromString(result.data).msg_responses
        kinds = [ROUTES["/" + message.DESCRIPTOR.full_name].response for message in messages]
        return [kind.FromString(item.value) for kind, item in zip(kinds, found, strict=True)]  # type: ignore[attr-defined]  # Messages

    def _sign_for(self, message: Message) -> None:
        setattr(message, ROUTES["/" + message.DESCRIPTOR.full_name].signer, self.key.text)


def _event(item: abci.Event) -> Event:
    return Event(item.type, tuple((part.key, part.value) for part in item.attributes))


def pair(folder: FilePath) -> Coordinator:
    """Both chains after their first block."""
    net = Coordinator(make=partial(AppChain, folder))
    net.time_ns = START_S * SECOND_NS
    for chain_id in CHAINS:
        net.chains[chain_id] = AppChain(folder, chain_id, net, {})
        net.chains[chain_id].genesis({})
    return net


def close(net: Coordinator) -> None:
    """End threads and databases."""
    for chain in net.chains.values():
        assert isinstance(chain, AppChain)
        chain.server.close()
        chain.db.close()
