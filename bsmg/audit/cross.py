"""What two chains say of each other: packets, acknowledgements, vouchers and escrow, both sides of contracts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bsmg.audit.attestations import check_attestations
from bsmg.audit.clients import check_client
from bsmg.audit.findings import Findings
from bsmg.audit.ledger import escrow_address
from bsmg.audit.packets import Arrival, End, Rests, key_of, result_of
from bsmg.audit.replay import Replay
from bsmg.audit.trade import CANCELLED, REFUNDED, SETTLED, Contract
from bsmg.audit.trade import PORT as TRADE
from bsmg.audit.transfer import PORT as TRANSFER
from bsmg.audit.transfer import local_name, tokens_of
from cosmos_wire.protos import channel

SKEW_NS = (
    120 * 10**9
)  # block times of two chains may differ by so much; closer to the end of a record nothing is missed
FORBIDDEN = {(SETTLED, REFUNDED), (CANCELLED, SETTLED)}  # (seller's end, buyer's end)


class Pair:
    """Chain `a` as seen from the channels it shares with `b`; to be run in both directions."""

    def __init__(self, a: Replay, b: Replay) -> None:
        self.a, self.b = a, b
        self.findings: Findings = a.stage.findings

    def run(self) -> None:
        """Packets from a to b, vouchers of a's tokens on b, contracts that a sold."""
        for end, (_, there) in sorted(self.a.packets.channels.items()):
            if self.a.packets.chain_behind(end) != self.b.record.chain_id:
                continue
            self._packets(end, there)
            if end[0] == TRANSFER:
                self._vouchers(end, there)
            elif end[0] == TRADE:
                self._contracts(end, there)

    # --- packets -----------------------------------------------------------------------------------------------------

    def _packets(self, end: End, there: End) -> None:
        for (own, key), arrival in self.b.packets.received.items():
            if own == there:
                self._arrived(key, arrival)
        for key, ack in self.a.packets.acknowledged.items():
            if (key[0], key[1]) == end:
                self._answered(there, key, ack)
        for key in self.a.packets.timed_out:
            if (key[0], key[1]) == end:
                self.findings.count("packets")
                if (there, key) in self.b.packets.received:
                    self.findings.add("packets", f"{_name(key)} timed out", "no receipt", "a receipt over there")

    def _arrived(self, key: tuple[str, str, int], arrival: Arrival) -> None:
        self.findings.count("packets")
        sent = self.a.packets.sent.get(key)
        if sent is None:
            if self._seen_late(self.a, arrival.time_ns):
                self.findings.add(
                    "packets", _name(key), "to be sent here", f"only received by {self.b.record.chain_id}"
                )
            return
        self.findings.equal("packets", f"{_name(key)} data", _text(sent), _text(arrival.packet))

    def _answered(self, there: End, key: tuple[str, str, int], ack: bytes) -> None:
        self.findings.count("packets")
        arrival = self.b.packets.received.get((there, key))
        if arrival is None:
            if self._seen_late(self.b, self.a.packets.answered_ns[key]):
                self.findings.add("packets", f"{_name(key)} acknowledged", "a receipt over there", "none")
            return
        self.findings.equal("packets", f"{_name(key)} acknowledgement", arrival.ack.hex(), ack.hex())

    @staticmethod
    def _seen_late(replay: Replay, time_ns: int) -> bool:
        """Whether a record goes on long enough behind a time to hold what came before it."""
        return replay.record.blocks[-1].time_ns >= time_ns + SKEW_NS

    # --- vouchers ----------------------------------------------------------------------------------------------------

    def _vouchers(self, end: End, there: End) -> None:
        for path in sorted(self._paths(end, there)):
            self.findings.count("vouchers")
            voucher = local_name("/".join((*there, path)))
            locked = self._locked(end, path)
            outstanding = self.b.record.final.supply.get(voucher, 0)
            flying = self._on_the_way(end, there, path)
            name = f"{path} behind {end[1]}: escrow here less packets in flight = vouchers on {self.b.record.chain_id}"
            self.findings.equal("vouchers", name, locked - flying, outstanding)

    def _paths(self, end: End, there: End) -> set[str]:
        """Denominations, as this chain writes them, that ever went out through an end."""
        prefix = "/".join(end) + "/"
        sent = {tokens_of(p.data).path for key, p in self.a.packets.sent.items() if (key[0], key[1]) == end}
        home = {
            tokens_of(p.data).path.removeprefix("/".join(there) + "/")
            for key, p in self.b.packets.sent.items()
            if (key[0], key[1]) == there and tokens_of(p.data).path.startswith("/".join(there) + "/")
        }
        return {path for path in sent if not path.startswith(prefix)} | home

    def _locked(self, end: End, path: str) -> int:
        return self.a.record.final.balances.get((escrow_address(*end), local_name(path)), 0)

    def _on_the_way(self, end: End, there: End, path: str) -> int:
        """Left one chain for good and not arrived on the other, both ways."""
        out = self._unmatched(self.a, self.b, (end, there), path)
        home = self._unmatched(self.b, self.a, (there, end), "/".join((*there, path)))
        return out + home

    @staticmethod
    def _unmatched(source: Replay, target: Replay, ends: tuple[End, End], path: str) -> int:
        amounts = 0
        for key, packet in source.packets.sent.items():
            tokens = tokens_of(packet.data) if (key[0], key[1]) == ends[0] else None
            if tokens is not None and tokens.path == path and not _refunded(source, packet):
                amounts += tokens.amount
        for (own, _), arrival in target.packets.received.items():
            if own == ends[1] and result_of(arrival.ack) is not None:
                tokens = tokens_of(arrival.packet.data)
                amounts -= tokens.amount if tokens.path == path else 0
        return amounts

    # --- contracts ---------------------------------------------------------------------------------------------------

    def _contracts(self, end: End, there: End) -> None:
        for (own, ident), sold in sorted(self.a.trade.sold.items()):
            bought = self.b.trade.bought.get((there[1], ident))
            if own == end[1] and bought is not None:
                self.findings.count("contracts")
                self._both(sold, bought)

    def _both(self, sold: Contract, bought: Contract) -> None:
        name = f"contract {sold.lock.contract_id.hex()[:12]}"
        findings = self.findings
        findings.equal("contracts", f"{name} lock on both chains", sold.lock, bought.lock)
        if (sold.state, bought.state) in FORBIDDEN:
            findings.add("contracts", f"{name} ends", "ends that agree", f"{sold.state} and {bought.state}")
        if sold.state == bought.state == SETTLED:
            findings.equal("contracts", f"{name} delivered on both chains", sold.verdict, bought.verdict)
            findings.equal("contracts", f"{name} energy on both chains", sold.energy_mwh, bought.energy_mwh)
        if sold.claim * sold.lock.rate.den > bought.held * sold.lock.rate.num and not bought.paid:
            findings.add("contracts", f"{name} claim", f"at most what {bought.held} locks", sold.claim)


