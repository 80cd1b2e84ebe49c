"""IBC v2 through the whole application: signed transactions, gas, mempool, ABCI Query, REST; and real proofs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path as FilePath

import pytest

from abci_app.comet_blocks import CometBlocks
from abci_app.comet_rpc import CometRpc
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import (
    Message,
    abci,
    channel_v2,
    channel_v2_query,
    channel_v2_tx,
    client,
    client_tx,
    client_v2_tx,
    commitment,
    ics23,
    transfer_tx,
    tx,
    tx_service,
)
from cosmos_wire.tx import unsigned
from ibc_core.ics23 import merkle
from ibc_core.ics23.specs import IAVL_SPEC, TENDERMINT_SPEC
from ibc_core.light_client import Height
from ibc_core.transfer.denom import Denom
from ibc_core.transfer.ledger import escrow_address
from ibc_core.v2 import paths
from ibc_core.v2.channel import NOOP
from microgrid.operator import Operator
from microgrid.query.query_server import QueryServer
from microgrid.query.rest_routes import rest_routes
from microgrid.store import StateDb
from tests.app.chain import ALICE, BOB, DENOM, START_S, Draft, Node, send_message
from tests.ibc.harness import Coordinator
from tests.ibc.real_chain import OPTIONS, RealChain
from tests.ibc.v2_path import EndV2, PathV2, path_v2

CLIENT = "07-tendermint-0"
THEIRS = Denom("bmgb", (("transfer", CLIENT),)).ledger_name
GAS = 5_000_000


class Meeting:
    """The application under test, and beside it a path whose end b takes it for its end a.

    Headers of `a` are the harness's, so that b's client follows that; here only what b proves is looked at.
    """

    def __init__(self, folder: FilePath) -> None:
        self.net = Coordinator("mga-1", "mgb-1", make=partial(RealChain, folder))
        self.net.pass_time((START_S - 600) * 10**9 - self.net.time_ns)  # its blocks make the clock go faster
        self.path: PathV2 = path_v2(self.net)
        self.b: EndV2 = self.path.b
        self.db = StateDb.open(folder / "application", OPTIONS)
        self.node = Node(self.db)
        self.sequence = 0
        state, consensus = self.b.chain.client_states()
        self.known = self.b.chain.height
        create = client_tx.MsgCreateClient(client_state=state, consensus_state=consensus, signer=ALICE.text)
        register = client_v2_tx.MsgRegisterCounterparty(
            client_id=CLIENT,
            counterparty_merkle_prefix=[b"ibc", b""],
            counterparty_client_id=CLIENT,
            signer=ALICE.text,
        )
        assert self.deliver(create, register).code == 0

    def tx(self, *messages: Message, gas: int = GAS) -> bytes:
        return Draft(key=ALICE, sequence=self.sequence, messages=messages, gas=gas, fee=10).bytes()

    def deliver(self, *messages: Message, gas: int = GAS) -> abci.ExecTxResult:
        data = self.tx(*messages, gas=gas)
        assert self.node.check(data).code == 0, self.node.check(data).log
        (result,) = self.node.block(data)
        self.sequence += 1
        return result

    def update(self) -> client_tx.MsgUpdateClient:
        self.b.chain.settle()
        header = self.b.chain.header(Height(1, self.known))
        self.known = self.b.chain.height
        return client_tx.MsgUpdateClient(client_id=CLIENT, client_message=header, signer=ALICE.text)

    def arriving(self) -> tuple[Message, channel_v2_tx.MsgRecvPacket]:
        """Client update and packet message of a transfer from b to Alice."""
        self.b.chain.fund("bob", "bmgb", 50)
        message = self.b.msg_transfer("bob", "alice", ("bmgb", 50))
        message.receiver = ALICE.text
        self.b.chain.deliver(message)
        packet = self.b.last_packet()
        update = self.update()
        receive = channel_v2_tx.MsgRecvPacket(
            packet=packet,
            proof_commitment=self.b.chain.prove(paths.commitment(CLIENT, packet.sequence)),
            proof_height=client.Height(revision_number=1, revision_height=self.known),
            signer=ALICE.text,
        )
        return update, receive

    def close(self) -> None:
        self.db.close()
        for chain in self.net.chains.values():
            assert isinstance(chain, RealChain)
            chain.db.close()


@pytest.fixture
def meeting(tmp_path: FilePath) -> Iterator[Meeting]:
    made = Meeting(tmp_path)
    yield made
    made.close()


@pytest.fixture
def server(meeting: Meeting) -> Iterator[QueryServer]:
    made = QueryServer(meeting.db, CometBlocks(CometRpc("")), Operator())  # type: ignore[arg-type]  # a StateDb is a History too
    yield made
    made.close()


def events(result: abci.ExecTxResult, kind: str) -> list[dict[str, str]]:
    return [{one.key: one.value for one in event.attributes} for event in result.events if event.type == kind]


def transfer(timeout_s: int, denom: str = DENOM, encoding: str = "") -> transfer_tx.MsgTransfer:
    message = transfer_tx.MsgTransfer(
        source_port="transfer",
        source_channel=CLIENT,
        sender=ALICE.text,
        receiver=BOB.text,
        timeout_timestamp=timeout_s,
        encoding=encoding,
    )
    message.token.denom, message.token.amount = denom, "50"
    return message


def ask(server: QueryServer, path: str, request: Message | bytes, *, prove: bool = False) -> abci.ResponseQuery:
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return server._abci.answer(abci.RequestQuery(path=path, data=data, prove=prove))


def test_receive_redundancy_and_back(meeting: Meeting, server: QueryServer) -> None:
    update, receive = meeting.arriving()
    result = meeting.deliver(update, receive)
    assert result.code == 0, result.log
    shown = events(result, "write_acknowledgement")[0]
    assert (shown["encoded_acknowledgement_hex"], shown["msg_index"]) == (
        channel_v2.Acknowledgement(app_acknowledgements=[b'{"result":"AQ=="}']).SerializeToString().hex(),
        "1",
    )
    again = meeting.tx(receive)
    refused = meeting.node.check(again)
    assert (refused.codespace, refused.code) == ("channel", 22)
    assert "packet messages are redundant" in refused.log
    (noop,) = meeting.node.block(again)  # a proposer may include it all the same
    meeting.sequence += 1
    assert noop.code == 0
    assert events(noop, "recv_packet") == []
    back = meeting.deliver(transfer(START_S + 3600, THEIRS))
    assert back.code == 0, back.log
    burnt = events(back, "burn")
    assert [item["amount"] for item in burnt] == [f"50{THEIRS}"]
    found = ask(
        server,
        "/ibc.core.channel.v2.Query/PacketCommitments",
        channel_v2_query.QueryPacketCommitmentsRequest(client_id=CLIENT),
    )
    states = channel_v2_query.QueryPacketCommitmentsResponse.FromString(found.value).commitments
    assert [state.sequence for state in states] == [1]


@pytest.mark.parametrize("present", [True, False])
def test_store_keys_that_are_no_text_have_proofs(meeting: Meeting, server: QueryServer, present: bool) -> None:
    """What relayers prove with: ABCI Query of the key as it is, and nothing else."""
    assert meeting.deliver(transfer(START_S + 3600)).code == 0
    meeting.node.block()
    key = paths.commitment(CLIENT, 1) if present else paths.receipt(CLIENT, 1)
    found = ask(server, "store/ibc/key", key, prove=True)
    proofs = [ics23.CommitmentProof.FromString(op.data) for op in found.proof_ops.ops]
    proof = commitment.MerkleProof(proofs=proofs).SerializeToString()
    assert (found.code, found.key, bool(found.value)) == (0, key, present)
    where = ([IAVL_SPEC, TENDERMINT_SPEC], meeting.db.app_hash, (b"ibc", key), proof)
    if present:
        merkle.verify_membership(*where, found.value)
    else:
        merkle.verify_non_membership(*where)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (transfer(START_S), ("channelv2", 9)),
        (transfer((START_S + 3600) * 10**9), ("channelv2", 8)),
        (transfer(START_S + 3600, encoding="text/plain"), ("ibc", 12)),
    ],
)
def test_refusals_reach_the_sender(meeting: Meeting, message: Message, code: tuple[str, int]) -> None:
    result = meeting.deliver(message)
    assert (result.codespace, result.code) == code


ALONE: list[tuple[Message, tuple[str, int]]] = [
    (channel_v2_tx.MsgSendPacket(source_client=CLIENT, timeout_timestamp=1, signer=ALICE.text), ("channelv2", 3)),
    (client_v2_tx.MsgRegisterCounterparty(client_id=CLIENT, signer=ALICE.text), ("clientv2", 34)),
    (client_v2_tx.MsgUpdateClientConfig(client_id="abcd", signer=ALICE.text), ("host", 2)),
    (channel_v2_tx.MsgRecvPacket(signer=ALICE.text), ("commitment", 2)),
    (channel_v2_tx.MsgTimeout(proof_unreceived=b"x", signer=ALICE.text), ("channelv2", 2)),
    (channel_v2_tx.MsgAcknowledgement(proof_acked=b"x", signer=ALICE.text), ("channelv2", 5)),
]


@pytest.mark.parametrize(("message", "code"), ALONE)
def test_what_a_message_shows_by_itself_costs_nothing(
    meeting: Meeting, message: Message, code: tuple[str, int]
) -> None:
    """ValidateBasic: refused by the mempool, and in a block before the fee is taken."""
    refused = meeting.node.check(meeting.tx(message))
    assert (refused.codespace, refused.code) == code
    (result,) = meeting.node.block(meeting.tx(message))
    assert ((result.codespace, result.code), events(result, "tx")) == (code, [])


def test_a_proof_that_does_not_hold_is_kept_out_of_the_mempool(meeting: Meeting) -> None:
    update, receive = meeting.arriving()
    forged = channel_v2_tx.MsgRecvPacket.FromString(receive.SerializeToString())
    forged.packet.sequence += 1
    refused = meeting.node.check(meeting.tx(update, forged))
    assert (refused.codespace, refused.code) == ("commitment", 2)
    assert meeting.deliver(update, receive).code == 0


def test_simulated_gas_holds(meeting: Meeting, server: QueryServer) -> None:
    for messages in ((transfer(START_S + 3600),), meeting.arriving()):
        parts = tx.TxRaw.FromString(meeting.tx(*messages))
        raw = unsigned(parts.body_bytes, parts.auth_info_bytes)
        request = tx_service.SimulateRequest(tx_bytes=raw).SerializeToString()
        used = tx_service.SimulateResponse.FromString(server._simulate(request)).gas_info.gas_used
        result = meeting.deliver(*messages, gas=used)
        assert result.code == 0, result.log


def test_redundancy_is_the_mempools_matter_alone(meeting: Meeting, server: QueryServer) -> None:
    """As in ibc-go: who simulates is told the gas of a no-op, first check and recheck refuse."""
    update, receive = meeting.arriving()
    assert meeting.deliver(update, receive).code == 0
    for again in (False, True):
        assert meeting.node.check(meeting.tx(receive), again=again).code == 22
    parts = tx.TxRaw.FromString(meeting.tx(receive))
    request = tx_service.SimulateRequest(tx_bytes=unsigned(parts.body_bytes, parts.auth_info_bytes))
    found = tx_service.SimulateResponse.FromString(server._simulate(request.SerializeToString()))
    (answer,) = found.result.msg_responses
    assert channel_v2_tx.MsgRecvPacketResponse.FromString(answer.value).result == NOOP


def test_an_escrow_account_takes_no_gifts(meeting: Meeting) -> None:
    assert meeting.deliver(transfer(START_S + 3600)).code == 0
    gift = meeting.deliver(send_message(ALICE, to_bech32(escrow_address("transfer", CLIENT))))
    assert (gift.codespace, gift.code) == ("sdk", 4)


def test_rest_knows_the_paths_of_ibc_go(server: QueryServer) -> None:
    served = {route.template for route in rest_routes(server.methods)}
    assert {
        "/ibc/core/client/v2/counterparty_info/{client_id}",
        "/ibc/core/client/v2/config/{client_id}",
        "/ibc/core/channel/v2/clients/{client_id}/next_sequence_send",
        "/ibc/core/channel/v2/clients/{client_id}/packet_commitments",
    } <= served
