"""The supervisor with processes that stand in for nodes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos_wire.errors import ToolError
from processes import control, procfs, supervisor, watch
from processes.files import ProcessSpec, write_specs
from testnet import lifecycle
from testnet.files import Home
from testnet.topology import load_topology

SLEEPER = "import signal, sys; print('up', flush=True); signal.pause()"
STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
while True: signal.pause()
"""
POLITE = """
import signal, sys
def end(*_):
    open(sys.argv[2], "a").write(sys.argv[3] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(sys.argv[1], "w").close()
while True: signal.pause()
"""
HEADLESS = """
import ctypes, sys, threading
leader = threading.main_thread().native_id
def outlive():
    stat = f"/proc/self/task/{leader}/stat"
    while open(stat).read().rpartition(")")[2].split()[0] != "Z": pass
    print("headless", flush=True)
    sys.stdin.read()
threading.Thread(target=outlive).start()
ctypes.CDLL(None).pthread_exit(None)
"""
FAILING = """
import sys
open(sys.argv[1], "w").close()
print("first", flush=True)
sys.exit("bind: address already in use")
"""


def spec(home: Home, name: str, code: str, stop_round: int = 0) -> ProcessSpec:
    log = home.path / "logs" / f"{name.replace('/', '-')}.log"
    argv = (sys.executable, "-c", code)
    return ProcessSpec(name=name, argv=argv, env=(("PYTHONHASHSEED", "7"),), log=str(log), stop_round=stop_round)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    deep = tmp_path / ("a-folder-with-a-name-that-is-long-" * 4) / "net"  # longer than a unix socket's path may be
    deep.mkdir(parents=True)
    place = Home(deep)
    write_specs(place, [])
    yield place
    control.stop(place)


def with_pipe(home: Home, item: ProcessSpec, *arguments: str) -> tuple[ProcessSpec, Path]:
    """The process opens a named pipe once it is ready; reading the pipe waits for that."""
    pipe = home.path / f"{item.node}.pipe"
    os.mkfifo(pipe)
    return replace(item, argv=(*item.argv, str(pipe), *arguments)), pipe


def started(home: Home, *specs: ProcessSpec) -> dict[str, procfs.Identity]:
    write_specs(home, specs)
    control.launch(home)
    table = control.ask(home, "start", names=[item.name for item in specs])["processes"]
    return {name: procfs.Identity.of_doc(item) for name, item in table.items()}


def test_down_leaves_no_process_and_no_socket_that_answers(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER), spec(home, "n-0/cometbft", SLEEPER))
    supervisor = control.recorded(home)[0]
    lifecycle.down(home)
    assert not any(procfs.is_alive(identity) for identity in (*found.values(), supervisor))
    assert not control.is_running(home)


def test_a_process_that_dies_is_shown_with_its_last_lines(home: Home) -> None:
    item, pipe = with_pipe(home, spec(home, "n-0/app", FAILING))

    async def report() -> str:
        async with watch.deaths(home) as reader:
            await reader.readline()
            await asyncio.to_thread(pipe.read_bytes)  # only now it goes on, and fails
            return str(json.loads(await asyncio.wait_for(reader.readline(), 30))["text"])

    started(home, item)
    text = asyncio.run(report())
    assert "n-0/app ended with exit code 1" in text
    assert text.splitlines()[-2:] == ["    first", "    bind: address already in use"]


def test_an_unexpected_death_goes_to_who_watches(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", "print('about to die', flush=True); import signal; signal.pause()"))

    async def killed_while_watched() -> str:
        async with watch.deaths(home) as reader:
            await reader.readline()
            procfs.send(found["n-0/app"], signal.SIGUSR1)
            return str(json.loads(await asyncio.wait_for(reader.readline(), 30))["text"])

    text = asyncio.run(killed_while_watched())
    assert "n-0/app ended with signal SIGUSR1" in text


def test_a_start_ends_as_soon_as_a_process_dies(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER))

    async def start_that_waits_forever() -> None:
        asyncio.get_running_loop().call_later(0.1, procfs.send, found["n-0/app"], signal.SIGUSR1)
        await watch.unless_one_dies(home, asyncio.Event().wait(), 30)

    with pytest.raises(watch.ProcessDiedError, match="n-0/app"):
        asyncio.run(start_that_waits_forever())


def test_a_taken_port_is_told_from_other_deaths() -> None:
    assert watch.ProcessDiedError("listen tcp 127.0.0.1:1: bind: address already in use").port_taken
    assert not watch.ProcessDiedError("panic: no space left").port_taken


