"""How commands end, whatever happens in them: a status and one sentence, and tracebacks in a file that it names."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from inr_plugins.cli import (
    analyze,
    bench,
    check,
    compress,
    decompress,
    demo,
    eval,
    fit_scans,
    mesh,
    phantom,
    photos,
    scene,
    signal_file,
    view,
)
from inr_plugins.cli.ending import run_command
from inr_plugins.errors import InputError

# What each command calls to do its work, and a command line that gets that far.
COMMANDS = {
    "inr-scene": (scene, "make_scene", ["knot", "out"]),
    "inr-view": (view, "view", ["run"]),
    "inr-check": (check, "check", ["run"]),
    "inr-mesh": (mesh, "export", ["run"]),
    "inr-eval": (eval, "evaluate", ["run"]),
    "inr-bench": (bench, "run", ["run"]),
    "inr-demo": (demo, "run_demo", []),
    "inr-photos": (photos, "make_dataset", ["photos", "out"]),
    "inr-signal": (signal_file, "export", ["run", "out.png"]),
    "inr-analyze": (analyze, "analyze", ["run", "rank"]),
    "inr-compress": (compress, "run", ["run", "out.inr"]),
    "inr-phantom": (phantom, "make", ["planet", "a.tif"]),
    "inr-decompress": (decompress, "run", ["a.inr", "out.png"]),
    "inr-fit": (fit_scans, "fit_all", ["run", "scans", "out"]),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """The user's cache, and an empty folder to be in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache" / "inr-plugins" / "errors"


def ends(command: str, monkeypatch, error: BaseException) -> int:
    """The status of a command whose work raises `error`."""
    module, name, arguments = COMMANDS[command]

    def work(*_, **__):
        raise error

    monkeypatch.setattr(module, name, work)
    return module.main(arguments)


