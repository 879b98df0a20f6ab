"""Trainings of a benchmark that were killed: they go on from their checkpoints, measure the same, and say so."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import pytest
from bench_helpers import job, measured, stand_in
from long_form import long_form
from rich.console import Console
from tiny_training import train

from inr_plugins import machine
from inr_plugins.bench import one_job
from inr_plugins.bench.checkpoints import Checkpoints
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import read_json, record_path
from inr_plugins.bench.resume_points import ResumePoint, last_point, resuming_arguments, write_point
from inr_plugins.bench.rules import Rules
from inr_plugins.bench.runner import run_jobs
from inr_plugins.engine.trainer import InrTrainer


class Killed(BaseException):
    """Ends a training as SIGKILL does: nothing is saved after it."""


def train_in_parts(folder: Path, monkeypatch, *, saved: set[int], killed_at: int, save: bool = False, **clock):
    """Train nine steps, killed before the step `killed_at`; checkpoints after the steps in `saved`; then go on."""
    points = folder / "points"
    budgets = ["--unit", "steps", "--budgets", "2", "5", "9", *(["--save"] if save else [])]
    options = [*budgets, "--points", str(points), "--checkpoint-every", "1e-9", "--launched", str(time.time() - 100)]
    write, step_of = Checkpoints.save_point, InrTrainer.train_iteration

    def save_some(self, step, state):
        if step in saved:
            write(self, step, state)

    def killed(self, step):
        if step == killed_at:
            raise Killed
        return step_of(self, step)

    more = {"save_only_latest_checkpoint": not save}
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_point", save_some)
        patch.setattr(InrTrainer, "train_iteration", killed)
        with pytest.raises(Killed):
            train(folder, options, max_num_iterations=9, **more)
    point = last_point(points)
    words = resuming_arguments(["tiny", "--max-num-iterations", "9"], point)
    given = dict(zip(words[1::2], words[2::2], strict=True))
    return point, train(
        folder,
        options,
        load_dir=Path(given["--load-dir"]),
        load_step=int(given["--load-step"]),
        max_num_iterations=int(given["--max-num-iterations"]),
        **more,
    )


def untimed(results):
    return [{name: each[name] for name in ("budget", "steps", "psnr", "ssim", "views")} for each in results]


@long_form
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("saved", [{3}, {1, 3, 6}])
def test_a_training_that_was_killed_measures_what_it_would_have_measured(tmp_path, monkeypatch, saved):
    _, whole = train(tmp_path / "whole", ["--unit", "steps", "--budgets", "2", "5", "9"], max_num_iterations=9)
    point, (trainer, found) = train_in_parts(tmp_path / "parts", monkeypatch, saved=saved, killed_at=7)
    assert point.step == max(saved)
    assert untimed(found["results"]) == untimed(whole["results"])
    assert [(each["steps"], each["psnr"]) for each in found["curve"]] == [
        (each["steps"], each["psnr"]) for each in whole["curve"]
    ]
    assert trainer.step == 8
    # The clock went on; the start-up is that of the first part, which said that it was launched long ago.
    seconds = [each["seconds"] for each in found["results"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] > point.measured["seconds"] > seconds[0]
    assert 100 < found["startup_seconds"] < 500


@pytest.mark.usefixtures("one_thread")
def test_checkpoints_for_going_on_alone_are_not_among_those_that_are_kept(tmp_path, monkeypatch):
    point, (trainer, _) = train_in_parts(tmp_path, monkeypatch, saved={2, 4, 5}, killed_at=7, save=True)
    assert point.step == 5
    names = sorted(path.name for path in trainer.checkpoint_dir.iterdir())
    assert names == [f"step-{step:09d}.ckpt" for step in (1, 4, 8)]


def test_arguments_that_go_on_end_where_the_training_would_have_ended(tmp_path):
    point = ResumePoint(step=41, end_step=100, checkpoint=tmp_path / "step-000000041.ckpt", measured={})
    words = ["diner", "--max-num-iterations", "100", "--load_dir=old", "--vis", "tensorboard", "blender-data"]
    expected = ["diner", "--load-dir", str(tmp_path), "--load-step", "41", "--max-num-iterations", "58"]
    assert resuming_arguments(words, point) == [*expected, "--vis", "tensorboard", "blender-data"]


def test_a_checkpoint_that_was_half_written_is_no_point(tmp_path):
    for step, whole in ((3, True), (7, False), (9, None)):
        checkpoint = tmp_path / f"step-{step:09d}.ckpt"
        write_point(tmp_path / "points", ResumePoint(step, 10, checkpoint, {}))
        if whole is not None:
            with zipfile.ZipFile(checkpoint, "w") as archive:
                archive.writestr("weights", b"0" * 100)
            checkpoint.write_bytes(checkpoint.read_bytes()[: None if whole else 50])
    assert last_point(tmp_path / "points").step == 3


GOOD = f"json.dump({measured([{'budget': 1.0, 'psnr': 21.5}])!r}, open(RESULT, 'w'))"
PARTS = f"""
import json, os, time, zipfile
folder = os.path.dirname(RESULT)
told = os.path.join(folder, "..", "..", "told.txt")
if os.path.isdir(os.path.join(folder, "points")):
    open(told, "a").write("goes on\\n")
    {GOOD}
