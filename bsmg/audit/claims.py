"""The end state that a node tells, as keys and values of its store (docs/state.md): what a proof can hold it to."""

from __future__ import annotations

from dataclasses import dataclass

from bsmg.audit.record import FinalState
from cosmos_wire.address import from_bech32
from cosmos_wire.protos import registry, trade

KINDS = (b"bk/b/", b"bk/s/", b"rg/c/", b"td/k/")  # how the keys begin
Said = int | registry.Cell | trade.SellerContract | trade.BuyerContract


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One record of the store `app`, as the node's query services told it."""

    name: str
    key: bytes
    said: Said

    def read(self, value: bytes) -> Said:
        """What a stored value means; raises DecodeError, ValueError."""
        return int(value) if isinstance(self.said, int) else type(self.said).FromString(value)


def claims_of(final: FinalState) -> list[Claim]:
    """Everything that is compared with the audit's books: balances, supply, cells, contracts."""
    found = [
        Claim(name=f"balance of {address} {denom}", key=balance_key(address, denom), said=amount)
        for (address, denom), amount in sorted(final.balances.items())
    ]
    found += [
        Claim(name=f"supply of {denom}", key=b"bk/s/" + denom.encode(), said=amount)
        for denom, amount in sorted(final.supply.items())
    ]
    found += [
        Claim(name=f"cell {cell.id}", key=b"rg/c/" + cell.number.to_bytes(4, "big"), said=cell) for cell in final.cells
    ]
    for mark, contracts in ((b"s", final.sold), (b"b", final.bought)):
        for item in contracts:
            ident = bytes(item.lock.contract_id)
            key = b"td/k/" + mark + _named(item.channel_id) + ident
            found.append(Claim(name=f"contract {ident.hex()[:12]} on {item.channel_id}", key=key, said=item))
    return found


def balance_key(address: str, denom: str) -> bytes:
    """Where a balance is."""
    raw = from_bech32(address)
    return b"bk/b/" + bytes([len(raw)]) + raw + denom.encode()


def _named(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