def check_links(replays: Mapping[str, Replay]) -> None:
    """Every ordered pair of the chains at hand."""
    for a in replays.values():
        for b in replays.values():
            if a is not b:
                with a.stage.findings.surviving("packets", f"packets to {b.record.chain_id}"):
                    Pair(a, b).run()
                if b.follower is not None:
                    chain = b.record.chain_id, b.follower
                    check_attestations(a.stage.findings, _resting_on(a, b.record.chain_id), chain)
                for client_id, place, message in a.packets.headers:
                    if a.packets.clients.get(client_id) == b.record.chain_id:
                        check_client(a.stage.findings, f"{place}: {client_id}", message, b)


def _resting_on(a: Replay, chain_id: str) -> Iterator[tuple[str, Rests]]:
    """Proofs that packet messages of one chain brought from another: place and sequence, proof."""
    for place, item in a.packets.rests:
        if a.packets.chain_behind(item.end) == chain_id:
            yield f"{place}: {item.path.decode()}", item


def _refunded(source: Replay, packet: channel.Packet) -> bool:
    key = key_of(packet)
    if key in source.packets.timed_out:
        return True
    ack = source.packets.acknowledged.get(key)
    return ack is not None and result_of(ack) is None


def _name(key: tuple[str, str, int]) -> str:
    return f"packet {key[2]} of {key[0]}/{key[1]}"


def _text(packet: channel.Packet) -> str:
    timeout = packet.timeout_height
    place = f"{packet.destination_port}/{packet.destination_channel}"
    late = f"{packet.timeout_timestamp} {timeout.revision_number}-{timeout.revision_height}"
    return f"{place} {late} {packet.data.hex()}"
