"""cosmos.bank over the coin ledger: MsgSend, MsgMultiSend, balances, supply, denominations.

Key beside the ledger's own: `bk/m/` denom -> Metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import ParseDict

from cosmos_wire.address import from_bech32, to_bech32
from cosmos_wire.errors import InvalidCoins, InvalidRequest, KeyNotFound
from cosmos_wire.protos import bank as pb
from cosmos_wire.protos import bank_query as q
from cosmos_wire.protos import bank_tx, coin, pagination, transfer_token
from ibc_core import bank
from ibc_core.host import Context, MessageRoute, QueryRoute, event
from ibc_core.paginate import paginate, paginate_items
from ibc_core.transfer import ledger
from ibc_core.transfer.denom import Denom, from_message, parse_hash
from microgrid import accounts, coins
from microgrid.errors import GenesisError
from microgrid.plain_module import PlainModule

PATH = "/cosmos.bank.v1beta1.Query/"
Json = Any  # what a JSON document holds
METADATA, SUPPLY = b"bk/m/", b"bk/s/"
VOUCHER = re.compile(r"ibc/[0-9A-F]{64}")
OUTPUTS_MAX = 1_000  # recipients of one MsgMultiSend


class BankModule(PlainModule):
    """Coins. Genesis: `{"balances": [{"address", "coins": [{"denom", "amount"}]}], "denom_metadata": [...]}`."""

    name = "bank"

    def messages(self) -> Mapping[str, MessageRoute]:
        """MsgSend and MsgMultiSend."""
        m = bank_tx
        return {
            "/cosmos.bank.v1beta1.MsgSend": MessageRoute(send, m.MsgSend, m.MsgSendResponse, "from_address"),
            "/cosmos.bank.v1beta1.MsgMultiSend": MessageRoute(
                multi_send, m.MsgMultiSend, m.MsgMultiSendResponse, "inputs"
            ),
        }

    def queries(self) -> Mapping[str, QueryRoute]:
        """All of cosmos.bank.v1beta1.Query."""
        return {
            PATH + "Balance": QueryRoute(balance, q.QueryBalanceRequest, q.QueryBalanceResponse),
            PATH + "AllBalances": QueryRoute(all_balances, q.QueryAllBalancesRequest, q.QueryAllBalancesResponse),
            PATH + "SpendableBalances": QueryRoute(
                spendable, q.QuerySpendableBalancesRequest, q.QuerySpendableBalancesResponse
            ),
            PATH + "SpendableBalanceByDenom": QueryRoute(
                spendable_one, q.QuerySpendableBalanceByDenomRequest, q.QuerySpendableBalanceByDenomResponse
            ),
            PATH + "TotalSupply": QueryRoute(total_supply, q.QueryTotalSupplyRequest, q.QueryTotalSupplyResponse),
            PATH + "SupplyOf": QueryRoute(supply_of, q.QuerySupplyOfRequest, q.QuerySupplyOfResponse),
            PATH + "Params": QueryRoute(params, q.QueryParamsRequest, q.QueryParamsResponse),
            PATH + "SendEnabled": QueryRoute(send_enabled, q.QuerySendEnabledRequest, q.QuerySendEnabledResponse),
            PATH + "DenomMetadata": QueryRoute(metadata, q.QueryDenomMetadataRequest, q.QueryDenomMetadataResponse),
            PATH + "DenomMetadataByQueryString": QueryRoute(
                metadata_text, q.QueryDenomMetadataByQueryStringRequest, q.QueryDenomMetadataByQueryStringResponse
            ),
            PATH + "DenomsMetadata": QueryRoute(metadatas, q.QueryDenomsMetadataRequest, q.QueryDenomsMetadataResponse),
            PATH + "DenomOwners": QueryRoute(owners, q.QueryDenomOwnersRequest, q.QueryDenomOwnersResponse),
            PATH + "DenomOwnersByQuery": QueryRoute(
                owners_text, q.QueryDenomOwnersByQueryRequest, q.QueryDenomOwnersByQueryResponse
            ),
        }

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Supply is the sum of the balances."""
        for item in _listed(doc, "balances"):
            address = from_bech32(item["address"])
            accounts.create(ctx, address)  # numbers follow the list
            for denom, amount in coins.parse([coin.Coin(**part) for part in item["coins"]]):
                bank.mint(ctx, address, (denom, amount))
        for item in _listed(doc, "denom_metadata"):
            made = ParseDict(item, pb.Metadata())
            ctx.app.set(METADATA + made.base.encode(), made.SerializeToString(deterministic=True))


def _listed(doc: Mapping[str, object], key: str) -> list[dict[str, Json]]:
    found = doc.get(key, [])
    if not isinstance(found, list):
        raise GenesisError(f"genesis app_state.bank.{key}: expected a list, got {type(found).__name__}")
    return found


# --- messages --------------------------------------------------------------------------------------------------------


