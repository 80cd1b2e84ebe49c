"""The meter data concentrator: the readings of a slot in few transactions, signed by the devices, sent by one account.

When it can't deliver, the cells send their own readings themselves: the chain takes them from anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cosmos_wire.protos import meter_tx

BATCH_MAX = 500  # readings that one message may carry


def by_slot(readings: Sequence[meter_tx.Reading]) -> Mapping[int, list[meter_tx.Reading]]:
    """Readings in groups, slots ascending."""
    groups: dict[int, list[meter_tx.Reading]] = {}
    for reading in sorted(readings, key=lambda reading: (reading.slot, reading.device)):
        groups.setdefault(reading.slot, []).append(reading)
    return groups


def batches(sender: str, readings: Sequence[meter_tx.Reading]) -> Iterator[meter_tx.MsgSubmitReadings]:
    """One message a slot, or as many as its readings need; slots in order, for totals have to continue."""
    for group in by_slot(readings).values():
        for start in range(0, len(group), BATCH_MAX):
            yield meter_tx.MsgSubmitReadings(sender=sender, readings=group[start : start + BATCH_MAX])
