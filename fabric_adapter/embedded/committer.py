"""Validates ordered transactions and makes blocks of them: signatures, policy, versions; then one durable write.

Certificates are judged at the time of the validation: a proposal's own time is its client's word. Nothing is validated
twice, so the one verdict stands in the block.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cosmos_wire.errors import ChainError, ToolError
from fabric_adapter.embedded.disk import Change, Disk, Place, View
from fabric_adapter.embedded.mvcc import VALID, Pending
from fabric_adapter.embedded.network import Known, Network, OnTheWay, Prepared
from fabric_wire import strict
from fabric_wire.blocks import sign_block
from fabric_wire.envelopes import block_data_hash, block_header_hash
from fabric_wire.errors import InvalidProposal
from fabric_wire.msp import Member
from fabric_wire.proposals import ENDORSER_TRANSACTION, NONCE_BYTES, Invocation, Parts, transaction_id
from fabric_wire.protos import common, kvrwset, proposal, proposal_response, rwset, transaction

Code = transaction.TxValidationCode.ValueType
FLAGS, SIGNATURES = common.TRANSACTIONS_FILTER, common.SIGNATURES
METADATA_PARTS = 5
SATISFIED_MAX = 1024  # lists of endorsers that are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An ordered transaction and what validation says of it."""

    tx_id: str
    code: int
    namespace: str = ""
    found: kvrwset.KVRWSet | None = None
    event: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A block that is durable."""

    number: int
    block: common.Block
    txs: tuple[Judged, ...]
    places: Mapping[str, Place]


class InvalidError(ToolError):
    """Why a transaction is not valid."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.validation_code = code


class Committer:
    """The only writer of the state."""

    def __init__(self, network: Network, disk: Disk, way: OnTheWay) -> None:
        self._network = network
        self._way = way
        self._disk = disk
        self._satisfied: dict[tuple[str, tuple[bytes, ...]], bool] = {}  # by chaincode and endorsers; policies stay

    def commit(self, envelopes: Sequence[bytes]) -> Committed:
        """Validate a batch in order, link it to the chain, write it."""
        with self._disk.view() as view:
            pending = Pending(view)
            judged = self._judge_all(view, pending, envelopes)
            block = self._block(view, envelopes, judged)
        header, places = block.header, self._places(block.header.number, judged)
        self._disk.write(
            Change(
                number=header.number,
                block=strict.write(block),
                header_hash=block_header_hash(header.number, header.previous_hash, header.data_hash),
                state=pending.updates,
                places=places,
            )
        )
        return Committed(number=header.number, block=block, txs=tuple(judged), places=places)

    def _places(self, number: int, judged: Sequence[Judged]) -> dict[str, Place]:
        """First appearances only: a duplicate does not replace what stands."""
        found: dict[str, Place] = {}
        for at, tx in enumerate(judged):
            if tx.tx_id and tx.code != transaction.DUPLICATE_TXID:
                found.setdefault(tx.tx_id, Place(number, at, tx.code))
        return found

    def _judge_all(self, view: View, pending: Pending, envelopes: Sequence[bytes]) -> list[Judged]:
        judged: list[Judged] = []
        seen: set[str] = set()
        for place, data in enumerate(envelopes):
            tx = self._judge(data)
            if tx.tx_id and (tx.tx_id in seen or view.place(tx.tx_id) is not None):
                tx = Judged(tx_id=tx.tx_id, code=transaction.DUPLICATE_TXID)
            seen.add(tx.tx_id)
            judged.append(self._versions(pending, tx, place))
        return judged

    def _versions(self, pending: Pending, tx: Judged, place: int) -> Judged:
        if tx.code != VALID or tx.found is None:
            return tx
        code = pending.check(tx.namespace, tx.found)
        if code != VALID:
            return Judged(tx_id=tx.tx_id, code=code)
        pending.apply(tx.namespace, tx.found, place)
        return tx

    def _judge(self, data: bytes) -> Judged:
        tx_id = ""
        try:
            if (ours := self._way.taken(data)) is not None:
                tx_id = ours.tx_id
                return self._ours(ours)
            parts, asked, body = self._opened(data)
            tx_id = transaction_id(asked.nonce, asked.creator)
            action = _action(parts, asked, body.proposal_response_payload)
            self._require_policy(asked.chaincode, self._signers(body))
            return _judged(tx_id, asked, action)
        except InvalidError as refusal:
            return Judged(tx_id=tx_id, code=refusal.validation_code)

    def _ours(self, made: Prepared) -> Judged:
        """A transaction that this process put together and its creator signed: what this process doesn't know of it."""
        asked, now_ns = made.asked, time.time_ns()
        self._require_chaincode(asked.chaincode)
        try:
            self._network.known(asked.creator, now_ns)
        except ChainError as error:
            raise InvalidError(transaction.BAD_CREATOR_SIGNATURE, str(error)) from error
        action = _action(made.parts, asked, made.response)
        signers = []
        for item in made.endorsements:
            try:
                signers.append(self._network.known(item.endorser, now_ns))
            except ChainError:
                continue
        self._require_policy(asked.chaincode, signers)
        return _judged(made.tx_id, asked, action)

    def _opened(self, data: bytes) -> tuple[Parts, Invocation, transaction.ChaincodeEndorsedAction]:
        """The proposal inside an envelope with a good signature of its creator, and its endorsed action."""
        envelope = _read(common.Envelope, data, transaction.INVALID_OTHER_REASON)
        payload = _read(common.Payload, envelope.payload, transaction.BAD_PAYLOAD)
        header = _read(common.ChannelHeader, payload.header.channel_header, transaction.BAD_COMMON_HEADER)
        if header.type != ENDORSER_TRANSACTION:
            raise InvalidError(transaction.UNKNOWN_TX_TYPE, f"expected an endorser transaction, got type {header.type}")
        body = _read(transaction.Transaction, payload.data, transaction.BAD_PAYLOAD)
        if len(body.actions) != 1:
            raise InvalidError(transaction.BAD_PAYLOAD, f"expected one action, got {len(body.actions)}")
        action = _read(transaction.ChaincodeActionPayload, body.actions[0].payload, transaction.BAD_PAYLOAD)
        parts = Parts(
            channel_header=payload.header.channel_header,
            signature_header=payload.header.signature_header,
            payload=action.chaincode_proposal_payload,
        )
        asked = self._asked(parts)
        if body.actions[0].header != parts.signature_header:
            raise InvalidError(
                transaction.INVALID_ENDORSER_TRANSACTION, "expected the proposal's creator in the action"
            )
        try:
            self._network.require_signed(asked.creator, envelope.payload, envelope.signature, time.time_ns())
        except ChainError as error:
            raise InvalidError(transaction.BAD_CREATOR_SIGNATURE, str(error)) from error
        return parts, asked, action.action

    def _asked(self, parts: Parts) -> Invocation:
        try:
            asked = self._way.asked(parts)
            self._network.require_channel(asked.channel_id)
        except InvalidProposal as error:
            raise InvalidError(transaction.BAD_COMMON_HEADER, str(error)) from error
        self._require_chaincode(asked.chaincode)
        return asked

    def _require_chaincode(self, name: str) -> None:
        if name not in self._network.policies:
            raise InvalidError(transaction.INVALID_CHAINCODE, f"no chaincode is named {name!r}")

    def _signers(self, body: transaction.ChaincodeEndorsedAction) -> list[Known]:
        """Whose endorsements hold; others count for nothing, as in Fabric."""
        signers = []
        for item in body.endorsements:
            try:
                known = self._network.known(item.endorser, time.time_ns())
                self._way.require(known, body.proposal_response_payload, item.signature)
            except ChainError:
                continue
            signers.append(known)
        return signers

    def _require_policy(self, name: str, signers: Sequence[Known]) -> None:
        """Second endorsements of the same member count for nothing, as in Fabric."""
        key = name, tuple([known.raw for known in signers])
        if (is_satisfied := self._satisfied.get(key)) is None:
            members: dict[bytes, Member] = {}
            for known in signers:
                members.setdefault(known.fingerprint, known.member)
            is_satisfied = self._network.policies[name].is_satisfied(list(members.values()))
            if len(self._satisfied) >= SATISFIED_MAX:
                self._satisfied.clear()
            self._satisfied[key] = is_satisfied
        if not is_satisfied:
            raise InvalidError(transaction.ENDORSEMENT_POLICY_FAILURE, f"{len(signers)} endorsements don't satisfy it")

    def _block(self, view: View, envelopes: Sequence[bytes], judged: Sequence[Judged]) -> common.Block:
        header = common.BlockHeader(
            number=view.height, previous_hash=view.last_hash, data_hash=block_data_hash(envelopes)
        )
        metadata = [b""] * METADATA_PARTS
        if header.number:  # nobody signs the first one, as in Fabric
            node = self._network.orderer
            metadata[SIGNATURES] = sign_block(node.secret, node.identity, header, header.data_hash[:NONCE_BYTES])
        metadata[FLAGS] = bytes(tx.code for tx in judged)
        return common.Block(
            header=header,
            data=common.BlockData(data=envelopes),
            metadata=common.BlockMetadata(metadata=metadata),
        )


