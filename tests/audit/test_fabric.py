"""The audit of a Fabric microgrid: an honest ledger agrees; every lie of a front, a peer or a member is found."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from bsmg.audit.attestations import check_attestations, commitment, of_answer, of_receipt, of_timeout
from bsmg.audit.claims import claims_of
from bsmg.audit.clients import check_client
from bsmg.audit.fabric import blocks as parts
from bsmg.audit.fabric.check import check_ledger
from bsmg.audit.fabric.members import DoubtError, Membership
from bsmg.audit.fetch_fabric import read_fabric
from bsmg.audit.findings import Findings
from bsmg.audit.packets import Rests
from bsmg.audit.record import BlockRecord, ChainRecord
from bsmg.audit.replay import Replay
from bsmg.audit.run import audit
from bsmg.audit.sources import read_orderers
from bsmg.client.fabric import Attested, FabricClient, FabricEndpoints
from bsmg.client.testnet_file import ChainInfo
from cosmos_wire.protos import channel, channel_tx, fabric_client, tx
from cosmos_wire.tx import pack
from fabric_adapter.errors import EndorseError
from fabric_adapter.identity import load_identity
from fabric_wire import p256
from fabric_wire.envelopes import block_data_hash, block_header_hash
from fabric_wire.protos import common, kvrwset, proposal, proposal_response, rwset, transaction
from ibc_core import packet as ics04
from ibc_core import paths
from ibc_core.fabric import build
from ibc_core.fabric.membership import write_members
from ibc_core.fabric.records import attest_args
from ibc_core.host import Event
from tests.fabric_client.network import BOTH, ORG1, ORG2, ORG3, START_NS, members_of, peers
from tests.fabric_node.world import CHAIN, World, world

THERE, ABSENT = b"nextClientSequence", b"receipts/ports/transfer/channels/channel-0/sequences/7"
Blocks = list[common.Block]
Change = Callable[[transaction.ChaincodeActionPayload], None]


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A ledger with some payments, one refused by its Tick, and an attestation that somebody submitted."""
    return asyncio.run(live(tmp_path_factory.mktemp("ledger")))


@pytest.fixture(scope="module")
def record(lived) -> ChainRecord:
    return lived[0]


@pytest.fixture(scope="module")
def alice(lived):
    return lived[1]


async def live(path):
    async with world(path) as net:
        await net.found()
        async with net.front() as front:
            await front.height_above(1)
            for amount in (1, 2, 3):
                await net.pay(amount)
            await front.height_above((await front.status()).height)
            async with client(net, front) as chain:
                await chain.head()
                await chain.feed.wait_above(await submitted_attestation(chain) + 1)
                await new_membership(net, await chain.membership())
                await net.pay(4)
                await chain.feed.wait_above((await chain.head()).height)
                header = build.header((await chain.attest()).endorsed)
                await chain.feed.wait_above((await chain.head()).height)
                known = None, read_orderers(information(net))
                shown = await chain.attest([THERE, ABSENT])
                await chain.feed.wait_above((await chain.head()).height)
                told = await read_fabric(chain, lambda _at, _last: None, known, light=True)
                return told, net.alice.node.secret, header, shown


async def submitted_attestation(chain: FabricClient) -> int:
    """An attestation that is on the ledger, and of which tick; another try when the tick moved on meanwhile."""
    while True:
        height = (await chain.attest([b"path"])).height
        gateway = chain.gateway(chain.identity)
        with suppress(EndorseError):
            ready = await gateway.endorse("microgrid", attest_args(height, (b"path",), tick=True))
            await gateway.settle(ready)
            return height


async def new_membership(net: World, known: fabric_client.Membership) -> None:
    """Both organisations approve, Alice adopts."""
    record = fabric_client.Membership(version=2, msps=known.msps, policy=known.policy)
    data = record.SerializeToString(deterministic=True)
    for org in (1, 2):
        async with net.gateway("admin", org) as gateway:
            await gateway.transact("microgrid", [b"Approve", data])
    async with net.gateway("alice") as gateway:
        await gateway.transact("microgrid", [b"Adopt", data])


