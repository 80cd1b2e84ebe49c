"""The audit's own ledger: who holds what, from genesis on, by what messages, markets and packets did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any as Json

from bsmg.audit.findings import Findings
from cosmos_wire.address import to_bech32

ADDRESS_BYTES = 20


def module_address(name: str) -> str:
    """Address of a module account by the SDK's derivation."""
    return to_bech32(sha256(name.encode()).digest()[:ADDRESS_BYTES])


def escrow_address(port: str, channel: str) -> str:
    """ICS-20 escrow account of a channel end, as ibc-go derives it."""
    return to_bech32(sha256(b"ics20-1\x00" + f"{port}/{channel}".encode()).digest()[:ADDRESS_BYTES])


FEE_COLLECTOR = module_address("fee_collector")


@dataclass(slots=True, kw_only=True)
class Ledger:
    """Balances by (address, denomination). A payment above the balance is a difference and is booked all the same."""

    findings: Findings
    held: Counter[tuple[str, str]] = field(default_factory=Counter)
    genesis: Counter[str] = field(default_factory=Counter)
    minted: Counter[str] = field(default_factory=Counter)
    burnt: Counter[str] = field(default_factory=Counter)
    place: str = "genesis"  # where the replay is, for differences

    def load(self, app_state: Mapping[str, Json]) -> None:
        """Balances of genesis."""
        for holder in app_state["bank"].get("balances", ()):
            for coin in holder["coins"]:
                self.held[holder["address"], coin["denom"]] += int(coin["amount"])
                self.genesis[coin["denom"]] += int(coin["amount"])

    def balance(self, address: str, denom: str) -> int:
        """What an account holds."""
        return self.held[address, denom]

    def move(self, sender: str, recipient: str, denom: str, amount: int) -> None:
        """Pay from one account to another."""
        self._take(sender, denom, amount)
        self.held[recipient, denom] += amount

    def mint(self, recipient: str, denom: str, amount: int) -> None:
        """Vouchers of a foreign token."""
        self.held[recipient, denom] += amount
        self.minted[denom] += amount

    def burn(self, holder: str, denom: str, amount: int) -> None:
        """Vouchers that went home."""
        self._take(holder, denom, amount)
        self.burnt[denom] += amount

    def _take(self, holder: str, denom: str, amount: int) -> None:
        if amount < 0 or self.held[holder, denom] < amount:
            self.findings.add(
                "balances", f"{self.place}: {holder} pays {denom}", f"at most {self.held[holder, denom]}", amount
            )
        self.held[holder, denom] -= amount

    def supply(self, denom: str) -> int:
        """Genesis and what was minted, less what was burnt."""
        return self.genesis[denom] + self.minted[denom] - self.burnt[denom]

    def denoms(self) -> list[str]:
        """Every denomination that ever was."""
        return sorted({*self.genesis, *self.minted, *self.burnt})
