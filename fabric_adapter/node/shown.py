"""What a Fabric transaction looks like to clients of the Cosmos SDK: its body, and the creator's key as the signer."""

from __future__ import annotations

from functools import lru_cache

from cosmos_wire import public_keys
from cosmos_wire.protos import fabric_microgrid, tx
from cosmos_wire.public_keys import SECP256R1, SimpleKey

InboxTx = fabric_microgrid.InboxTx


def tx_of(waiting: InboxTx) -> bytes:
    """TxRaw bytes without signatures: the proposal's signature is over other bytes, and was checked by the peers."""
    return tx.TxRaw(body_bytes=waiting.body, auth_info_bytes=_auth_info(waiting.key)).SerializeToString()


@lru_cache(maxsize=4_096)
def _auth_info(key: bytes) -> bytes:
    info = tx.AuthInfo(signer_infos=[tx.SignerInfo(public_key=public_keys.to_any(SimpleKey(SECP256R1, key)))])
    info.fee.SetInParent()
    return info.SerializeToString(deterministic=True)
