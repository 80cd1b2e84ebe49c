"""What a proposer may do to the votes that it carries; each takes an honest proposal and gives another."""

from __future__ import annotations

from collections.abc import Callable

from cosmos_wire.protos import market_tx
from microgrid import votes
from microgrid.votes import PREFIX
from tests.app.chain import send_tx

Cheat = Callable[[list[bytes]], list[bytes]]


def bundle_of(txs: list[bytes]) -> market_tx.VoteBundle:
    return market_tx.VoteBundle.FromString(txs[0][len(PREFIX) :])


def changed(change: Callable[[market_tx.VoteBundle], None]) -> Cheat:
    """A proposer that changes the bundle when there is one."""

    def cheat(txs: list[bytes]) -> list[bytes]:
        if not txs or not votes.is_bundle(txs[0]):
            return txs
        bundle = bundle_of(txs)
        change(bundle)
        return [votes.encode(bundle), *txs[1:]]

    return cheat


def flip(bundle: market_tx.VoteBundle) -> None:
    for entry in bundle.entries:
        if entry.extension:
            entry.extension = entry.extension[:-4] + entry.extension[-2:] + entry.extension[-4:-2]


def drop(bundle: market_tx.VoteBundle) -> None:
    del bundle.entries[0]


def add(bundle: market_tx.VoteBundle) -> None:
    bundle.entries.add()


def reorder(bundle: market_tx.VoteBundle) -> None:
    entries = list(bundle.entries)[::-1]
    del bundle.entries[:]
    bundle.entries.extend(entries)


def older(bundle: market_tx.VoteBundle) -> None:
    bundle.height -= 1


def other_round(bundle: market_tx.VoteBundle) -> None:
    bundle.round += 1


def unsigned(bundle: market_tx.VoteBundle) -> None:
    for entry in bundle.entries:
        entry.signature = bytes(64)


def bare_signature(bundle: market_tx.VoteBundle) -> None:
    bundle.entries[0].extension = b""


def longer(bundle: market_tx.VoteBundle) -> None:
    bundle.entries[0].extension += b"\0"


def omitted(txs: list[bytes]) -> list[bytes]:
    return [tx for tx in txs if not votes.is_bundle(tx)]


def twice(txs: list[bytes]) -> list[bytes]:
    return [tx for tx in txs for _ in range(1 + votes.is_bundle(tx))]


def last(txs: list[bytes]) -> list[bytes]:
    return sorted(txs, key=votes.is_bundle) if len(txs) > 1 else [send_tx(10**6), *txs]


def padded(txs: list[bytes]) -> list[bytes]:
    """The same message in an encoding that nobody makes: an unknown field at its end."""
    return [tx + b"\xfa\x07\x00" if votes.is_bundle(tx) else tx for tx in txs]


def other_prefix(txs: list[bytes]) -> list[bytes]:
    return [b"\x00bsmg/votes/2" + tx[len(PREFIX) :] if votes.is_bundle(tx) else tx for tx in txs]


def uninvited(txs: list[bytes]) -> list[bytes]:
    """A bundle where none is due."""
    return txs if txs and votes.is_bundle(txs[0]) else [votes.encode(market_tx.VoteBundle(height=1)), *txs]


CHEATS = {
    "flip": changed(flip),
    "drop": changed(drop),
    "add": changed(add),
    "reorder": changed(reorder),
    "older": changed(older),
    "other_round": changed(other_round),
    "unsigned": changed(unsigned),
    "bare_signature": changed(bare_signature),
    "longer": changed(longer),
    "omitted": omitted,
    "twice": twice,
    "last": last,
    "padded": padded,
    "other_prefix": other_prefix,
    "uninvited": uninvited,
}
