"""Who speaks: a member's certificate and a callable that signs, and the TLS of the node spoken to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cosmos_wire.errors import ToolError
from fabric_wire import p256
from fabric_wire.protos import identities

Sign = Callable[[bytes], bytes]
MESSAGE_BYTES_MAX = 100 << 20  # Fabric's own limit: peer.maxRecvMsgSize
CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),  # a node that was restarted is found again at once
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # how long an attempt may take: a busy node is slow
    ("grpc.keepalive_time_ms", 120_000),  # Fabric ends a connection that pings more often than once a minute
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.use_local_subchannel_pool", 1),  # two clients don't wait for each other's backoff
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A member: MSP id, certificate (PEM), and who signs for it (message -> DER ECDSA signature, low-S)."""

    msp_id: str
    certificate: bytes
    sign: Sign

    @cached_property
    def serialized(self) -> bytes:
        """SerializedIdentity, as Fabric names a creator."""
        return identities.SerializedIdentity(mspid=self.msp_id, id_bytes=self.certificate).SerializeToString()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS towards a node: the roots that may have signed its certificate; own pair where the node asks for one."""

    roots: bytes
    certificate: bytes | None = None
    key: bytes | None = None


def signer(key: p256.PrivateKey) -> Sign:
    """Sign SHA-256 with a P-256 key; Fabric refuses the higher of the two values that S may have."""
    return lambda message: p256.sign(key, message)


def load_identity(msp_id: str, certificate: Path, key: Path) -> Identity:
    """A member from its two PEM files; raises ToolError when they can't be used."""
    try:
        loaded = load_pem_private_key(key.read_bytes(), None)
        text = certificate.read_bytes()
    except (OSError, ValueError) as error:
        raise ToolError(f"identity of {msp_id}: expected a certificate and its key, got {error}") from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ToolError(f"{key}: expected a P-256 key, got {type(loaded).__name__}")
    return Identity(msp_id=msp_id, certificate=text, sign=signer(loaded))


def open_channel(target: str, tls: Tls | None) -> grpc.aio.Channel:
    """A connection to host:port; without TLS only for a node on this machine."""
    if tls is None:
        return grpc.aio.insecure_channel(target, CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(tls.roots, tls.key, tls.certificate)  # type: ignore[no-untyped-call]  # stubs
    return grpc.aio.secure_channel(target, credentials, CHANNEL_OPTIONS)
