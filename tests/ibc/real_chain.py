"""The harness with nothing mocked below the handlers: Merkle proofs, signed headers, 07-tendermint clients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath

from cosmos_wire.protos import Any, Message, commitment, ics23
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.light_client import Height, LightClient
from ibc_core.tendermint import build
from ibc_core.tendermint.client import TendermintClient
from microgrid.store import StateDb, StoreOptions
from tests.ibc.harness import HOUR_NS, AppFactory, Chain, Coordinator
from tests.tendermint.testgen import LightChain

OPTIONS = StoreOptions(versions_kept=1_000, map_size=1 << 28, sync=False)
TERMS = build.Terms(
    trusting_period_ns=14 * 24 * HOUR_NS, unbonding_period_ns=21 * 24 * HOUR_NS, max_clock_drift_ns=30 * 10**9
)


def packed(message: Message) -> Any:
    return Any(type_url="/" + message.DESCRIPTOR.full_name, value=message.SerializeToString())


class RealChain(Chain):
    """Header h commits to the state after block h - 1, as CometBFT's do."""

    def __init__(self, folder: FilePath, chain_id: str, net: Coordinator, apps: Mapping[str, AppFactory]) -> None:
        self.db = StateDb.open(folder / chain_id, OPTIONS)
        self.headers: LightChain | None = None
        self.stored: dict[str, dict[bytes, bytes]] = {"app": {}, "ibc": {}}
        super().__init__(chain_id, net, apps)

    def client_types(self) -> Mapping[str, LightClient]:
        return {TendermintClient.type_url: TendermintClient()}

    def commit(self) -> None:
        changes = {name: self._changes(name) for name in self.stored}
        if self.headers is None:
            names = [f"{self.chain_id}-{n}" for n in range(4)]
            self.headers = LightChain(self.chain_id, names, self.net.time_ns)
        else:
            self.headers.next_block(self.db.app_hash, self.net.time_ns)
        self.db.commit(self.db.put(changes), self.height + 1, b"")
        super().commit()
        assert self.headers.height == self.height

    def _changes(self, name: str) -> dict[bytes, bytes | None]:
        now, before = dict(getattr(self, name).data), self.stored[name]
        self.stored[name] = now
        gone: dict[bytes, bytes | None] = {key: None for key in before if key not in now}
        return gone | {key: value for key, value in now.items() if before.get(key) != value}

    def settle(self) -> None:
        self.deliver()

    def _light(self) -> LightChain:
        assert self.headers is not None
        return self.headers

    def client_states(self) -> tuple[Any, Any]:
        state = build.client_state(self.chain_id, self.height, TERMS, [IAVL_SPEC, TENDERMINT_SPEC])
        return packed(state), packed(self._light().at(self.height).consensus)

    def header(self, trusted: Height) -> Any:
        return packed(self._light().update(trusted.height, self.height))

    def prove(self, key: bytes) -> bytes:
        with self.db.snapshot(self.height - 1) as snapshot:
            _, ops = snapshot.prove("ibc", key)
        proofs = [ics23.CommitmentProof.FromString(data) for _, _, data in ops]
        return commitment.MerkleProof(proofs=proofs).SerializeToString()
