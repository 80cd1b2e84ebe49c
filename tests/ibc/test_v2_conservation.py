"""Any interleaving of sends, relays, losses, duplicates and timeouts over IBC v2, beside a channel of v1, keeps every
token: nothing lost, nothing made, nothing received twice, nothing both received and given back.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel_v2
from ibc_core import bank
from ibc_core.errors import TimeoutElapsedV2
from ibc_core.transfer import encoding, ledger
from ibc_core.v2.channel import NOOP
from tests.ibc.harness import HOUR_NS, Coordinator, account
from tests.ibc.v2_path import EndV2, path_v2

USERS = ("alice", "bob")
NATIVE = {"mga-1": "bmga", "mgb-1": "bmgb"}
SUPPLY = 1_000
GOOD = [b'{"result":"AQ=="}']
ENCODINGS = (encoding.JSON, encoding.PROTOBUF, encoding.ABI)
Sent = tuple[EndV2, channel_v2.Packet]
Key = tuple[str, str, int]  # chain, client, sequence


def key_of(source: EndV2, packet: channel_v2.Packet) -> Key:
    return source.chain.chain_id, packet.source_client, packet.sequence


class TransfersV2(RuleBasedStateMachine):
    """Two chains, two pairs of clients and a channel between them; messages come in any order, any number of times."""

    @initialize()
    def start(self) -> None:
        self.net = Coordinator(*NATIVE)
        self.v1 = self.net.path()
        self.ends: list[EndV2] = []
        for _ in range(2):
            path = path_v2(self.net)
            self.ends += [path.a, path.b]
        for chain_id, denom in NATIVE.items():
            self.net.chains[chain_id].fund("alice", denom, SUPPLY)
        self.packets: list[Sent] = []
        self.acks: dict[Key, channel_v2.Acknowledgement] = {}
        self.undone: set[Key] = set()

    @rule(
        end=st.integers(0, 3),
        who=st.sampled_from(USERS),
        pick=st.integers(0, 9),
        amount=st.integers(1, 400),
        form=st.sampled_from(ENCODINGS),
    )
    def send(self, end: int, who: str, pick: int, amount: int, form: str) -> None:
        source = self.ends[end]
        held = list(bank.balances(source.chain.context(), account(who)))
        if held:
            denom, most = held[pick % len(held)]
            packet = source.transfer(who, USERS[pick % 2], (denom, min(amount, most)), form)
            self.packets.append((source, packet))

    @rule(back=st.booleans(), who=st.sampled_from(USERS), pick=st.integers(0, 9), amount=st.integers(1, 400))
    def send_by_v1(self, back: bool, who: str, pick: int, amount: int) -> None:
        source = self.v1.b if back else self.v1.a
        held = list(bank.balances(source.chain.context(), account(who)))
        if held:
            denom, most = held[pick % len(held)]
            self.v1.relay(source.transfer(who, USERS[pick % 2], (denom, min(amount, most))))

    @precondition(lambda self: self.packets)
    @rule(which=st.integers(0, 99), blocked=st.booleans())
    def receive(self, which: int, blocked: bool) -> None:
        source, packet = self.packets[which % len(self.packets)]
        there = source.other
        if blocked:  # as if the application had refused: the packet comes back by the sentinel
            there.chain.app.set(b"tr/p/receive", b"0")
        message = there.msg_receive(packet)
        try:
            there.chain.deliver(message)
        except TimeoutElapsedV2:
            return
        finally:
            there.chain.app.set(b"tr/p/receive", b"1")
        ack = there.last_ack()
        if ack.app_acknowledgements:
            assert key_of(source, packet) not in self.acks, "a packet was received twice"
            assert key_of(source, packet) not in self.undone, "a packet was given back and received"
            self.acks[key_of(source, packet)] = ack

    @rule(end=st.integers(0, 3), who=st.sampled_from(USERS), amount=st.integers(1, 400))
    def send_and_receive(self, end: int, who: str, amount: int) -> None:
        before = len(self.packets)
        self.send(end, who, amount, amount, encoding.JSON)
        if len(self.packets) > before:
            self.receive(before, blocked=False)

    @precondition(lambda self: self.acks)
    @rule(which=st.integers(0, 99), wrong=st.booleans())
    def acknowledge(self, which: int, wrong: bool) -> None:
        key = sorted(self.acks)[which % len(self.acks)]
        source, packet = next((end, sent) for end, sent in self.packets if key_of(end, sent) == key)
        ack = channel_v2.Acknowledgement(app_acknowledgements=[b"forged"]) if wrong else self.acks[key]
        waiting = source.sent(packet)
        try:
            source.acknowledge(packet, ack)
        except ChainError:
            assert wrong
            assert waiting

    @precondition(lambda self: self.packets)
    @rule(which=st.integers(0, 99))
    def time_out(self, which: int) -> None:
        source, packet = self.packets[which % len(self.packets)]
        try:
            result = source.timeout(packet)
        except ChainError:
            return
        if result != NOOP:
            assert key_of(source, packet) not in self.acks, "received and timed out"
            self.undone.add(key_of(source, packet))

    @rule(minutes=st.sampled_from([1, 1, 1, 20, 70]))
    def wait(self, minutes: int) -> None:
        self.net.pass_time(minutes * HOUR_NS // 60)

    # invariants

    def under_way(self, source: EndV2, denom: str) -> int:
        """Amount of this chain's `denom` in packets of this end that were neither received with success nor undone."""
        total = 0
        for end, packet in self.packets:
            ack = self.acks.get(key_of(end, packet))
            if end is not source or not end.sent(packet) or (ack and list(ack.app_acknowledgements) == GOOD):
                continue
            found = encoding.decode(packet.payloads[0])
            total += found.amount if found.denom.ledger_name == denom else 0
        return total

    @invariant()
    def escrow_covers_vouchers(self) -> None:
        """Per client and denomination: escrow here = vouchers there + what is under way either way."""
        for end in getattr(self, "ends", []):
            escrow = ledger.escrow_address("transfer", end.client_id)
            for denom, _ in list(bank.supplies(end.chain.context())):
                locked = bank.balance(end.chain.context(), escrow, denom)
                known = ledger.denom_of(end.chain.context(), denom)
                if known.came_through("transfer", end.client_id):
                    assert locked == 0
                    continue
                voucher = known.arrived("transfer", end.other.client_id).ledger_name
                minted = bank.supply(end.other.chain.context(), voucher)
                coming = self.under_way(end.other, voucher)
                assert locked == minted + coming + self.under_way(end, denom), (end.chain.chain_id, denom)

    @invariant()
    def native_supply_never_changes(self) -> None:
        for chain_id, denom in NATIVE.items():
            if hasattr(self, "net"):
                assert bank.supply(self.net.chains[chain_id].context(), denom) == SUPPLY

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for chain in getattr(getattr(self, "net", None), "chains", {}).values():
            ctx = chain.context()
            places = ["channel-0", *(end.client_id for end in self.ends if end.chain is chain)]
            for denom, total in list(bank.supplies(ctx)):
                assert sum(amount for _, amount in bank.holders(ctx, denom)) == total
                locked = sum(bank.balance(ctx, ledger.escrow_address("transfer", one), denom) for one in places)
                assert ledger.total_escrow(ctx, denom) == locked

    def teardown(self) -> None:
        """When everything that can end has ended, every token is in an account or behind a voucher."""
        if not hasattr(self, "net"):
            return
        self.net.pass_time(2 * HOUR_NS)
        for source, packet in self.packets:
            if (ack := self.acks.get(key_of(source, packet))) is not None:
                source.acknowledge(packet, ack)
            else:
                source.timeout(packet)
            assert not source.sent(packet)
        self.escrow_covers_vouchers()
        self.native_supply_never_changes()
        self.the_ledger_adds_up()


TestTransfersV2 = TransfersV2.TestCase
TestTransfersV2.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_machine_can_tell_a_loss() -> None:
    """Break what it guards: an escrow that is drained behind the back of ICS-20 is noticed."""
    machine = TransfersV2()
    machine.start()
    machine.send(0, "alice", 0, 10, encoding.JSON)
    machine.escrow_covers_vouchers()
    end = machine.ends[0]
    bank.send(end.chain.context(), ledger.escrow_address("transfer", end.client_id), account("thief"), ("bmga", 1))
    with pytest.raises(AssertionError):
        machine.escrow_covers_vouchers()
