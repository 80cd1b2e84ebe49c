"""Two microgrids and the main grid, with the real trade application and the real agents, over a relayer of one second.

What one microgrid lacks and the other has is traded between them, the rest with the main grid; nothing is traded twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bsmg.client.feed import Head
from cosmos_wire.errors import ChainError
from cosmos_wire.protos import Message, channel, market, trade
from energy.trade import packets
from ibc_core.host import Context
from tests.trade.pair import Chain, Sent, small_params
from utility_cell.agents.levels import GridAgent, LevelsAgent
from utility_cell.agents.lines import Lines
from utility_cell.agents.view import MarketView
from utility_cell.bidding import MIN_ORDER_mWh
from utility_cell.flows import TieLines
from utility_cell.world import Calendar

A, B, GRID = "mga-1", "mgb-1", "grid-1"
LINKS = ((A, B), (A, GRID), (B, GRID))
SLOT_MS, WINDOW_MS, STEP_MS = 4_000, 60_000, 1_000
FIRST, SLOTS = 100_000, 3
FUNDS = 10**18
LMP, CAP, FIT = 70_000, 80_000, 20_000
WINDOWS = {"meter_ms": 20_000, "disp_ms": 40_000, "close_ms": 60_000}
LEVEL2 = trade.LevelClock(lock_permille=300, gate_permille=280, act_permille=150, fee_e4=1500, **WINDOWS)
LEVEL3 = trade.LevelClock(lock_permille=145, gate_permille=145, act_permille=20, fee_e4=2500, **WINDOWS)
GATES = {"T_lock": -18_000, "T_act": -9_000, "T_lock3": -8_700, "T_meter": 20_000}
SECURE_MS, SEAL_MS = 36_000, 2_000


@dataclass
class Behind:
    """As `Surroundings`: who is behind a channel."""

    chains: dict[str, str] = field(default_factory=dict)

    def peer(self, _: Context, channel_id: str) -> str:
        return self.chains[channel_id]

    def voided(self, *_: object) -> bool:
        return False


class Node(Chain):
    """A chain with a channel to each of its neighbours, named after it."""

    def __init__(self, chain_id: str) -> None:
        super().__init__(chain_id, f"b{chain_id[:3]}")
        others = [other for link in LINKS if chain_id in link for other in link if other != chain_id]
        self.behind = Behind({channel_to(other): other for other in others})
        self.trade.ports = type(self.trade.ports)(
            sender=self.trade.ports.sender, gate=self.gate, forwarder=None, around=self.behind
        )
        cap = LMP if chain_id == GRID else CAP
        shape = {"slot_ms": SLOT_MS, "window_ms": WINDOW_MS, "level2": LEVEL2, "level3": LEVEL3}
        params = small_params(self.utility, self.denom, grid=GRID, floor_e4=FIT, cap_e4=cap, **shape)
        self.start(params, {self.utility: FUNDS})
        for name in self.behind.chains:
            self.open_channel(name)

    async def answer(self, _path: str, request: Message, _response: type[Message]) -> Message:
        """A query, as `ChainClient.query`."""
        return self.query(request)


def channel_to(chain_id: str) -> str:
    return f"channel-{chain_id.encode().hex()}"


class Client:
    """What the agents use of `ChainClient`."""

    def __init__(self, node: Node) -> None:
        self.chain_id, self.query = node.chain_id, node.answer


class World:
    """Three chains, their agents, and packets that take a step each way."""

    def __init__(self, residuals: Mapping[str, list[int]], nets: Mapping[str, list[int]]) -> None:
        self.residuals, self.nodes = residuals, {name: Node(name) for name in (A, B, GRID)}
        self.flows = TieLines(nets=lambda chain, slot: nets[chain][slot - FIRST], members=frozenset((A, B)))
        self.agents = {name: self._agent(node) for name, node in self.nodes.items()}
        self.arrived: dict[tuple[str, int], bytes] = {}
        self.refused: list[str] = []
        self.sent: Counter[str] = Counter()

    def _agent(self, node: Node) -> LevelsAgent | GridAgent:
        kind = GridAgent if node.chain_id == GRID else LevelsAgent
        lines = Lines(
            address=node.utility,
            slot_ms=SLOT_MS,
            gates_ms=GATES,
            neighbours={name: other for name, other in node.behind.chains.items() if other != GRID},
            grid="" if node.chain_id == GRID else channel_to(GRID),
        )
        calendar = Calendar(first_slot=FIRST, first_quarter=0, slots=SLOTS)
        client: Any = Client(node)
        return kind(chain=client, lines=lines, calendar=calendar, flows=self.flows)

    async def live(self) -> None:
        """From before the first slot's residual until everything is settled."""
        begin = FIRST * SLOT_MS - SECURE_MS - 5_000
        end = (FIRST + SLOTS) * SLOT_MS + 15_000
        for now_ms in range(begin, end, STEP_MS):
            for name, node in self.nodes.items():
                node.block(now_ms)
                async for message in self.agents[name].act(self._view(node, now_ms)):
                    self._deliver(node, message)
            self._relay()

    def _deliver(self, node: Node, message: Message) -> None:
        try:
            node.deliver(message)
        except ChainError as error:
            self.refused.append(f"{node.chain_id} {message.DESCRIPTOR.name}: {error}")

    def _view(self, node: Node, now_ms: int) -> MarketView:
        slots = {}
        for index, residual in enumerate(self.residuals.get(node.chain_id, [])):
            slot, start = FIRST + index, (FIRST + index) * SLOT_MS
            made = market.Slot(slot=slot, residual_mWh=residual, state=_state(now_ms - start))
            for prices in (made.prices, made.params):
                prices.floor_e4, prices.cap_e4 = FIT, CAP
            slots[slot] = made
        return MarketView(head=Head(height=node.height, time_ns=now_ms * 10**6), slots=slots)

    def _relay(self) -> None:
        """Acknowledgements of what arrived a step ago, then what was sent since."""
        for node in self.nodes.values():
            for sent in node.pending():
                there = self.nodes[node.behind.chains[sent.channel_id]]
                place = node.chain_id, sent.sequence
                packet = _packet(node, sent)
                if place in self.arrived:
                    node.ibc.delete(b"out/" + sent.sequence.to_bytes(8, "big"))
                    node.run(
                        lambda ctx, p=packet, a=self.arrived[place], n=node: n.trade.on_acknowledge_packet(ctx, p, a)
                    )
                    continue
                self.sent[sent.kind] += 1
                self.arrived[place] = self._receive(there, packet)

    def _receive(self, there: Node, packet: channel.Packet) -> bytes:
        try:
            return there.run(lambda ctx: there.trade.on_recv_packet(ctx, packet, ""))
        except ChainError as error:
            self.refused.append(f"{there.chain_id} packet: {error}")
            return packets.encode_ack(packets.Ack(error_code=error.code))

    def contracts(self, seller: str, buyer: str) -> dict[int, int]:
        """Energy by slot of what one chain sold to another; every contract of theirs is settled at both ends."""
        found: Counter[int] = Counter()
        s, b = self.nodes[seller], self.nodes[buyer]
        s.channel_id, b.channel_id = channel_to(buyer), channel_to(seller)
        for key, value in s.app.iterate(b"td/k/s"):
            sold = trade.SellerContract.FromString(value)
            if sold.channel_id == s.channel_id:
                bought = b.bought(key[-32:])
                assert (sold.state, bought.state) == (trade.SELLER_STATE_SETTLED, trade.BUYER_STATE_SETTLED)
                assert sold.settlement == bought.settlement
                assert sold.settlement.export_mwh == sold.settlement.import_mwh
                found[sold.lock.slot - FIRST] += sold.energy_mwh
        return found