else:
    open(told, "a").write("begins\\n")
    os.makedirs(os.path.join(folder, "points"))
    zipfile.ZipFile(os.path.join(folder, "step-000000004.ckpt"), "w").writestr("weights", b"0")
    point = {{"step": 4, "end_step": 9, "checkpoint": "step-000000004.ckpt", "measured": {{"steps": 5}}}}
    json.dump(point, open(os.path.join(folder, "points", "000000004.json"), "w"))
    END
"""


def run(output: Path, ending: str, label: str = "a", **rules) -> list[dict]:
    line = ProgressLine(1, Console(file=io.StringIO()))
    code = stand_in(PARTS.replace("END", ending))
    return run_jobs([job(label)], output, rules=Rules(**rules), command_of=code, line=line)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(one_job, "_POLL_SECONDS", 0.01)


def told(output: Path) -> list[str]:
    return (output / "told.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("ending", "limit", "words"),
    [
        (
            "time.sleep(0.3); os.kill(os.getpid(), 9)",
            None,
            "was killed (signal 9), perhaps for want of memory; run again, it goes on",
        ),
        ("time.sleep(0.3); raise SystemExit(143)", None, "ended with status 143; run again, it goes on from step 5."),
        ("time.sleep(60)", 0.8, "ended after 0.8 s, the --time-limit; run again, it goes on from step 5."),
    ],
)
def test_a_job_that_was_killed_goes_on_and_its_record_says_so(tmp_path, ending, limit, words):
    (failed,) = run(tmp_path, ending, time_limit=limit)
    assert words in failed["error"].splitlines()[0]
    assert failed["resumed"] is None
    # Others that are run meanwhile leave it alone.
    run(tmp_path, "pass", label="b")
    assert run(tmp_path, ending) == []
    assert told(tmp_path) == ["begins", "begins", "goes on"]
    record = read_json(record_path(tmp_path, job("a").key))
    first, second = record["resumed"]["parts"]
    assert (first["from_step"], second["from_step"]) == (0, 5)
    assert first["host"] == second["host"] != ""
    # What was lost counts: the first part had slept for so long.
    assert 0.3 <= first["seconds"] < 60
    assert record["resumed"]["seconds"] == pytest.approx(first["seconds"] + second["seconds"], abs=0.11)
    assert list((tmp_path / "work").iterdir()) == []


def test_a_job_whose_machine_was_lost_took_until_its_last_sign_of_life(tmp_path):
    run(tmp_path, "os.kill(os.getpid(), 9)")
    record_path(tmp_path, job("a").key).unlink()
    parts = tmp_path / "work" / job("a").key / "parts.json"
    said = json.loads(parts.read_text())
    # Nobody was left to note how long it took; it had begun before it wrote anything.
    said["parts"][0] |= {"seconds": None, "begun": said["parts"][0]["begun"] - 1000}
    parts.write_text(json.dumps(said))
    assert run(tmp_path, "pass") == []
    first, _ = read_json(record_path(tmp_path, job("a").key))["resumed"]["parts"]
    assert 1000 < first["seconds"] < 1200


@pytest.mark.parametrize("change", ["all", "code", "machine", "failed by itself", "no checkpoint"])
def test_what_cannot_be_gone_on_with_begins_anew(tmp_path, monkeypatch, change):
    run(tmp_path, "raise SystemExit('a fault')" if change == "failed by itself" else "os.kill(os.getpid(), 9)")
    if change == "code":
        monkeypatch.setattr(machine, "code_digest", lambda: "changed")
    if change == "machine":
        monkeypatch.setattr(machine, "_cpu_name", lambda: "another")
    if change == "no checkpoint":
        (tmp_path / "work" / job("a").key / "step-000000004.ckpt").unlink()
    run(tmp_path, "pass", **({"rerun": "all"} if change == "all" else {}))
    assert told(tmp_path) == ["begins", "begins"]
