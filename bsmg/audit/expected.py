"""Events that the audit expects of a block's hooks or of a message, compared with those that the chain published."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bsmg.audit.findings import Findings
from bsmg.audit.record import EventLike, values_of
from cosmos_wire.protos import DecodeError, market

BY_SLOT, BY_CELL, BY_CONTRACT = ("slot",), ("slot", "cell"), ("channel_id", "contract_id", "slot")
# kind -> (subject, attributes that name the thing); every event of these kinds has to be expected
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "slot_opened": ("gates", BY_SLOT),
    "slot_skipped": ("gates", BY_SLOT),
    "slot_cleared": ("clearings", BY_SLOT),
    "slot_secured": ("gates", BY_SLOT),
    "slot_insecure": ("schedules", BY_SLOT),
    "baseline_infeasible": ("schedules", BY_SLOT),
    "ballot_opened": ("ballots", ("slot", "n")),
    "ballot_grown": ("ballots", ("slot", "n")),
    "vote_tallied": ("ballots", ("slot", "candidate")),
    "caps_judged": ("schedules", BY_SLOT),
    "slot_residual": ("clearings", BY_SLOT),
    "slot_sealed": ("gates", BY_SLOT),
    "slot_settled": ("settlements", BY_SLOT),
    "slot_closed": ("gates", BY_SLOT),
    "order_waits": ("clearings", ("slot", "cell", "number")),
    "order_moved": ("clearings", ("slot", "cell", "number")),
    "order_ended": ("clearings", ("cell", "number")),
    "commit_unrevealed": ("clearings", ("slot", "cell", "seq")),
    "storage_changed": ("clearings", ("slot", "cell", "seq")),
    "forward_cleared": ("clearings", ("first_slot", "slots")),
    "forward_awarded": ("clearings", ("first_slot", "slots", "seq")),
    "forward_ended": ("clearings", ("first_slot", "slots")),
    "reading_missing": ("statements", BY_CELL),
    "cell_settled": ("statements", BY_CELL),
    "trade_locked": ("contracts", BY_CONTRACT),
    "trade_reserved": ("contracts", BY_CONTRACT),
    "trade_confirmed": ("contracts", BY_CONTRACT),
    "trade_committed": ("contracts", BY_CONTRACT),
    "trade_active": ("contracts", BY_CONTRACT),
    "claim_mismatch": ("contracts", BY_CONTRACT),
    "trade_metered": ("contracts", BY_CONTRACT),
    "trade_disputed": ("contracts", BY_CONTRACT),
    "trade_decided": ("contracts", BY_CONTRACT),
    "trade_settled": ("contracts", BY_CONTRACT),
    "trade_refunded": ("contracts", BY_CONTRACT),
    "trade_cancelled": ("contracts", BY_CONTRACT),
    "trade_lapsed": ("contracts", BY_CONTRACT),
    "trade_forwarded": ("transfers", BY_CONTRACT),
}
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An event with the attributes that the audit works out; the chain's may have more."""

    kind: str
    key: Key
    fields: Mapping[str, object]
    statement: market.Statement | None = None


@dataclass(slots=True, kw_only=True)
class Expectations:
    """Collects what is expected and compares it at the end of a message or a block's hooks."""

    findings: Findings
    waiting: list[Expected] = field(default_factory=list)

    def event(self, kind: str, key: tuple[object, ...], **fields: object) -> None:
        """Expect an event; `key` in the order of KINDS."""
        self.waiting.append(Expected(kind=kind, key=tuple(str(part) for part in key), fields=fields))

    def settled(self, statement: market.Statement) -> None:
        """Expect a cell's statement, field by field."""
        fields = {
            "c": statement.bought_mWh + statement.grid_bought_mWh - statement.sold_mWh - statement.grid_sold_mWh,
            "m": statement.import_mWh - statement.export_mWh,
            "net": statement.net,
        }
        key = str(statement.slot), statement.cell
        self.waiting.append(Expected(kind="cell_settled", key=key, fields=fields, statement=statement))

    def compare(self, place: str, events: Iterable[EventLike]) -> None:
        """Match by kind and key; what is missing, unasked for or different is a difference."""
        got: dict[tuple[str, Key], list[dict[str, str]]] = defaultdict(list)
        for event in events:
            if event.type in KINDS:
                values = values_of(event)
                got[event.type, tuple(values.get(name, "") for name in KINDS[event.type][1])].append(values)
        for wanted in self.waiting:
            found = got.get((wanted.kind, wanted.key))
            self._one(place, wanted, found.pop(0) if found else None)
        self.waiting = []
        for (kind, key), rest in got.items():
            for _ in rest:
                self.findings.add(KINDS[kind][0], f"{place}: {kind} {_text(key)}", "no such event", "one")

    def _one(self, place: str, wanted: Expected, found: dict[str, str] | None) -> None:
        subject = KINDS[wanted.kind][0]
        name = f"{place}: {wanted.kind} {_text(wanted.key)}"
        if found is None:
            self.findings.add(subject, name, dict(wanted.fields), "no such event")
            return
        self.findings.fields(subject, name, wanted.fields, found)
        if wanted.statement is not None:
            self._statement(name, wanted.statement, found.get("statement", ""))

    def _statement(self, name: str, wanted: market.Statement, text: str) -> None:
        try:
            got = market.Statement.FromString(bytes.fromhex(text))
        except (ValueError, DecodeError):
            self.findings.add("statements", name, "a statement in hexadecimal", text[:60])
            return
        for item in wanted.DESCRIPTOR.fields:
            left, right = getattr(wanted, item.name), getattr(got, item.name)
            self.findings.equal("statements", f"{name} {item.name}", left, right)
        if wanted == got:
            canonical = wanted.SerializeToString(deterministic=True).hex()
            self.findings.equal("statements", f"{name} bytes", canonical, text)


def _text(key: Key) -> str:
    return " ".join(part for part in key if part)