def said(capsys, command: str) -> str:
    """The one line on standard error, without the command's name."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{command}: ")
    assert err.count("\n") == 1
    return err.removeprefix(f"{command}: ").strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_what_nobody_has_foreseen_is_a_sentence_that_names_the_file_of_its_traceback(
    command, monkeypatch, capsys, cache
):
    assert ends(command, monkeypatch, KeyError("fl_x")) == 1
    sentence = said(capsys, command)
    assert sentence.startswith("It failed in a way that nobody has foreseen (KeyError: 'fl_x'); ")
    (file,) = cache.iterdir()
    assert sentence.endswith(f"; {file} says where.")
    text = file.read_text(encoding="utf-8")
    assert re.search(r'File ".*test_ending\.py", line \d+, in work\n', text)
    assert text.endswith("KeyError: 'fl_x'\n")
    assert f"torch {torch.__version__.split('+')[0]}" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_mistakes_memory_disks_and_signals_end_every_command_alike(command, monkeypatch, capsys, cache):
    assert ends(command, monkeypatch, InputError("--this is that.")) == 1
    assert said(capsys, command) == "--this is that."
    assert ends(command, monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/full/mesh.ply")) == 1
    assert said(capsys, command).startswith("/full/mesh.ply could not be written (No space left on device): ")
    assert ends(command, monkeypatch, RuntimeError("CUDA out of memory.\nTried to allocate")) == 1
    assert said(capsys, command).startswith("There is not enough memory (CUDA out of memory.): ")
    assert ends(command, monkeypatch, KeyboardInterrupt()) == 130
    assert said(capsys, command).startswith("stopped; ")
    assert not cache.exists()


def test_sigterm_while_a_command_works_is_its_status(monkeypatch, capsys):
    def work() -> None:
        signal.raise_signal(signal.SIGTERM)

    assert run_command("inr-mesh", work) == 143
    assert said(capsys, "inr-mesh") == "stopped; nothing was written."


@pytest.mark.parametrize(
    "work",
    [
        lambda: np.empty((2**20, 2**36)),
        lambda: np.empty((2**40, 2**40)),
        lambda: torch.empty((2**20, 2**36)),
        lambda: torch.empty((2**40, 2**40)),
        lambda: bytearray(2**62),
    ],
)
def test_sizes_that_no_memory_holds_are_a_want_of_memory(work, capsys):
    assert run_command("inr-mesh", lambda: work() is None) == 1
    assert said(capsys, "inr-mesh").startswith("There is not enough memory (")


def test_what_was_written_before_an_error_is_said(capsys):
    def work() -> None:
        raise ZeroDivisionError

    assert run_command("inr-mesh", work, written=lambda: "mesh.ply is written") == 1
    assert said(capsys, "inr-mesh").endswith(" says where. (mesh.ply is written.)")


def test_only_the_newest_tracebacks_are_kept(capsys, cache):
    cache.mkdir(parents=True)
    for index in range(30):
        (cache / f"20200101-0000{index:02}-inr-mesh-1.txt").touch()
    assert run_command("inr-mesh", lambda: 1 // 0) == 1
    assert len(list(cache.iterdir())) == 20
    assert sum("inr-mesh-1.txt" in file.name for file in cache.iterdir()) == 19


def test_a_traceback_that_no_file_takes_is_printed(monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("inr_plugins.cli.ending.write_text", full)
    assert run_command("inr-mesh", lambda: 1 // 0) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].endswith("(ZeroDivisionError: integer division or modulo by zero); the lines above say where.")


def run_python(code: str, **streams) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=300, **streams)


@pytest.mark.parametrize("flush", [True, False])
def test_a_reader_that_has_left_ends_a_command_without_a_word(flush):
    read, write = os.pipe()
    os.close(read)
    code = (
        "from inr_plugins.cli.ending import run_command, start\n"
        f"start(lambda: run_command('inr-check', lambda: print('ok', flush={flush})))"
    )
    with os.fdopen(write, "wb") as broken:
        done = run_python(code, stdout=broken)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--no-such-option"]])
def test_a_reader_of_the_help_that_has_left_ends_a_command_without_a_word(arguments):
    """As `| head -1` does; also where the words are few enough to be written as late as the end of the process."""
    read, write = os.pipe()
    os.close(read)
    code = f"import sys\nsys.argv = ['inr-bench', *{arguments}]\nfrom inr_plugins.cli import bench\nbench.entrypoint()"
    with os.fdopen(write, "wb") as broken:
        # What is wrong is said on standard error, which is often sent the same way.
        streams = {"stdout": broken, "stderr": broken if "--no-such-option" in arguments else subprocess.PIPE}
        done = subprocess.run([sys.executable, "-c", code], text=True, timeout=300, **streams)
    assert (done.returncode, done.stderr or "") == (1, "")


def test_every_command_of_the_shell_is_started_in_one_way(monkeypatch):
    started = []
    scripts = [each for each in entry_points(group="console_scripts") if each.value.startswith("inr_plugins.")]
    assert {each.name for each in scripts} == set(COMMANDS)
    for script in scripts:
        entrypoint = script.load()
        monkeypatch.setattr(sys.modules[entrypoint.__module__], "start", lambda main, **_: started.append(main))
        entrypoint()
    assert sorted(main.__module__ for main in started) == sorted(module.__name__ for module, _, _ in COMMANDS.values())


def test_another_pipe_that_breaks_is_said():
    code = (
        "import os\n"
        "from inr_plugins.cli.ending import run_command, start\n"
        "def work():\n    read, write = os.pipe()\n    os.close(read)\n    os.write(write, b'frame')\n"
        "start(lambda: run_command('inr-mesh', work))"
    )
    done = run_python(code, stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert "(BrokenPipeError: [Errno 32] Broken pipe)" in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_disk_is_said(unbuffered, monkeypatch):
    """Also where it is written as late as the end of the process, which is what a shell's environment asks for."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "w") as full:
        done = run_python(
            "from inr_plugins.cli.ending import run_command, start\n"
            "start(lambda: run_command('inr-check', lambda: print('ok')))",
            stdout=full,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == (
        "inr-check: Its output could not be written (No space left on device): make room, or give another place."
    )


def test_ctrl_c_while_a_command_is_imported_is_no_traceback(tmp_path):
    """A module that the command imports sends the signal; nothing of ours is there yet but the package."""
    (tmp_path / "tyro.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    program = Path(sysconfig.get_path("scripts")) / "inr-check"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([program, "run"], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stderr == "inr-check: stopped; nothing was written.\n"
    assert done.returncode in (130, -signal.SIGINT)
