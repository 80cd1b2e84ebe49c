"""`bsmg verify-proof`: what holds is VALID, everything else says why not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any as Json

import pytest

from bsmg.cli.main import run
from cosmos_wire.protos import commitment, ics23
from microgrid.store import StateDb, StoreOptions
from tests.tendermint.testgen import LightChain

KEY = "channelEnds/ports/trade/channels/channel-1"
Doc = dict[str, Json]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[StateDb]:
    made = StateDb.open(tmp_path / "db", StoreOptions(versions_kept=10, map_size=1 << 24, sync=False))
    values = {KEY.encode(): b"\x08\x03", b"a": b"1", b"z": b"26"}
    made.commit(made.put({"ibc": values, "app": {b"mk/live": b"x"}}), 1, b"")
    yield made
    made.close()


def document(db: StateDb, key: bytes, store: str = "ibc") -> Doc:
    with db.snapshot(1) as snapshot:
        value, ops = snapshot.prove(store, key)
    listed = [
        {"type": kind, "key": base64.b64encode(name).decode(), "data": base64.b64encode(data).decode()}
        for kind, name, data in ops
    ]
    return {
        "root": db.app_hash.hex(),
        "store": store,
        "key": "0x" + key.hex(),
        "value": value.hex() if value is not None else None,
        "proof": {"ops": listed},
    }


def verdict(tmp_path: Path, doc: Json, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    file = tmp_path / "proof.json"
    file.write_text(doc if isinstance(doc, str) else json.dumps(doc))
    code = run(["verify-proof", str(file)])
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_a_value_that_is_there(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc = document(db, KEY.encode()) | {"key": KEY}
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, text[:6]) == (0, "VALID:")
    assert KEY in text
    assert "compare it with a header that you trust" in text


def test_a_key_that_is_absent(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = verdict(tmp_path, document(db, b"nothing"), capsys)
    assert code == 0
    assert "nothing is absent" in text


def test_the_other_store(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(tmp_path, document(db, b"mk/live", "app"), capsys)[0] == 0
    code, text = verdict(tmp_path, document(db, b"mk/live", "app") | {"store": "ibc"}, capsys)
    assert code == 1
    assert text.startswith("INVALID: ibc/mk/live: ics23/")


def merkle_proof(doc: Doc) -> bytes:
    proofs = [ics23.CommitmentProof.FromString(base64.b64decode(op["data"])) for op in doc["proof"]["ops"]]
    return commitment.MerkleProof(proofs=proofs).SerializeToString()


@pytest.mark.parametrize(
    "form",
    [
        lambda doc: {"proof": doc["proof"]["ops"]},
        lambda doc: {"proof": merkle_proof(doc).hex()},
        lambda doc: {"proof": base64.b64encode(merkle_proof(doc)).decode()},
        lambda doc: {"app_hash": doc["root"], "root": None},
        lambda doc: {"value": "0x" + doc["value"]},
    ],
)
def test_other_forms(
    db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: Callable[[Doc], Doc]
) -> None:
    doc = document(db, b"a")
    doc = {name: value for name, value in (doc | form(doc)).items() if name == "value" or value is not None}
    assert verdict(tmp_path, doc, capsys)[0] == 0


def test_an_answer_of_abci_query_as_it_came(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc = document(db, b"a")
    answer = {
        "key": base64.b64encode(b"a").decode(),
        "value": base64.b64encode(b"1").decode(),
        "proofOps": doc["proof"],
    }
    result = {"response": answer}
    for given in ({"response": answer}, {"response": result}, {"response": {"result": result}}, {"result": result}):
        assert verdict(tmp_path, {**given, "root": doc["root"]}, capsys)[0] == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"value": "32"}, "another value"),
        ({"value": None}, "expected an absence proof"),
        ({"key": "b"}, "another key"),
        ({"root": "00" * 32}, "expected 0000"),
    ],
)
def test_what_does_not_hold(
    db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Doc, why: str
) -> None:
    code, text = verdict(tmp_path, document(db, b"a") | change, capsys)
    assert (code, text[:8]) == (1, "INVALID:")
    assert why in text


@pytest.mark.parametrize(
    ("doc", "why"),
    [
        ("no json", "expected JSON"),
        ("[]", "expected a JSON object"),
        ({"key": "a", "proof": "00"}, "root, app_hash, header or signed_header"),
        ({"root": "00", "proof": "00"}, "key: expected a field 'key'"),
        ({"root": "xx", "key": "a", "proof": "00"}, "root: expected hexadecimal digits"),
        ({"root": "00", "key": "a", "proof": "%"}, "proof: "),
        ({"root": "00", "key": "a", "proof": [{"data": "AAAA"}]}, "proof: "),
        ({"root": "00", "response": 7}, "response: expected an answer of abci_query"),
    ],
)
def test_what_is_no_proof_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], doc: Json, why: str) -> None:
    code, text = verdict(tmp_path, doc, capsys)
    assert code == 1
    assert text.startswith("error: ")
    assert why in text


# Signed headers


def signed_document(db: StateDb) -> tuple[Doc, LightChain]:
    chain = LightChain("mga-1", ["ann", "bob", "eve", "joe"])
    block = chain.next_block(db.app_hash)
    signed = block.signed
    doc = document(db, b"a")
    del doc["root"]
    header = {
        **{name: getattr(signed.header, name).hex() for name in HASHES},
        "version": {"block": str(signed.header.version.block), "app": str(signed.header.version.app)},
        "chain_id": signed.header.chain_id,
        "height": str(signed.header.height),
        "time": rfc3339(signed.header.time),
        "last_block_id": block_id(signed.header.last_block_id),
        "proposer_address": signed.header.proposer_address.hex(),
    }
    commit = {
        "height": str(signed.commit.height),
        "round": signed.commit.round,
        "block_id": block_id(signed.commit.block_id),
        "signatures": [
            {
                "block_id_flag": item.block_id_flag,
                "validator_address": item.validator_address.hex(),
                "timestamp": rfc3339(item.timestamp),
                "signature": base64.b64encode(item.signature).decode(),
            }
            for item in signed.commit.signatures
        ],
    }
    doc["signed_header"] = {"header": header, "commit": commit}
    doc["validators"] = [
        {
            "address": item.address.hex(),
            "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(item.pub_key.ed25519).decode()},
            "voting_power": str(item.voting_power),
        }
        for item in block.members.validators
    ]
    return doc, chain


HASHES = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
)


def rfc3339(stamp: Json) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{stamp.nanos:09d}Z"


def block_id(found: Json) -> Doc:
    parts = found.part_set_header
    return {"hash": found.hash.hex(), "parts": {"total": parts.total, "hash": parts.hash.hex()}}


def test_a_signed_header_carries_the_root(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc, _ = signed_document(db)
    code, text = verdict(tmp_path, doc, capsys)
    assert code == 0, text
    assert "header 2 of mga-1, state after block 1; signed by more than 2/3" in text


def test_a_header_without_validators_is_said_to_be_unchecked(
    db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doc, _ = signed_document(db)
    del doc["validators"]
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, "signatures were not checked" in text) == (0, True)
    only = {name: value for name, value in doc.items() if name != "signed_header"}
    only["header"] = doc["signed_header"]["header"]
    assert verdict(tmp_path, only, capsys)[0] == 0


def test_signatures_that_do_not_carry_it(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc, _ = signed_document(db)
    for entry in doc["signed_header"]["commit"]["signatures"][:2]:
        entry["signature"] = base64.b64encode(bytes(64)).decode()
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, "expected signatures of more than 2/3 of 40, got 20" in text) == (1, True)


def test_validators_of_another_set(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc, _ = signed_document(db)
    doc["validators"].pop()
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, "validators: expected hash" in text) == (1, True)


def test_a_commit_for_another_header(db: StateDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doc, _ = signed_document(db)
    doc["signed_header"]["header"]["chain_id"] = "mgx-1"
    code, text = verdict(tmp_path, doc, capsys)
    assert (code, "commit: expected it for header" in text) == (1, True)


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify-proof"]) == 1
    assert "FILE to verify" in capsys.readouterr().err
    assert run(["verify-proof", "--fetch", "a"]) == 1
    assert "--out FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, '{"key": "\\ud800"}', '{"store": "\\udfff", "endorsed": ""}']
)
def test_what_is_no_document_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    code, said = verdict(tmp_path, text, capsys)
    assert (code, said.count("\n")) == (1, 1)
    assert "expected JSON, got something else" in said
