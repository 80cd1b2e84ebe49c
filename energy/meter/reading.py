"""What a device signs.

Sign bytes, all integers big-endian:

    "bsmg/reading/1" | u8 length, chain id | u8 length, device | u64 slot | u64 import_mWh | u64 export_mWh
                     | u64 import_total_mWh | u64 export_total_mWh

signed with the device's ed25519 key (64-byte signature, RFC 8032; judged by ZIP-215).
"""

from __future__ import annotations

from cosmos_wire.protos import meter_tx as tx
from energy.records import u8, u64

DOMAIN = b"bsmg/reading/1"


def sign_bytes(chain_id: str, reading: tx.Reading) -> bytes:
    """The bytes that a device signs for fields 1-6 of its reading on a chain."""
    chain, device = chain_id.encode(), reading.device.encode()
    head = DOMAIN + u8(len(chain)) + chain + u8(len(device)) + device
    energies = (reading.import_mWh, reading.export_mWh, reading.import_total_mWh, reading.export_total_mWh)
    return head + u64(reading.slot) + b"".join(u64(value) for value in energies)
