"""The demo's steps: found, run, timed, and stopped in an orderly way."""

import json
import os
import signal
import sys
import threading
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from inr_plugins.cli import demo
from inr_plugins.cli.demo import Options, main, run_step
from inr_plugins.engine.interrupt import Terminated, sigterm_as_ctrl_c
from inr_plugins.engine.runs import run
from inr_plugins.errors import InputError
from inr_plugins.geometry.cameras import look_at


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


def test_a_step_does_not_show_what_libraries_warn_their_authors_of(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    warn = "import warnings; warnings.warn('old', FutureWarning); warnings.warn('odd', UserWarning)"
    run_step("Try", [command(tmp_path, monkeypatch, f'{sys.executable} -c "{warn}" 2> {tmp_path}/said')])
    said = (tmp_path / "said").read_text()
    assert "UserWarning: odd" in said
    assert "FutureWarning: old" not in said


def test_steps_that_fail_or_are_not_there_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="'Try' failed with status 7"):
        run_step("Try", [command(tmp_path, monkeypatch, "exit 7")])
    with pytest.raises(InputError, match=r"no-such-command was not found: install inr-plugins"):
        run_step("Try", ["no-such-command"])


def test_a_step_that_has_said_why_it_failed_is_the_last_word(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    for quiet in ([], ["--quiet"]):
        assert main(["--photos", "photos", *quiet]) == 1
        said = capfd.readouterr().err.strip()
        assert said.startswith("inr-photos: photos holds no pictures")
        assert "\n" not in said
    # Nothing was made, and so nothing is left.
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


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


def test_photographs_are_made_smaller_than_by_themselves(tmp_path, monkeypatch):
    commands = []

    def stopped(_title, words, **_options):
        commands.append(words)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_step", stopped)
    arguments = ["--photos", str(tmp_path / "mine"), "--output", str(tmp_path / "out")]
    assert main(arguments) == main([*arguments, "--photo-size", "1200"]) == 130
    place = str(tmp_path / "out" / "datasets" / "mine")
    assert commands == [["inr-photos", str(tmp_path / "mine"), place, "--max-size", size] for size in ("800", "1200")]


@pytest.mark.parametrize("has_a_surface", [True, False])
def test_of_photographs_the_mesh_is_of_a_surface_where_one_can_be_learnt(tmp_path, monkeypatch, capsys, has_a_surface):
    commands = []

    def recorded(title, words, **_):
        commands.append(words)
        if words[1] == "diner-surface" and not has_a_surface:
            raise InputError("The step failed.")
        return demo.Step(title, words, 0)

    monkeypatch.setattr(demo, "run_step", recorded)
    monkeypatch.setattr(demo, "write_turntable", lambda *_, **__: None)
    shown = []
    monkeypatch.setattr(demo, "summarise", lambda *_, mesh, **__: shown.append(mesh))
    monkeypatch.setattr(demo, "parser_of", lambda _: "nerfstudio-data")
    for source in ("--photos", "--data"):
        assert main([source, str(tmp_path / "mine"), "--output", str(tmp_path / "out")]) == 0
    # Each run of the demo trains diner once, and of photographs a surface of the same data.
    trained = [words for words in commands if words[0] == "ns-train"]
    assert [words[1] for words in trained] == ["diner", "diner-surface", "diner"]
    assert trained[0][-3:] == trained[1][-3:]
    assert trained[1][trained[1].index("--timestamp") + 1] == trained[0][trained[0].index("--timestamp") + 1]
    first, second = [words for words in commands if words[0] == "inr-mesh"]
    assert first[1].split("/")[-2] == ("diner-surface" if has_a_surface else "diner")
    assert second[1].split("/")[-2] == "diner"
    plain = ["--resolution", "256"]
    assert first[4:] == [*plain, "--keep-largest", "--drop-unseen", "--colour", "views"]
    assert second[4:] == plain
    assert [str(mesh) for mesh in shown] == [first[3], second[3]]
    said = "" if has_a_surface else "inr-demo: The step failed. The mesh is made of diner's density.\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("size", "made"), [((1200, 1600), (360, 480)), ((271, 480), (270, 480)), ((64, 48), (64, 48))])
def test_the_video_of_large_photographs_is_small_and_shows_as_much(tmp_path, monkeypatch, size, made):
    poses = look_at(np.array([[2.0, 0, 1], [0, 2, 1], [-2, 0, 1], [0, -2, 1]]))[:, :3]
    cameras = Cameras(torch.from_numpy(poses).float(), 900.0, 900.0, size[0] / 2, size[1] / 2, *size)
    monkeypatch.setattr(run, "load_run", lambda _: SimpleNamespace(dataparser_outputs=SimpleNamespace(cameras=cameras)))
    demo.write_turntable(tmp_path, tmp_path / "turn.json", frames=4, longest=480)
    turn = json.loads((tmp_path / "turn.json").read_text())
    assert (turn["render_width"], turn["render_height"]) == made
    assert np.tan(np.radians(turn["camera_path"][0]["fov"] / 2)) == pytest.approx(size[1] / 2 / 900)


def test_runs_that_begin_in_one_second_have_different_names(monkeypatch):
    moments = iter([datetime(2026, 1, 2, 3, 4, 5, 60), datetime(2026, 1, 2, 3, 4, 5, 70)])
    monkeypatch.setattr(demo, "datetime", SimpleNamespace(now=lambda: next(moments)))
    assert demo.name_of_run() == "2026-01-02_030405-000060"
    assert demo.name_of_run() == "2026-01-02_030405-000070"