def _read(kind: type[strict.M], data: bytes, code: int) -> strict.M:
    try:
        return strict.read(kind, data)
    except ChainError as error:
        raise InvalidError(code, str(error)) from error


def _action(parts: Parts, asked: Invocation, response: bytes) -> proposal.ChaincodeAction:
    """What a ProposalResponsePayload says, when it is a success of that proposal."""
    payload = _read(proposal_response.ProposalResponsePayload, response, transaction.BAD_RESPONSE_PAYLOAD)
    action = _read(proposal.ChaincodeAction, payload.extension, transaction.BAD_RESPONSE_PAYLOAD)
    if payload.proposal_hash != parts.hash:
        raise InvalidError(transaction.INVALID_ENDORSER_TRANSACTION, "expected the hash of this proposal")
    if action.chaincode_id.name != asked.chaincode or action.response.status != common.SUCCESS:
        raise InvalidError(transaction.INVALID_ENDORSER_TRANSACTION, "expected a success of the same chaincode")
    return action


def _judged(tx_id: str, asked: Invocation, action: proposal.ChaincodeAction) -> Judged:
    """Valid so far."""
    found = _only_set(action.results, asked.chaincode)
    return Judged(tx_id=tx_id, code=VALID, namespace=asked.chaincode, found=found, event=action.events)


def _only_set(results: bytes, namespace: str) -> kvrwset.KVRWSet:
    """The read-write set of the one namespace that the chaincode may touch."""
    whole = _read(rwset.TxReadWriteSet, results, transaction.BAD_RWSET)
    if [part.namespace for part in whole.ns_rwset] != [namespace] or whole.ns_rwset[0].collection_hashed_rwset:
        raise InvalidError(transaction.ILLEGAL_WRITESET, f"expected keys of {namespace} alone")
    return _read(kvrwset.KVRWSet, whole.ns_rwset[0].rwset, transaction.BAD_RWSET)
