"""Any interleaving of transfers, relays, duplicates and timeouts keeps every token: nothing lost, nothing made.

The rules know nothing of ICS-20 but the balances: whatever is neither in somebody's account nor escrowed behind a
voucher on the other side must be under way in a packet that still waits for its end.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel, channel_tx
from ibc_core import bank
from ibc_core.errors import TimeoutElapsed
from ibc_core.transfer import data, ledger
from tests.ibc.harness import HOUR_NS, Coordinator, Endpoint, account

USERS = ("alice", "bob")
NATIVE = {"mga-1": "bmga", "mgb-1": "bmgb"}
SUPPLY = 1_000
Sent = tuple[Endpoint, channel.Packet]


class Transfers(RuleBasedStateMachine):
    """Two chains, two channels between them, messages brought in any order, any number of times."""

    @initialize()
    def start(self) -> None:
        self.net = Coordinator(*NATIVE)
        self.ends: list[Endpoint] = []
        for _ in range(2):
            path = self.net.path()
            self.ends += [path.a, path.b]
        for chain_id, denom in NATIVE.items():
            self.net.chains[chain_id].fund("alice", denom, SUPPLY)
        self.packets: list[Sent] = []
        self.acks: dict[tuple[str, str, int], bytes] = {}

    @rule(end=st.integers(0, 3), who=st.sampled_from(USERS), pick=st.integers(0, 9), amount=st.integers(1, 400))
    def send(self, end: int, who: str, pick: int, amount: int) -> None:
        source = self.ends[end]
        held = list(bank.balances(source.chain.context(), account(who)))
        if not held:
            return
        denom, most = held[pick % len(held)]
        receiver = USERS[pick % 2]
        self.packets.append((source, source.transfer(who, receiver, (denom, min(amount, most)))))

    @precondition(lambda self: self.packets)
    @rule(which=st.integers(0, 99), blocked=st.booleans())
    def receive(self, which: int, blocked: bool) -> None:
        source, packet = self.packets[which % len(self.packets)]
        there = source.other
        if blocked:  # as if the application had refused: the packet comes back by an error acknowledgement
            there.chain.app.set(b"tr/p/receive", b"0")
        message = there.msg_receive(packet)
        try:
            response = there.chain.deliver(message)[0]
        except TimeoutElapsed:
            return
        finally:
            there.chain.app.set(b"tr/p/receive", b"1")
        written = there.chain.attributes("write_acknowledgement")
        assert bool(written) == (response.result == channel_tx.RESPONSE_RESULT_TYPE_SUCCESS)
        if written:
            key = (source.chain.chain_id, packet.source_channel, packet.sequence)
            assert key not in self.acks, "a packet was received twice"
            self.acks[key] = bytes.fromhex(written[0]["packet_ack_hex"])

    @rule(end=st.integers(0, 3), who=st.sampled_from(USERS), amount=st.integers(1, 400))
    def send_and_receive(self, end: int, who: str, amount: int) -> None:
        before = len(self.packets)
        self.send(end, who, amount, amount)
        if len(self.packets) > before:
            self.receive(before, blocked=False)

    @precondition(lambda self: self.acks)
    @rule(which=st.integers(0, 99), wrong=st.booleans())
    def acknowledge(self, which: int, wrong: bool) -> None:
        key = sorted(self.acks)[which % len(self.acks)]
        source, packet = next(
            (end, sent) for end, sent in self.packets if (end.chain.chain_id, sent.source_channel, sent.sequence) == key
        )
        ack = b'{"error":"forged"}' if wrong else self.acks[key]
        waiting = source.sent(packet)
        try:
            source.acknowledge(packet, ack)
        except ChainError:
            assert wrong
            assert waiting

    @precondition(lambda self: self.packets)
    @rule(which=st.integers(0, 99), on_close=st.booleans())
    def time_out(self, which: int, on_close: bool) -> None:
        source, packet = self.packets[which % len(self.packets)]
        key = (source.chain.chain_id, packet.source_channel, packet.sequence)
        try:
            result = (source.timeout_on_close if on_close else source.timeout)(packet)
        except ChainError:
            return
        assert result == channel_tx.RESPONSE_RESULT_TYPE_NOOP or key not in self.acks, "received and timed out"

    @rule(minutes=st.sampled_from([1, 1, 1, 20, 70]))
    def wait(self, minutes: int) -> None:
        self.net.pass_time(minutes * HOUR_NS // 60)

    # invariants

    def under_way(self, source: Endpoint, denom: str) -> int:
        """Amount of this chain's `denom` in packets of this end that were neither received with success nor undone."""
        total = 0
        for end, packet in self.packets:
            key = (end.chain.chain_id, packet.source_channel, packet.sequence)
            if end is not source or not end.sent(packet) or self.acks.get(key) == b'{"result":"AQ=="}':
                continue
            found = data.decode(packet.data)
            total += found.amount if found.denom.ledger_name == denom else 0
        return total

    @invariant()
    def escrow_covers_vouchers(self) -> None:
        """Per channel end and denomination: escrow here = vouchers there + what is under way either way."""
        for end in getattr(self, "ends", []):
            escrow = ledger.escrow_address(end.port, end.channel_id)
            for denom, _ in list(bank.supplies(end.chain.context())):
                locked = bank.balance(end.chain.context(), escrow, denom)
                known = ledger.denom_of(end.chain.context(), denom)
                if known.came_through(end.port, end.channel_id):
                    assert locked == 0
                    continue
                voucher = known.arrived(end.other.port, end.other.channel_id).ledger_name
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
            for denom, total in list(bank.supplies(ctx)):
                assert sum(amount for _, amount in bank.holders(ctx, denom)) == total
                channels = [end.channel_id for end in self.ends if end.chain is chain]
                locked = sum(bank.balance(ctx, ledger.escrow_address("transfer", one), denom) for one in channels)
                assert ledger.total_escrow(ctx, denom) == locked

    def teardown(self) -> None:
        """When everything that can end has ended, every token is in an account or behind a voucher."""
        if not hasattr(self, "net"):
            return
        self.net.pass_time(2 * HOUR_NS)
        for source, packet in self.packets:
            key = (source.chain.chain_id, packet.source_channel, packet.sequence)
            if key in self.acks:
                source.acknowledge(packet, self.acks[key])
            else:
                source.timeout(packet)
            assert not source.sent(packet)
        self.escrow_covers_vouchers()
        self.native_supply_never_changes()
        self.the_ledger_adds_up()


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_machine_can_tell_a_loss() -> None:
    """Break what it guards: an escrow that is drained behind the back of ICS-20 is noticed."""
    machine = Transfers()
    machine.start()
    machine.send(0, "alice", 0, 10)
    machine.escrow_covers_vouchers()
    end = machine.ends[0]
    bank.send(end.chain.context(), ledger.escrow_address("transfer", "channel-0"), account("thief"), ("bmga", 1))
    with pytest.raises(AssertionError):
        machine.escrow_covers_vouchers()
