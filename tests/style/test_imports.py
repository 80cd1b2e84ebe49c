"""Rooms import downwards only (docs/development.md), and the pure ones touch nothing outside the state."""

import pytest

from tests.style.source import PURE, Source, imports, product, pure

WIRE, FABRIC, CORE, CLIENT = "cosmos_wire", "fabric_wire", "ibc_core", "bsmg.client"
CLIENT_SIDE = {
    WIRE, FABRIC, CORE, "energy", CLIENT, "ibc_relayer", "utility_cell", "processes", "fabric_adapter", "testnet",
    "physics",
}  # fmt: skip
MAY_IMPORT = {
    WIRE: set(),
    FABRIC: {WIRE},
    CORE: {WIRE, FABRIC},
    "energy": {WIRE, CORE},
    "physics": {WIRE, "energy"},  # floats: no room that a chain runs imports it
    "microgrid": {WIRE, FABRIC, CORE, "energy"},
    "fabric_adapter": {WIRE, FABRIC, CORE, "energy", "microgrid", "processes"},
    "abci_app": {WIRE, CORE, "energy", "microgrid"},
    CLIENT: {WIRE, FABRIC, CORE, "fabric_adapter"},  # of the adapter, its gateway client
    "ibc_relayer": {WIRE, CORE, CLIENT},
    "utility_cell": {WIRE, CORE, "energy", "physics", CLIENT, "ibc_relayer"},
    "processes": {WIRE},
    "testnet": CLIENT_SIDE - {"testnet"},
    "bsmg.demo": CLIENT_SIDE | {"bsmg.audit"},
    "bsmg.audit": {WIRE, FABRIC, CLIENT},  # a sceptic shares no code with the chain, only what is on the wire
    "bsmg.market": {WIRE, CORE, "energy", "microgrid"},
    "bsmg.cli": CLIENT_SIDE | {"bsmg.demo", "bsmg.audit", "bsmg.market"},
    "bench": CLIENT_SIDE | {"bsmg.demo"},
    "tools": {WIRE, FABRIC, CORE, "energy", "microgrid", "abci_app"},
}
OUTSIDE_WORLD = {
    "asyncio", "builtins.open", "datetime", "io", "logging", "multiprocessing", "numpy", "os", "pathlib", "random",
    "secrets", "selectors", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip


def room_of(module: str) -> str:
    """Room of a module's name."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "bsmg" else parts[0]


def is_project(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in {room.split(".")[0] for room in MAY_IMPORT}


def upward(source: Source) -> list[str]:
    allowed = MAY_IMPORT.get(source.room, set())
    found = []
    for node, module in imports(source):
        if not is_project(module) or module == "bsmg":
            continue
        room = room_of(module)
        if room != source.room and room not in allowed:
            found.append(f"{source.at(node)} {source.room} imports {room}")
    return found


def test_rooms_import_downwards_only():
    assert [line for source in product() for line in upward(source)] == []


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_exist(room: str):
    assert any(source.room == room for source in pure())


def test_pure_rooms_touch_nothing_outside():
    found = [
        f"{source.at(node)} imports {module}"
        for source in pure()
        for node, module in imports(source)
        if module in OUTSIDE_WORLD or module.split(".")[0] in OUTSIDE_WORLD
    ]
    assert found == []


def test_fabric_protobuf_modules_come_from_one_place():
    found = [
        f"{source.at(node)} imports {module}: use fabric_wire.protos or fabric_wire.services"
        for source in product()
        for node, module in imports(source)
        if source.path not in {"fabric_wire/protos.py", "fabric_wire/services.py"}
        if module.split(".")[0] == "fabric_protos"
    ]
    assert found == []


def test_no_grpc_inside_a_state_change():
    found = [
        f"{source.at(node)} imports {module}"
        for source in pure()
        for node, module in imports(source)
        if source.path != "fabric_wire/services.py"
        if module.split(".")[0] == "grpc" or module == "fabric_wire.services"
    ]
    assert found == []


def test_protobuf_modules_come_from_one_place():
    found = [
        f"{source.at(node)} imports {module}: use cosmos_wire.protos"
        for source in product()
        for node, module in imports(source)
        if source.path != "cosmos_wire/protos.py"
        if module.split(".")[0] in {"bsmg_proto", "cosmpy", "cosmos", "ibc", "tendermint", "gogoproto", "amino"}
    ]
    assert found == []
