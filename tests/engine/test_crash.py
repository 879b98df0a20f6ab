"""Processes killed in the middle of a step or of a checkpoint: what is left is sound, and going on loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from long_form import long_form
from test_trainer import assert_same, outcome, train
from tiny_method import tiny_config

from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.config import read_run_config

HERE = Path(__file__).parent
pytestmark = [long_form, pytest.mark.skipif(os.name != "posix", reason="kills children that it forks")]


@pytest.fixture(scope="module")
def wreckage(scene, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Output folder of crash_worker.py and how each of its children ended."""
    output = tmp_path_factory.mktemp("wreckage")
    worker = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "crash_worker.py"), str(scene), str(output)],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        },
    )
    lines = [line.removeprefix("RESULT ") for line in worker.stdout.splitlines() if line.startswith("RESULT ")]
    (output / "said.txt").write_text(worker.stdout, encoding="utf8")
    return output, dict(line.split(": ") for line in lines)


@pytest.mark.parametrize("crash", ["in_the_middle_of_a_step", "in_the_middle_of_a_write", "before_the_move"])
def test_kill_9_leaves_a_sound_checkpoint_and_resuming_loses_nothing(wreckage, scene, tmp_path, crash):
    output, ends = wreckage
    assert ends[crash] == "signal 9"
    folder = output / "scene" / "tiny" / crash / "nerfstudio_models"
    assert os.listdir(folder) == ["step-000000004.ckpt"]
    leftovers = list(folder.parent.glob(".*.partial"))
    assert len(leftovers) == (0 if crash == "in_the_middle_of_a_step" else 1)

    again = train(tiny_config(scene, tmp_path, timestamp="again", max_num_iterations=3, load_dir=folder))
    whole = train(tiny_config(scene, tmp_path, timestamp="whole"))
    assert_same(outcome(again), outcome(whole))
    assert list(folder.parent.glob(".*.partial")) == []


def test_a_disk_that_refuses_is_one_sentence(wreckage):
    output, ends = wreckage
    assert ends["on_a_disk_with_a_limit"] == "exit 3"
    message = (output / "on_a_disk_with_a_limit.txt").read_text(encoding="utf8")
    folder = output / "scene" / "tiny" / "on_a_disk_with_a_limit" / "nerfstudio_models"
    assert message.startswith("Cannot save the checkpoint of step 7")
    assert "(File too large)" in message
    assert f"step 4, with --load-dir {folder}" in message
    assert checkpoints.read_newest_checkpoint(folder)[0]["step"] == 4
    assert os.listdir(folder) == ["step-000000004.ckpt"]
    assert not list(folder.parent.glob(".*.partial"))


def test_sigterm_saves_the_step_at_hand_and_going_on_loses_nothing(wreckage, scene, tmp_path):
    output, ends = wreckage
    assert ends["told_to_end_once"] == "exit 143"
    folder = output / "scene" / "tiny" / "told_to_end_once" / "nerfstudio_models"
    (saved,) = checkpoints.checkpoint_steps(folder)
    assert saved == 6
    said = " ".join((output / "said.txt").read_text(encoding="utf8").split())
    assert "SIGTERM" in said
    assert f"Stopped after step {saved}: go on from the last good checkpoint, step {saved}, with --load-dir" in said
    rest = train(tiny_config(scene, tmp_path, timestamp="rest", max_num_iterations=1, load_dir=folder))
    assert_same(outcome(rest), outcome(train(tiny_config(scene, tmp_path, timestamp="whole"))))


def test_a_second_sigterm_ends_at_once(wreckage):
    output, ends = wreckage
    assert ends["told_to_end_twice"] == "signal 15"
    folder = output / "scene" / "tiny" / "told_to_end_twice" / "nerfstudio_models"
    assert checkpoints.checkpoint_steps(folder) == [4]


def test_trainings_of_one_second_have_folders_of_their_own(wreckage, monkeypatch):
    monkeypatch.setenv("NERFSTUDIO_METHOD_CONFIGS", "tiny=tiny_method:specification")
    output, ends = wreckage
    assert ends["in_one_second"] == "0 0 0"
    folders = sorted((output / "in_one_second" / "scene" / "tiny").iterdir())
    assert [folder.name for folder in folders] == [f"2026-01-02_030405{end}" for end in ("", "_2", "_3")]
    seeds = set()
    for folder in folders:
        assert checkpoints.checkpoint_steps(folder / "nerfstudio_models") == [2]
        assert not list(folder.glob(".*"))
        seeds.add(read_run_config(folder / "config.yml").machine.seed)
    assert seeds == {0, 1, 2}
