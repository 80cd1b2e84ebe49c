"""cosmos.auth: accounts of genesis and the queries for number, sequence and key."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_wire.address import PREFIX, from_bech32, to_bech32
from cosmos_wire.errors import InvalidRequest, KeyNotFound
from cosmos_wire.protos import Any, auth, auth_query
from cosmos_wire.tx import MEMO_CHARACTERS_MAX, SIGNATURES_MAX, pack
from ibc_core import bank
from ibc_core.host import Context, QueryRoute
from ibc_core.paginate import paginate
from microgrid import accounts, gas
from microgrid.fees import FEE_COLLECTOR, FEE_COLLECTOR_ADDRESS
from microgrid.plain_module import PlainModule

PATH = "/cosmos.auth.v1beta1.Query/"


class AuthModule(PlainModule):
    """Accounts. Genesis: `{"accounts": [{"address": ..., "kind": "base" | "module", "name": ...}]}`."""

    name = "auth"

    def queries(self) -> Mapping[str, QueryRoute]:
        """All of cosmos.auth.v1beta1.Query."""
        q = auth_query
        return {
            PATH + "Account": QueryRoute(query_account, q.QueryAccountRequest, q.QueryAccountResponse),
            PATH + "AccountInfo": QueryRoute(query_info, q.QueryAccountInfoRequest, q.QueryAccountInfoResponse),
            PATH + "Accounts": QueryRoute(query_accounts, q.QueryAccountsRequest, q.QueryAccountsResponse),
            PATH + "AccountAddressByID": QueryRoute(
                query_by_id, q.QueryAccountAddressByIDRequest, q.QueryAccountAddressByIDResponse
            ),
            PATH + "ModuleAccounts": QueryRoute(
                query_modules, q.QueryModuleAccountsRequest, q.QueryModuleAccountsResponse
            ),
            PATH + "ModuleAccountByName": QueryRoute(
                query_module, q.QueryModuleAccountByNameRequest, q.QueryModuleAccountByNameResponse
            ),
            PATH + "Params": QueryRoute(query_params, q.QueryParamsRequest, q.QueryParamsResponse),
            PATH + "Bech32Prefix": QueryRoute(query_prefix, q.Bech32PrefixRequest, q.Bech32PrefixResponse),
            PATH + "AddressBytesToString": QueryRoute(
                query_to_text, q.AddressBytesToStringRequest, q.AddressBytesToStringResponse
            ),
            PATH + "AddressStringToBytes": QueryRoute(
                query_to_bytes, q.AddressStringToBytesRequest, q.AddressStringToBytesResponse
            ),
        }

    def init_genesis(self, ctx: Context, doc: Mapping[str, object]) -> None:
        """Numbers follow the order of the list, after the fee collector's."""
        accounts.create_module(ctx, FEE_COLLECTOR_ADDRESS, FEE_COLLECTOR)
        bank.block_recipient(ctx, FEE_COLLECTOR_ADDRESS, FEE_COLLECTOR)
        listed = doc.get("accounts", [])
        assert isinstance(listed, list), f"auth.accounts: expected a list, got {listed!r}"
        for item in listed:
            address = from_bech32(item["address"])
            if item.get("kind", "base") == "module":
                accounts.create_module(ctx, address, item["name"])
                bank.block_recipient(ctx, address, item["name"])
            else:
                accounts.create(ctx, address)


def _account(ctx: Context, text: str) -> auth.BaseAccount:
    if not text:
        raise InvalidRequest("address: expected a bech32 text, got an empty one")
    found = accounts.find(ctx, from_bech32(text))
    if found is None:
        raise KeyNotFound(f"account {text} not found")
    return found


def _any(ctx: Context, account: auth.BaseAccount) -> Any:
    name = accounts.module_name(ctx, from_bech32(account.address))
    return pack(account if name is None else auth.ModuleAccount(base_account=account, name=name))


