"""What was checked, and what did not agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cosmos_wire.errors import BsmgError
from cosmos_wire.protos import DecodeError

FAULTS = (BsmgError, DecodeError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
SUBJECTS: Mapping[str, str] = {
    "headers": "headers linked by hash; transactions and results hash to what headers say",
    "signatures": "commits signed by more than 2/3 of the power",
    "ledger": "Fabric: blocks linked by hash; transactions signed, endorsed as the policy asks, on the newest versions",
    "orderers": "Fabric: blocks signed by the channel's orderers",
    "ticks": "Fabric: what was submitted is what Ticks executed; states chain; the front's blocks are the ledger's",
    "transactions": "messages understood, fees to the collector",
    "accounts": "transactions signed by the accounts that they name, each once",
    "gates": "slots opened, moved and closed by block time",
    "clearings": "auctions: price, volume, welfare",
    "schedules": "network checks: factors, caps, what is let out to the main grid, by a certificate of the audit's own",
    "ballots": "votes of validators on schedules: signatures, powers, tallies, decisions",
    "readings": "device signatures of accepted readings",
    "statements": "cells' statements, field by field",
    "settlements": "slots: energy balance, money sums to zero, escrow empty, root of statements",
    "cells": "score, collateral, arrears, debts of cells at the end",
    "clients": "headers that light clients took are those of the chains they follow",
    "contracts": "steps and ends of contracts between chains",
    "packets": "packets and acknowledgements the same on both chains",
    "attestations": "proofs of packet messages from Fabric: signed as the membership's policy asks, of what they say",
    "transfers": "ICS-20: escrow, vouchers, refunds",
    "proofs": "end state: records proven under an app hash that validators signed, or by endorsed writes of a ledger",
    "balances": "every account at the end",
    "supply": "genesis + minted - burnt",
    "vouchers": "vouchers on one chain = escrow on the other, packets in flight apart",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that the chain says and the audit does not find."""

    chain_id: str
    subject: str
    place: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.chain_id} {self.subject}: {self.place}: expected {self.expected}, got {self.got}"


@dataclass(slots=True, kw_only=True)
class Findings:
    """Counts and differences of one chain (or of a pair, under both names)."""

    chain_id: str
    checked: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was not checked

    def count(self, subject: str, number: int = 1) -> None:
        """So many more things were looked at."""
        self.checked[subject] = self.checked.get(subject, 0) + number

    def add(self, subject: str, place: str, expected: object, got: object) -> None:
        """Note a difference."""
        made = Difference(chain_id=self.chain_id, subject=subject, place=place, expected=str(expected), got=str(got))
        self.differences.append(made)

    def equal(self, subject: str, place: str, expected: object, got: object) -> bool:
        """Note a difference unless the two are equal; does not count."""
        if expected != got:
            self.add(subject, place, expected, got)
        return expected == got

    def fields(self, subject: str, place: str, expected: Mapping[str, object], got: Mapping[str, object]) -> None:
        """Compare the fields that are expected, as text."""
        for name, value in expected.items():
            self.equal(subject, f"{place} {name}", str(value), str(got.get(name, "nothing")))

    @contextmanager
    def surviving(self, subject: str, place: str) -> Iterator[None]:
        """What a node says may have any form: what can't be read or doesn't fit is a difference, not a crash."""
        try:
            yield
        except FAULTS as error:
            self.add(subject, place, "what fits what came before", f"{type(error).__name__}: {error}")

    def of(self, subject: str) -> list[Difference]:
        """Differences of a subject."""
        return [item for item in self.differences if item.subject == subject]