@pytest.fixture(scope="module")
def header(lived) -> fabric_client.Header:
    """What a relayer would bring to a client of this chain."""
    return lived[2]


def information(net: World) -> ChainInfo:
    """As testnet.json names the network's folder."""
    parts = {"kind": "fabric-embedded", "bech32_prefix": "bsmg", "denom": "", "nodes": (), "accounts": ()}
    return ChainInfo(chain_id=CHAIN, fabric=str(net.home.document.parent), **parts)


def client(net: World, front) -> FabricClient:
    folder = net.home.crypto("org1")
    identity = load_identity("Org1MSP", folder / "members" / "alice.crt", folder / "members" / "alice.key")
    peer = net.plan.peers[0]
    ends = FabricEndpoints(grpc=front.grpc, peer=peer.address, msp_id=peer.msp_id, tls_ca=str(folder / "tlsca.crt"))
    return FabricClient(CHAIN, ends, identity)


def differences(record: ChainRecord) -> list[str]:
    return [str(item) for found in audit([record]) for item in found.differences]


def test_an_honest_ledger_agrees(record):
    (found,) = audit([record])
    assert found.differences == []
    assert found.checked["transactions"] == found.checked["accounts"] == 4
    beside_ticks = 4 + 3  # payments, two approvals and the adoption; the ledger is read last: ticks ahead
    assert found.checked["ticks"] >= record.final.height + beside_ticks
    assert found.checked["ledger"] == found.checked["ticks"] + 1, "the attestation is endorsed like the others"
    assert len(found.notes) == 2
    assert record.fabric is not None
    assert found.checked["orderers"] == len(record.fabric.blocks)
    assert found.checked["proofs"] == len(claims_of(record.final)) > 3


def test_a_front_whose_state_is_not_the_ledger_s_is_found(record):
    """It tells what nobody's books contradict; and it keeps silent about a balance."""
    final = record.final
    holder = sorted(final.balances)[0]
    for balances in (
        {**final.balances, holder: final.balances[holder] + 1},
        {place: amount for place, amount in final.balances.items() if place != holder},
    ):
        (found,) = audit([replace(record, fabric=record.fabric, final=replace(final, balances=balances))])
        assert len(found.of("proofs")) == 1
        assert found.of("balances")


# What a front tells


def with_block(record: ChainRecord, change: Callable[[BlockRecord], BlockRecord]) -> ChainRecord:
    """The first block with a transaction is told otherwise."""
    at = next(n for n, block in enumerate(record.blocks) if block.txs)
    told = change(record.blocks[at])
    return replace(record, blocks=(*record.blocks[:at], told, *record.blocks[at + 1 :]))


def with_tx(block: BlockRecord, **changes) -> BlockRecord:
    return replace(block, txs=(replace(block.txs[0], **changes), *block.txs[1:]))


def other_body(block: BlockRecord) -> BlockRecord:
    raw = tx.TxRaw.FromString(block.txs[0].raw)
    body = tx.TxBody.FromString(raw.body_bytes)
    body.memo = "never submitted"
    raw.body_bytes = body.SerializeToString(deterministic=True)
    return with_tx(block, raw=raw.SerializeToString(deterministic=True))


def later(block: BlockRecord) -> BlockRecord:
    header = type(block.header).FromString(block.header.SerializeToString())
    header.time.nanos += 1
    return replace(block, header=header)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda block: replace(block, txs=()), "transactions: expected ["),
        (lambda block: replace(block, txs=block.txs[:1] * 2), "transactions: expected ["),
        (lambda block: with_tx(block, tx_hash="AB" * 32), "transactions: expected ["),
        (lambda block: with_tx(block, code=5), "transaction 0 result"),
        (lambda block: with_tx(block, events=block.txs[0].events[1:]), "transaction 0 result"),
        (lambda block: replace(block, hook_events=(*block.hook_events, Event("x", ()))), "events: expected ["),
        (other_body, "transaction 0 body"),
        (later, "time: expected"),
    ],
)
def test_a_front_that_tells_otherwise(record, change, expected):
    found = differences(with_block(record, change))
    assert any(f"{CHAIN} ticks" in line and expected in line for line in found), found


