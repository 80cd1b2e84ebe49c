"""Transactions and coin messages that a stock client can send and no chain takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bsmg.client.keys import key_from_name
from cosmos_wire.address import to_bech32
from cosmos_wire.protos import Any, Message, bank_tx, coin, tx
from ibc_core.bank import module_address
from tests.interop.twins import Act, Seen, Side, Terms, edited

STRANGER = key_from_name("nobody has ever paid this one")
NO_MEMO_MAX = 256
NO_FEES = "simd of ibc-go takes no fees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`differs`: why our chain answers something else, on purpose; such a case is held to what we say then."""

    name: str
    act: Act
    differs: str = ""


def send_of(host: Side, amount: str = "1", **changes: object) -> bank_tx.MsgSend:
    message = bank_tx.MsgSend(from_address=host.address, to_address=host.chain.address("relayer"))
    message.amount.add(denom=host.denom, amount=amount)
    return edited(message, **changes)


def under(**terms: object) -> Act:
    """An honest payment in a transaction under other terms."""

    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(send_of(host), terms=Terms(**terms))  # type: ignore[arg-type]  # names of the fields

    return act


def fee_of(*coins: tuple[str, str]) -> Act:
    """`OWN` stands for the chain's own denomination."""

    async def act(host: Side, _peer: Side) -> Seen:
        fee = [(host.denom if denom == "OWN" else denom, amount) for denom, amount in coins]
        return await host.submit(send_of(host), terms=Terms(fee=fee))

    return act


def raw_bytes(data: bytes) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.send(data)

    return act


def spoilt(spoil: Callable[[bytes], bytes]) -> Act:
    """The bytes of an honest transaction, changed."""

    async def act(host: Side, _peer: Side) -> Seen:
        return await host.send(spoil(await host.tx([send_of(host)])))

    return act


def payment(amount: str = "1", **changes: object) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(send_of(host, amount, **changes))

    return act


def coins(*pairs: tuple[str, str]) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        held = [coin.Coin(denom=host.denom if denom == "OWN" else denom, amount=amount) for denom, amount in pairs]
        message = send_of(host)
        del message.amount[:]
        message.amount.extend(held)
        return await host.submit(message)

    return act


def messages(make: Callable[[Side], Sequence[Message | Any]]) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(*make(host))

    return act


def to_module(name: str) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(send_of(host, to_address=to_bech32(module_address(name), host.client.prefix)))

    return act


def to_prefix(prefix: str) -> Act:
    async def act(host: Side, _peer: Side) -> Seen:
        return await host.submit(send_of(host, to_address=to_bech32(b"\x05" * 20, prefix)))

    return act


def no_signatures(raw: tx.TxRaw) -> None:
    del raw.signatures[:]


def empty_signature(raw: tx.TxRaw) -> None:
    raw.signatures[0] = b""


def short_signature(raw: tx.TxRaw) -> None:
    raw.signatures[0] = raw.signatures[0][:63]


def spoilt_signature(raw: tx.TxRaw) -> None:
    raw.signatures[0] = bytes([raw.signatures[0][0] ^ 1]) + raw.signatures[0][1:]


def two_signatures(raw: tx.TxRaw) -> None:
    raw.signatures.append(raw.signatures[0])


def eight_signatures(raw: tx.TxRaw) -> None:
    raw.signatures.extend([raw.signatures[0]] * 7)


def no_signer_infos(info: tx.AuthInfo) -> None:
    del info.signer_infos[:]


def no_mode(info: tx.AuthInfo) -> None:
    info.signer_infos[0].ClearField("mode_info")


def payer_stranger(info: tx.AuthInfo) -> None:
    info.fee.payer = "not an address"


def extension(body: tx.TxBody) -> None:
    body.extension_options.add(type_url="/cosmos.tx.v1beta1.Unheard")


def message_extension(body: tx.TxBody) -> None:
    body.extension_options.add(type_url="/cosmos.bank.v1beta1.MsgSend")


async def timeout_height_past(host: Side, _peer: Side) -> Seen:
    return await host.submit(send_of(host), terms=Terms(timeout_height=1))


async def twice(host: Side, _peer: Side) -> Seen:
    """The same bytes again, right after the first."""
    raw = await host.tx([send_of(host)])
    await host.client.rpc.broadcast_tx_sync(raw)
    again = await host.send(raw)
    assert (await host.included(raw)).code == 0
    return again


async def in_a_block_already(host: Side, _peer: Side) -> Seen:
    """Signed again for a sequence that is spent, with another memo."""
    await host.submit(send_of(host))
    return await host.submit(send_of(host), terms=Terms(sequence_shift=-1, memo="again"))


def turned(data: bytes) -> bytes:
    """The signatures before the body: valid protobuf, but not the one encoding."""
    raw = tx.TxRaw.FromString(data)
    last = tx.TxRaw(signatures=raw.signatures).SerializeToString()
    return last + tx.TxRaw(body_bytes=raw.body_bytes, auth_info_bytes=raw.auth_info_bytes).SerializeToString()