def query_account(ctx: Context, request: auth_query.QueryAccountRequest) -> auth_query.QueryAccountResponse:
    """Any of BaseAccount or ModuleAccount."""
    return auth_query.QueryAccountResponse(account=_any(ctx, _account(ctx, request.address)))


def query_info(ctx: Context, request: auth_query.QueryAccountInfoRequest) -> auth_query.QueryAccountInfoResponse:
    """The BaseAccount itself, for module accounts too."""
    return auth_query.QueryAccountInfoResponse(info=_account(ctx, request.address))


def query_accounts(ctx: Context, request: auth_query.QueryAccountsRequest) -> auth_query.QueryAccountsResponse:
    """A page of all accounts, ascending by address."""
    pairs, page = paginate(ctx.app, accounts.ACCOUNT, request.pagination)
    found = [_any(ctx, auth.BaseAccount.FromString(value)) for _, value in pairs]
    return auth_query.QueryAccountsResponse(accounts=found, pagination=page)


def query_by_id(
    ctx: Context, request: auth_query.QueryAccountAddressByIDRequest
) -> auth_query.QueryAccountAddressByIDResponse:
    """The address that has an account number; walks all accounts."""
    wanted = request.account_id or request.id
    for _, value in ctx.app.iterate(accounts.ACCOUNT):
        account = auth.BaseAccount.FromString(value)
        if account.account_number == wanted:
            return auth_query.QueryAccountAddressByIDResponse(account_address=account.address)
    raise KeyNotFound(f"account number {wanted} not found")


def _modules(ctx: Context) -> list[tuple[str, bytes]]:
    prefix = accounts.MODULE
    return [(value.decode(), key[len(prefix) :]) for key, value in ctx.app.iterate(prefix)]


def query_modules(
    ctx: Context, _request: auth_query.QueryModuleAccountsRequest
) -> auth_query.QueryModuleAccountsResponse:
    """All module accounts, ascending by name."""
    found = [_any(ctx, _account(ctx, to_bech32(address))) for _, address in sorted(_modules(ctx))]
    return auth_query.QueryModuleAccountsResponse(accounts=found)


def query_module(
    ctx: Context, request: auth_query.QueryModuleAccountByNameRequest
) -> auth_query.QueryModuleAccountByNameResponse:
    """One of them."""
    for name, address in _modules(ctx):
        if name == request.name:
            account = _any(ctx, _account(ctx, to_bech32(address)))
            return auth_query.QueryModuleAccountByNameResponse(account=account)
    raise KeyNotFound(f"module account {request.name!r} not found")


def query_params(_ctx: Context, _request: auth_query.QueryParamsRequest) -> auth_query.QueryParamsResponse:
    """Limits and gas prices that the ante steps use."""
    params = auth.Params(
        max_memo_characters=MEMO_CHARACTERS_MAX,
        tx_sig_limit=SIGNATURES_MAX,
        tx_size_cost_per_byte=gas.TX_BYTE,
        sig_verify_cost_ed25519=gas.ED25519_CHECK,
        sig_verify_cost_secp256k1=gas.SECP256K1_CHECK,
    )
    return auth_query.QueryParamsResponse(params=params)


def query_prefix(_ctx: Context, _request: auth_query.Bech32PrefixRequest) -> auth_query.Bech32PrefixResponse:
    """`bsmg`."""
    return auth_query.Bech32PrefixResponse(bech32_prefix=PREFIX)


def query_to_text(
    _ctx: Context, request: auth_query.AddressBytesToStringRequest
) -> auth_query.AddressBytesToStringResponse:
    """Bytes to bech32."""
    return auth_query.AddressBytesToStringResponse(address_string=to_bech32(request.address_bytes))


def query_to_bytes(
    _ctx: Context, request: auth_query.AddressStringToBytesRequest
) -> auth_query.AddressStringToBytesResponse:
    """bech32 to bytes."""
    return auth_query.AddressStringToBytesResponse(address_bytes=from_bech32(request.address_string))
