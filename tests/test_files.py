"""Files are whole or as they were, whatever happens to the process that writes them, and wherever they really lie."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from inr_plugins import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def child(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A process that runs `code` with this module's subject imported."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from inr_plugins import files\n{code}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def other_disk() -> Path:
    """A folder on another file system, which the shared memory of Linux is."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def test_bytes_text_and_json_are_written_with_their_folders(tmp_path):
    files.write_bytes(tmp_path / "a/b/data", b"\0\1")
    files.write_text(tmp_path / "a/b/text", "Grüße\r\n")
    files.write_json(tmp_path / "a/b/numbers.json", {"x": [1, 2.5, None]})
    assert (tmp_path / "a/b/data").read_bytes() == b"\0\1"
    assert (tmp_path / "a/b/text").read_bytes() == "Grüße\r\n".encode()
    assert json.loads((tmp_path / "a/b/numbers.json").read_text()) == {"x": [1, 2.5, None]}
    assert sorted(os.listdir(tmp_path / "a/b")) == ["data", "numbers.json", "text"]


def test_what_json_has_no_word_for_is_refused_and_nothing_changes(tmp_path):
    files.write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", float("nan"))
    assert (tmp_path / "x.json").read_text() == "1\n"
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_ends_a_write_leaves_all_as_it_was(tmp_path, error):
    path = tmp_path / "x"
    path.write_text("old")

    def fail(replacing, target, inside=""):
        with replacing(target) as partial:
            (partial / inside).write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail(files.replacing, path)
    with pytest.raises(type(error)):
        fail(files.replacing_folder, tmp_path / "folder", "x")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_shows_before_the_old_file_is_given_up(tmp_path):
    """The system refuses the bytes themselves, below Python."""
    path = tmp_path / "x"
    path.write_text("old")
    code = (
        "import pathlib, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    files.write_bytes(pathlib.Path(sys.argv[1]), bytes(10_000))\n"
        "except OSError as error:\n    print(error.strerror)"
    )
    assert child(code, path).communicate()[0] == "File too large\n"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_files_that_belong_together_appear_together(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with files.replacing_all([tmp_path / "a", tmp_path / "b"]) as (first, _second):
            first.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_permissions_are_the_old_files_own_or_those_of_new_files(tmp_path):
    usual = os.umask(0o027)
    try:
        files.write_text(tmp_path / "new", "x")
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o604)
        files.write_text(tmp_path / "old", "x")
        with files.replacing_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(usual)
    assert (mode(tmp_path / "new"), mode(tmp_path / "old")) == (0o640, 0o604)
    assert mode(tmp_path / "folder") == 0o750


def test_a_link_is_followed_to_another_disk_and_stays(tmp_path, other_disk):
    (other_disk / "real").write_text("old")
    (tmp_path / "link").symlink_to(other_disk / "real")
    (tmp_path / "dangling").symlink_to(other_disk / "to_be")
    files.write_text(tmp_path / "link", "new")
    files.write_text(tmp_path / "dangling", "first")
    assert (tmp_path / "link").is_symlink()
    assert (other_disk / "real").read_text() == "new"
    assert (other_disk / "to_be").read_text() == "first"
    assert sorted(os.listdir(other_disk)) == ["real", "to_be"]


def test_a_link_to_a_folder_on_another_disk_is_followed_and_stays(tmp_path, other_disk):
    (other_disk / "scene").mkdir()
    (other_disk / "scene" / "old").touch()
    (tmp_path / "link").symlink_to(other_disk / "scene")
    with files.replacing_folder(tmp_path / "link") as partial:
        (partial / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(other_disk / "scene") == ["new"]
    assert os.listdir(other_disk) == ["scene"]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_moves_with_its_links_also_to_another_disk(tmp_path, other_disk, elsewhere):
    (tmp_path / "run/deep").mkdir(parents=True)
    (tmp_path / "run/deep/a").write_text("kept")
    (tmp_path / "run/latest").symlink_to("deep")
    target = (other_disk if elsewhere else tmp_path) / "runs/b"
    files.move(tmp_path / "run", target)
    assert (target / "latest/a").read_text() == "kept"
    assert os.readlink(target / "latest") == "deep"
    assert not (tmp_path / "run").exists()
    assert os.listdir(target.parent) == ["b"]


def test_a_file_moves_to_another_disk_and_through_a_link(tmp_path, other_disk):
    (tmp_path / "link").symlink_to(other_disk)
    (tmp_path / "x").write_text("content")
    files.move(tmp_path / "x", tmp_path / "link" / "deep" / "y")
    assert (other_disk / "deep" / "y").read_text() == "content"
    assert os.listdir(tmp_path) == ["link"]
    assert os.listdir(other_disk / "deep") == ["y"]


def test_a_folder_in_the_way_is_refused_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "folder", "x")
    os.mkfifo(tmp_path / "pipe")
    reader = child("import sys; print(open(sys.argv[1]).read())", tmp_path / "pipe")
    files.write_text(tmp_path / "pipe", "through", durable=False)
    assert reader.communicate(timeout=30)[0] == "through\n"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_the_longest_name_that_a_file_can_have(tmp_path):
    name = "ä" * 127
    files.write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_the_folder_that_a_process_works_in_keeps_its_identity(tmp_path, monkeypatch):
    (tmp_path / "old").touch()
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    with files.replacing_folder(Path()) as partial:
        (partial / "new").touch()
    assert os.listdir() == ["new"]
    assert tmp_path.stat().st_ino == before


