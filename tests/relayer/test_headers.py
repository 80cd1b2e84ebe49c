"""Headers of client updates that the events of ibc-go v10 leave out."""

from cosmos_wire.protos import bank_tx, client_tx, tendermint_client, tx
from cosmos_wire.tx import pack
from ibc_core.host import Event
from ibc_relayer.events import facts
from ibc_relayer.headers import with_headers

FIRST, SECOND = (pack(tendermint_client.Header(trusted_height={"revision_height": n})) for n in (1, 2))


def update(client_id, message):
    return pack(client_tx.MsgUpdateClient(client_id=client_id, client_message=message, signer="x"))


def raw_tx(*messages):
    return tx.TxRaw(body_bytes=tx.TxBody(messages=messages).SerializeToString()).SerializeToString()


def event(client_id, *more):
    return Event("update_client", (("client_id", client_id), ("consensus_height", "1-7"), *more))


def test_each_bare_update_gets_the_header_of_its_message():
    raw = raw_tx(pack(bank_tx.MsgSend()), update("c-1", FIRST), update("c-0", SECOND), update("c-1", SECOND))
    other = Event("message", (("module", "ibc_client"),))
    filled = with_headers(raw, [event("c-1"), other, event("c-0"), event("c-1")])
    assert filled[1] == other
    headers = [fact.header for fact in facts(filled)]
    assert headers == [item.SerializeToString(deterministic=True) for item in (FIRST, SECOND, SECOND)]


def test_what_is_there_stays_and_what_is_not_known_stays_bare():
    given = event("c-0", ("header", "aa"))
    assert with_headers(raw_tx(update("c-0", FIRST)), [given]) == (given,)
    for raw in (b"\xff", raw_tx(), raw_tx(update("c-1", FIRST))):
        assert with_headers(raw, [event("c-0")]) == (event("c-0"),)


def test_an_update_without_a_height_is_none_of_ours():
    assert list(facts([Event("update_client", (("client_id", "09-localhost"), ("consensus_height", "")))])) == []
