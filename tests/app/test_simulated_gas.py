"""The gas that Simulate reports holds when the transaction runs: every kind of message, with other people's
transactions in between.

`AppChain.deliver` simulates, lets the growth happen, and runs with exactly the gas that it was told: a transaction that
needs more fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any as Whatever

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_wire.protos import bank, bank_tx, channel_tx, client_tx, coin, market, market_query, market_tx, transfer_tx
from cosmos_wire.protos import registry_tx as registry
from ibc_core.transfer.denom import Denom
from tests.app import pair
from tests.app.chain import ALICE, BOB, DENOM, START_S, STRANGER, UTILITY, Draft, Key, send_message
from tests.app.pair import SECOND_NS, AppChain
from tests.ibc.harness import Coordinator, Path, packet_of
from tests.ibc.real_chain import packed

DAY_S = 86_400
BLOCKS_TO_BIDDING = 400
VOUCHER = Denom(DENOM, (("transfer", "channel-0"),)).ledger_name


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    made = pair.pair(tmp_path_factory.mktemp("pair"))
    yield made
    pair.close(made)


@pytest.fixture(scope="module")
def path(net: Coordinator) -> Path:
    return net.path()


def app(end: Whatever) -> AppChain:
    assert isinstance(end.chain, AppChain)
    return end.chain


def signed(chain: AppChain, key: Key, *messages: Whatever) -> bytes:
    """A transaction of somebody else, with more gas than it needs."""
    draft = chain.draft(*messages, key=key)
    chain.count(key)
    return Draft(
        key=key, sequence=draft.sequence, messages=messages, gas=2_000_000, fee=20_000, chain_id=chain.chain_id
    ).bytes()


def transfer(
    path: Path, amount: int, denom: str = DENOM, sender: Key = ALICE, side: str = "a"
) -> transfer_tx.MsgTransfer:
    end = getattr(path, side)
    return transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=end.channel_id,
        sender=sender.text,
        receiver=BOB.text,
        token=coin.Coin(denom=denom, amount=str(amount)),
        timeout_timestamp=end.chain.net.time_ns + DAY_S * SECOND_NS,
    )


amounts = st.integers(0, 12).map(lambda digits: 10**digits)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paid=amounts, gained=amounts, named=st.booleans(), other=st.sampled_from([ALICE, STRANGER]))
def test_coins(path: Path, paid: int, gained: int, named: bool, other: Key) -> None:
    """Payments and transfers while the balances of everyone concerned gain digits."""
    chain = app(path.a)
    chain.growth = [signed(chain, BOB, send_message(BOB, other.text, gained), send_message(BOB, UTILITY.text, gained))]
    chain.fee_named = named
    many = bank_tx.MsgMultiSend(
        inputs=[bank.Input(address=ALICE.text, coins=[coin.Coin(denom=DENOM, amount=str(2 * paid))])],
        outputs=[
            bank.Output(address=key.text, coins=[coin.Coin(denom=DENOM, amount=str(paid))]) for key in (BOB, STRANGER)
        ],
    )
    chain.send(send_message(ALICE, UTILITY.text, paid))
    chain.growth = [signed(chain, BOB, transfer(path, gained, sender=BOB))]
    chain.send(send_message(ALICE, STRANGER.text, paid), many, transfer(path, paid))


def test_the_first_transaction_of_a_new_account(path: Path) -> None:
    chain = app(path.b)
    numbers = {chain.chain_id: 0}
    for n, named in enumerate((False, True)):
        key = Key(secret=bytes([n + 1]) * 32, number=0)
        chain.send(send_message(ALICE, key.text, 10**6))
        key = Key(secret=key.secret, number=chain.number_of(key))
        numbers[key.text] = key.number
        chain.growth = [signed(chain, BOB, send_message(BOB, key.text, 10**9))]
        chain.fee_named = named
        chain.send(send_message(key, STRANGER.text, 10), key=key)
    assert len(set(numbers.values())) == len(numbers)
    chain.fee_named = False


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 12), named=st.booleans(), raced=st.booleans(), idle=st.integers(1, 40))
def test_packets_behind_an_update_in_one_transaction(
    path: Path, count: int, named: bool, raced: bool, idle: int
) -> None:
    """A relayer's batch, while another relayer updates the same client and brings some of the packets."""
    source, target = app(path.a), app(path.b)
    source.fee_named = target.fee_named = named
    source.send(*[transfer(path, n + 1) for n in range(count)])
    packets = [packet_of(found) for found in source.attributes("send_packet")]
    for _ in range(idle):
        source.block()
        target.block()
    batch = _batch(path, packets)
    if raced:
        target.growth = [signed(target, BOB, *_as(BOB, _raced(path)))]
    target.send(*batch)
    acks = [bytes.fromhex(found["packet_ack_hex"]) for found in target.attributes("write_acknowledgement")]
    assert len(acks) == count
    for packet, ack in zip(packets, acks, strict=True):
        path.a.acknowledge(packet, ack)


