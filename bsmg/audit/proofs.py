"""Proofs of the end state under an app hash that validators signed: the audit's own reading of ICS-23's formats.

A record is a leaf of the store's tree, whose root is a leaf of the tree of stores, whose root is the app hash of the
next header. Node formats are fixed here byte by byte (IAVL's, and RFC 6962's), not taken from the proof.

    IAVL   leaf    0, 1, version (varints) | length, key | length, SHA-256 of the value
           inner   height > 0, size, version (varints) | 32, left hash | 32, right hash
    simple leaf    00 | length, key | length, SHA-256 of the value          inner   01 | left hash | right hash
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from bsmg.audit.claims import KINDS, Claim, claims_of
from bsmg.audit.findings import FAULTS, Findings
from bsmg.audit.headers import check_commit, results_hash
from bsmg.audit.record import ChainRecord, Proven
from cosmos_wire import canonical
from cosmos_wire.protos import cmt_types, ics23

SUBJECT = "proofs"
STORE = b"app"
HASH_BYTES = 32
CHILD = bytes([HASH_BYTES])
NO_PROOFS = "the end state: taken from the node's answers, without proofs"


def check_state(record: ChainRecord, findings: Findings) -> None:
    """The records that the node proved, and the header that they are proven under."""
    claims = {claim.key: claim for claim in claims_of(record.final)}
    if record.proofs is None:
        findings.notes.append(NO_PROOFS)
        return
    header = record.proofs.signed.header
    _check_header(record, findings, header)
    for proven in record.proofs.records:
        claim = claims.pop(proven.key, None)
        if claim is not None:
            findings.count(SUBJECT)
            _check_record(findings, claim, (proven, header.app_hash))
    if claims:
        findings.notes.append(f"{len(claims)} records of the end state: taken from the node's answers, without proofs")


def check_pairs(record: ChainRecord, findings: Findings, pairs: Mapping[bytes, bytes]) -> None:
    """On Fabric: what the node told against the whole store, as the ledger's endorsed Ticks have written it."""
    claims = {claim.key: claim for claim in claims_of(record.final)}
    for key, claim in claims.items():
        findings.count(SUBJECT)
        with findings.surviving(SUBJECT, claim.name):
            findings.equal(SUBJECT, claim.name, claim.read(pairs.get(key, b"")), claim.said)
    untold = sorted(key for key in pairs if key.startswith(KINDS) and key not in claims)
    findings.equal(SUBJECT, "records that the node did not tell", [], untold)


def _check_header(record: ChainRecord, findings: Findings, header: cmt_types.Header) -> None:
    """It follows the last block, names its results, and is signed by those whom the last block names."""
    last = record.blocks[-1]
    place = f"block {last.height + 1}"
    wanted = {
        "chain": (record.chain_id, header.chain_id),
        "height": (record.final.height + 1, header.height),
        "last block": (canonical.header_hash(last.header).hex(), header.last_block_id.hash.hex()),
        "last results": (results_hash(last).hex(), header.last_results_hash.hex()),
        "validators": (last.header.next_validators_hash.hex(), header.validators_hash.hex()),
    }
    for name, (expected, got) in wanted.items():
        findings.equal("headers", f"{place} {name}", expected, got)
    check_commit(record, findings, header, record.proofs.signed.commit if record.proofs else None)


def _check_record(findings: Findings, claim: Claim, proof: tuple[Proven, bytes]) -> None:
    proven, app_hash = proof
    try:
        root = proven_root(proven)
        value = claim.read(proven.value)
    except FAULTS as error:
        findings.add(SUBJECT, claim.name, "a proof of it", f"{type(error).__name__}: {error}")
        return
    if findings.equal(SUBJECT, f"{claim.name}: root of its proof", app_hash.hex(), root.hex()):
        findings.equal(SUBJECT, claim.name, value, claim.said)


# --- ICS-23 -----------------------------------------------------------------------------------------------------------


def proven_root(proven: Proven) -> bytes:
    """The app hash that two proofs lead to from a key and its value; raises ValueError, DecodeError."""
    if len(proven.proofs) != 2:
        raise ValueError(f"proofs: expected one of the key and one of the store, got {len(proven.proofs)}")
    record, store = (_existence(raw) for raw in proven.proofs)
    root = root_of(record, (proven.key, proven.value), (iavl_leaf, iavl_inner))
    return root_of(store, (STORE, root), (simple_leaf, simple_inner))


def _existence(raw: bytes) -> ics23.ExistenceProof:
    found = ics23.CommitmentProof.FromString(raw)
    if found.WhichOneof("proof") != "exist":
        raise ValueError(f"proof: expected one of existence, got {found.WhichOneof('proof')}")
    return found.exist


Checks = tuple[Callable[[bytes], bool], Callable[[bytes, bytes], bool]]  # leaf's prefix; inner's prefix and suffix


def root_of(proof: ics23.ExistenceProof, pair: tuple[bytes, bytes], checks: Checks) -> bytes:
    """The root of a tree that has this pair; raises ValueError for what is no node of it."""
    key, value = pair
    if (proof.key, proof.value) != pair:
        raise ValueError(f"proof: expected it of {key!r} and {len(value)} bytes, got {proof.key!r}")
    leaf = proof.leaf
    kinds = leaf.hash, leaf.prehash_key, leaf.prehash_value, leaf.length
    if kinds != (ics23.SHA256, ics23.NO_HASH, ics23.SHA256, ics23.VAR_PROTO) or not checks[0](leaf.prefix):
        raise ValueError(f"leaf: expected SHA-256 of a leaf's bytes, got {kinds} and {leaf.prefix.hex()}")
    found = sha256(leaf.prefix + canonical.delimited(key) + canonical.delimited(sha256(value).digest())).digest()
    for step in proof.path:
        if step.hash != ics23.SHA256 or not checks[1](step.prefix, step.suffix):
            raise ValueError(f"node: expected one of the tree, got {step.prefix.hex()} and {step.suffix.hex()}")
        found = sha256(step.prefix + found + step.suffix).digest()
    return found


def simple_leaf(prefix: bytes) -> bool:
    """RFC 6962."""
    return prefix == b"\0"


def simple_inner(prefix: bytes, suffix: bytes) -> bool:
    """One hash beside the open one, left or right."""
    return prefix[:1] == b"\1" and len(prefix) - 1 + len(suffix) == HASH_BYTES and (not suffix or len(prefix) == 1)


def iavl_leaf(prefix: bytes) -> bool:
    """Height 0, size 1, any version."""
    numbers, rest = _varints(prefix)
    return numbers[:2] == [0, 1] and not rest


def iavl_inner(prefix: bytes, suffix: bytes) -> bool:
    """Height above 0, then one hash beside the open one, each behind its length."""
    numbers, rest = _varints(prefix)
    is_left = rest == CHILD and len(suffix) == HASH_BYTES + 1 and suffix[:1] == CHILD
    is_right = len(rest) == HASH_BYTES + 2 and rest[:1] == rest[-1:] == CHILD and not suffix
    return bool(numbers) and numbers[0] > 0 and (is_left or is_right)


def _varints(data: bytes) -> tuple[Sequence[int], bytes]:
    """Three signed varints, and what follows; no numbers when there are none."""
    numbers: list[int] = []
    for _ in range(3):
        value = shift = 0
        while data and data[0] > 127 and shift < 63:
            value |= (data[0] & 127) << shift
            data, shift = data[1:], shift + 7
        if not data or data[0] > 127:
            return [], b""
        value |= data[0] << shift
        data = data[1:]
        numbers.append(value >> 1 ^ -(value & 1))
    return numbers, data