def test_another_genesis(record):
    doc = {**record.genesis, "genesis_time": "2030-01-01T00:00:00Z"}
    assert any("genesis document" in line for line in differences(replace(record, genesis=doc)))


# What a peer's ledger says


def copies(record: ChainRecord) -> Blocks:
    return [common.Block.FromString(block.SerializeToString()) for block in record.fabric.blocks]


def with_ledger(record: ChainRecord, blocks: Sequence[common.Block]) -> ChainRecord:
    return replace(record, fabric=replace(record.fabric, blocks=tuple(blocks)))


def relinked(blocks: Blocks) -> Blocks:
    """What who rewrites a ledger does: all hashes right again."""
    previous = b""
    for block in blocks:
        block.header.previous_hash = previous
        block.header.data_hash = block_data_hash(block.data.data)
        previous = block_header_hash(block.header.number, previous, block.header.data_hash)
    return blocks


def test_a_ledger_that_was_rewritten_behind_the_orderers_is_found(record):
    """A payment is left out, all hashes are right again, and no orderer has signed that."""
    blocks = copies(record)
    at, number = first(blocks, b"Submit")
    del blocks[at].data.data[number]
    flags = bytearray(blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER])
    del flags[number]
    blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER] = bytes(flags)
    (found,) = audit([with_ledger(record, relinked(blocks))])
    unsigned = [item.place for item in found.of("orderers")]
    assert unsigned == [f"ledger block {block.header.number}" for block in blocks[at:]]
    (unknown,) = audit([replace(record, fabric=replace(record.fabric, orderers=None))])
    assert unknown.differences == []
    assert [note for note in unknown.notes if "not known" in note]


def first(blocks: Blocks, function: bytes) -> tuple[int, int]:
    """Block and place of the first transaction of a function."""
    return next(
        (item.block, item.number) for block in blocks for item in parts.transactions(block) if item.args[0] == function
    )


def rewritten(
    blocks: Blocks, function: bytes, change: Callable[[transaction.ChaincodeActionPayload], None], secret=None
):
    """The first transaction of a function with another content, signed anew where its creator plays along."""
    at, number = first(blocks, function)
    envelope = common.Envelope.FromString(blocks[at].data.data[number])
    payload = common.Payload.FromString(envelope.payload)
    whole = transaction.Transaction.FromString(payload.data)
    action = transaction.ChaincodeActionPayload.FromString(whole.actions[0].payload)
    change(action)
    whole.actions[0].payload = action.SerializeToString()
    payload.data = whole.SerializeToString()
    envelope.payload = payload.SerializeToString()
    if secret is not None:
        envelope.signature = p256.sign(secret, envelope.payload)
    blocks[at].data.data[number] = envelope.SerializeToString()
    return relinked(blocks)


def no_second_endorser(action: transaction.ChaincodeActionPayload) -> None:
    del action.action.endorsements[1:]


def one_endorser_twice(action: transaction.ChaincodeActionPayload) -> None:
    action.action.endorsements[1].CopyFrom(action.action.endorsements[0])


def spoilt_answer(action: transaction.ChaincodeActionPayload) -> None:
    raw = bytearray(action.action.proposal_response_payload)
    at = raw.index(b"inbox/") + 6
    raw[at] ^= 1
    action.action.proposal_response_payload = bytes(raw)


def test_a_changed_byte_breaks_the_chain_of_blocks(record):
    blocks = copies(record)
    blocks[3].data.data[0] += b"x"
    assert any("block 3: expected data" in line for line in differences(with_ledger(record, blocks)))


def test_blocks_in_another_order_or_missing(record):
    blocks = copies(record)
    blocks[2], blocks[3] = blocks[3], blocks[2]
    assert any("block 2: expected this number, got 3" in line for line in differences(with_ledger(record, blocks)))
    del blocks[2]
    assert any("expected it on" in line for line in differences(with_ledger(record, blocks)))


