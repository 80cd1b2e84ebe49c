"""The parts of a network that need no process: policies, certificates, packages, plans, the cache of binaries."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from cosmos_wire.errors import ToolError
from fabric_adapter.identity import load_identity
from fabric_adapter.network import build, config, crypto, members, package
from fabric_adapter.network.plan import Home, Plan, Wish, make_plan, ports_needed
from fabric_wire.p256 import HALF_ORDER


def planned(wish: Wish | None = None) -> Plan:
    chosen = wish or Wish()
    return make_plan(chosen, range(20_000, 20_000 + ports_needed(chosen)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Plan]:
    home, plan = Home(tmp_path_factory.mktemp("parts")), planned()
    members.make_all(home, plan)
    config.write_all(home, plan)
    return home, plan


@pytest.mark.parametrize("orgs", [0, 17])
def test_too_few_or_too_many_organisations_are_refused(orgs: int):
    with pytest.raises(ToolError, match=f"organisations: expected 1 to 16, got {orgs}"):
        planned(Wish(orgs=orgs))


def test_a_wrong_policy_is_refused_before_anything_starts():
    with pytest.raises(ToolError, match=r"endorsement: .*expected"):
        planned(Wish(endorsement="AND("))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AND('Org1MSP.peer', 'Org9MSP.peer')", "expected organisations of Org1MSP, Org2MSP, Org3MSP, got Org9MSP"),
        (
            "AND('Org1MSP.orderer')",
            "expected a policy that one peer of each of .* can satisfy, got OutOf.1, 'Org1MSP.ord",
        ),
        ("OutOf(2, 'Org1MSP.peer', 'Org1MSP.peer')", "expected a policy that one peer of each"),
    ],
)
def test_a_policy_that_nobody_can_satisfy_is_refused_before_anything_starts(text, words):
    with pytest.raises(ToolError, match=f"endorsement: {words}"):
        planned(Wish(orgs=3, endorsement=text))


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(channel="Bad Name"), "channel: expected a name of the form .*got 'Bad Name'"),
        (Wish(channel="a" * 250), "channel: expected a name of the form .*at most 249 characters"),
        (Wish(chaincode="a.b"), "chaincode: expected a name of the form .*got 'a.b'"),
    ],
)
def test_names_that_fabric_does_not_take_are_refused_before_anything_starts(wish, words):
    with pytest.raises(ToolError, match=words):
        planned(wish)


def test_a_plan_survives_its_file():
    plan = planned(Wish(orgs=3, endorsement="OR('Org1MSP.peer')"))
    assert Plan.of_doc(json.loads(json.dumps(plan.doc()))) == plan


def test_every_port_is_used_once():
    plan = planned(Wish(orgs=4))
    used = [*plan.orderer.values(), plan.chaincode_port, *(port for peer in plan.peers for port in peer.ports.values())]
    assert sorted(used) == list(range(20_000, 20_000 + ports_needed(plan.wish)))


def certificates(home: Home) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(path.read_bytes()) for path in sorted(home.path.rglob("*.crt"))]


def test_every_certificate_is_signed_low_s(made: tuple[Home, Plan]):
    found = certificates(made[0])
    assert len(found) > 20
    assert all(decode_dss_signature(item.signature)[1] <= HALF_ORDER for item in found)


def test_members_carry_their_role_and_are_issued_by_their_organisation(made: tuple[Home, Plan]):
    folder = made[0].crypto("org1")
    authority = crypto.read_pair(folder, "ca").certificate
    for name, unit in (("peer", "peer"), ("admin", "admin"), ("user", "client")):
        found = crypto.read_pair(folder / "members", name).certificate
        found.verify_directly_issued_by(authority)
        (found_unit,) = found.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert found_unit.value == unit


def test_keys_are_for_their_owner_only(made: tuple[Home, Plan]):
    keys = [*made[0].path.rglob("*.key"), *made[0].path.rglob("keystore/*")]
    assert keys
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_no_key_is_in_the_public_msp(made: tuple[Home, Plan]):
    files = [path for path in (made[0].crypto("org1") / "msp").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"PRIVATE" in path.read_bytes()]


def test_a_member_is_added_once(made: tuple[Home, Plan]):
    home, _ = made
    certificate = members.add_member(home, "org2", "cell-1")
    assert load_identity("Org2MSP", certificate, certificate.with_suffix(".key")).serialized
    with pytest.raises(ToolError, match="taken"):
        members.add_member(home, "org2", "cell-1")
    with pytest.raises(ToolError, match="lower-case"):
        members.add_member(home, "org2", "../escape")


def test_a_signature_is_low_s_and_verifies(made: tuple[Home, Plan]):
    folder = made[0].crypto("org1") / "members"
    identity = load_identity("Org1MSP", folder / "user.crt", folder / "user.key")
    for number in range(20):
        assert decode_dss_signature(identity.sign(str(number).encode()))[1] <= HALF_ORDER


@pytest.mark.parametrize("text", [b"", b"not a key"])
def test_a_broken_key_is_refused(made: tuple[Home, Plan], tmp_path: Path, text: bytes):
    (tmp_path / "k").write_bytes(text)
    with pytest.raises(ToolError, match="expected a certificate and its key"):
        load_identity("Org1MSP", made[0].crypto("org1") / "ca.crt", tmp_path / "k")


def test_the_package_is_the_same_for_the_same_inputs(made: tuple[Home, Plan]):
    first, second = package.make(*made), package.make(*made)
    assert first == second
    package_id, archive = first
    assert package_id == f"microgrid:{hashlib.sha256(archive).hexdigest()}"


def test_the_package_says_where_the_chaincode_is(made: tuple[Home, Plan]):
    def members_of(archive: bytes) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as tar:
            return {item.name: tar.extractfile(item).read() for item in tar}

    outer = members_of(package.make(*made)[1])
    connection = json.loads(members_of(outer["code.tar.gz"])["connection.json"])
    assert json.loads(outer["metadata.json"])["type"] == config.PACKAGE_TYPE
    assert connection["address"] == made[1].chaincode_address
    assert connection["client_auth_required"] is True


def test_the_builder_takes_our_packages_and_no_others(made: tuple[Home, Plan], tmp_path: Path):
    detect = config.builder_folder(made[0]) / "bin" / "detect"
    for kind, code in ((config.PACKAGE_TYPE, 0), ("golang", 1)):
        (tmp_path / "metadata.json").write_text(json.dumps({"type": kind, "label": "x"}))
        assert subprocess.run([str(detect), str(tmp_path), str(tmp_path)], check=False).returncode == code


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HOME": "/h"}, "/h/.cache/bsmg"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/c/bsmg"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/bsmg"),  # as the XDG specification says
    ],
)
def test_binaries_are_cached_outside_the_checkout(environment: dict[str, str], expected: str):
    assert build.cache_root(environment) == Path(expected)


def fake_go(folder: Path, text: str) -> str:
    go = folder / "go"
    go.write_text(f"#!/bin/sh\n{text}\n")
    go.chmod(0o755)
    return str(go)


WRITES = """
while [ "$1" != "-o" ]; do shift; done
echo built >> "$COUNT" && printf '#!/bin/sh\\n' > "$2" && chmod +x "$2"
"""


def test_binaries_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.setattr(build, "go_command", lambda: fake_go(tmp_path, WRITES))
    said: list[str] = []
    for _ in range(2):
        assert build.ensure(said.append).are_built
    assert (tmp_path / "count").read_text().count("built") == len(build.PROGRAMS)
    assert said[1:] == [f"building {name} ({n} of 3)" for n, name in enumerate(build.PROGRAMS, 1)]


def test_a_build_that_fails_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "go_command", lambda: fake_go(tmp_path, "echo no such package >&2; exit 1"))
    with pytest.raises(ToolError, match="no such package"):
        build.ensure(lambda _: None)
    assert not [path for path in (tmp_path / "cache" / "bsmg").iterdir() if path.is_dir()]
