"""The process itself: starts without its chains, serves metrics, ends at SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

from bsmg.client.keys import new_mnemonic, write_key_file
from ibc_relayer.cli import metrics_text

CONFIG = """
[relayer]
metrics = "127.0.0.1:0"
[[chain]]
id = "mga-1"
rpc = "http://127.0.0.1:1"
key = "relayer.key"
[[chain]]
id = "mgb-1"
rpc = "http://127.0.0.1:1"
key = "relayer.key"
[[path]]
a = "mga-1"
b = "mgb-1"
create = true
channels = ["transfer"]
"""


async def begun(path):
    arguments = (sys.executable, "-m", "ibc_relayer", "--config", str(path))
    return await asyncio.create_subprocess_exec(*arguments, stdout=PIPE, stderr=PIPE)


async def test_waits_for_its_chains_and_ends_at_sigterm(tmp_path):
    write_key_file(tmp_path / "relayer.key", new_mnemonic())
    path = tmp_path / "relayer.toml"
    path.write_text(CONFIG)
    process = await begun(path)
    first = (await process.stdout.readline()).decode()
    text = await metrics_text(first.rpartition(" at ")[2].strip())
    assert "relayer_packets_seen" in text
    waiting = (await process.stdout.readline()).decode()
    assert "status at http://127.0.0.1:1" in waiting, "the node and the stage are named"
    rest, errors = await told_again_and_again(process)
    assert (process.returncode, errors) == (0, b"")
    assert b"stopped" in rest


async def told_again_and_again(process):
    """To end, until it has: no signal finds it without a handler."""
    ended = asyncio.create_task(process.communicate())
    while not ended.done():
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.001)
    return await ended


async def test_bad_configuration_is_one_line(tmp_path):
    path = tmp_path / "relayer.toml"
    path.write_text(CONFIG.replace("create", "creat"))
    process = await begun(path)
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.decode().strip().splitlines() == [
        "[[path]] 0: unknown key 'creat'; the nearest known one is 'create'"
    ]