@pytest.mark.parametrize(
    ("change", "signs", "expected"),
    [
        (no_second_endorser, False, "signature: expected one that verifies"),
        (no_second_endorser, True, "expected what the policy of membership 1 asks, got ['Org1MSP.peer']"),
        (one_endorser_twice, True, "expected each endorser once"),
        (spoilt_answer, True, "signature: expected one that verifies"),
    ],
)
def test_a_rewritten_ledger(record, alice, change, signs, expected):
    """All hashes are right again, and the creator may play along: the organisations' peers have not."""
    blocks = rewritten(copies(record), b"Submit", change, alice if signs else None)
    assert any(expected in line for line in differences(with_ledger(record, blocks)))


def test_a_transaction_that_is_called_invalid(record):
    """Verdicts are in no signature: what followed has read what this one wrote."""
    blocks = copies(record)
    at, number = first(blocks, b"Tick")
    flags = bytearray(blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER])
    flags[number] = transaction.MVCC_READ_CONFLICT
    blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER] = bytes(flags)
    found = differences(with_ledger(record, blocks))
    assert any("version of tick" in line for line in found)
    assert any("height: expected 2, got 3" in line for line in found)


def with_write(action: transaction.ChaincodeActionPayload, key: str, value: bytes | None) -> None:
    """The same deed with one more or another write."""
    answer = proposal_response.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    deed = proposal.ChaincodeAction.FromString(answer.extension)
    whole = rwset.TxReadWriteSet.FromString(deed.results)
    (own,) = (part for part in whole.ns_rwset if part.namespace == "microgrid")
    made = kvrwset.KVRWSet.FromString(own.rwset)
    others = [item for item in made.writes if item.key != key]
    del made.writes[:]
    made.writes.extend([*others, kvrwset.KVWrite(key=key, value=value or b"", is_delete=value is None)])
    own.rwset = made.SerializeToString()
    deed.results = whole.SerializeToString()
    answer.extension = deed.SerializeToString()
    action.action.proposal_response_payload = answer.SerializeToString()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("app/base/002", b"\x08\x02\x12\x06\x0a\x01k\x12\x01v", "log: expected {"),  # k with v is nowhere else
        ("app/base/003", b"\x08\x02", "log: expected {"),  # one whose turn it is not
        ("app/delta/0000000000000001", None, "log: expected {"),  # changes that a start needs
        ("app/delta/0000000000000002", b"\x08\x02", "state: expected "),
        (f"inbox/{'0' * 16}/{'0' * 64}", None, "removed unexecuted: expected []"),
    ],
)
def test_a_tick_that_the_organisations_made_up(record, key, value, expected):
    """The first Tick, height 2, writes something else than the chaincode would."""
    blocks = rewritten(copies(record), b"Tick", lambda action: with_write(action, key, value))
    found = differences(with_ledger(record, blocks))
    assert any(f"{CHAIN} ticks" in line and expected in line for line in found), found


def test_a_membership_that_an_organisation_has_not_approved(record):
    blocks = copies(record)
    at, number = first(blocks, b"Approve")
    flags = bytearray(blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER])
    flags[number] = transaction.ENDORSEMENT_POLICY_FAILURE
    blocks[at].metadata.metadata[common.TRANSACTIONS_FILTER] = bytes(flags)
    found = differences(with_ledger(record, blocks))
    assert any("the policy of membership 1 asks, got ['Org2MSP.peer']" in line for line in found), found


def test_a_ledger_that_ends_too_early(record):
    at = len(record.fabric.blocks) // 2
    found = differences(with_ledger(record, record.fabric.blocks[:at]))
    assert any("end of the ledger" in line for line in found)


def test_without_the_ledger_it_says_what_it_has_not_checked(record):
    (found,) = audit([replace(record, fabric=None)])
    assert found.differences == []
    assert found.notes == ["endorsements and signatures: the ledger was not read"]


# What light clients elsewhere took