def test_a_process_that_ignores_sigterm_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn, pipe = with_pipe(home, spec(home, "n-0/app", STUBBORN))
    found = started(home, stubborn)
    pipe.read_bytes()
    supervisor = control.recorded(home)[0]
    procfs.send(supervisor, signal.SIGKILL)
    assert procfs.wait_gone(supervisor, 10)
    monkeypatch.setattr(control, "END_PATIENCE_S", 0.5)
    lifecycle.down(home)
    assert not procfs.is_alive(found["n-0/app"])


def test_down_works_when_the_supervisor_was_killed(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER), spec(home, "n-1/app", SLEEPER))
    supervisor = control.recorded(home)[0]
    procfs.send(supervisor, signal.SIGKILL)
    assert procfs.wait_gone(supervisor, 10)
    assert procfs.is_alive(found["n-0/app"])
    lifecycle.down(home)
    assert not any(procfs.is_alive(identity) for identity in found.values())


def test_down_works_when_the_supervisor_dies_while_it_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER))
    supervisor = control.recorded(home)[0]

    def dies(asked: Home, do: str) -> dict[str, object]:
        procfs.send(supervisor, signal.SIGKILL)
        assert procfs.wait_gone(supervisor, 10)
        raise ToolError(f"testnet {asked.path}: expected an answer to {do!r}, got a reset connection")

    monkeypatch.setattr(lifecycle, "ask", dies)
    lifecycle.down(home)
    assert not procfs.is_alive(found["n-0/app"])


def test_what_a_killed_supervisor_left_is_said(home: Home) -> None:
    """It was said that nothing ran."""
    started(home, spec(home, "a/one", SLEEPER), spec(home, "a/two", SLEEPER))
    keeper = control.recorded(home)[0]
    procfs.send(keeper, signal.SIGKILL)
    assert procfs.wait_gone(keeper, 10)
    with pytest.raises(ToolError, match=r"got 2 of its processes without their supervisor; `up` .* `down`"):
        control.ask(home, "status")
    assert control.stop(home) == 2


def test_a_frozen_supervisor_is_named_and_down_ends_everything(home: Home) -> None:
    """`status` said nothing for a minute, `down` gave up after one and left everything running."""
    table = started(home, spec(home, "a/one", SLEEPER), spec(home, "b/one", SLEEPER, 1))
    keeper = control.recorded(home)[0]
    procfs.send(keeper, signal.SIGSTOP)
    while not procfs.is_frozen(keeper):
        pass
    with pytest.raises(ToolError, match=f"got a frozen one; `kill -CONT {keeper.pid}` thaws it"):
        control.ask(home, "status")
    lifecycle.down(home)
    assert not any(procfs.is_alive(identity) for identity in (keeper, *table.values()))