def send(ctx: Context, message: bank_tx.MsgSend) -> bank_tx.MsgSendResponse:
    """Move coins between two accounts; module accounts can't be paid."""
    sender, recipient = from_bech32(message.from_address), from_bech32(message.to_address)
    amount = _coins(message.amount)
    bank.require_recipient(ctx, recipient)
    for item in amount:
        bank.send(ctx, sender, recipient, item)
    _emit(ctx, message.from_address, message.to_address, coins.text(amount))
    return bank_tx.MsgSendResponse()


def multi_send(ctx: Context, message: bank_tx.MsgMultiSend) -> bank_tx.MsgMultiSendResponse:
    """One account pays several; the sums must agree."""
    if len(message.inputs) != 1:
        raise InvalidRequest(f"multiple senders not allowed: expected 1 input, got {len(message.inputs)}")
    if not 0 < len(message.outputs) <= OUTPUTS_MAX:
        raise InvalidRequest(f"expected 1..{OUTPUTS_MAX} outputs, got {len(message.outputs)}")
    source = message.inputs[0]
    sender = from_bech32(source.address)
    paid = [(item.address, from_bech32(item.address), _coins(item.coins)) for item in message.outputs]
    _require_equal_sums(_coins(source.coins), [item for _, _, amount in paid for item in amount])
    ctx.events.emit(event("message", sender=source.address))
    ctx.events.emit(event("coin_spent", spender=source.address, amount=coins.text(_coins(source.coins))))
    for text, recipient, amount in paid:
        bank.require_recipient(ctx, recipient)
        for item in amount:
            bank.send(ctx, sender, recipient, item)
        written = coins.text(amount)
        ctx.events.emit(event("coin_received", receiver=text, amount=written))
        ctx.events.emit(event("transfer", recipient=text, sender=source.address, amount=written))
    return bank_tx.MsgMultiSendResponse()


def _coins(found: object) -> tuple[coins.Coin, ...]:
    parsed = coins.parse(found)  # type: ignore[arg-type]  # a repeated field is a sequence
    if not parsed:
        raise InvalidCoins("expected at least one coin, got none")
    return parsed


def _require_equal_sums(given: tuple[coins.Coin, ...], taken: list[coins.Coin]) -> None:
    sums: dict[str, int] = {}
    for denom, amount in taken:
        sums[denom] = sums.get(denom, 0) + amount
    if tuple(sorted(sums.items())) != given:
        raise InvalidRequest(f"sum inputs != sum outputs: {coins.text(given)}, {coins.text(sorted(sums.items()))}")


def _emit(ctx: Context, sender: str, recipient: str, amount: str) -> None:
    ctx.events.emit(event("coin_spent", spender=sender, amount=amount))
    ctx.events.emit(event("coin_received", receiver=recipient, amount=amount))
    ctx.events.emit(event("transfer", recipient=recipient, sender=sender, amount=amount))
    ctx.events.emit(event("message", sender=sender))


# --- queries ---------------------------------------------------------------------------------------------------------


def _held(ctx: Context, address: str, denom: str) -> coin.Coin:
    if coins.DENOM.fullmatch(denom) is None:
        raise InvalidRequest(f"invalid denom: {denom[:128]!r}")
    return coin.Coin(denom=denom, amount=str(bank.balance(ctx, from_bech32(address), denom)))


def balance(ctx: Context, request: q.QueryBalanceRequest) -> q.QueryBalanceResponse:
    """What an address holds of one denomination; 0 when it holds none."""
    return q.QueryBalanceResponse(balance=_held(ctx, request.address, request.denom))


def spendable_one(
    ctx: Context, request: q.QuerySpendableBalanceByDenomRequest
) -> q.QuerySpendableBalanceByDenomResponse:
    """The same: nothing is locked in an account."""
    return q.QuerySpendableBalanceByDenomResponse(balance=_held(ctx, request.address, request.denom))


def _page(
    ctx: Context, address: str, request: pagination.PageRequest
) -> tuple[list[coin.Coin], pagination.PageResponse]:
    pairs = [(denom.encode(), str(amount).encode()) for denom, amount in bank.balances(ctx, from_bech32(address))]
    found, page = paginate_items(pairs, request)
    return [coin.Coin(denom=denom.decode(), amount=amount.decode()) for denom, amount in found], page


def all_balances(ctx: Context, request: q.QueryAllBalancesRequest) -> q.QueryAllBalancesResponse:
    """A page of what an address holds, ascending by denomination; on request under the names that people read."""
    found, page = _page(ctx, request.address, request.pagination)
    if request.resolve_denom:
        found = [coin.Coin(denom=_display(ctx, item.denom), amount=item.amount) for item in found]
    return q.QueryAllBalancesResponse(balances=found, pagination=page)


def spendable(ctx: Context, request: q.QuerySpendableBalancesRequest) -> q.QuerySpendableBalancesResponse:
    """The same: nothing is locked in an account."""
    found, page = _page(ctx, request.address, request.pagination)
    return q.QuerySpendableBalancesResponse(balances=found, pagination=page)