def _state(since_start_ms: int) -> market.SlotState.ValueType:
    if since_start_ms < -SECURE_MS:
        return market.SLOT_STATE_BIDDING
    if since_start_ms < -SEAL_MS:
        return market.SLOT_STATE_RESIDUAL
    return market.SLOT_STATE_SEALED if since_start_ms < SLOT_MS else market.SLOT_STATE_METERING


def _packet(node: Node, sent: Sent) -> channel.Packet:
    return channel.Packet(
        sequence=sent.sequence,
        source_port="trade",
        source_channel=sent.channel_id,
        destination_port="trade",
        destination_channel=channel_to(node.chain_id),
        data=sent.data,
        timeout_timestamp=sent.timeout_ns,
    )


ENERGIES = st.lists(st.integers(-(10**7), 10**7), min_size=SLOTS, max_size=SLOTS)


@settings(max_examples=12)
@given(a=ENERGIES, b=ENERGIES, error=ENERGIES)
@example(a=[0, 0, 0], b=[0, 0, -1000], error=[0, 0, 0])  # two offers of one slot need two numbers
async def test_local_then_neighbours_then_the_main_grid(a: list[int], b: list[int], error: list[int]) -> None:
    nets = {
        A: [x + e // 9 for x, e in zip(a, error, strict=True)],
        B: [y - e // 7 for y, e in zip(b, error, strict=True)],
    }
    world = World({A: a, B: b}, nets)
    await world.live()
    assert world.refused == []
    a_to_b, b_to_a = world.contracts(A, B), world.contracts(B, A)
    for index, (x, y) in enumerate(zip(a, b, strict=True)):
        assert a_to_b[index] == (min(-x, y) if x < 0 < y else 0)
        assert b_to_a[index] == (min(x, -y) if y < 0 < x else 0)
        for chain, residual, gave, took in ((A, x, a_to_b, b_to_a), (B, y, b_to_a, a_to_b)):
            left = residual + gave[index] - took[index]
            from_grid = world.contracts(GRID, chain)[index] - world.contracts(chain, GRID)[index]
            assert from_grid == (left if abs(left) >= MIN_ORDER_mWh else 0)
    money_is_conserved(world)


def money_is_conserved(world: World) -> None:
    """No escrow and no collateral is left; what the buyers paid is with sellers, fees and pools."""
    for node in world.nodes.values():
        held = {name: node.module_balance(f"trade/{name}") for name in ("fees", "pool", "collateral")}
        for name in node.behind.chains:
            node.channel_id = name
            assert node.escrow() == 0
        others = sum(node.balance(other.utility) for other in world.nodes.values())
        assert held["collateral"] == 0
        assert others + held["fees"] + held["pool"] == FUNDS


async def test_a_slot_at_all_levels_costs_few_packets() -> None:
    """A sells to B what it has, B buys the rest from the main grid: 3 slots."""
    world = World({A: [-2_000_000] * SLOTS, B: [5_000_000] * SLOTS}, {A: [-2_000_000] * SLOTS, B: [5_000_000] * SLOTS})
    await world.live()
    each = {kind: count / SLOTS for kind, count in world.sent.items() if kind != "reputation"}
    # Two offers of level 2, one of them a sign of life, and the main grid's to both; two contracts of four packets.
    assert each == {"offer": 4, "lock": 2, "equivalence": 2, "meter": 2, "settlement": 2}
    assert world.sent["reputation"] <= 4 * 2


async def test_a_halted_slot_of_level_2_goes_to_the_main_grid() -> None:
    world = World({A: [-3_000_000] * SLOTS, B: [3_000_000] * SLOTS}, {A: [-3_000_000] * SLOTS, B: [3_000_000] * SLOTS})
    for node in world.nodes.values():
        node.gate.verdict = False
    await world.live()
    assert all("slot_halted" in line for line in world.refused)
    assert world.refused
    assert dict(world.contracts(A, GRID)) == dict(world.contracts(GRID, B)) == dict.fromkeys(range(SLOTS), 3_000_000)
    money_is_conserved(world)
