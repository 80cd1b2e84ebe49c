"""The sceptic's audit at the end of the day."""

from __future__ import annotations

import asyncio
from collections import Counter

from bsmg.audit.run import audit
from bsmg.audit.sources import read_source
from bsmg.client.testnet_file import TestnetFile
from bsmg.demo.day import Audited


async def audited(net: TestnetFile) -> Audited:
    """Read every chain from its first node and recompute everything."""
    records = []
    for info in net.chains:
        records.append(await read_source(info, lambda _height, _last: None, light=True))
    found = await asyncio.to_thread(audit, records)
    checked: Counter[str] = Counter()
    for findings in found:
        checked.update(findings.checked)
    return Audited(
        checked=dict(checked), differences=tuple(str(item) for findings in found for item in findings.differences)
    )
