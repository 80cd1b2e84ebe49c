"""The chain of headers: linked by hash, signed by more than 2/3, and naming the transactions and results at hand."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Any as Json

from bsmg.audit.findings import Findings
from bsmg.audit.record import BlockRecord, ChainRecord
from cosmos_wire import canonical, ed25519
from cosmos_wire.merkle import merkle_root
from cosmos_wire.protos import abci, cmt_types, cmt_validator


def check_headers(record: ChainRecord, findings: Findings) -> None:
    """Every header is named by the next one; its data and the next one's results are those at hand.

    The results hash covers code, data and gas, not events, and that of the last block is in a header to come.
    """
    for at, block in enumerate(record.blocks, 1):
        findings.count("headers")
        place = f"block {block.height}"
        findings.equal("headers", f"{place} height", at, block.height)
        findings.equal("headers", f"{place} chain", record.chain_id, block.header.chain_id)
        data = merkle_root([sha256(tx.raw).digest() for tx in block.txs])
        findings.equal("headers", f"{place} data", data.hex(), block.header.data_hash.hex())
    for before, after in pairwise(record.blocks):
        place = f"block {after.height}"
        named = after.header.last_block_id.hash
        findings.equal("headers", f"{place} last block", canonical.header_hash(before.header).hex(), named.hex())
        members = before.header.next_validators_hash.hex()
        findings.equal("headers", f"{place} validators", members, after.header.validators_hash.hex())
        results = results_hash(before)
        findings.equal("headers", f"{place} last results", results.hex(), after.header.last_results_hash.hex())
        if after.time_ns <= before.time_ns:
            findings.add("headers", f"{place} time", f"after {before.time_ns}", after.time_ns)


def results_hash(block: BlockRecord) -> bytes:
    """What the next header says of a block's results (CometBFT: code, data, gas)."""
    leaves = [
        abci.ExecTxResult(code=tx.code, data=tx.data, gas_wanted=tx.gas_wanted, gas_used=tx.gas_used)
        for tx in block.txs
    ]
    return merkle_root([leaf.SerializeToString(deterministic=True) for leaf in leaves])


def check_signatures(record: ChainRecord, findings: Findings) -> None:
    """Each block's commit; the last one's is the node's own."""
    commits = [block.last_commit for block in record.blocks[1:]] + [record.last_commit]
    first = genesis_validators(record.genesis)
    if first and record.blocks:
        named = record.blocks[0].header.validators_hash
        findings.equal("signatures", "validators of genesis", first.hex(), named.hex())
    for place, members in record.validators.items():
        found = canonical.validator_set_hash(members.validators)
        findings.equal("signatures", f"validators {place.hex()[:12]}", place.hex(), found.hex())
    for block, commit in zip(record.blocks, commits, strict=True):
        check_commit(record, findings, block.header, commit)


def genesis_validators(genesis: Mapping[str, Json]) -> bytes:
    """The hash of the set that a genesis document names, strongest first, then by address; empty when it names none."""
    found = []
    for row in genesis.get("validators") or ():
        made = cmt_validator.Validator(voting_power=int(row["power"]))
        made.pub_key.ed25519 = b64decode(row["pub_key"]["value"])
        found.append(made)
    found.sort(key=lambda one: (-one.voting_power, canonical.validator_address(one.pub_key.ed25519)))
    return canonical.validator_set_hash(found) if found else b""


def check_commit(
    record: ChainRecord, findings: Findings, header: cmt_types.Header, commit: cmt_types.Commit | None
) -> None:
    """A header's commit: of this header, signed by more than 2/3 of the validators that it names."""
    place = f"block {header.height}"
    findings.count("signatures")
    members = record.validators.get(header.validators_hash)
    if members is None or commit is None:
        findings.add("signatures", place, "a commit and its validators", "none")
        return
    named = commit.block_id.hash
    findings.equal("signatures", f"{place} commit", canonical.header_hash(header).hex(), named.hex())
    power, total = signed_power(record.chain_id, commit, members), sum(v.voting_power for v in members.validators)
    if power * 3 <= total * 2 or commit.height != header.height:
        findings.add(
            "signatures", place, f"power above 2/3 of {total} at {header.height}", f"{power} at {commit.height}"
        )


def signed_power(chain_id: str, commit: cmt_types.Commit, members: cmt_validator.ValidatorSet) -> int:
    """Power whose signatures for the block verify, each validator counted once."""
    by_address = {member.address: member for member in members.validators}
    power = 0
    for at, signature in enumerate(commit.signatures):
        if signature.block_id_flag != cmt_validator.BLOCK_ID_FLAG_COMMIT:
            continue
        member = by_address.pop(signature.validator_address, None)
        if member is None:
            continue
        message = canonical.precommit_sign_bytes(chain_id, commit, at)
        if ed25519.verify(member.pub_key.ed25519, message, signature.signature):
            power += member.voting_power
    return power