UNKNOWN = Any(type_url="/cosmos.bank.v1beta1.MsgUnheard", value=b"\x0a\x00")
TXS = [
    Case(name="sequence too high", act=under(sequence_shift=1)),
    Case(name="sequence too low", act=in_a_block_already),
    Case(name="other chain id signed", act=under(chain_id="other-1")),
    Case(differs=NO_FEES, name="fee below the node's price", act=fee_of(("OWN", "1"))),
    Case(differs=NO_FEES, name="no fee", act=fee_of()),
    Case(differs=NO_FEES, name="fee in another denomination", act=fee_of(("nosuchcoin", "1000000"))),
    Case(name="fee amount is no number", act=fee_of(("OWN", "much"))),
    Case(name="fee amount is negative", act=fee_of(("OWN", "-5"))),
    Case(differs=NO_FEES, name="fee coins not sorted", act=fee_of(("zzz", "5"), ("OWN", "50000"), ("aaa", "5"))),
    Case(differs=NO_FEES, name="fee coin twice", act=fee_of(("OWN", "50000"), ("OWN", "50000"))),
    Case(differs=NO_FEES, name="fee above the balance", act=fee_of(("OWN", "9" * 30))),
    Case(name="gas limit 1000", act=under(gas=1_000)),
    Case(name="gas limit 0", act=under(gas=0)),
    Case(name="gas limit above 2^63", act=under(gas=2**63 + 5, fee=[("nosuchcoin", "1")])),
    Case(name="memo of 257 characters", act=under(memo="m" * (NO_MEMO_MAX + 1))),
    Case(name="timeout height passed", act=timeout_height_past),
    Case(name="signed by another key", act=under(signing_key=STRANGER)),
    Case(name="another key as signer", act=under(key=STRANGER)),
    Case(name="no signatures", act=under(change_raw=no_signatures)),
    Case(name="empty signature", act=under(change_raw=empty_signature)),
    Case(name="signature of 63 bytes", act=under(change_raw=short_signature)),
    Case(name="signature with a wrong bit", act=under(change_raw=spoilt_signature)),
    Case(name="a signature too many", act=under(change_raw=two_signatures)),
    Case(name="eight signatures", act=under(change_raw=eight_signatures)),
    Case(name="no signer infos", act=under(change_auth=no_signer_infos)),
    Case(name="no sign mode", act=under(change_auth=no_mode)),
    Case(name="fee payer is no address", act=under(change_auth=payer_stranger)),
    Case(name="unknown extension option", act=under(change_body=extension)),
    Case(name="extension option of another kind", act=under(change_body=message_extension)),
    Case(name="no message", act=messages(lambda _host: [])),
    Case(name="message of an unknown type", act=messages(lambda _host: [UNKNOWN])),
    Case(name="message without a type", act=messages(lambda _host: [Any()])),
    Case(
        name="message of torn bytes",
        act=messages(lambda _host: [Any(type_url="/cosmos.bank.v1beta1.MsgSend", value=b"\x0a\xff")]),
    ),
    Case(
        name="message with an unknown field",
        act=messages(
            lambda host: [
                Any(type_url="/cosmos.bank.v1beta1.MsgSend", value=send_of(host).SerializeToString() + b"\xfa\x01\x01x")
            ]
        ),
    ),
    Case(name="no bytes", act=raw_bytes(b"")),
    Case(name="rubbish", act=raw_bytes(b"\xff\x00rubbish")),
    Case(name="text", act=raw_bytes(b"hello")),
    Case(name="cut short", act=spoilt(lambda data: data[:-3])),
    Case(name="a byte too many", act=spoilt(lambda data: data + b"\x00")),
    Case(name="an unknown field at the end", act=spoilt(lambda data: data + b"\xfa\x01\x01x")),
    Case(name="parts in another order", act=spoilt(turned)),
    Case(name="the same bytes twice", act=twice),
    Case(name="sender is no address", act=messages(lambda host: [send_of(host, from_address="cosmos1x")])),
    Case(name="sender is empty", act=messages(lambda host: [send_of(host, from_address="")])),
    Case(
        name="sender of another chain's prefix",
        act=messages(lambda host: [send_of(host, from_address=host.key.address("osmo"))]),
    ),
    Case(
        name="sender that did not sign",
        act=messages(lambda host: [send_of(host, from_address=host.chain.address("relayer"))]),
    ),
]


COINS = [
    Case(name="more than there is", act=payment(amount="9" * 30)),
    Case(name="amount 0", act=payment(amount="0")),
    Case(name="amount negative", act=payment(amount="-1")),
    Case(name="amount is no number", act=payment(amount="1.5")),
    Case(name="amount of 80 digits", act=payment(amount="9" * 80)),
    Case(name="no coins", act=coins()),
    Case(name="denomination nobody has", act=coins(("nosuchcoin", "1"))),
    Case(name="denomination too short", act=coins(("x", "1"))),
    Case(name="denomination with a space", act=coins(("a b c", "1"))),
    Case(name="coins not sorted", act=coins(("zzz", "1"), ("aaa", "1"))),
    Case(name="coin twice", act=coins(("OWN", "1"), ("OWN", "1"))),
    Case(name="receiver is no address", act=payment(to_address="nobody")),
    Case(name="receiver is empty", act=payment(to_address="")),
    Case(name="receiver of another chain's prefix", act=to_prefix("osmo")),
    Case(name="receiver is a module account", act=to_module("fee_collector")),
]
