"""tools/setup.py: what it decides, with commands that stand in for Go."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bsmg_setup", ROOT / "tools" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("go version go1.22.11 linux/amd64", (1, 22, 11)),
        ("go version go1.26 linux/arm64", (1, 26, 0)),
        ("go version go1.21.3 linux/amd64", (1, 21, 3)),
        ("rubbish", ()),
    ],
)
def test_go_version(setup, tmp_path, says, expected):
    assert setup.go_version(command(tmp_path / "go", f"echo '{says}'")) == expected


def test_a_go_that_is_missing_or_fails_has_no_version(setup, tmp_path):
    assert setup.go_version(str(tmp_path / "none")) == ()
    assert setup.go_version(command(tmp_path / "go", "exit 3")) == ()


def test_an_old_go_on_the_path_is_passed_over(setup, tmp_path, monkeypatch):
    command(tmp_path / "go", "echo go version go1.19.8 linux/amd64")
    own = tmp_path / "env" / "bin"
    own.mkdir(parents=True)
    command(own / "go", "echo go version go1.27.3 linux/amd64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(setup, "GO_ENV", tmp_path / "env")
    assert setup.go_command() == str(own / "go")


def test_a_stamp_tells_changed_inputs_apart(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "STAMPS", tmp_path)
    lock = tmp_path / "lock"
    lock.write_text("a==1")
    setup.stamp("step", setup.digest("x", lock))
    assert setup.is_stamped("step", setup.digest("x", lock))
    lock.write_text("a==2")
    assert not setup.is_stamped("step", setup.digest("x", lock))
    assert not setup.is_stamped("other", setup.digest("x", lock))


def test_a_failing_step_shows_its_own_last_lines(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "LOGS", tmp_path)
    failing = command(tmp_path / "failing", "echo no space left; exit 7")
    with pytest.raises(setup.SetupError, match=r"(?s)exit code 7.*no space left"):
        setup.run("step", [failing])


def test_a_step_is_tried_again(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "LOGS", tmp_path)
    flaky = command(tmp_path / "flaky", f"cd {tmp_path}; test -e second || {{ touch second; exit 1; }}; echo fine")
    setup.run("step", [flaky], attempts=2)
    assert (tmp_path / "step.log").read_text() == "fine\n"
