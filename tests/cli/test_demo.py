"""The demo's steps: found, run, timed, and stopped in an orderly way."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from inr_plugins.cli import demo
from inr_plugins.cli.demo import Options, main, run_step
from inr_plugins.engine.interrupt import Terminated, sigterm_as_ctrl_c
from inr_plugins.errors import InputError


@pytest.fixture(autouse=True)
def with_ffmpeg(monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "ensure_ffmpeg_somewhere", lambda: tmp_path / "ffmpeg")


def command(folder: Path, monkeypatch, script: str) -> str:
    """A command of that script, on PATH."""
    program = folder / "a-command-of-the-demo"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program.name


def test_a_step_finds_the_commands_beside_it_and_the_ffmpeg(tmp_path, monkeypatch):
    name = command(tmp_path, monkeypatch, f'echo "$PATH" > {tmp_path}/path; echo "$1" > {tmp_path}/said')
    step = run_step("Try", [name, "an argument"])
    assert (step.title, step.command) == ("Try", [name, "an argument"])
    assert (tmp_path / "said").read_text() == "an argument\n"
    path = (tmp_path / "path").read_text().strip().split(os.pathsep)
    assert path[0] == path[-1] == str(tmp_path)


def test_steps_that_fail_or_are_not_there_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="'Try' failed with status 7"):
        run_step("Try", [command(tmp_path, monkeypatch, "exit 7")])
    with pytest.raises(InputError, match=r"no-such-command was not found: install inr-plugins"):
        run_step("Try", ["no-such-command"])


def test_a_step_that_is_told_to_end_is_waited_for(tmp_path, monkeypatch):
    script = (
        f"trap 'sleep 0.5; touch {tmp_path}/saved; exit 143' TERM; touch {tmp_path}/begun; while :; do sleep 0.05; done"
    )
    name = command(tmp_path, monkeypatch, script)

    def end_it():
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end_it)
    thread.start()
    with pytest.raises(Terminated), sigterm_as_ctrl_c():
        run_step("Train", [name])
    thread.join()
    assert (tmp_path / "saved").exists()


def test_everything_goes_below_the_folder_one_is_in(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert not Options().output.is_absolute()
    monkeypatch.setattr(demo, "run_step", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main([]) == 130
    assert capsys.readouterr().err == "inr-demo: stopped; what the finished steps made is kept in demo.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_place_that_takes_no_files_is_refused_before_any_step(tmp_path, capsys):
    (tmp_path / "notes").write_text("mine")
    assert main(["--output", str(tmp_path / "notes")]) == 1
    assert "notes is a file" in capsys.readouterr().err


def test_options_that_cannot_be_told_apart_are_refused_before_anything_is_made(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "demo"), "--train=--pipeline.model.key-width '9"]) == 1
    assert "--train --pipeline.model.key-width '9 cannot be split into words" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
