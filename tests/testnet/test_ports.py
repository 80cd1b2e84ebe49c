"""Ports: free, leased once, given back."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cosmos_wire.errors import ToolError
from processes import ports

LEASE_FILE = ports.lease_file  # the real one


@pytest.fixture(autouse=True)
def own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "lease_file", lambda: tmp_path / "leases.json")


def home(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_two_homes_get_different_ports(tmp_path: Path) -> None:
    one, two = home(tmp_path, "one"), home(tmp_path, "two")
    first, second = ports.lease(one, 20), ports.lease(two, 20)
    assert len({*first, *second}) == 40
    assert all(ports.is_free(port) for port in (*first, *second))


def test_leases_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    homes = [home(tmp_path, str(number)) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        leased = list(pool.map(lambda path: ports.lease(path, 5), homes))
    assert len({port for some in leased for port in some}) == 40


def test_a_port_that_is_listened_on_is_passed_over(tmp_path: Path) -> None:
    path = home(tmp_path, "one")
    (port,) = ports.lease(path, 1)
    ports.release(path)
    with socket.create_server((ports.LOOPBACK, port)):
        assert port not in ports.lease(path, 3)


def test_released_ports_and_those_of_a_folder_that_is_gone_come_back(tmp_path: Path) -> None:
    one, two = home(tmp_path, "one"), home(tmp_path, "two")
    first = ports.lease(one, 3)
    ports.release(one)
    assert ports.lease(two, 3) == first
    two.rmdir()
    assert ports.lease(one, 3) == first


def test_a_broken_table_is_an_empty_one(tmp_path: Path) -> None:
    ports.lease_file().write_text("{rubbish")
    assert len(ports.lease(home(tmp_path, "one"), 2)) == 2


def test_too_many_are_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"expected 100000 free ones, got \d+"):
        ports.lease(home(tmp_path, "one"), 100_000)


def test_ports_lie_below_those_of_outgoing_connections(tmp_path: Path) -> None:
    start = int(ports.EPHEMERAL_RANGE.read_text().split()[0])
    assert all(ports.FIRST_PORT <= port < start for port in ports.lease(home(tmp_path, "one"), 10))


def test_whoever_has_another_temporary_folder_shares_the_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = LEASE_FILE()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert LEASE_FILE() == before
