"""The audit of one or more chains: replay each, close its books, compare the chains with each other."""

from __future__ import annotations

from collections.abc import Sequence

from bsmg.audit.closing import check_end
from bsmg.audit.cross import check_links
from bsmg.audit.fabric.check import check_ledger
from bsmg.audit.findings import Findings
from bsmg.audit.headers import check_headers, check_signatures
from bsmg.audit.proofs import NO_PROOFS, check_pairs, check_state
from bsmg.audit.record import ChainRecord
from bsmg.audit.replay import Replay
from cosmos_wire.errors import ToolError


def check_chain(replay: Replay, *, light: bool) -> None:
    """That the blocks are the chain's: by its headers and validators, or by its ledger and organisations."""
    record, findings = replay.record, replay.stage.findings
    if record.on_fabric:
        follower = replay.follower = check_ledger(record, findings)
        if follower is not None and follower.at_end is not None:
            check_pairs(record, findings, follower.at_end)
        return
    check_headers(record, findings)
    if light:
        check_signatures(record, findings)
        check_state(record, findings)
    else:
        findings.notes += ["signatures of commits (--no-light)", NO_PROOFS]


def audit(records: Sequence[ChainRecord], *, light: bool = True) -> list[Findings]:
    """Findings of each chain in the order given; `light` verifies the commits' signatures too."""
    names = [record.chain_id for record in records]
    if len(set(names)) != len(names):
        raise ToolError(f"expected one node of each chain, got the chains {', '.join(names)}")
    replays = {record.chain_id: Replay(record).run() for record in records}
    for replay in replays.values():
        check_chain(replay, light=light)
        check_end(replay)
    check_links(replays)
    return [replay.stage.findings for replay in replays.values()]
