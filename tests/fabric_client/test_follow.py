"""The client follows a network: membership, non-membership, updates."""

import pytest

from ibc_core.light_client import Height, Status
from tests.fabric_client.host import PATH, RECEIPT, Host


@pytest.fixture
def host() -> Host:
    made = Host()
    made.net.put(PATH, b"value")
    made.net.tick()
    made.follow()
    return made


def test_a_value_is_there(host: Host):
    host.check(host.net.proof(PATH), PATH, b"value")
    assert host.client.latest_height(host.ctx(), host.client_id) == Height(1, 2)


def test_a_value_is_absent(host: Host):
    host.check(host.net.proof(RECEIPT), RECEIPT, None)
    assert host.status() is Status.ACTIVE
