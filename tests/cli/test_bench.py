"""inr-bench as a command: mistakes are one sentence, failures an exit status, Ctrl-C says how to go on."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path

import pytest
from PIL import Image

from inr_plugins.bench.record import FAILED, FORMAT
from inr_plugins.cli.bench import main
from inr_plugins.files import write_json


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A Blender-format dataset of two views a split."""
    folder = tmp_path / "data" / "ball"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        frames = [{"file_path": f"./{split}/r_{index}"} for index in range(2)]
        for index in range(2):
            Image.new("RGB", (6, 4)).save(folder / split / f"r_{index}.png")
        (folder / f"transforms_{split}.json").write_text(json.dumps({"frames": frames}))
    return folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What would have been run, in place of running it."""
    calls: list[tuple] = []

    def run_jobs(jobs, output, **options):
        calls.append((jobs, output, options))
        return []

    monkeypatch.setattr("inr_plugins.bench.runner.run_jobs", run_jobs)
    return calls


def test_a_command_line_becomes_a_plan(scene: Path, tmp_path: Path, ran: list[tuple], capsys):
    command = [
        "run",
        "--methods",
        "diner",
        "nerfacto",
        "--scenes",
        str(scene),
        "--seconds",
        "60",
        "300",
        "--seeds",
        "2",
    ]
    command += ["--device", "cpu", "--output", str(tmp_path / "b"), "--options", "diner=--pipeline.model.key-width 9"]
    assert main([*command, "--eval-every-view", "3", "--keep-runs"]) == 0
    ((jobs, output, options),) = ran
    assert [(job.method, job.seed) for job in jobs] == [("diner", 0), ("nerfacto", 0), ("diner", 1), ("nerfacto", 1)]
    assert jobs[0].options == ("--pipeline.model.key-width", "9")
    assert jobs[1].options == ()
    assert jobs[0].protocol.budgets == (60, 300)
    assert (jobs[0].protocol.eval_every_view, jobs[0].protocol.device) == (3, "cpu")
    assert (output, options["rules"].keep_runs) == (tmp_path / "b", True)
    # The worker that makes meshes is a module that can be run.
    assert importlib.util.find_spec(options["rules"].worker) is not None
    assert "inr-bench report" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "dinner", "--seconds", "5"], "There is no method dinner to benchmark: choose among"),
        (["--methods", "diner"], "No budget"),
        (["--methods", "diner", "--seconds", "5", "--steps", "5"], "not both"),
        (["--methods", "diner", "--seconds", "5", "--options", "key-width 9"], "names no method"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(scene: Path, arguments: list[str], words: str, ran: list[tuple], capsys):
    command = ["run", "--scenes", str(scene), "--device", "cpu", *arguments]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("inr-bench: ")
    assert words in said
    assert said.count("\n") == 1
    assert ran == []


def test_a_scene_that_is_no_dataset_is_one_sentence(tmp_path: Path, ran: list[tuple], capsys):
    assert main(["run", "--methods", "diner", "--seconds", "5", "--scenes", str(tmp_path), "--device", "cpu"]) == 1
    assert "is no dataset" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_sentence(scene: Path, tmp_path: Path, capsys):
    (tmp_path / "file").touch()
    command = ["run", "--methods", "diner", "--seconds", "5", "--scenes", str(scene), "--device", "cpu"]
    assert main([*command, "--output", str(tmp_path / "file")]) == 1
    assert "cannot write to" in capsys.readouterr().err


def test_cuda_without_a_gpu_is_one_sentence(scene: Path, ran: list[tuple], capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = ["run", "--methods", "diner", "--seconds", "5", "--scenes", str(scene)]
    assert main([*command, "--device", "cuda"]) == 1
    assert "No CUDA device was found: leave --device out" in capsys.readouterr().err
    assert main(command) == 0
    assert ran[0][0][0].protocol.device == "cpu"


def test_failed_trainings_are_a_sentence_and_an_exit_status(scene: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    failed = [{"definition": {"label": "diner"}}]
    monkeypatch.setattr("inr_plugins.bench.runner.run_jobs", lambda jobs, output, **options: failed)
    assert main(["run", "--methods", "diner", "--seconds", "5", "--scenes", str(scene), "--device", "cpu"]) == 1
    assert "1 training failed (diner)" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_say_how_to_go_on(
    scene: Path, capsys, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
):
    def interrupted(*arguments: object, **options: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("inr_plugins.bench.runner.run_jobs", interrupted)
    command = ["run", "--methods", "diner", "--seconds", "5", "--scenes", str(scene), "--device", "cpu"]
    assert main(command) == status
    assert f"Go on with: inr-bench {' '.join(command)}" in capsys.readouterr().err


def test_a_report_is_printed_and_written(tmp_path: Path, capsys):
    definition = {
        "label": "diner", "method": "diner", "options": [], "settings": [], "seed": 0, "unit": "seconds",
        "scene": {"name": "ball", "digest": "0", "parser": "blender-data"}, "budgets": [60.0], "eval_every_view": 1,
        "eval_pixel_stride": 1, "curve_points": 6, "curve_views": 2, "device": "cpu", "budgets_of_preset": False,
        "preset": None,
    }  # fmt: skip
    record = {
        "format": FORMAT, "key": "k", "status": FAILED, "error": "It fell over.", "definition": definition,
        "scene": {}, "versions": {}, "hardware": {"cpu": "c", "cores": 1, "memory_gb": 1.0, "gpus": []},
        "date": "2026", "measured": None,
    }  # fmt: skip
    (tmp_path / "records").mkdir()
    write_json(tmp_path / "records" / "k.json", record)
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "diner on ball, seed 0: It fell over." in said.out
    assert (tmp_path / "report.md").read_text() == said.out.removesuffix("\n")
    assert str(tmp_path / "report.md") in said.err


def test_a_report_without_records_is_one_sentence(tmp_path: Path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "There are no records in" in capsys.readouterr().err


def test_a_preset_whose_method_is_missing_is_one_sentence(scene: Path, ran: list[tuple], monkeypatch, capsys):
    monkeypatch.setattr("inr_plugins.bench.plan.known_methods", lambda: ["diner"])
    assert main(["run", "--scenes", str(scene), "--device", "cpu", "--preset", "nid-table3"]) == 1
    assert "cannot be run yet: it needs nid-fit" in capsys.readouterr().err
    assert not ran


def test_presets_are_listed_with_what_they_need_and_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("inr_plugins.bench.peers.known_methods", lambda: ["diner"])
    assert main(["presets"]) == 0
    said = capsys.readouterr().out
    for words in ("diner-table4", "400x400 pixels, 100 training views", "37,500 steps", "60 s, 300 s, 900 s"):
        assert words in said
    assert "this version does not have nid-fit" in said
