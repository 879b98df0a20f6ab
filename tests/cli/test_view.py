"""inr-view: a real run, served to this machine only, and ended cleanly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from long_form import long_form

from inr_plugins.cli import check, view
from inr_plugins.engine.address import find_address, is_private
from inr_plugins.errors import InputError

# config.yml names the classes of tiny_method, so it has to be importable by its own name.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The run folder of a tiny training with checkpoints of steps 4 and 5."""
    from short_runs import train
    from tiny_method import make_scene, tiny_config

    base = tmp_path_factory.mktemp("runs")
    config = tiny_config(make_scene(base / "scene"), base / "outputs", save_only_latest_checkpoint=False)
    return train(config, 6).base_dir


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NERFSTUDIO_METHOD_CONFIGS", "tiny=tiny_method:specification")
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@long_form
def test_a_run_is_served_to_this_machine_with_the_step_of_its_newest_sound_checkpoint(run, capsys, monkeypatch):
    newest = run / "nerfstudio_models" / "step-000000005.ckpt"
    newest.write_bytes(newest.read_bytes()[:-500])
    served = []
    original = view._serve
    monkeypatch.setattr(view, "_serve", lambda *a, **k: served.append(original(*a, **k)) or served[0])

    def look() -> None:
        out, error = capsys.readouterr()
        assert "Trying the one before it" in error
        (line,) = out.splitlines()
        assert line.startswith("Step 4 of ")
        assert line.endswith("; Ctrl-C ends it.")
        address = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert b"<html" in urllib.request.urlopen(address[0], timeout=20).read().lower()
        sockets = served[0].viser_server._websock_server._ws_server.server.sockets
        assert {each.getsockname()[0] for each in sockets} == {"127.0.0.1"}
        assert served[0].stats_markdown.content.startswith("Step: 4 ")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)

    assert view.main([str(run)], wait=look) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "no.such.host.invalid"], "--host 'no.such.host.invalid' is no address of this machine"),
        (["--host", "203.0.113.7"], "--host '203.0.113.7' is no address of this machine"),
        (["--port", "80000"], "--port must be at least 1 and at most 65,535, got 80000"),
        (["--port", "0"], "--port must be at least 1 and at most 65,535, got 0"),
    ],
)
def test_an_address_that_cannot_be_had_is_a_sentence(arguments, sentence, run, capsys):
    assert view.main([str(run), *arguments], wait=pytest.fail) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"inr-view: {sentence}")
    assert error.count("\n") == 1


def test_a_taken_port_is_refused_and_passed_over():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port} at 127.0.0.1 is taken"):
            find_address("127.0.0.1", port)
        assert find_address("127.0.0.1", None) != port


def test_which_addresses_are_private():
    assert [is_private(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert [is_private(host) for host in ("0.0.0.0", "::", "192.168.1.4", "example.org")] == [False] * 4


def test_there_is_no_run(tmp_path, capsys):
    assert view.main([str(tmp_path / "gone")]) == 1
    assert check.main([str(tmp_path / "gone")]) == 1
    assert capsys.readouterr().err.count("does not exist; give a run folder") == 2


# -- inr-check ---------------------------------------------------------------------------------------------------------


def test_a_sound_run(run, capsys):
    assert check.main([str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ok"] * 4
    assert lines[-1] == f"{run} is safe and sound to open."


class Touch:
    """Unpickled by anything but weights_only, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def checkpoint_with(run: Path, step: int, change) -> None:
    import torch

    path = run / "nerfstudio_models" / f"step-{step:09d}.ckpt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def cut(run: Path) -> None:
    path = run / "nerfstudio_models" / "step-000000004.ckpt"
    path.write_bytes(path.read_bytes()[:-500])


def name_a_program(run: Path) -> None:
    config = run / "config.yml"
    touch = f"!!python/object/apply:os.system ['touch {run.parent / 'ran'}']"
    config.write_text(re.sub("(?m)^max_num_iterations: .*", f"max_num_iterations: {touch}", config.read_text()))


def lead_out(run: Path) -> None:
    config = run / "config.yml"
    config.write_text(re.sub(r"(?m)^(relative_model_dir: .*\n)- .*", r"\1- ..", config.read_text()))


def not_a_number(state) -> None:
    state["pipeline"]["_model.table"][0] = float("nan")


def frame_with(run: Path, change) -> None:
    file = run / "dataparser_transforms.json"
    file.write_text(change(file.read_text()))


def replace_by_a_pipe(run: Path) -> None:
    (run / "dataparser_transforms.json").unlink()
    os.mkfifo(run / "dataparser_transforms.json")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (name_a_program, "config.yml: .*calls os.system"),
        (lead_out, r"config.yml: it has its checkpoints outside of the run folder \(\.\.\)"),
        (cut, "step-000000004.ckpt: .*cut short or damaged"),
        (
            lambda run: checkpoint_with(run, 5, lambda state: state.update(x=Touch(run.parent / "ran"))),
            r"step-000000005.ckpt: it names posix.system",
        ),
        (lambda run: checkpoint_with(run, 5, lambda s: s.update(step=7)), "step-000000005.ckpt: .*of step 7"),
        (lambda run: checkpoint_with(run, 5, not_a_number), "step-000000005.ckpt: .*no longer numbers"),
        (lambda run: (run / "nerfstudio_models" / "notes.txt").touch(), "notes.txt: it is no checkpoint"),
        (lambda run: shutil.rmtree(run / "nerfstudio_models"), "nerfstudio_models: it holds no checkpoint"),
        (
            lambda run: frame_with(run, lambda text: text[: len(text) // 2]),
            "transforms.json: it is cut short.*other programs",
        ),
        (lambda run: frame_with(run, lambda text: ""), "transforms.json: it is cut short or damaged"),
        (lambda run: frame_with(run, lambda text: "[" * 100_000), "transforms.json: it is cut short or damaged"),
        (lambda run: frame_with(run, lambda text: "{}"), 'it lacks "transform" or "scale"'),
        (lambda run: frame_with(run, lambda text: text.replace("0.", "NaN,0.", 1)), "transforms.json: it has entries"),
        (lambda run: frame_with(run, lambda text: text.replace('"scale": ', '"scale": -')), "has to be above 0"),
        (lambda run: frame_with(run, lambda text: text.replace("1.0", "3.0", 1)), "is no rotation and shift"),
        (replace_by_a_pipe, "transforms.json: it is a pipe"),
    ],
)
def test_what_is_wrong_with_a_run_is_named_and_nothing_is_run(spoil, sentence, run, capsys):
    spoil(run)
    assert check.main([str(run)]) == 1
    out, error = capsys.readouterr()
    (refused,) = [line for line in out.splitlines() if line.split()[0] == "refused"]
    assert re.search(sentence, refused)
    assert error == f"inr-check: {run} is not safe and sound to open, for 1 of its files.\n"
    assert not (run.parent / "ran").exists()


def test_a_frame_that_is_missing_is_a_note(run, capsys):
    (run / "dataparser_transforms.json").unlink()
    assert check.main([str(run)]) == 0
    assert "note  dataparser_transforms.json: it is missing; other programs" in capsys.readouterr().out


def test_data_that_has_moved_is_a_note(run, capsys):
    config = run / "config.yml"
    config.write_text(config.read_text().replace("- scene\n", "- gone\n"))
    assert check.main([str(run)]) == 0
    assert "note  config.yml: its data" in capsys.readouterr().out