def looked_at(record: ChainRecord, header: fabric_client.Header) -> Findings:
    followed, findings = Replay(record), Findings(chain_id="mga-1")
    followed.follower = check_ledger(record, Findings(chain_id=CHAIN))
    check_client(findings, "block 7", pack(header), followed)
    return findings


def test_a_header_is_a_tick_of_the_ledger_and_endorsed(record, header):
    findings = looked_at(record, header)
    assert (findings.checked, findings.differences) == ({"clients": 1}, [])


def test_a_header_that_too_few_have_endorsed(record, header):
    forged = fabric_client.Header.FromString(header.SerializeToString())
    del forged.endorsed.endorsements[1:]
    (found,) = looked_at(record, forged).differences
    assert "expected what the policy of membership 2 asks" in str(found)


def test_a_header_of_a_tick_that_never_was(record, header):
    forged = fabric_client.Header.FromString(header.SerializeToString())
    raw = forged.endorsed.response_payload
    written = parts.action_of(raw).writes["microgrid"]["attest/tick"]
    other = fabric_client.Attestation.FromString(written)
    tick = fabric_client.TickRecord.FromString(other.value)
    tick.state_hash = bytes(32)
    other.value = tick.SerializeToString(deterministic=True)
    forged.endorsed.response_payload = raw.replace(written, other.SerializeToString(deterministic=True))
    found = [str(item) for item in looked_at(record, forged).differences]
    assert any(f"tick {tick.height}: expected" in line for line in found)
    assert any("signature: expected one that verifies" in line for line in found)


# Members


def test_members_by_the_cryptography_package_agree_with_the_light_client_s():
    """The same verdicts as `fabric_wire.msp` on its own fixtures: a peer of the organisation, one of another."""
    asked = Membership(write_members(members_of(1, BOTH, ORG1, ORG2)))
    one, two, stranger = peers(ORG1, ORG2, ORG3)
    payload = b"payload"
    both = [(item.endorser, item.signature) for item in (one.endorse(payload), two.endorse(payload))]
    asked.require_endorsed(payload, both, START_NS)
    asked.require_endorsed(payload, both[::-1], START_NS)
    for few in ([], both[:1]):
        with pytest.raises(DoubtError, match="expected what the policy"):
            asked.require_endorsed(payload, few, START_NS)
    foreign = stranger.endorse(payload)
    with pytest.raises(DoubtError, match="Org3MSP: expected a certificate under its roots"):
        asked.require_endorsed(payload, [*both[:1], (foreign.endorser, foreign.signature)], START_NS)
    with pytest.raises(DoubtError, match="expected a certificate in force"):
        asked.require_endorsed(payload, both, START_NS + 10**9 * 86_400 * 365 * 100)


@pytest.mark.parametrize(
    ("policy", "satisfied"),
    [
        ("OR('Org1MSP.peer', 'Org2MSP.peer')", True),
        ("OutOf(2, 'Org1MSP.peer', 'Org2MSP.peer', 'Org3MSP.peer')", True),
        ("AND('Org1MSP.member', 'Org2MSP.member')", True),
        ("AND('Org1MSP.peer', 'Org1MSP.peer')", False),
        ("AND('Org1MSP.admin', 'Org2MSP.peer')", False),
        ("AND('Org1MSP.peer', OR('Org2MSP.admin', 'Org3MSP.peer'))", False),
    ],
)
def test_policies(policy, satisfied):
    record = fabric_client.Membership(version=1)
    record.CopyFrom(write_members(members_of(1, policy, ORG1, ORG2, ORG3)))
    endorsements = [(e.endorser, e.signature) for e in (signer.endorse(b"p") for signer in peers(ORG1, ORG2))]
    if satisfied:
        Membership(record).require_endorsed(b"p", endorsements, START_NS)
    else:
        with pytest.raises(DoubtError, match="expected what the policy"):
            Membership(record).require_endorsed(b"p", endorsements, START_NS)


def test_nothing_of_the_chain_judges_its_ledger():
    program = "import sys, bsmg.audit.fabric.check as c; print([m for m in sys.modules if 'fabric_wire.x509' in m])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What packet messages on another chain rest on


