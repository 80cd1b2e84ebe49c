"""After the last block: the audit's books against what the chain says of its state."""

from __future__ import annotations

from collections.abc import Mapping

from bsmg.audit.contract import Verdict
from bsmg.audit.replay import Replay
from bsmg.audit.trade import ACTIVE, COMMITTED, CONFIRMED, LOCKED, RESERVED, Contract
from cosmos_wire.protos import Message, trade


def check_end(replay: Replay) -> None:
    """Balances, supply, cells, contracts, and nothing left undone."""
    _balances(replay)
    _supply(replay)
    with replay.stage.findings.surviving("cells", "cells at the end"):
        _cells(replay)
    with replay.stage.findings.surviving("contracts", "contracts at the end"):
        _contracts(replay)
        _overdue(replay)


def _balances(replay: Replay) -> None:
    findings, own, said = replay.stage.findings, replay.stage.ledger.held, replay.record.final.balances
    for address, denom in sorted({*own, *said}):
        expected, got = own.get((address, denom), 0), said.get((address, denom), 0)
        if expected or got:
            findings.count("balances")
            findings.equal("balances", f"{address} {denom}", expected, got)


def _supply(replay: Replay) -> None:
    findings, ledger, said = replay.stage.findings, replay.stage.ledger, replay.record.final
    for denom in sorted({*ledger.denoms(), *said.supply}):
        findings.count("supply")
        findings.equal("supply", denom, ledger.supply(denom), said.supply.get(denom, 0))
        held = sum(amount for (_, name), amount in said.balances.items() if name == denom)
        findings.equal("supply", f"{denom} sum of balances", said.supply.get(denom, 0), held)


def _cells(replay: Replay) -> None:
    findings, said = replay.stage.findings, {cell.number: cell for cell in replay.record.final.cells}
    findings.equal("cells", "numbers", sorted(replay.cells.by_number), sorted(said))
    for number, cell in sorted(replay.cells.by_number.items()):
        findings.count("cells")
        got = said.get(number)
        if got is None:
            continue
        wanted = {
            "id": (cell.id, got.id),
            "address": (cell.address, got.address),
            "score": (cell.score, got.score_permille),
            "collateral": (cell.collateral, int(got.collateral or 0)),
            "arrears": (cell.arrears, int(got.arrears or 0)),
            "owed": (cell.owed, int(got.owed or 0)),
            "missed": (cell.missed, got.missed),
            "devices": (cell.devices, got.devices),
            "status": (cell.status, got.status),
        }
        for name, (expected, found) in wanted.items():
            findings.equal("cells", f"{cell.id} {name}", expected, found)


def _contracts(replay: Replay) -> None:
    final = replay.record.final
    sold = {(item.channel_id, bytes(item.lock.contract_id)): item for item in final.sold}
    bought = {(item.channel_id, bytes(item.lock.contract_id)): item for item in final.bought}
    _same_places(replay, replay.trade.sold, sold)
    _same_places(replay, replay.trade.bought, bought)
    for place, made in replay.trade.sold.items():
        if place in sold:
            _sold(replay, made, sold[place])
    for place, made in replay.trade.bought.items():
        if place in bought:
            _bought(replay, made, bought[place])


def _same_places(
    replay: Replay, own: Mapping[tuple[str, bytes], Contract], said: Mapping[tuple[str, bytes], Message]
) -> None:
    for place in sorted({*own, *said}):
        replay.stage.findings.count("contracts")
        name = f"state of {place[1].hex()[:12]} on {place[0]}"
        replay.stage.findings.equal("contracts", name, place in own, place in said)


def _sold(replay: Replay, made: Contract, said: trade.SellerContract) -> None:
    verdict = said.settlement
    wanted = {
        "state": (made.state, trade.SellerState.Name(said.state).removeprefix("SELLER_STATE_")),
        "energy": (made.energy_mwh, said.energy_mwh),
        "collateral": (made.held, int(said.collateral or 0)),
        "claim": (made.claim, int(said.claim or 0)),
        "verdict": (
            made.verdict or Verdict(lo=0, hi=0, basis=0),
            Verdict(lo=verdict.lo_mwh, hi=verdict.hi_mwh, basis=verdict.basis),
        ),
    }
    _compare(replay, made, wanted)


def _bought(replay: Replay, made: Contract, said: trade.BuyerContract) -> None:
    paid = made.paid or {}
    wanted = {
        "state": (made.state, trade.BuyerState.Name(said.state).removeprefix("BUYER_STATE_")),
        "energy": (made.energy_mwh, said.energy_mwh),
        "escrow": (made.held, int(said.escrow or 0)),
        "seller": (paid.get("seller", 0), int(said.paid_seller or 0)),
        "pool": (paid.get("pool", 0), int(said.paid_pool or 0)),
        "fee": (paid.get("fee", 0), int(said.paid_fee or 0)),
        "buyer": (paid.get("buyer", 0), int(said.paid_buyer or 0)),
    }
    _compare(replay, made, wanted)


def _compare(replay: Replay, made: Contract, wanted: Mapping[str, tuple[object, object]]) -> None:
    for name, (expected, got) in wanted.items():
        place = f"state of contract {made.lock.contract_id.hex()[:12]} {name}"
        replay.stage.findings.equal("contracts", place, expected, got)


def _overdue(replay: Replay) -> None:
    """What the clock should have ended by the last block but one (sweeps of the last may be cut short)."""
    blocks = replay.record.blocks
    if len(blocks) < 2:
        return
    now = blocks[-2].time_ms
    for (channel, ident), made in [*replay.trade.bought.items(), *replay.trade.sold.items()]:
        clock = replay.trade.clock(made.level, made.lock.slot)
        due = {
            LOCKED: clock.act_ms,
            CONFIRMED: clock.act_ms,
            COMMITTED: clock.close_ms,
            RESERVED: clock.act_ms,
            ACTIVE: clock.disp_ms,
        }
        if due.get(made.state, now + 1) <= now:
            name = f"contract {ident.hex()[:12]} of {channel} at {now} ms"
            replay.stage.findings.add("contracts", name, f"an end at {due[made.state]} ms", made.state)