def test_a_lock_keeps_others_out_and_goes_with_its_process(tmp_path):
    path = tmp_path / "deep" / ".lock"
    holder = child(
        "import pathlib, sys, time\n"
        "with files.locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)",
        path,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), files.locked(path):
        pass
    holder.kill()
    holder.wait()
    begin = time.monotonic()
    with files.locked(path, wait=True):
        assert time.monotonic() - begin < 30
    holder.stdout.close()


def test_the_cache_has_a_place_without_a_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert files.cache_folder() == tmp_path / "cache" / "inr-plugins"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME")
    # What Python answers where neither HOME nor the system's list of users knows a home.
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    private = files.cache_folder()
    assert private.parent == tmp_path
    assert mode(private) == 0o700
    assert files.cache_folder() == private
    private.chmod(0o777)
    assert files.cache_folder() != private


def test_what_git_lfs_left_in_place_of_a_file_is_no_file(tmp_path):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n"
    (tmp_path / "pointer.ply").write_text(text.format("0" * 64))
    (tmp_path / "long.ply").write_text(text.format("0" * 64) + "x" * 5000)
    assert "git lfs pull" in files.why_unreadable(tmp_path / "pointer.ply")
    assert files.why_unreadable(tmp_path / "long.ply") is None


@pytest.mark.parametrize("there_before", [True, False])
def test_a_folder_that_another_process_has_written_meanwhile_is_kept_beside_the_new_one(tmp_path, there_before):
    target = tmp_path / "folder"
    if there_before:
        target.mkdir()
        (target / "old").write_text("old")

    def write_while_another_does() -> None:
        with files.replacing_folder(target, over=there_before) as partial:
            (partial / "mine").write_text("mine")
            with files.replacing_folder(target) as other:
                (other / "theirs").write_text("theirs")

    with pytest.raises(files.KeptBesideError) as kept:
        write_while_another_does()
    assert [file.name for file in target.iterdir()] == ["theirs"]
    assert kept.value.place == tmp_path / "folder-2"
    assert [file.name for file in kept.value.place.iterdir()] == ["mine"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_takes_the_place_of_an_empty_one_only_where_it_is_not_to_replace_any(tmp_path):
    (tmp_path / "folder").mkdir()
    with files.replacing_folder(tmp_path / "folder", over=False) as partial:
        (partial / "mine").write_text("mine")
    assert (tmp_path / "folder" / "mine").exists()


def test_a_link_takes_the_place_of_what_is_there_and_leaves_what_that_led_to(tmp_path: Path):
    (tmp_path / "new").write_text("new")
    for before in ("nothing", "file", "link", "dead link"):
        place, old = tmp_path / "bin" / before, tmp_path / f"old of {before}"
        place.parent.mkdir(exist_ok=True)
        old.write_text("old")
        if before == "file":
            place.write_text("file")
        elif before != "nothing":
            place.symlink_to(old if before == "link" else tmp_path / "gone")
        files.write_link(place, tmp_path / "new")
        assert place.is_symlink()
        assert place.read_text() == "new"
        assert old.read_text() == "old"
    assert not (tmp_path / "gone").exists()
    assert len(list((tmp_path / "bin").iterdir())) == 4


def test_a_folder_is_asked_whether_it_takes_files_and_nothing_stays(tmp_path: Path):
    files.check_takes_files(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        files.check_takes_files(tmp_path / "missing")
    with files.nameless_file(tmp_path) as file:
        file.write(b"kept")
        assert list(tmp_path.iterdir()) == []
        file.seek(0)
        assert file.read() == b"kept"