async def test_a_full_disk_keeps_nothing_from_being_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process that ended could not be written down, and that ended the stopping."""
    home = Home(tmp_path)
    specs = [spec(home, "a/one", SLEEPER), spec(home, "b/one", SLEEPER, 1), spec(home, "c/one", SLEEPER, 2)]
    write_specs(home, specs)
    keeper = supervisor.Supervisor(home)
    await keeper.start([item.name for item in specs])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(supervisor, "write_json", full)
    await keeper.signal(["a/one"], signal.SIGKILL)
    await keeper.stop()
    assert [running.exit is None for running in keeper.running.values()] == [False] * 3


def test_a_pid_that_belongs_to_another_program_now_is_left_alone(home: Home) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE)
    try:
        assert stranger.stdout is not None
        stranger.stdout.readline()
        own = procfs.identify(stranger.pid)
        assert own is not None
        reused = replace(own, start=own.start - 1)
        rebooted = replace(own, boot="another boot")
        procfs.end([reused, rebooted], 0.1)
        assert not procfs.send(reused, signal.SIGKILL)
        assert stranger.poll() is None
        assert procfs.send(own, 0)
    finally:
        stranger.kill()
        stranger.wait()
        assert stranger.stdout is not None
        stranger.stdout.close()


def test_kill_and_restart_change_one_node_only(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER), spec(home, "n-1/app", SLEEPER))
    assert control.kill(home, "n-1") == ["n-1/app"]
    assert procfs.wait_gone(found["n-1/app"], 10)
    assert lifecycle.restart(home, "n-1") == ["n-1/app"]
    table = control.ask(home, "status")["processes"]
    assert table["n-0/app"]["pid"] == found["n-0/app"].pid
    assert table["n-1/app"]["pid"] != found["n-1/app"].pid
    assert table["n-1/app"]["alive"]


def test_freeze_and_thaw(home: Home) -> None:
    started(home, spec(home, "n-0/app", SLEEPER))
    control.freeze(home, "n-0")
    assert control.ask(home, "status")["processes"]["n-0/app"]["frozen"]
    lifecycle.restart(home, "n-0")
    assert not control.ask(home, "status")["processes"]["n-0/app"]["frozen"]


def test_a_frozen_process_can_be_stopped(home: Home) -> None:
    found = started(home, spec(home, "n-0/app", SLEEPER))
    control.freeze(home, "n-0")
    lifecycle.down(home)
    assert not procfs.is_alive(found["n-0/app"])


def test_processes_stop_in_rounds(home: Home) -> None:
    order = home.path / "order"
    both = [with_pipe(home, spec(home, f"n-{n}/x", POLITE, stop_round=2 - n), str(order), f"n-{n}") for n in range(3)]
    started(home, *(item for item, _ in both))
    for _, pipe in both:
        pipe.read_bytes()
    lifecycle.down(home)
    assert order.read_text().split() == ["n-2", "n-1", "n-0"]


def test_what_is_asked_wrongly_is_answered_in_words(home: Home) -> None:
    started(home, spec(home, "n-0/app", SLEEPER))
    with pytest.raises(ToolError, match="expected one of n-0/app, got 'n-9/app'"):
        control.ask(home, "start", names=["n-9/app"])
    with pytest.raises(ToolError, match="node: expected one of n-0, got 'n-9'"):
        control.kill(home, "n-9")
    with pytest.raises(ToolError, match="got 'dance'"):
        control.ask(home, "dance")


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ToolError, match="expected a new or empty folder"):
        lifecycle.check_home(Home(tmp_path))
    with pytest.raises(ToolError, match="expected a testnet's folder"):
        lifecycle.down(Home(tmp_path), purge=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_second_up_on_a_running_home_is_refused(home: Home) -> None:
    started(home, spec(home, "n-0/app", SLEEPER))
    with pytest.raises(ToolError, match="expected none that runs"):
        lifecycle.check_home(home)


def test_the_hash_seed_reaches_the_process(home: Home) -> None:
    pipe = home.path / "seed.pipe"
    os.mkfifo(pipe)
    code = "import os, sys; open(sys.argv[1], 'w').write(os.environ['PYTHONHASHSEED'])"
    item = spec(home, "n-0/app", code)
    started(home, replace(item, argv=(*item.argv, str(pipe))))
    assert pipe.read_text() == "7"


def answers(*outcomes: Exception | dict[str, str]) -> Callable[[lifecycle.Request], Awaitable[dict[str, str]]]:
    """Starts that end as told, one after the other."""
    left = list(outcomes)

    async def fresh(_: lifecycle.Request) -> dict[str, str]:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return fresh


TAKEN = watch.ProcessDiedError("n-0/cometbft ended; bind: address already in use")


def test_a_start_that_lost_a_port_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_fresh", answers(TAKEN, TAKEN, {"version": "1"}))
    said: list[str] = []
    request = lifecycle.Request(home=Home(tmp_path / "net"), topology=load_topology(None), say=said.append)
    assert asyncio.run(lifecycle.up(request)) == {"version": "1"}
    assert len(said) == 2


@pytest.mark.parametrize("outcomes", [(TAKEN, TAKEN, TAKEN), (watch.ProcessDiedError("panic: no space left"),)])
def test_other_deaths_and_too_many_lost_ports_end_the_start(
    outcomes: tuple[Exception, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_fresh", answers(*outcomes, {"version": "1"}))
    request = lifecycle.Request(home=Home(tmp_path / "net"), topology=load_topology(None), say=lambda _: None)
    with pytest.raises(watch.ProcessDiedError):
        asyncio.run(lifecycle.up(request))


def test_a_process_whose_first_thread_ended_is_alive() -> None:
    """The others hold its sockets still: a supervisor that was just killed looks like this for a moment."""
    command = [sys.executable, "-c", HEADLESS]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "headless\n"
        identity = procfs.identify(child.pid)
        assert identity is not None
        assert procfs.is_alive(identity)
        child.kill()
    assert not procfs.is_alive(identity)
