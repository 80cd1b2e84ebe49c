"""Refusals of Fabric's own formats: messages, certificates, policies, endorsements. Code space `fabric`."""

from __future__ import annotations

from cosmos_wire.errors import declare

SPACE = "fabric"

MalformedMessage = declare(SPACE, 2, "MalformedMessage", "malformed Fabric message")
MalformedDer = declare(SPACE, 3, "MalformedDer", "malformed DER")
InvalidCertificate = declare(SPACE, 4, "InvalidCertificate", "invalid certificate")
UnsupportedCertificate = declare(SPACE, 5, "UnsupportedCertificate", "certificate uses what is not supported")
InvalidKey = declare(SPACE, 6, "InvalidKey", "invalid P-256 public key")
InvalidSignature = declare(SPACE, 7, "InvalidSignature", "signature verification failed")
HighS = declare(SPACE, 8, "HighS", "signature is not in low-S form")
InvalidMsp = declare(SPACE, 9, "InvalidMsp", "invalid membership service provider")
UnknownOrganisation = declare(SPACE, 10, "UnknownOrganisation", "unknown organisation")
UntrustedCertificate = declare(SPACE, 11, "UntrustedCertificate", "certificate leads to no trusted root")
CertificateNotValidYet = declare(SPACE, 12, "CertificateNotValidYet", "certificate is not valid yet")
CertificateExpired = declare(SPACE, 13, "CertificateExpired", "certificate has expired")
CertificateRevoked = declare(SPACE, 14, "CertificateRevoked", "certificate has been revoked")
InvalidRole = declare(SPACE, 15, "InvalidRole", "certificate does not have exactly one node role")
InvalidPolicy = declare(SPACE, 16, "InvalidPolicy", "invalid signature policy")
PolicyNotSatisfied = declare(SPACE, 17, "PolicyNotSatisfied", "signature policy is not satisfied")
InvalidProposal = declare(SPACE, 18, "InvalidProposal", "invalid proposal")
InvalidReadWriteSet = declare(SPACE, 19, "InvalidReadWriteSet", "invalid read-write set")
InvalidCrl = declare(SPACE, 20, "InvalidCrl", "invalid certificate revocation list")
InvalidBlock = declare(SPACE, 21, "InvalidBlock", "block is not the channel's orderers'")
