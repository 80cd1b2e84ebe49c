"""ICS-20 as the chains' events tell it: what was minted, burnt and moved, by denomination."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from bsmg.demo.collect import ChainLog, Seen

PORT = "transfer"
SUCCESS = b'{"result":"AQ=="}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Vouchers of one chain, by local denomination."""

    minted: Counter[str]
    burnt: Counter[str]


def voucher(path: str) -> str:
    """Local denomination of a trace path such as `transfer/channel-0/bmga` (ICS-20)."""
    return f"ibc/{sha256(path.encode()).hexdigest().upper()}"


def _packet_data(seen: Seen) -> tuple[str, int]:
    doc = json.loads(bytes.fromhex(seen.attributes["packet_data_hex"]))
    return str(doc["denom"]), int(doc["amount"])


def _place(seen: Seen, end: str) -> str:
    return f"{seen.attributes[f'packet_{end}_port']}/{seen.attributes[f'packet_{end}_channel']}/"


def _transfers(log: ChainLog, *kinds: str) -> Iterator[Seen]:
    return (seen for seen in log.of(*kinds) if seen.attributes["packet_src_port"] == PORT)


def flows(logs: Mapping[str, ChainLog]) -> dict[str, Flow]:
    """Vouchers minted and burnt on every chain."""
    return {chain_id: _flow(log) for chain_id, log in logs.items()}


def _flow(log: ChainLog) -> Flow:
    minted: Counter[str] = Counter()
    burnt: Counter[str] = Counter()
    sent: dict[tuple[str, str], tuple[str, int]] = {}  # vouchers on their way home, by (channel, sequence)
    for seen in _transfers(log, "send_packet", "write_acknowledgement", "timeout_packet", "acknowledge_packet"):
        key = (seen.attributes["packet_src_channel"], seen.attributes["packet_sequence"])
        if seen.kind == "write_acknowledgement":
            _received(seen, minted)
            continue
        if seen.kind == "send_packet":
            denom, amount = _packet_data(seen)
            if denom.startswith(_place(seen, "src")):
                burnt[voucher(denom)] += amount
                sent[key] = (denom, amount)
        elif key in sent and (seen.kind == "timeout_packet" or _failed(log, seen)):
            minted[voucher(sent[key][0])] += sent[key][1]
    return Flow(minted=minted, burnt=burnt)


def _received(seen: Seen, minted: Counter[str]) -> None:
    if bytes.fromhex(seen.attributes["packet_ack_hex"]) != SUCCESS:
        return
    denom, amount = _packet_data(seen)
    if not denom.startswith(_place(seen, "src")):  # a token from over there: a voucher here
        minted[voucher(_place(seen, "dst") + denom)] += amount


def _failed(log: ChainLog, acknowledged: Seen) -> bool:
    """Whether the transfer application refunded at this acknowledgement: it says so beside it."""
    return any(
        seen.height == acknowledged.height and seen.attributes.get("error") for seen in log.of("fungible_token_packet")
    )


def moved(logs: Mapping[str, ChainLog]) -> dict[str, int]:
    """Base units that arrived on another chain or came home, by the denomination where they were made."""
    total: Counter[str] = Counter()
    for log in logs.values():
        for seen in _transfers(log, "write_acknowledgement"):
            if bytes.fromhex(seen.attributes["packet_ack_hex"]) == SUCCESS:
                denom, amount = _packet_data(seen)
                total[denom.rpartition("/")[2]] += amount
    return dict(sorted(total.items()))
