"""What killed processes leave goes at the next chance, and what a living one writes never does, wherever it runs."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inr_plugins import files, leftovers, locks
from inr_plugins.cli.eval_options import check_outputs
from inr_plugins.engine.runs import reservation
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.networks.kernels import c_library
from inr_plugins.scenes.folder import check_replaceable

FILE = (
    "import pathlib, sys, time\n"
    "from inr_plugins import files\n"
    "with files.replacing(pathlib.Path(sys.argv[1])) as partial:\n"
    "    partial.write_text('half')\n"
    "    print(partial.name, flush=True)\n"
    "    sys.stdin.read()\n"
    "    partial.write_text('whole')\n"
)
FOLDER = FILE.replace("replacing(", "replacing_folder(").replace("partial.write", "(partial / 'x').write")


class Writer:
    """A process that has begun to write `target`, and goes on when :meth:`finish` says so."""

    def __init__(self, target: Path, *, code: str = FILE, prefix: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", code, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.name = self.process.stdout.readline().strip()
        assert self.name

    def finish(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        # Not its input first: what runs in a container would read the end of it, and finish, before it is killed too.
        self.process.wait(timeout=30)
        self.process.communicate(timeout=30)


def in_a_container() -> tuple[str, ...]:
    """What starts a command where processes are counted anew, if that is allowed here; else nothing."""
    command = ("unshare", "--pid", "--fork", "--kill-child")
    allowed = shutil.which(command[0]) and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if allowed else ()


def left_over(folder: Path, name: str) -> Path:
    """What a killed process leaves: a hidden file that nobody has locked."""
    with files.hidden_file(folder, name) as partial:
        pass
    partial.write_text("half")
    return partial


def make_old(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.utime(each, (time.time() - 2e5,) * 2)


@pytest.mark.parametrize("code", [FILE, FOLDER], ids=["file", "folder"])
def test_what_a_killed_writer_left_goes_with_the_next_write_in_that_place(tmp_path, code):
    writer = Writer(tmp_path / "x", code=code)
    files.write_text(tmp_path / "y", "whole")
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [writer.name, "y"]
    writer.kill()
    assert sorted(os.listdir(tmp_path)) == [writer.name, "y"]
    files.write_text(tmp_path / "y", "whole")
    assert os.listdir(tmp_path) == ["y"]


def test_a_writer_in_a_container_is_known_by_its_lock(tmp_path):
    """Its process is number 1 or 2 there: other processes have these numbers here."""
    writer = Writer(tmp_path / "x", prefix=in_a_container())
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == [writer.name]
    writer.kill()
    deadline = time.monotonic() + 30
    while os.listdir(tmp_path) and time.monotonic() < deadline:
        files.sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_two_writers_of_one_file_both_finish(tmp_path):
    first, second = Writer(tmp_path / "x"), Writer(tmp_path / "x")
    assert {first.name, second.name} == set(os.listdir(tmp_path))
    assert (first.finish(), second.finish()) == (0, 0)
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "whole"


def test_where_locks_tell_nothing_only_what_is_a_day_old_goes(tmp_path, monkeypatch):
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    old = left_over(tmp_path, "old")
    new = old.with_name(old.name.replace("old", "new"))
    new.touch()
    make_old(old)
    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with files.hidden_file(tmp_path, "mine") as mine:
        assert {path.name for path in tmp_path.iterdir()} == {new.name, mine.name}


def test_another_machines_lock_may_not_reach_here(tmp_path, monkeypatch):
    """As on a network disk whose locks each machine keeps for itself."""
    file = left_over(tmp_path, "file")
    folder = tmp_path / file.name.replace("file", "folder")
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x").touch()
    monkeypatch.setattr(leftovers, "this_system", lambda: "0" * 12)
    make_old(file)
    make_old(folder)
    (folder / "deep" / "x").touch()
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == [folder.name]
    make_old(folder)
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_earlier_versions_left_goes_when_it_is_a_day_old_and_what_is_not_ours_stays(tmp_path):
    theirs = [".x.partial", "x.7.partial", ".x.abc.partial", "notes.partial"]
    for name in [".x.7.partial", ".x.1.0123abcd.partial", *theirs]:
        (tmp_path / name).touch()
        make_old(tmp_path / name)
    (tmp_path / ".y.7.partial").touch()
    files.sweep(tmp_path)
    assert set(os.listdir(tmp_path)) == {".y.7.partial", *theirs}


@pytest.mark.parametrize("make", [files.hidden_file, files.hidden_folder])
def test_what_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch, make):
    names = []

    def late(handle: int, *, wait: bool = False) -> bool:
        if not names:
            names.extend(os.listdir(tmp_path))
            files.sweep(tmp_path)
        return lock(handle, wait=wait)

    lock = leftovers.lock
    monkeypatch.setattr(leftovers, "lock", late)
    names.clear()
    with make(tmp_path, "x") as partial:
        assert len(names) == 1
        assert partial.name not in names
        assert partial.exists()


def test_a_linker_that_makes_its_file_anew_is_not_swept_away(tmp_path, monkeypatch):
    def link(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        output = Path(command[command.index("-o") + 1])
        output.unlink(missing_ok=True)
        output.write_text("library")
        files.sweep(tmp_path, output.parent)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(c_library.subprocess, "run", link)
    c_library._compile(Path("x.c"), "cc", tmp_path / "x.so")
    assert (tmp_path / "x.so").read_text() == "library"
    assert os.listdir(tmp_path) == ["x.so"]


def as_eval(folder: Path) -> None:
    check_outputs(folder / "eval.json", None, overwrite=False)


@pytest.mark.parametrize(
    "begin",
    [
        lambda folder: check_place(folder / "mesh.ply"),
        lambda folder: check_replaceable(folder / "scene", overwrite=False),
        lambda folder: check_replaceable(folder, overwrite=False),
        as_eval,
        lambda folder: reservation.release(reservation.reserve_new(folder.parent / "run")),
    ],
    ids=["inr-mesh", "inr-scene", "inr-scene-itself", "inr-eval", "ns-train"],
)
def test_commands_clear_their_places_when_they_start(tmp_path, begin: Callable[[Path], None]):
    folder = tmp_path / "place"
    folder.mkdir()
    left_over(folder, "other.ply")
    begin(folder)
    assert os.listdir(folder) == []
    assert os.listdir(tmp_path) == ["place"]


def test_inr_eval_clears_what_it_left_in_the_place_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers.tempfile, "tempdir", str(tmp_path))
    with files.temporary_folder("eval") as alive:
        dead = tmp_path / alive.name.replace("eval", "dead")
        dead.mkdir()
        (dead / "mesh.ply").touch()
        assert alive.stat().st_mode & 0o777 == 0o700
        (tmp_path / "out").mkdir()
        as_eval(tmp_path / "out")
        assert set(os.listdir(tmp_path)) == {alive.name, "out"}


def test_a_training_killed_before_it_began_leaves_a_folder_for_the_next_one_to_clear(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from inr_plugins.engine.runs import reservation\n"
        "folder = reservation.reserve_new(pathlib.Path(sys.argv[1]))\n"
        "(folder / 'config.yml').touch()\n"
        "print(folder.name, flush=True)\n"
        "time.sleep(60)\n"
    )
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("config.yml", reservation.LOCK_FILE, "events.out.tfevents.1"):
        (kept / name).touch()
    writer = Writer(tmp_path / "a", code=code)
    reservation.release(reservation.reserve_new(tmp_path / "b"))
    assert sorted(os.listdir(tmp_path)) == ["a", "kept"]
    writer.kill()
    reservation.release(reservation.reserve_new(tmp_path / "b"))
    assert os.listdir(tmp_path) == ["kept"]
