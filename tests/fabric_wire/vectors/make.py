"""Ask Fabric's code the questions of `cases` and keep the answers: `python -m tests.fabric_wire.vectors.make`.

Needs Go and the module proxy; the tests need neither.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fabric_wire.msp import Msp
from tests.fabric_wire.authority import peer_of
from tests.fabric_wire.vectors import cases

HERE = Path(__file__).resolve().parent
FILE = HERE / "vectors.json"


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def msp(each: Msp) -> dict[str, object]:
    return {
        "Name": each.msp_id,
        "Roots": [text(c.raw) for c in each.roots],
        "Intermediates": [text(c.raw) for c in each.intermediates],
        "Crls": [text(crl) for crl in cases.CRLS.get(each.msp_id, ())],
        "NodeOus": each.node_ous,
    }


def question() -> dict[str, object]:
    key = peer_of(cases.ORG1).key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "Msps": [msp(each) for each in cases.MSPS],
        "Identities": [text(case.serialized) for case in cases.CASES],
        "Policies": list(cases.POLICIES),
        "Signers": [list(signers) for signers in cases.SIGNERS],
        "Key": text(key),
        "Channel": cases.CHANNEL,
        "Chaincode": cases.CHAINCODE,
        "Args": [text(arg) for arg in cases.ARGS],
        "Results": text(cases.RESULTS),
    }


def main() -> None:
    env = {**os.environ, "CGO_ENABLED": "0", "FABRIC_LOGGING_SPEC": "fatal"}
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "ask"
        build = ["go", "build", "-tags", "nopkcs11", "-o", str(binary), "."]
        subprocess.run(build, cwd=HERE, env=env, check=True)
        asked = json.dumps(question()).encode()
        made = subprocess.run([str(binary)], input=asked, env=env, capture_output=True, check=True)
    answers = json.loads(made.stdout)
    FILE.write_text(json.dumps({"question": question(), "answer": answers}, indent=1) + "\n")


if __name__ == "__main__":
    main()
