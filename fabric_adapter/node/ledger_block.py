"""What a block of the channel says of one chaincode: writes and events of its valid transactions, verdicts of all.

The peer has judged the block; its verdicts are taken as they are. Bytes of invalid transactions are anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cosmos_wire.errors import ToolError
from cosmos_wire.protos import fabric_client, fabric_microgrid
from fabric_adapter.deliver import Link
from fabric_adapter.microgrid import app_log, layout
from fabric_wire import fields
from fabric_wire.protos import (
    DecodeError,
    chaincode_event,
    common,
    kvrwset,
    proposal,
    proposal_response,
    rwset,
    transaction,
)
from ibc_core.fabric import records
from microgrid.state_api import APP, IBC, STORES, Changes

INBOX = f"{layout.INBOX}/"
NO_EVENT = chaincode_event.ChaincodeEvent()
TickEvent = fabric_microgrid.TickEvent
TickRecord = fabric_client.TickRecord
Writes = Sequence[tuple[str, bytes | None]]


class DamagedBlockError(ToolError):
    """A valid transaction of the chaincode that this program can't read: another version of one of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTx:
    """A valid transaction of the chaincode; `event` is the payload of its event `tick`, None when it has none."""

    tx_id: str
    place: int
    creator: bytes
    writes: Writes
    event: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A transaction that wrote a new state."""

    record: TickRecord
    creator: bytes
    changes: Changes
    event: TickEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerBlock:
    """A block; `verdicts` by transaction id, `link` leads to the next one."""

    number: int
    link: Link
    verdicts: Mapping[str, int]
    txs: tuple[LedgerTx, ...]

    @property
    def header_hash(self) -> bytes:
        """Of this block's header."""
        return self.link.previous_hash

    def ticks(self) -> Iterator[Tick]:
        """Genesis or a Tick; one at most is valid in a block, because each reads the record that the other writes."""
        for tx in self.txs:
            written = dict(tx.writes)
            if found := written.get(records.TICK):
                yield Tick(
                    record=TickRecord.FromString(found),
                    creator=tx.creator,
                    changes=state_changes(tx.writes),
                    event=TickEvent.FromString(tx.event or b""),
                )


def read_block(block: common.Block, link: Link, chaincode: str) -> LedgerBlock:
    """The block behind `link`; raises WrongBlockError when it is another one, DamagedBlockError."""
    following = link.next(block)
    flags = _flags(block)
    verdicts: dict[str, int] = {}
    ours, txs = fields.message(2, fields.data(2, chaincode.encode())), []
    for place, (data, flag) in enumerate(zip(block.data.data, flags, strict=True)):
        try:
            payload = common.Payload.FromString(common.Envelope.FromString(data).payload)
            header = common.ChannelHeader.FromString(payload.header.channel_header)
            if header.type != common.ENDORSER_TRANSACTION:
                continue
            verdicts.setdefault(header.tx_id, flag)
            if flag == transaction.VALID and (header.extension == ours or _chaincode(header) == chaincode):
                txs.append(_read_tx(payload, header.tx_id, place, chaincode))
        except (DecodeError, IndexError) as error:
            if flag == transaction.VALID:
                raise DamagedBlockError(
                    f"block {link.number}: expected transaction {place} to be readable, got {error!r}"
                ) from error
    return LedgerBlock(number=link.number, link=following, verdicts=verdicts, txs=tuple(txs))


def _flags(block: common.Block) -> bytes:
    """The peer's verdicts: one for each transaction."""
    parts = block.metadata.metadata
    flags = parts[common.TRANSACTIONS_FILTER] if len(parts) > common.TRANSACTIONS_FILTER else b""
    if len(flags) != len(block.data.data):
        raise DamagedBlockError(
            f"block {block.header.number}: expected a verdict for each of {len(block.data.data)} transactions, "
            f"got {len(flags)}"
        )
    return flags


def _chaincode(header: common.ChannelHeader) -> str:
    return proposal.ChaincodeHeaderExtension.FromString(header.extension).chaincode_id.name


def _read_tx(payload: common.Payload, tx_id: str, place: int, chaincode: str) -> LedgerTx:
    body = transaction.Transaction.FromString(payload.data)
    action = transaction.ChaincodeActionPayload.FromString(body.actions[0].payload).action
    answer = proposal_response.ProposalResponsePayload.FromString(action.proposal_response_payload)
    deed = proposal.ChaincodeAction.FromString(answer.extension)
    event = chaincode_event.ChaincodeEvent.FromString(deed.events) if deed.events else NO_EVENT
    return LedgerTx(
        tx_id=tx_id,
        place=place,
        creator=common.SignatureHeader.FromString(payload.header.signature_header).creator,
        writes=_writes(deed.results, chaincode),
        event=event.payload if event.event_name == layout.EVENT else None,
    )


def _writes(results: bytes, chaincode: str) -> Writes:
    for part in rwset.TxReadWriteSet.FromString(results).ns_rwset:
        if part.namespace == chaincode:
            found = kvrwset.KVRWSet.FromString(part.rwset)
            return [(item.key, None if item.is_delete else item.value) for item in found.writes]
    return []


def state_changes(writes: Writes) -> Changes:
    """Those of the modules' state, by store."""
    made: dict[str, dict[bytes, bytes | None]] = {name: {} for name in STORES}
    for key, value in writes:
        store, _, text = key.partition("/")
        if store == IBC:
            made[store][bytes.fromhex(text)] = value
        elif key.startswith(app_log.DELTA) and value is not None:
            made[APP].update(app_log.changes_of(app_log.StoreChanges.FromString(value)))
    return made


def inbox_writes(writes: Writes) -> Iterator[tuple[bytes, bytes | None]]:
    """(ticket, InboxTx bytes or None when it was taken out)."""
    for key, value in writes:
        if key.startswith(INBOX):
            yield layout.ticket_of(key), value
