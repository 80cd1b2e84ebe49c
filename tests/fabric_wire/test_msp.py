"""Organisations: which certificates they vouch for, when, and what makes an organisation itself unfit."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA384

from cosmos_wire.errors import ChainError
from fabric_wire.crl import revoked_serials
from fabric_wire.errors import (
    CertificateExpired,
    CertificateNotValidYet,
    CertificateRevoked,
    InvalidCrl,
    InvalidMsp,
    InvalidRole,
    InvalidSignature,
    MalformedDer,
    UnknownOrganisation,
    UntrustedCertificate,
)
from fabric_wire.msp import REVOKED_MAX, Msp, Role, check_msp, check_msps, require_member, validate
from fabric_wire.x509 import read_identity
from tests.fabric_wire.authority import (
    CA_USAGE,
    SECOND_NS,
    START_S,
    Holder,
    authority,
    ca_of,
    crl,
    msp_of,
    peer,
    peer_of,
    root,
    secret,
)

ORG = "Org1MSP"
NOW_NS = START_S * SECOND_NS
HOUR_S = 3600
ROOT = ca_of(ORG)
MIDDLE = authority("middle", ROOT)
DEEP = Msp(msp_id=ORG, roots=(ROOT.certificate,), intermediates=(MIDDLE.certificate,))


def issued(**changes: object) -> Holder:
    return peer("one", ROOT, **changes)


def refusal(msp: Msp, holder: Holder, at_ns: int = NOW_NS) -> ChainError:
    with pytest.raises(ChainError) as caught:
        validate(msp, holder.certificate, at_ns)
    return caught.value


def test_a_peer_is_a_member():
    assert validate(msp_of(ORG), peer_of(ORG).certificate, NOW_NS).role is Role.PEER


@pytest.mark.parametrize(
    ("holder", "kind", "text"),
    [
        (peer_of("Org2MSP"), UntrustedCertificate, "expected one chain"),
        (peer("sub", peer_of(ORG)), UntrustedCertificate, "expected one chain"),
        (ROOT, UntrustedCertificate, "expected a member, got the certificate authority"),
        (issued(usage={"key_agreement": True}), UntrustedCertificate, "expected a key for signatures"),
        (issued(units=()), InvalidRole, "expected one of .*, got \\[\\]"),
        (issued(units=("peer", "admin")), InvalidRole, "got \\['peer', 'admin'\\]"),
        (issued(last_s=START_S - 1), CertificateExpired, f"was valid to {NOW_NS - SECOND_NS} ns, expected at {NOW_NS}"),
        (issued(first_s=START_S + 1), CertificateNotValidYet, f"valid from {NOW_NS + SECOND_NS} ns, expected at"),
    ],
)
def test_others_are_not(holder: Holder, kind: type[ChainError], text: str):
    found = refusal(msp_of(ORG), holder)
    assert type(found) is kind
    with pytest.raises(kind, match=text):
        raise found


def test_validity_includes_both_ends():
    holder = issued(first_s=START_S, last_s=START_S)
    assert validate(msp_of(ORG), holder.certificate, NOW_NS).msp_id == ORG
    assert isinstance(refusal(msp_of(ORG), holder, NOW_NS - 1), CertificateNotValidYet)
    assert isinstance(refusal(msp_of(ORG), holder, NOW_NS + 1), CertificateExpired)


@pytest.mark.parametrize("part", ["root", "middle"])
def test_every_certificate_of_the_chain_has_to_be_valid(part: str):
    old = {"last_s": START_S - 1}
    top = root("old root", **(old if part == "root" else {}))
    middle = authority("old middle", top, **(old if part == "middle" else {}))
    msp = Msp(msp_id=ORG, roots=(top.certificate,), intermediates=(middle.certificate,))
    check_msp(msp)
    assert isinstance(refusal(msp, peer("below", middle)), CertificateExpired)


def test_revoked_serials_count():
    holder = issued()
    msp = replace(msp_of(ORG), revoked=(holder.certificate.serial,))
    assert isinstance(refusal(msp, holder), CertificateRevoked)
    assert validate(msp, peer_of(ORG).certificate, NOW_NS).msp_id == ORG


def test_a_revoked_intermediate_takes_its_peers_along():
    holder = peer("below", MIDDLE)
    assert validate(DEEP, holder.certificate, NOW_NS).role is Role.PEER
    assert isinstance(refusal(replace(DEEP, revoked=(MIDDLE.certificate.serial,)), holder), CertificateRevoked)


def test_a_root_with_intermediates_signs_no_peers():
    found = refusal(DEEP, peer_of(ORG))
    assert "expected an authority with none below it" in str(found)


def test_path_length():
    short = root("short", path_length=0)
    middle = authority("middle of short", short)
    holder = peer("below short", middle)
    msp = Msp(msp_id=ORG, roots=(short.certificate,), intermediates=(middle.certificate,))
    assert "got 0" in str(refusal(msp, holder))
    longer = root("longer", path_length=1)
    middle = authority("middle of longer", longer, path_length=0)
    holder = peer("below longer", middle)
    msp = Msp(msp_id=ORG, roots=(longer.certificate,), intermediates=(middle.certificate,))
    assert validate(msp, holder.certificate, NOW_NS).role is Role.PEER


def test_an_authority_that_may_not_sign_certificates():
    weak = root("weak", usage={"digital_signature": True})
    msp = Msp(msp_id=ORG, roots=(weak.certificate,))
    assert isinstance(refusal(msp, peer("of weak", weak)), UntrustedCertificate)
    with pytest.raises(InvalidMsp, match="expected a certificate authority"):
        check_msp(msp)


def forged(**changes: object) -> Holder:
    """By an authority of the same name with a key of its own."""
    fake = root("ca.Org1MSP", key=secret("not the authority"))
    return peer("forged", fake, **changes)


def test_a_forged_certificate():
    """Same issuer, and nothing in it that names the key: the signature alone tells."""
    holder = forged(has_names=False)
    assert holder.certificate.issuer == ROOT.certificate.subject
    assert isinstance(refusal(msp_of(ORG), holder), UntrustedCertificate)
    assert isinstance(refusal(msp_of(ORG), forged()), UntrustedCertificate)
    assert validate(msp_of(ORG), issued(has_names=False).certificate, NOW_NS).role is Role.PEER


def test_the_issuers_name_counts():
    """The authority's key under another name."""
    alias = root("alias", key=ROOT.key)
    assert isinstance(refusal(msp_of(ORG), peer("of alias", alias)), UntrustedCertificate)


