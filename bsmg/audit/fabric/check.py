"""Follows a Fabric ledger from its first block on: who may write, what was submitted, what each Tick did with it.

Trusted from the start is the membership in the genesis document, as a chain's first validators are. From there on
every transaction of the chaincode has to be signed by its creator and endorsed as the policy asks; reads of valid ones
have to be of the newest versions; Ticks have to execute what was submitted, and their states have to chain. Last, the
blocks that the node front tells have to be those Ticks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any as Json

from google.protobuf import json_format

from bsmg.audit.fabric.app_state import APP, AppState
from bsmg.audit.fabric.blocks import LedgerTx, Version, linked, transactions
from bsmg.audit.fabric.members import DoubtError, Member, Membership, identity, key_of, require_signature
from bsmg.audit.fabric.orderers import check_orderers
from bsmg.audit.findings import Findings
from bsmg.audit.record import BlockRecord, ChainRecord, FabricRecord
from cosmos_wire import public_keys
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import abci, fabric_client, fabric_microgrid, tx

LEDGER, TICKS = "ledger", "ticks"  # subjects
GENESIS, SUBMIT, TICK, ATTEST = b"Genesis", b"Submit", b"Tick", b"Attest"
APPROVE, ADOPT = b"Approve", b"Adopt"
WRITERS = ("peer", "admin")
RESERVED = "attest/"
ALONE = "ibc/"  # state keys that are ledger keys
ORDER_NOTE = "whether the orderers left transactions out"
ALL_NOTE = "whether the organisations that the policy asks for, all together, endorsed what the chaincode never did"


def check_ledger(record: ChainRecord, findings: Findings) -> Follower | None:
    """Everything that the ledger can be asked; differences go to the findings. None when it was not read."""
    if record.fabric is None:
        findings.notes.append("endorsements and signatures: the ledger was not read")
        return None
    findings.notes += [ORDER_NOTE, ALL_NOTE]
    blocks = record.fabric.blocks
    for fault in linked(blocks):
        findings.add(LEDGER, "chain of blocks", "blocks linked by hash", fault)
    check_orderers(record.fabric.orderers, blocks, findings)
    follower = Follower(record, record.fabric, findings)
    for block in blocks:
        with findings.surviving(LEDGER, f"ledger block {block.header.number}"):
            for item in transactions(block):
                follower.follow(item)
    follower.end()
    return follower


class Follower:
    """The ledger as far as it was followed."""

    def __init__(self, record: ChainRecord, fabric: FabricRecord, findings: Findings) -> None:
        self.record, self.fabric, self.findings = record, fabric, findings
        self.told = {block.height: block for block in record.blocks}
        self.memberships: dict[int, Membership] = {}
        self.version = 0  # of the membership in force
        self.approvals: dict[tuple[int, str], tuple[bytes, Member]] = {}  # digest of a record, who approved
        self.versions: dict[tuple[str, str], Version] = {}  # of keys
        self.waiting: dict[str, fabric_microgrid.InboxTx] = {}
        self.executed: set[str] = set()  # those whose inbox keys are there still
        self.app = AppState()
        self.at_end: dict[bytes, bytes] | None = None  # the store `app` after the last tick that the front told
        self.tick = fabric_client.TickRecord()
        self.ticks: dict[int, fabric_client.TickRecord] = {}
        self.state_hash = bytes(32)
        self._functions: Mapping[bytes, Callable[[LedgerTx, str], None]] = {
            GENESIS: self._genesis,
            SUBMIT: self._submit,
            TICK: self._tick,
            ATTEST: self._attest,
            APPROVE: self._approve,
            ADOPT: self._adopt,
        }

    def follow(self, item: LedgerTx) -> None:
        """One transaction; those of other chaincodes (Fabric's own life cycle) only move versions."""
        place = f"ledger block {item.block} transaction {item.number}"
        ours = item.chaincode == self.fabric.chaincode
        if ours and item.args[:1] == (GENESIS,) and item.valid and not self.memberships:
            with self.findings.surviving(LEDGER, place):
                self._first_membership(item)
        if ours:
            self.findings.count(LEDGER)
            with self.findings.surviving(LEDGER, place):
                self._require_authentic(item)
        if not item.valid:
            return
        self._require_current(place, item)
        if ours:
            with self.findings.surviving(TICKS, place):
                self._function(item)(item, place)

    def _function(self, item: LedgerTx) -> Callable[[LedgerTx, str], None]:
        name = item.args[0] if item.args else b""
        if name not in self._functions:
            raise DoubtError(f"function: expected one of {sorted(self._functions)}, got {name[:40]!r}")
        return self._functions[name]

    def _first_membership(self, item: LedgerTx) -> None:
        """Whom to believe from now on, by the genesis document."""
        told: Json = self.record.genesis.get("membership", {})
        found = (
            fabric_client.Membership.FromString(bytes.fromhex(told))
            if isinstance(told, str)
            else json_format.ParseDict(told, fabric_client.Membership())
        )
        self.memberships[found.version] = Membership(found)
        self.version = found.version
        self.findings.equal(LEDGER, "genesis document", self.record.genesis, json.loads(item.args[1]))

    def _require_authentic(self, item: LedgerTx) -> None:
        """Identifier, creator's signature, endorsements; raises DoubtError."""
        named = sha256(item.nonce + item.creator).hexdigest()
        if named != item.tx_id:
            raise DoubtError(f"transaction id: expected {named}, got {item.tx_id[:80]}")
        if item.proposal_hashes[0] != item.proposal_hashes[1]:
            raise DoubtError("proposal: expected the one that the endorsers answered, got another one")
        require_signature(identity(item.creator)[1], *item.signed)
        if self.version + 1 in self.memberships:  # adopted; peers and members may be the new ones already
            try:
                return self._require_known(item, self.memberships[self.version + 1])
            except DoubtError:
                pass
        return self._require_known(item, self._members())

    def _require_known(self, item: LedgerTx, members: Membership) -> None:
        members.member(item.creator, item.time_ns)
        if item.valid:
            members.require_endorsed(item.payload, item.endorsements, item.time_ns)

    def _members(self) -> Membership:
        """Those in force."""
        found = self.memberships.get(self.version)
        if found is None:
            raise DoubtError("membership: expected a genesis first, got none")
        return found

    def _require_role(self, item: LedgerTx, *roles: str) -> Member:
        member = self._members().member(item.creator, item.time_ns)
        if member.role not in roles:
            raise DoubtError(f"role: expected {' or '.join(roles)}, got {member.role or 'none'} of {member.msp_id}")
        return member

    def _require_current(self, place: str, item: LedgerTx) -> None:
        """The peer says valid: then every version that was read is the newest."""
        for namespace, reads in item.reads.items():
            for key, version in reads.items():
                expected = self.versions.get((namespace, key))
                self.findings.equal(LEDGER, f"{place} version of {key[:80]}", expected, version)
        for namespace, writes in item.writes.items():
            for key, value in writes.items():
                if value is None:
                    self.versions.pop((namespace, key), None)
                else:
                    self.versions[namespace, key] = item.block, item.number

    def _own(self, item: LedgerTx) -> Mapping[str, bytes | None]:
        return item.writes.get(self.fabric.chaincode, {})

    # --- functions ---------------------------------------------------------------------------------------------------

    def _genesis(self, item: LedgerTx, place: str) -> None:
        self.findings.count(TICKS)
        self._require_role(item, *WRITERS)
        record = fabric_client.TickRecord.FromString(self._own(item).get("tick") or b"")
        self._next(place, item, record)

    def _submit(self, item: LedgerTx, place: str) -> None:
        """One write: the body and whose it is."""
        self.findings.count(TICKS)
        waits = fabric_microgrid.InboxTx(body=item.args[1], key=key_of(identity(item.creator)[1]))
        expected = {f"inbox/{item.time_ns:016x}/{item.tx_id}": waits.SerializeToString(deterministic=True)}
        if self.findings.equal(TICKS, f"{place} writes", expected, dict(self._own(item))):
            self.waiting[item.tx_id] = waits

    def _attest(self, item: LedgerTx, place: str) -> None:
        """Made to be endorsed alone; whoever submits one changes nothing but the reserved keys."""
        others = [key for key in self._own(item) if not key.startswith(RESERVED)]
        self.findings.equal(TICKS, f"{place} writes of an attestation", [], others)

    def _tick(self, item: LedgerTx, place: str) -> None:
        """The event, the record, the inbox and the front's block say the same."""
        self.findings.count(TICKS)
        self._require_role(item, *WRITERS)
        found = fabric_microgrid.TickEvent.FromString(item.event[1])
        kept = fabric_client.TickRecord.FromString(self._own(item).get("tick") or b"")
        self.findings.equal(TICKS, f"{place} record", found.record, kept)
        self._next(place, item, kept)
        executed = [self.waiting.pop(tx_id, None) for tx_id in found.tx_ids]
        self.findings.equal(TICKS, f"{place} not submitted", 0, executed.count(None))
        self.executed.update(found.tx_ids)
        removed = {key.rpartition("/")[2] for key in self._own(item) if key.startswith("inbox/")}
        self.findings.equal(TICKS, f"{place} removed unexecuted", [], sorted(removed - self.executed))
        self.executed -= removed
        if kept.height in self.told:
            self._compare(found, executed, self.told[kept.height])

    def _next(self, place: str, item: LedgerTx, record: fabric_client.TickRecord) -> None:
        """Height, time and state follow the last ones."""
        findings, last = self.findings, self.tick
        findings.equal(TICKS, f"{place} height", last.height + 1, record.height)
        if last.height:
            findings.equal(TICKS, f"{place} time", item.time_ns, record.time_ns)
        if record.time_ns <= last.time_ns:
            findings.add(TICKS, f"{place} time", f"after {last.time_ns}", record.time_ns)
        self.state_hash = chained(self.state_hash, record, self._changes(place, record.height, self._own(item)))
        findings.equal(TICKS, f"{place} state", self.state_hash.hex(), record.state_hash.hex())
        self.tick, self.state_hash = record, record.state_hash
        self.ticks[record.height] = record
        if record.height == self.record.final.height:
            self.at_end = self.app.pairs()
        following = self.version + (self.version + 1 in self.memberships)
        findings.equal(TICKS, f"{place} membership", following, record.membership_version)
        self.version = following

    def _changes(self, place: str, height: int, writes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        """Changed state keys with their store; the log of the store `app` has to be what they make of it."""
        log = {key: value for key, value in writes.items() if key.startswith(APP)}
        changes = self.app.take(height, log)
        self.findings.equal(TICKS, f"{place} log", self.app.written(height, changes), log)
        alone = {key: value for key, value in writes.items() if key.startswith(ALONE)}
        return {f"{APP}{key.hex()}": value for key, value in changes.items()} | alone

    def _approve(self, item: LedgerTx, place: str) -> None:
        """An administrator's yes to the next membership."""
        self.findings.count(TICKS)
        member, digest = self._require_role(item, "admin"), sha256(item.args[1]).digest()
        version = fabric_client.Membership.FromString(item.args[1]).version
        expected = {f"approval/{version:016x}/{member.msp_id}": digest + item.creator}
        if self.findings.equal(TICKS, f"{place} writes", expected, dict(self._own(item))):
            self.approvals[version, member.msp_id] = digest, member

    def _adopt(self, item: LedgerTx, place: str) -> None:
        """The next membership, which organisations whose peers would satisfy the policy have approved."""
        self.findings.count(TICKS)
        found, digest = fabric_client.Membership.FromString(item.args[1]), sha256(item.args[1]).digest()
        expected = {f"membership/{found.version:016x}": item.args[1]}
        if not self.findings.equal(TICKS, f"{place} writes", expected, dict(self._own(item))):
            return
        self.findings.equal(TICKS, f"{place} version", max(self.memberships, default=0) + 1, found.version)
        yes = [
            replace(member, role="peer")
            for (version, _), (approved, member) in sorted(self.approvals.items(), key=lambda each: each[0])
            if version == found.version and approved == digest
        ]
        self.memberships[found.version] = Membership(found)
        self.memberships[found.version - 1].require_satisfied(yes)

    def members_at(self, tick: fabric_client.TickRecord) -> Membership:
        """Who endorses while a tick is the last one; raises DoubtError for a version that was never written."""
        found = self.memberships.get(tick.membership_version)
        if found is None:
            raise DoubtError(f"membership: expected one of {sorted(self.memberships)}, got {tick.membership_version}")
        return found

    def _compare(
        self, found: fabric_microgrid.TickEvent, executed: Sequence[fabric_microgrid.InboxTx | None], told: BlockRecord
    ) -> None:
        """What the front says of a block is what the ledger says of the Tick."""
        findings, place = self.findings, f"block {told.height}"
        findings.equal(TICKS, f"{place} time", found.record.time_ns, told.time_ns)
        findings.equal(
            TICKS, f"{place} transactions", [it.upper() for it in found.tx_ids], [it.tx_hash for it in told.txs]
        )
        findings.equal(TICKS, f"{place} events", events_of(found.results.events), list(map(plain, told.hook_events)))
        for at, (waited, result, item) in enumerate(zip(executed, found.results.tx_results, told.txs, strict=False)):
            name = f"{place} transaction {at}"
            given = result.code, result.codespace, result.data, events_of(result.events)
            got = item.code, item.codespace, item.data, list(map(plain, item.events))
            findings.equal(TICKS, f"{name} result", given, got)
            if waited is not None:
                raw = tx.TxRaw.FromString(item.raw)
                findings.equal(TICKS, f"{name} body", waited.body.hex(), raw.body_bytes.hex())
                findings.equal(TICKS, f"{name} signer", address_of(waited.key), signer_of(raw))

    def end(self) -> None:
        """The ledger was read as far as the front's blocks go."""
        last = self.record.final.height
        if self.tick.height < last:
            self.findings.add(TICKS, "end of the ledger", f"tick {last}", f"tick {self.tick.height}")


def chained(before: bytes, record: fabric_client.TickRecord, changes: Mapping[str, bytes | None]) -> bytes:
    """The state hash after a tick: SHA-256 of the one before, the record without it, every change by its key."""
    bare = fabric_client.TickRecord(
        height=record.height, time_ns=record.time_ns, membership_version=record.membership_version
    )
    total = sha256(before + _sized(bare.SerializeToString(deterministic=True)))
    for key, value in sorted(changes.items()):
        total.update(_sized(key.encode()) + _sized(value or b""))
    return total.digest()


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(8, "big") + part


def events_of(found: Sequence[abci.Event]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Events as plain values."""
    return [(it.type, tuple((pair.key, pair.value) for pair in it.attributes)) for it in found]


def plain(event: Json) -> tuple[str, tuple[tuple[str, str], ...]]:
    """An event of a record."""
    return event.type, tuple(event.attributes)


def address_of(key: bytes) -> str:
    """Account of a member: ADR-028 on its certificate's key."""
    return to_bech32(public_keys.address(public_keys.SimpleKey(public_keys.SECP256R1, key)))


def signer_of(raw: tx.TxRaw) -> str:
    """Account of the key that a front shows with a transaction."""
    (info,) = tx.AuthInfo.FromString(raw.auth_info_bytes).signer_infos
    return to_bech32(public_keys.address(public_keys.from_any(info.public_key)))
