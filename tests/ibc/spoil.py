"""A packet under way between two mock applications, and ways to spoil what a message about it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cosmos_wire.errors import ChainError
from cosmos_wire.protos import channel, client_tx, connection
from ibc_core import paths
from tests.ibc.harness import HOUR_NS, RELAYER, UNORDERED, Coordinator, Path
from tests.ibc.mock_app import MockApp

LATE = 2 * HOUR_NS
OPEN_ACK = b'{"result":"AQ=="}'


@dataclass
class World:
    """An open mock channel and one packet that is under way from a to b."""

    net: Coordinator
    path: Path
    packet: channel.Packet

    def app(self, side: str) -> MockApp:
        app = getattr(self.path, side).chain.router["mock"]
        assert isinstance(app, MockApp)
        return app


def world(ordering: int = UNORDERED, timeout_ns: int = HOUR_NS, timeout_height: int = 0) -> World:
    net = Coordinator("mga-1", "mgb-1", apps={"mock": MockApp})
    path = net.mock_path(ordering)
    return World(net, path, path.a.send(timeout_ns=timeout_ns, timeout_height=timeout_height))


def drop(end: str, key: Callable[[str, str], bytes]) -> Callable[[World], None]:
    def act(w: World) -> None:
        point = getattr(w.path, end)
        point.chain.ibc.delete(key(point.port, point.channel_id))
        point.chain.deliver()

    return act


def connection_state(end: str, state: connection.State.ValueType | None) -> Callable[[World], None]:
    """Set the state of one end's connection, or remove it."""

    def act(w: World) -> None:
        point = getattr(w.path, end)
        key = paths.connection(point.connection_id)
        if state is None:
            point.chain.ibc.delete(key)
        else:
            stored = connection.ConnectionEnd.FromString(point.chain.ibc.get(key) or b"")
            stored.state = state
            point.chain.ibc.set(key, stored.SerializeToString())
        point.chain.deliver()

    return act


def channel_state(end: str, state: int) -> Callable[[World], None]:
    return lambda w: getattr(w.path, end).force_state(state)


def change(**fields: object) -> Callable[[World], None]:
    def act(w: World) -> None:
        for name, value in fields.items():
            setattr(w.packet, name, value)

    return act


def freeze(end: str) -> Callable[[World], None]:
    def act(w: World) -> None:
        point = getattr(w.path, end)
        message = client_tx.MsgSubmitMisbehaviour(
            client_id=point.client_id, misbehaviour=point.misbehaviour(), signer=RELAYER
        )
        point.chain.deliver(message)

    return act


Case = tuple[str, Callable[[World], None], type[ChainError]]


def params(cases: list[Case]) -> list[object]:
    return [pytest.param(malleate, error, id=name) for name, malleate, error in cases]