def total_supply(ctx: Context, request: q.QueryTotalSupplyRequest) -> q.QueryTotalSupplyResponse:
    """A page of all denominations, ascending."""
    pairs, page = paginate(ctx.app, SUPPLY, request.pagination)
    found = [coin.Coin(denom=denom.decode(), amount=amount.decode()) for denom, amount in pairs]
    return q.QueryTotalSupplyResponse(supply=found, pagination=page)


def supply_of(ctx: Context, request: q.QuerySupplyOfRequest) -> q.QuerySupplyOfResponse:
    """All there is of one; 0 when there is none."""
    if coins.DENOM.fullmatch(request.denom) is None:
        raise InvalidRequest(f"invalid denom: {request.denom[:128]!r}")
    amount = coin.Coin(denom=request.denom, amount=str(bank.supply(ctx, request.denom)))
    return q.QuerySupplyOfResponse(amount=amount)


def params(_ctx: Context, _request: q.QueryParamsRequest) -> q.QueryParamsResponse:
    """Every denomination can be sent."""
    return q.QueryParamsResponse(params=pb.Params(default_send_enabled=True))


def send_enabled(_ctx: Context, request: q.QuerySendEnabledRequest) -> q.QuerySendEnabledResponse:
    """No denomination has a rule of its own."""
    found = [pb.SendEnabled(denom=denom, enabled=True) for denom in request.denoms]
    return q.QuerySendEnabledResponse(send_enabled=found)


def _metadata(ctx: Context, denom: str) -> pb.Metadata:
    raw = ctx.app.get(METADATA + denom.encode())
    if raw is not None:
        return pb.Metadata.FromString(raw)
    if VOUCHER.fullmatch(denom):
        voucher = ledger.find_denom(ctx, parse_hash(denom))
        if voucher is not None:
            return _of_voucher(voucher)
    raise KeyNotFound(f"client metadata for denom {denom[:128]} not found")


def _of_voucher(denom: Denom) -> pb.Metadata:
    """What ibc-go writes into the bank when it first mints a voucher."""
    made = pb.Metadata(
        description=f"IBC token from {denom.path}",
        base=denom.ledger_name,
        display=denom.path,
        name=f"{denom.path} IBC token",
        symbol=denom.base.upper(),
    )
    made.denom_units.add(denom=denom.base, exponent=0)
    return made


def _display(ctx: Context, denom: str) -> str:
    try:
        return _metadata(ctx, denom).display or denom
    except KeyNotFound:
        return denom


def metadata(ctx: Context, request: q.QueryDenomMetadataRequest) -> q.QueryDenomMetadataResponse:
    """Units and exponents of a denomination."""
    return q.QueryDenomMetadataResponse(metadata=_metadata(ctx, request.denom))


def metadata_text(
    ctx: Context, request: q.QueryDenomMetadataByQueryStringRequest
) -> q.QueryDenomMetadataByQueryStringResponse:
    """The same, for denominations with slashes in REST paths."""
    return q.QueryDenomMetadataByQueryStringResponse(metadata=_metadata(ctx, request.denom))


def metadatas(ctx: Context, request: q.QueryDenomsMetadataRequest) -> q.QueryDenomsMetadataResponse:
    """A page of all of them, vouchers among them, ascending by denomination."""
    pairs = [(key[len(METADATA) :], value) for key, value in ctx.app.iterate(METADATA)]
    for _, raw in ctx.app.iterate(ledger.DENOMS):
        voucher = _of_voucher(from_message(transfer_token.Denom.FromString(raw)))
        pairs.append((voucher.base.encode(), voucher.SerializeToString()))
    kept, page = paginate_items(sorted(pairs), request.pagination)
    found = [pb.Metadata.FromString(value) for _, value in kept]
    return q.QueryDenomsMetadataResponse(metadatas=found, pagination=page)


def _owners(
    ctx: Context, denom: str, request: pagination.PageRequest
) -> tuple[list[q.DenomOwner], pagination.PageResponse]:
    pairs = [(address, str(amount).encode()) for address, amount in bank.holders(ctx, denom)]
    found, page = paginate_items(sorted(pairs), request)
    listed = [
        q.DenomOwner(address=to_bech32(address), balance=coin.Coin(denom=denom, amount=amount.decode()))
        for address, amount in found
    ]
    return listed, page


def owners(ctx: Context, request: q.QueryDenomOwnersRequest) -> q.QueryDenomOwnersResponse:
    """A page of the addresses that hold a denomination."""
    found, page = _owners(ctx, request.denom, request.pagination)
    return q.QueryDenomOwnersResponse(denom_owners=found, pagination=page)


def owners_text(ctx: Context, request: q.QueryDenomOwnersByQueryRequest) -> q.QueryDenomOwnersByQueryResponse:
    """The same, for denominations with slashes in REST paths."""
    found, page = _owners(ctx, request.denom, request.pagination)
    return q.QueryDenomOwnersByQueryResponse(denom_owners=found, pagination=page)
