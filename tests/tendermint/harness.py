"""A host chain that follows a `LightChain` with one client."""

from __future__ import annotations

from cosmos_wire.protos import Any, Message
from ibc_core.host import BlockEnv, Context, Event, EventLog, FreeGas, MemoryStore
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.light_client import Height
from ibc_core.tendermint import build
from ibc_core.tendermint.client import TendermintClient
from ibc_core.tendermint.wire import ClientState, Header, pack
from tests.tendermint.testgen import SECOND_NS, LightChain

CLIENT_ID = "07-tendermint-0"
TERMS = build.Terms(
    trusting_period_ns=100 * SECOND_NS, unbonding_period_ns=150 * SECOND_NS, max_clock_drift_ns=10 * SECOND_NS
)
SPECS = (IAVL_SPEC, TENDERMINT_SPEC)


def client_state(chain_id: str = "mga-1", height: int = 1, terms: build.Terms = TERMS) -> ClientState:
    return build.client_state(chain_id, height, terms, SPECS)


class Host:
    """The chain that keeps the client; `time_ns` moves by hand."""

    def __init__(self, time_ns: int, chain_id: str = "mgb-1") -> None:
        self.store = MemoryStore()
        self.client = TendermintClient()
        self.chain_id = chain_id
        self.time_ns = time_ns
        self.height = 1
        self.log = EventLog()

    @property
    def events(self) -> list[Event]:
        """Everything emitted so far."""
        return self.log.events

    @property
    def ctx(self) -> Context:
        return Context(
            env=BlockEnv(chain_id=self.chain_id, height=self.height, time_ns=self.time_ns),
            app=MemoryStore(),
            ibc=self.store,
            events=self.log,
            gas=FreeGas(),
        )

    def create(self, chain: LightChain, height: int = 1, terms: build.Terms = TERMS) -> None:
        state = client_state(chain.chain_id, height, terms)
        self.client.initialise(self.ctx, CLIENT_ID, pack(state), pack(chain.at(height).consensus))

    def submit(self, message: Message | Any) -> tuple[Height, ...]:
        """What ICS-02 does with a client message; () when it froze the client."""
        packed = message if isinstance(message, Any) else pack(message)
        with self.ctx.branch() as ctx:
            self.client.verify_client_message(ctx, CLIENT_ID, packed)
            if self.client.check_for_misbehaviour(ctx, CLIENT_ID, packed):
                self.client.freeze(ctx, CLIENT_ID)
                return ()
            return self.client.update_state(ctx, CLIENT_ID, packed)

    def dump(self) -> dict[bytes, bytes]:
        """Everything below the client's prefix, by the rest of the key."""
        prefix = f"clients/{CLIENT_ID}/".encode()
        return {key.removeprefix(prefix): value for key, value in self.store.iterate(prefix)}


def followed(names: str = "abcd", blocks: int = 5) -> tuple[LightChain, Host]:
    """A chain of one-letter validators, and a host whose client stands at its first block."""
    chain = LightChain("mga-1", names)
    for number in range(blocks):
        chain.next_block(bytes([number + 2]) * 32)
    host = Host(chain.time_ns)
    host.create(chain)
    return chain, host


def copy_of(header: Header) -> Header:
    made = Header()
    made.CopyFrom(header)
    return made