def test_an_authority_that_is_none():
    plain = root("plain", is_ca=False, usage=None)
    assert isinstance(refusal(Msp(msp_id=ORG, roots=(plain.certificate,)), peer("x", plain)), UntrustedCertificate)


def test_a_copied_signature():
    """Another content under the signature of a good certificate."""
    good, bad = issued(), forged(units=("peer",))
    spoilt = replace(bad.certificate, signature=good.certificate.signature, extensions=good.certificate.extensions)
    assert isinstance(refusal(msp_of(ORG), replace(bad, certificate=spoilt)), UntrustedCertificate)


def test_roles_can_be_off():
    msp = replace(msp_of(ORG), node_ous=False)
    assert validate(msp, issued(units=()).certificate, NOW_NS).role is None


def test_an_unknown_organisation():
    identity = read_identity(peer_of(ORG).serialized("Org9MSP"))
    with pytest.raises(UnknownOrganisation, match="expected one of \\['Org1MSP'\\], got 'Org9MSP'"):
        require_member([msp_of(ORG)], identity, NOW_NS)


TWIN = root("twin", key=secret("ca.Org1MSP"))


@pytest.mark.parametrize(
    ("msp", "text"),
    [
        (replace(DEEP, msp_id=""), "expected an MSP identifier"),
        (replace(DEEP, roots=()), "expected 1 root at least"),
        (replace(DEEP, roots=tuple(root(f"ca {i}").certificate for i in range(16))), "16 authorities"),
        (
            replace(DEEP, roots=(root("no ca", is_ca=False, usage=None).certificate,)),
            "expected a certificate authority",
        ),
        (replace(DEEP, revoked=tuple(range(1, REVOKED_MAX + 2))), "revoked serials at most"),
        (replace(DEEP, revoked=(2, 1)), "ascending order"),
        (replace(DEEP, revoked=(1, 1)), "ascending order"),
        (replace(DEEP, roots=(ROOT.certificate, TWIN.certificate)), "each authority's key once"),
        (replace(DEEP, roots=(peer_of(ORG).certificate,)), "expected a certificate authority"),
        (replace(DEEP, roots=(MIDDLE.certificate,), intermediates=()), "expected a self-signed root"),
        (replace(DEEP, roots=(root("nameless", has_names=False).certificate,)), "expected a subject key identifier"),
        (replace(DEEP, intermediates=(ca_of("Org2MSP").certificate,)), "expected one chain from intermediate"),
        (replace(DEEP, intermediates=(peer_of(ORG).certificate,)), "expected a certificate authority"),
    ],
)
def test_an_unfit_organisation(msp: Msp, text: str):
    check_msp(DEEP)
    with pytest.raises(InvalidMsp, match=text):
        check_msp(msp)


def test_organisations_are_in_order_and_once():
    check_msps([msp_of("Org1MSP"), msp_of("Org2MSP")])
    with pytest.raises(InvalidMsp, match="expected 1 root at least"):
        check_msps([replace(msp_of(ORG), roots=())])
    for names in (["Org2MSP", "Org1MSP"], ["Org1MSP", "Org1MSP"], []):
        with pytest.raises(InvalidMsp, match="ascending order"):
            check_msps([msp_of(name) for name in names])


def test_revocation_lists():
    assert revoked_serials(crl(ROOT, (7, 5)), ROOT.certificate) == (5, 7)
    assert revoked_serials(crl(ROOT, ()), ROOT.certificate) == ()
    with pytest.raises(InvalidCrl, match="expected the issuer"):
        revoked_serials(crl(ROOT, (7,)), MIDDLE.certificate)
    with pytest.raises(InvalidSignature):
        revoked_serials(crl(ROOT, (7,), MIDDLE), ROOT.certificate)
    with pytest.raises(MalformedDer, match="expected the end"):
        revoked_serials(crl(ROOT, (7,)) + b"\x00", ROOT.certificate)
    with pytest.raises(InvalidCrl, match="expected ecdsa-with-SHA256"):
        revoked_serials(crl(ROOT, (7,), hashing=SHA384()), ROOT.certificate)
    plain = root("plain", is_ca=False, usage=None)
    with pytest.raises(InvalidCrl, match="expected the issuer"):
        revoked_serials(crl(plain, (7,)), plain.certificate)
    mute = root("mute", usage=CA_USAGE | {"crl_sign": False})
    with pytest.raises(InvalidCrl, match="with the right to sign lists"):
        revoked_serials(crl(mute, (7,)), mute.certificate)
