"""What contracts say of the chain behind a channel: a running score, told to it by REPUTATION (docs/trade.md 5).

Both sides rate by the settlement alone, so that nobody can post a score that the books don't bear out. Parts of 1000.
"""

from __future__ import annotations

from hashlib import sha256

from cosmos_wire.protos import trade, trade_tx
from cosmos_wire.protos import trade_packet as pk
from energy.trade import keys, records
from energy.trade.arithmetic import Basis, Verdict
from energy.trade.errors import DuplicateContract, ReputationTooLow, TermsDiffer, UnknownContract, WrongState
from energy.trade.life import Buyer, Seller
from energy.trade.ports import Ports
from ibc_core.host import Context

MILLI, START_MILLI, STEP_MILLI = 1_000, 500, 200  # r <- r + 0.2 (q - r) from 0.5 on
TIMEOUT_NS = 600 * 10**9
SELLER_ENDS = frozenset({Seller.SETTLED, Seller.CANCELLED})
BUYER_ENDS = frozenset({Buyer.SETTLED, Buyer.REFUNDED, Buyer.LAPSED})
RATED_STATES = frozenset({Buyer.SETTLED, Buyer.LAPSED})
Ended = tuple[bool, str, pk.Settlement]  # whether it was settled, who is on the other side, by what


def of_seller(verdict: Verdict, energy_mwh: int) -> int | None:
    """Delivered over agreed; None when nobody read."""
    return None if verdict.basis == Basis.NONE else MILLI * verdict.lo_mwh // energy_mwh


def of_buyer(settlement: pk.Settlement) -> int | None:
    """How near the buyer's reading came to what was decided; silence is 0, and None when the seller was silent too."""
    match settlement.basis:
        case pk.BASIS_NONE:
            return None
        case pk.BASIS_EXPORT:
            return 0
        case pk.BASIS_FALLBACK:
            return _ratio(settlement.lo_mwh, settlement.hi_mwh)
        case pk.BASIS_ARBITER:
            return _ratio(settlement.import_mwh, settlement.arbiter_mwh)
        case _:
            return MILLI


def _ratio(one: int, other: int) -> int:
    return MILLI * min(one, other) // max(one, other, 1)


def find(ctx: Context, channel_id: str) -> trade.PeerScore:
    """The score of the chain behind a channel; without a contract that of a stranger."""
    stranger = trade.PeerScore(channel_id=channel_id, score_milli=START_MILLI)
    return records.load(ctx, keys.score(channel_id), trade.PeerScore) or stranger


def rate(ctx: Context, channel_id: str, contract_id: bytes, quality_milli: int | None) -> None:
    """Count an ended contract."""
    if quality_milli is None:
        return
    score = find(ctx, channel_id)
    score.score_milli = ((MILLI - STEP_MILLI) * score.score_milli + STEP_MILLI * quality_milli) // MILLI
    score.contracts, score.contract_id, score.quality_milli = score.contracts + 1, contract_id, quality_milli
    records.save(ctx, keys.score(channel_id), score)


def require(ctx: Context, channel_id: str, least_milli: int) -> None:
    """Refuse a buyer whose chain has a lower score than the offer asks for."""
    found = find(ctx, channel_id).score_milli
    if found < least_milli:
        raise ReputationTooLow(f"the offer asks for {least_milli}, the chain behind {channel_id} has {found}")


def post(ctx: Context, ports: Ports, msg: trade_tx.MsgPostReputation) -> trade_tx.MsgPostReputationResponse:
    """Send REPUTATION about a contract that was settled here, once."""
    settled, subject, settlement = _ended(ctx, msg.channel_id, msg.contract_id)
    if not settled:
        raise WrongState("a reputation rests on a settlement, this contract ended without one")
    score = find(ctx, msg.channel_id)
    if score.told_contract_id == msg.contract_id:
        raise DuplicateContract(f"the reputation after {msg.contract_id.hex()} was told already")
    body = pk.Reputation(contract_id=msg.contract_id, subject=subject, score_milli=score.score_milli)
    body.evidence_hash = evidence(settlement)
    packet = pk.TradePacketData(reputation=body)
    records.send(ctx, ports, msg.channel_id, packet, ctx.env.time_ns + TIMEOUT_NS)
    score.told_contract_id, score.told_milli = msg.contract_id, score.score_milli
    records.save(ctx, keys.score(msg.channel_id), score)
    return trade_tx.MsgPostReputationResponse(score_milli=score.score_milli)


def hear(ctx: Context, channel_id: str, reputation: pk.Reputation) -> None:
    """Kept only about a contract that has ended here, and by the same settlement if it was settled here."""
    settled, _, settlement = _ended(ctx, channel_id, reputation.contract_id)
    if settled and evidence(settlement) != reputation.evidence_hash:
        raise TermsDiffer("the reputation rests on another settlement than this chain has")
    records.save(ctx, keys.reputation(channel_id, reputation.contract_id), reputation)
    score = find(ctx, channel_id)
    score.heard.CopyFrom(reputation)
    records.save(ctx, keys.score(channel_id), score)


def evidence(settlement: pk.Settlement) -> bytes:
    """SHA-256 of the settlement, which both chains hold."""
    return sha256(settlement.SerializeToString(deterministic=True)).digest()


def _ended(ctx: Context, channel_id: str, contract_id: bytes) -> Ended:
    """An ended contract, whichever side this chain has; raises UnknownContract, WrongState."""
    sold = records.load(ctx, keys.seller(channel_id, contract_id), trade.SellerContract)
    if sold is not None and Seller(sold.state) in SELLER_ENDS:
        return Seller(sold.state) == Seller.SETTLED, sold.lock.buyer, sold.settlement
    bought = records.load(ctx, keys.buyer(channel_id, contract_id), trade.BuyerContract)
    if bought is not None and Buyer(bought.state) in BUYER_ENDS:
        return Buyer(bought.state) in RATED_STATES, bought.seller_payee, bought.settlement
    if sold is None and bought is None:
        raise UnknownContract(f"no contract {contract_id.hex()} on {channel_id}")
    raise WrongState("a reputation is about a contract that has ended")
