"""Signatures of orderers on blocks: what Fabric's peers check before they take one (internal/peer/gossip/mcs.go).

An orderer signs metadata value || signature header || ASN.1 of the block header, and the header has the hashes of the
data and of the header before (orderer/common/multichannel/blockwriter.go). Consenters of Fabric 3's byzantine fault
tolerant ordering sign with an identifier header instead, whose number the channel's configuration gives to a member
(protoutil/signer.go). Not covered are the peers' own additions, the validation flags among them. The first block is
signed by nobody: the next one names its hash.

Certificates are judged as of their own beginning, as Fabric does: a block stays good when its orderer's certificate
has run out since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import fabric_client
from fabric_wire import p256, strict
from fabric_wire.envelopes import block_header_bytes
from fabric_wire.errors import InvalidBlock, UnknownOrganisation
from fabric_wire.msp import Member, Msp, chains, require_member
from fabric_wire.policy import Policy
from fabric_wire.protos import DecodeError, common
from fabric_wire.x509 import Identity, read_identity

SIGNATURES = common.SIGNATURES
SIGNATURES_MAX = 256
KNOWN_MAX = 1024
SAID_MAX = 2000


def signed_bytes(value: bytes, signer_header: bytes, header: common.BlockHeader) -> bytes:
    """What an orderer signs."""
    return value + signer_header + block_header_bytes(header.number, header.previous_hash, header.data_hash)


def sign_block(secret: p256.PrivateKey, creator: bytes, header: common.BlockHeader, nonce: bytes) -> bytes:
    """Metadata SIGNATURES of a block of an orderer whose channel was configured in block 0."""
    value = strict.write(common.OrdererBlockMetadata(last_config=common.LastConfig(index=0)))
    signer = strict.write(common.SignatureHeader(creator=creator, nonce=nonce))
    made = common.MetadataSignature(
        signature_header=signer, signature=p256.sign(secret, signed_bytes(value, signer, header))
    )
    return strict.write(common.Metadata(value=value, signatures=[made]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """An orderer: its key, and the member that it is."""

    key: bytes
    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """Who orders a channel's blocks; `consenters` are SerializedIdentities by number, where orderers use numbers."""

    channel_id: str
    msps: tuple[Msp, ...]
    policy: Policy  # BlockValidation
    consenters: Mapping[int, bytes] = field(default_factory=dict)
    _known: dict[bytes, Signer] = field(default_factory=dict, init=False, repr=False, compare=False)

    def require(self, block: common.Block) -> None:
        """Raise InvalidBlock unless it is of this channel and its orderers signed its header.

        That the header has the hashes of this data and of the block before is the caller's to check.
        """
        number, data = block.header.number, block.data.data
        header = self._require_channel(number, data)
        if number == 0:
            return _require_first(header, data)
        return self._require_signed(block)

    def _require_channel(self, number: int, data: Sequence[bytes]) -> common.ChannelHeader:
        """The first envelope names the channel, as in Fabric."""
        if not data:
            raise InvalidBlock(f"block {number}: expected transactions, got none")
        try:
            payload = common.Payload.FromString(common.Envelope.FromString(data[0]).payload)
            header = common.ChannelHeader.FromString(payload.header.channel_header)
        except DecodeError as error:
            raise InvalidBlock(f"block {number}: expected an envelope, got {error}") from error
        if header.channel_id != self.channel_id:
            raise InvalidBlock(
                f"block {number}: channel: expected {self.channel_id!r}, got {header.channel_id[:100]!r}"
            )
        return header

    def _require_signed(self, block: common.Block) -> None:
        number, parts = block.header.number, block.metadata.metadata
        try:
            found = fabric_client.BlockSignatures.FromString(parts[SIGNATURES] if parts else b"")
        except DecodeError as error:
            raise InvalidBlock(f"block {number}: signatures: expected metadata, got {error}") from error
        if not 0 < len(found.signatures) <= SIGNATURES_MAX:
            got = len(found.signatures)
            raise InvalidBlock(f"block {number}: expected 1 to {SIGNATURES_MAX} signatures of orderers, got {got}")
        signers, faults = self._signers(found, block.header)
        if not self.policy.is_satisfied(signers):
            names = [f"{signer.msp_id}.{signer.role.value if signer.role else 'member'}" for signer in signers]
            said = "; ".join([*names, *faults])[:SAID_MAX]
            raise InvalidBlock(f"block {number}: expected signatures of orderers by {self.policy}, got {said}")

    def _signers(
        self, found: fabric_client.BlockSignatures, header: common.BlockHeader
    ) -> tuple[list[Member], list[str]]:
        """Members whose signatures hold, each once, and what is wrong with the others: those count for nothing."""
        signers: dict[bytes, Member] = {}
        faults = []
        for item in found.signatures:
            try:
                signer = self._signer(item)
                message = signed_bytes(found.value, item.signature_header or item.identifier_header, header)
                p256.verify(signer.key, message, item.signature)
            except ChainError as error:
                faults.append(str(error))
                continue
            signers.setdefault(signer.member.certificate.fingerprint, signer.member)
        return list(signers.values()), faults

    def _signer(self, item: fabric_client.BlockSignature) -> Signer:
        """Whose a signature claims to be; raises a ChainError for nobody who may sign."""
        raw = self._identity(item)
        found = self._known.get(raw)
        if found is None:
            identity = read_identity(raw)
            found = Signer(
                key=identity.certificate.key, member=require_member(self.msps, identity, self._began(identity))
            )
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[raw] = found
        return found

    def _began(self, identity: Identity) -> int:
        """When the certificate and all above it were valid (ns)."""
        found = identity.certificate
        links = [link for msp in self.msps for chain in chains(msp, found) for link in chain]
        return max((link.not_before_ns for link in links), default=found.not_before_ns)

    def _identity(self, item: fabric_client.BlockSignature) -> bytes:
        if item.signature_header or not item.identifier_header:
            return strict.read(common.SignatureHeader, item.signature_header).creator
        number = strict.read(fabric_client.IdentifierHeader, item.identifier_header).identifier
        if number not in self.consenters:
            raise UnknownOrganisation(f"consenter: expected one of {sorted(self.consenters)}, got {number}")
        return self.consenters[number]


def _require_first(header: common.ChannelHeader, data: Sequence[bytes]) -> None:
    """Nobody signs the first block, so it may say nothing but the channel's configuration."""
    if header.type != common.CONFIG or len(data) != 1:
        raise InvalidBlock(
            f"block 0: expected the channel's configuration alone, got {len(data)} envelopes of type {header.type}"
        )
