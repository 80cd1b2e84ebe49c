"""Write the vectors of this folder: arbitrary transactions and keys, and what the Cosmos SDK 0.53 makes of them.

    python -m tests.wire.make_vectors

Needs Go and the modules of `tests/oracle/amino`; the test runs need neither.
"""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from cosmos_wire.protos import (
    Any,
    Message,
    bank_tx,
    channel_tx,
    client_tx,
    feegrant_tx,
    market_tx,
    meter_tx,
    registry_tx,
    signing,
    trade_tx,
    transfer_tx,
    tx,
)
from cosmos_wire.public_keys import address, to_any
from cosmos_wire.tx import pack
from microgrid.modules import compose
from tests.oracle.amino_build import Answer, Question, ask
from tests.wire import keys
from tests.wire.messages import TEXTS, arbitrary, complete
from tests.wire.mutations import mutated

HERE = Path(__file__).resolve().parent / "vectors"
SEED, EACH, SPOILED = 20_261_121, 5, 400
OWN = (market_tx, meter_tx, registry_tx, trade_tx)


def own_files() -> bytes:
    """The descriptors of our own messages with everything below them."""
    made = descriptor_pb2.FileDescriptorSet()
    seen: list[str] = []

    def add(file: FileDescriptor) -> None:
        if file.name not in seen:
            seen.append(file.name)
            for below in file.dependencies:
                add(below)
            file.CopyToProto(made.file.add())

    for module in OWN:
        add(module.DESCRIPTOR)
    return made.SerializeToString()


def text(data: bytes) -> str:
    return b64encode(data).decode()


def transaction(messages: Iterable[Message], source: Random) -> bytes:
    """TxRaw around messages; the fee, memo and timeouts vary."""
    body = tx.TxBody(messages=[pack(item) for item in messages], memo=source.choice(TEXTS))
    body.timeout_height = source.choice((0, 1, 2**63))
    if source.random() < 0.2:
        body.timeout_timestamp.seconds, body.timeout_timestamp.nanos = 1_800_000_000, source.choice((0, 250_000_000))
    info = tx.AuthInfo()
    info.fee.gas_limit = source.choice((0, 200_000, 2**63 - 1))
    for amount in source.choice(((), ("10",), ("1", str(2**256 - 1)))):
        info.fee.amount.add(denom=source.choice(("bmga", "ibc/AB&C")), amount=amount)
    info.fee.payer = source.choice(("", "", keys.TEXT))
    info.fee.granter = source.choice(("", "", keys.TEXT))
    signer = info.signer_infos.add(sequence=7, public_key=to_any(keys.SINGLE))
    signer.mode_info.single.mode = signing.SIGN_MODE_LEGACY_AMINO_JSON
    made = tx.TxRaw(
        body_bytes=body.SerializeToString(deterministic=True),
        auth_info_bytes=info.SerializeToString(deterministic=True),
        signatures=[bytes(64)],
    )
    return made.SerializeToString(deterministic=True)


def question(kind: str, data: bytes, mode: int = signing.SIGN_MODE_LEGACY_AMINO_JSON) -> Question:
    return {
        "kind": kind,
        "tx": text(data),
        "mode": mode,
        "chain_id": "mga-1",
        "number": 12,
        "sequence": 7,
        "address": "bsmg1signer",
        "key": text(to_any(keys.SINGLE).SerializeToString()),
    }


def kinds() -> Iterator[type[Message]]:
    """Of every message that the chain routes, and of fee grants."""
    routes = compose().messages
    for url in sorted(routes):
        yield routes[url].request
    for kind in (feegrant_tx.MsgGrantAllowance, feegrant_tx.MsgRevokeAllowance):
        if f"/{kind.DESCRIPTOR.full_name}" not in routes:
            yield kind


def amino_questions(source: Random) -> Iterator[Question]:
    for kind in kinds():
        name = kind.DESCRIPTOR.full_name
        through_sdk = name.startswith(("cosmos.bank.", "ibc.applications.transfer.v1", "ibc.core"))
        through_sdk = through_sdk and ".v2." not in name
        for i in range(EACH):
            made = [arbitrary(kind, source) for _ in range(1 + (i == EACH - 1))]
            if not through_sdk:
                for item in made:
                    complete(item)
            yield question("bytes" if through_sdk else "document", transaction(made, source))
    for name, message in odd_messages():
        del name
        yield question("bytes", transaction([message], source))


def odd_messages() -> Iterator[tuple[str, Message]]:
    yield "empty send", bank_tx.MsgSend()
    yield "empty multi send", bank_tx.MsgMultiSend()
    yield "empty transfer", transfer_tx.MsgTransfer()
    yield "any of nothing", client_tx.MsgUpdateClient(client_message=Any())
    yield "acknowledgement", channel_tx.MsgAcknowledgement(acknowledgement=b"\x00\xff")


def mode_questions(source: Random) -> Iterator[Question]:
    for mode in (0, 1, 2, 3, 77, 127, 191):
        yield question("bytes", transaction([arbitrary(bank_tx.MsgSend, source)], source), mode)


def key_questions() -> Iterator[Question]:
    for key in keys.ALL:
        yield {"kind": "address", "key": text(to_any(key).SerializeToString(deterministic=True))}


def decode_questions(source: Random) -> Iterator[Question]:
    kinds_of_pool = (bank_tx.MsgSend, transfer_tx.MsgTransfer, channel_tx.MsgRecvPacket, client_tx.MsgCreateClient)
    pool = [transaction([arbitrary(kind, source)], source) for kind in kinds_of_pool for _ in range(EACH)]
    pool += [keys.signed(key, plan) for key, plan in keys.GOOD]
    for _ in range(SPOILED):
        yield {"kind": "decode", "tx": text(mutated(source.choice(pool), source))}


def write(name: str, questions: list[Question], answers: list[Answer]) -> None:
    lines = [
        json.dumps({"question": asked, "answer": said}, sort_keys=True)
        for asked, said in zip(questions, answers, strict=True)
    ]
    (HERE / f"{name}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main() -> None:
    """Ask and write."""
    source = Random(SEED)
    groups = {
        "amino_json": list(amino_questions(source)),
        "sign_modes": list(mode_questions(source)),
        "keys": list(key_questions()),
        "decode": list(decode_questions(source)),
        "signatures": list(keys.signature_questions(question)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.fds"
        path.write_bytes(own_files())
        for name, questions in groups.items():
            write(name, questions, ask(path, questions))
    assert all(address(key) for key in keys.ALL)


if __name__ == "__main__":
    main()
