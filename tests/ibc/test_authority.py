"""What only the address that genesis names may do, and nobody where it names none."""

from __future__ import annotations

import pytest

from cosmos_wire.errors import ChainError, InvalidAddress
from cosmos_wire.protos import Message, client, client_tx, connection, connection_tx, transfer, transfer_tx
from ibc_core import authority, errors
from ibc_core.client import client_params, connection_params
from ibc_core.transfer import ledger
from tests.ibc.harness import RELAYER, Coordinator, Path, address

AUTHORITY = address("operators")


def world(name: str | None = AUTHORITY) -> Path:
    genesis = {"ibc": {} if name is None else {"authority": name}}
    path = Coordinator("mga-1", "mgb-1", genesis=genesis).unopened()
    path.a.create_client()
    return path


def update(signer: str, *allowed: str) -> client_tx.MsgUpdateParams:
    return client_tx.MsgUpdateParams(signer=signer, params=client.Params(allowed_clients=allowed))


def test_allowed_clients_decide_who_can_be_used_from_now_on() -> None:
    path = world()
    path.a.chain.deliver(update(AUTHORITY, "07-tendermint"))
    assert list(client_params(path.a.chain.view()).allowed_clients) == ["07-tendermint"]
    with pytest.raises(errors.InvalidClientType, match=r"client \(00-mock-0\) type 00-mock is not in the allowed"):
        path.a.update()
    path.b.create_client()
    with pytest.raises(errors.ClientNotActive, match=r"client \(00-mock-0\) status is Unauthorized"):
        path.a.conn_init()
    path.a.chain.deliver(update(AUTHORITY, "00-mock", "07-tendermint"))
    path.a.update()
    path.a.conn_init()


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param((), id="empty allowedClients"),
        pytest.param(("07-tendermint", ""), id="contains a single empty string value as allowedClient"),
        pytest.param(("*", "07-tendermint"), id="wildcard beside others"),
        pytest.param(("07-tendermint", "07-tendermint"), id="twice"),
        pytest.param(tuple(f"type-{n}" for n in range(201)), id="too many"),
    ],
)
def test_bad_lists_are_refused(allowed: tuple[str, ...]) -> None:
    path = world()
    with pytest.raises(errors.InvalidParams):
        path.a.chain.deliver(update(AUTHORITY, *allowed))


def test_other_parameters() -> None:
    path = world()
    path.a.chain.deliver(
        connection_tx.MsgUpdateParams(signer=AUTHORITY, params=connection.Params(max_expected_time_per_block=5)),
        transfer_tx.MsgUpdateParams(signer=AUTHORITY, params=transfer.Params(receive_enabled=True)),
    )
    view = path.a.chain.view()
    assert connection_params(view).max_expected_time_per_block == 5
    assert (ledger.params(view).send_enabled, ledger.params(view).receive_enabled) == (False, True)
    with pytest.raises(errors.InvalidUpgradeProposal):
        path.a.chain.deliver(client_tx.MsgIBCSoftwareUpgrade(signer=AUTHORITY))


MESSAGES = (
    update("", "*"),
    connection_tx.MsgUpdateParams(params=connection.Params(max_expected_time_per_block=5)),
    transfer_tx.MsgUpdateParams(),
    client_tx.MsgIBCSoftwareUpgrade(),
    client_tx.MsgRecoverClient(subject_client_id="00-mock-0", substitute_client_id="00-mock-1"),
)


@pytest.mark.parametrize("name", [AUTHORITY, None])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.DESCRIPTOR.full_name)
def test_nobody_else(message: Message, name: str | None) -> None:
    path = world(name)
    expected = name or authority.NOBODY
    signed = type(message)()
    signed.CopyFrom(message)
    signed.signer = RELAYER  # type: ignore[attr-defined]  # every message here has one
    with pytest.raises(errors.IbcUnauthorized, match=f"expected {expected}, got {RELAYER}: unauthorized"):
        path.a.chain.deliver(signed)


def test_a_frozen_client_is_recovered() -> None:
    path = world()
    path.a.chain.deliver(
        client_tx.MsgUpdateClient(client_id="00-mock-0", client_message=path.a.misbehaviour(), signer=RELAYER)
    )
    path.b.chain.commit()
    path.a.create_client()
    path.a.chain.deliver(
        client_tx.MsgRecoverClient(subject_client_id="00-mock-0", substitute_client_id="00-mock-1", signer=AUTHORITY)
    )
    assert path.a.chain.attributes("recover_client") == [{"subject_client_id": "00-mock-0", "client_type": "00-mock"}]
    path.a.client_id = "00-mock-0"
    path.a.update()


def test_genesis_takes_an_address_only() -> None:
    with pytest.raises(ChainError) as caught:
        world("nobody")
    assert isinstance(caught.value, InvalidAddress)