def _batch(path: Path, packets: list[Whatever]) -> list[Whatever]:
    """MsgUpdateClient to the newest header, and a MsgRecvPacket each, proven at it."""
    path.a.chain.settle()
    header = path.b.header()
    height = path.a.chain.proof_height
    found = [
        channel_tx.MsgRecvPacket(packet=packet, proof_height=height, proof_commitment=_proof(path, packet))
        for packet in packets
    ]
    return _as(ALICE, [header, *found])


def _proof(path: Path, packet: Whatever) -> bytes:
    key = f"commitments/ports/{packet.source_port}/channels/{packet.source_channel}/sequences/{packet.sequence}"
    return path.a.chain.prove(key.encode())


def _raced(path: Path) -> list[Whatever]:
    """Another relayer's update of the same client, to the block before."""
    source, trusted = app(path.a), path.b.header().client_message
    assert trusted.value
    clients = path.b.chain.core.clients.route(path.b.chain.view(), path.b.client_id)
    latest = clients.latest_height(path.b.chain.view(), path.b.client_id)
    header = packed(source._light().update(latest.height, source.height - 1))
    return [client_tx.MsgUpdateClient(client_id=path.b.client_id, client_message=header)]


def _as(key: Key, messages: list[Whatever]) -> list[Whatever]:
    for message in messages:
        message.signer = key.text
    return messages


def test_an_update_that_has_to_prune_when_it_runs(tmp_path: FilePath) -> None:
    """Between the simulation and the block, the client's oldest state expires."""
    net = pair.pair(tmp_path)
    path = net.path()
    chain, other = app(path.a), app(path.b)
    for moment in (START_S + 13 * DAY_S, START_S + 14 * DAY_S - 1):
        net.time_ns = moment * SECOND_NS
        chain.block()
        other.block()
        path.a.update()
    chain.fee_named = True
    gaps = []
    for _ in range(12):
        other.block()
        chain.block()
        path.a.chain.deliver(path.a.header())
        _, told, used = chain.margins[-1]
        gaps.append(told - used)
    assert min(gaps) < max(gaps) - 3_000, gaps  # it did prune
    pair.close(net)


def test_messages_of_the_market(path: Path) -> None:
    """Cells, deposits, orders and cancellations, while others place theirs."""
    chain = app(path.a)
    chain.send(
        registry.MsgRegisterCell(
            utility=UTILITY.text, cell=ALICE.text, id="cell1@mga", bus=1, max_import_W=10_000, max_export_W=10_000
        ),
        registry.MsgRegisterDevice(utility=UTILITY.text, cell="cell1@mga", device="meter1@mga", pubkey=b"\x02" * 32),
        key=UTILITY,
    )
    chain.send(
        registry.MsgRegisterCell(
            utility=UTILITY.text, cell=BOB.text, id="cell2@mga", bus=2, max_import_W=10_000, max_export_W=10_000
        ),
        key=UTILITY,
    )
    for key in (ALICE, BOB):
        chain.send(market_tx.MsgDeposit(cell=key.text, amount=str(10**13)), key=key)
    for n, named in enumerate((False, True)):
        chain.fee_named = named
        slot = _bidding(chain)
        chain.growth = [signed(chain, BOB, *[_order(BOB, slot, price) for price in range(21_000, 21_003)])]
        seq = chain.send(_order(ALICE, slot, 30_000 + n))[0].seq
        chain.send(market_tx.MsgCancelOrder(cell=ALICE.text, slot=slot, seq=seq))
    chain.fee_named = False


def _order(key: Key, slot: int, price_e4: int) -> market_tx.MsgPlaceOrder:
    return market_tx.MsgPlaceOrder(
        cell=key.text, slot=slot, side=market.SIDE_BID, price_e4=price_e4, quantity_mWh=1_000
    )


def _bidding(chain: AppChain) -> int:
    """A slot that has just begun to take orders: its window is still long."""
    before = _taking_orders(chain)
    for _ in range(BLOCKS_TO_BIDDING):
        chain.block()
        now = _taking_orders(chain)
        if now - before:
            return max(now)
        before = now
    raise AssertionError("no slot takes orders")


def _taking_orders(chain: AppChain) -> set[int]:
    live = market_query.QuerySlotsRequest(live=True).SerializeToString()
    found = chain.server.state.answer("/bsmg.market.v1.Query/Slots", live, 0).value
    assert isinstance(found, market_query.QuerySlotsResponse)
    return {int(record.slot) for record in found.slots if record.state == market.SLOT_STATE_BIDDING}
