"""Certificate revocation lists (RFC 5280 section 5), as an MSP carries them: serial numbers that count no more."""

from __future__ import annotations

from fabric_wire import der, p256
from fabric_wire.errors import InvalidCrl
from fabric_wire.x509 import CRL_SIGN, ECDSA_SHA256, Certificate

TIMES = (der.UTC_TIME, der.GENERALIZED_TIME)


def revoked_serials(raw: bytes, issuer: Certificate) -> tuple[int, ...]:
    """Serial numbers of a DER list that `issuer` signed, ascending; raises InvalidCrl, MalformedDer, InvalidSignature.

    As in Fabric, a serial counts from the moment that the list does: its date of revocation is not read.
    """
    outer = der.only(raw, der.SEQUENCE, "revocation list")
    tbs, algorithm = outer.take(der.SEQUENCE), outer.take(der.SEQUENCE)
    signature = der.octets_of_bits(outer.take(der.BIT_STRING), "revocation list")
    outer.done()
    if algorithm.raw != der.encode(der.SEQUENCE, der.encode(der.OID, ECDSA_SHA256)):
        raise InvalidCrl(f"signature algorithm: expected ecdsa-with-SHA256, got {algorithm.raw.hex()}")
    reader = der.inside(tbs, "revocation list")
    reader.optional(der.INTEGER)
    reader.take(der.SEQUENCE)
    found = reader.take(der.SEQUENCE).raw
    if found != issuer.subject or not issuer.is_ca or not issuer.may(CRL_SIGN):
        raise InvalidCrl(f"expected the issuer {issuer.name} with the right to sign lists, got {found.hex()}")
    p256.verify_pair(issuer.key, tbs.raw, p256.read_signature(signature))
    return _entries(reader)


def _entries(reader: der.Reader) -> tuple[int, ...]:
    reader.any()  # this update
    if reader.peek() in TIMES:
        reader.any()  # next update
    entries = reader.optional(der.SEQUENCE)
    if entries is None:
        return ()
    serials, inner = set(), der.inside(entries, "revocation list")
    while not inner.is_done:
        entry = der.inside(inner.take(der.SEQUENCE), "revocation list")
        serials.add(der.integer(entry.take(der.INTEGER), "revoked serial"))
    return tuple(sorted(serials))