@pytest.fixture(scope="module")
def shown(lived) -> Attested:
    """What its members attest of two paths at some tick."""
    return lived[3]


def resting(shown: Attested, **changes) -> Rests:
    """A message that rests on the path that is there, unless told."""
    value = shown.values.get(changes.get("path", THERE))
    whole = {"end": ("transfer", "channel-0"), "path": THERE, "value": value, "height": shown.height}
    return Rests(**{**whole, "proof": shown.endorsed.SerializeToString(), **changes})


def faults(record: ChainRecord, item: Rests) -> list[str]:
    follower, findings = check_ledger(record, Findings(chain_id=CHAIN)), Findings(chain_id="mga-1")
    assert follower is not None
    check_attestations(findings, iter([("block 3", item)]), (CHAIN, follower))
    assert findings.checked == {"attestations": 1}
    return [wrong.got for wrong in findings.differences]


def test_presence_and_absence_that_the_members_attest_hold(record, shown):
    assert shown.values[THERE]
    assert shown.values[ABSENT] is None
    assert faults(record, resting(shown)) == []
    assert faults(record, resting(shown, path=ABSENT)) == []


def unendorsed(shown: Attested) -> bytes:
    made = fabric_client.EndorsedPayload()
    made.CopyFrom(shown.endorsed)
    del made.endorsements[1:]
    return made.SerializeToString()


def altered(shown: Attested) -> bytes:
    """Another value under the same signatures."""
    value = shown.values[THERE]
    raw = shown.endorsed.response_payload
    assert raw.count(value) == 1
    changed = raw.replace(value, bytes(len(value) - 1) + b"\xfe")
    made = fabric_client.EndorsedPayload()
    made.CopyFrom(shown.endorsed)
    made.response_payload = changed
    return made.SerializeToString()


def test_what_the_members_did_not_attest_is_found(record, shown):
    value = bytes(7) + b"\xfe"
    for item, words in (
        (resting(shown, value=value), "attestation: expected"),
        (resting(shown, value=None), "attestation: expected"),
        (resting(shown, path=ABSENT, value=value), "attestation: expected"),
        (resting(shown, path=ABSENT + b"1", value=None), "attestation: expected"),
        (resting(shown, height=shown.height - 1), "attestation: expected"),
        (resting(shown, proof=b"\xff"), "DecodeError"),
        (resting(shown, proof=unendorsed(shown)), "what the policy of membership"),
        (resting(shown, proof=altered(shown), value=value), "signature: expected one that verifies"),
    ):
        (got,) = faults(record, item)
        assert words in got


def test_what_is_later_than_the_ledger_is_not_looked_at(record, shown):
    follower, findings = check_ledger(record, Findings(chain_id=CHAIN)), Findings(chain_id="mga-1")
    assert follower is not None
    check_attestations(findings, iter([("block 3", resting(shown, height=10**6))]), (CHAIN, follower))
    assert (findings.checked, findings.differences) == ({}, [])


def test_paths_and_values_are_those_of_ics_04():
    made = channel.Packet(data=b"tokens", timeout_timestamp=5, sequence=3)
    made.source_port, made.source_channel = "trade", "channel-4"
    made.destination_port, made.destination_channel = "transfer", "channel-7"
    made.timeout_height.revision_number, made.timeout_height.revision_height = 1, 9
    received = of_receipt(channel_tx.MsgRecvPacket(packet=made))
    assert received.value == commitment(made) == ics04.commitment(made)
    assert received.path == paths.commitment("trade", "channel-4", 3)
    answered = of_answer(channel_tx.MsgAcknowledgement(packet=made, acknowledgement=b"fine"))
    assert (answered.path, answered.value) == (
        paths.acknowledgement("transfer", "channel-7", 3),
        ics04.ack_commitment(b"fine"),
    )
    late = of_timeout(channel_tx.MsgTimeout(packet=made))
    assert (late.path, late.value) == (paths.receipt("transfer", "channel-7", 3), None)
    assert (received.end, late.end) == (("transfer", "channel-7"), ("trade", "channel-4"))
