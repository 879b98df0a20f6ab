"""inr-bench plan and job: a training by its key alone, and what cannot be run so."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from inr_plugins.bench.claims import claimed
from inr_plugins.bench.planned import job_path
from inr_plugins.bench.record import FAILED, FINISHED, FORMAT, record_path
from inr_plugins.bench.rules import versions_now
from inr_plugins.cli.bench import main
from inr_plugins.files import write_json


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """What plan is asked for: two methods, twice, on a dataset of two views a split."""
    folder = tmp_path / "data" / "ball"
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (6, 4)).save(folder / split / f"r_{index}.png")
        frames = [{"file_path": f"./{split}/r_{index}"} for index in range(2)]
        (folder / f"transforms_{split}.json").write_text(json.dumps({"frames": frames}))
    words = ["--methods", "diner", "nerfacto", "--scenes", str(folder), "--steps", "5", "9", "--seeds", "2"]
    return [
        *words,
        "--device",
        "cpu",
        "--output",
        str(tmp_path / "b"),
        "--options",
        "diner=--pipeline.model.key-width 9",
    ]


def planned(command: list[str], capsys) -> list[dict]:
    assert main(["plan", *command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list:
    """What would have been run, in place of running it."""
    calls: list = []

    def run_claimed(jobs, output, **options):
        calls.append((jobs, output, options))
        return []

    monkeypatch.setattr("inr_plugins.bench.runner.run_claimed", run_claimed)
    return calls


def test_a_planned_training_is_run_by_its_key_as_run_would_run_it(command, tmp_path, monkeypatch, ran, capsys):
    of_run = []
    monkeypatch.setattr("inr_plugins.bench.runner.run_jobs", lambda jobs, output, **options: of_run.extend(jobs) or [])
    assert main(["run", *command]) == 0
    capsys.readouterr()
    rows = planned(command, capsys)
    assert [row["key"] for row in rows] == [job.key for job in of_run]
    assert [(row["method"], row["seed"]) for row in rows] == [(job.method, job.seed) for job in of_run]
    monkeypatch.chdir(tmp_path / "data")
    for row, job in zip(rows, of_run, strict=True):
        words = shlex.split(row["command"])
        assert words[0] == "inr-bench"
        assert main([*words[1:], "--time-limit", "60"]) == 0
        (again,), output, options = ran.pop()
        assert again.ns_train_arguments(tmp_path) == job.ns_train_arguments(tmp_path)
        assert (again.key, again.protocol) == (job.key, job.protocol)
        assert (output, options["rules"].time_limit) == (tmp_path / "b", 60)


def test_a_plan_says_what_has_become_of_each_training(command, tmp_path, capsys):
    output = tmp_path / "b"
    keys = [row["key"] for row in planned(command, capsys)]
    versions = versions_now()
    (output / "records").mkdir()
    for key, status, changed in (
        (keys[0], FINISHED, {}), (keys[1], FINISHED, {"torch": "0.1"}), (keys[2], FAILED, {}),
    ):  # fmt: skip
        write_json(record_path(output, key), {"format": FORMAT, "status": status, "versions": {**versions, **changed}})
    assert [row["state"] for row in planned(command, capsys)] == ["finished", "stale", "failed", "new"]
    with claimed(output, keys[3]):
        assert [row["state"] for row in planned(command, capsys)][3] == "running"
    assert main(["plan", *command]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [key, state] for key, state in zip(keys, ("finished", "stale", "failed", "new"), strict=True)
    ]


def test_what_is_no_job_or_none_any_more_is_one_sentence(command, tmp_path, ran, capsys):
    key = planned(command, capsys)[0]["key"]

    def said(name: str) -> str:
        assert main(["job", name, "--output", str(tmp_path / "b")]) == 1
        words = capsys.readouterr().err
        assert words.startswith("inr-bench: ")
        assert words.count("\n") == 1
        return words

    assert "There is no job 0123 in" in said("0123")
    path = job_path(tmp_path / "b", key)
    written = path.read_text()
    path.write_text(written.replace("key-width", "key-height"))
    assert "is not the job that was planned" in said(key)
    path.write_text("{}")
    assert "is not the job that was planned" in said(key)
    path.write_text(written)
    image = tmp_path / "data" / "ball" / "train" / "r_0.png"
    image.write_bytes(image.read_bytes() + b"0")
    assert "has changed since job" in said(key)
    (tmp_path / "data" / "ball").rename(tmp_path / "elsewhere")
    assert "bring it there, or plan again" in said(key)
    assert ran == []


@pytest.mark.parametrize(
    ("device", "devices", "count", "words"),
    [
        ("cpu", ["0"], 2, "would train on the processor"),
        ("cuda", ["0", "2"], 2, "There is no CUDA device 2 here: there are 2, with numbers from 0."),
        ("cuda", ["1", "1"], 2, "names one twice"),
    ],
)
def test_devices_that_there_are_not_are_one_sentence(command, monkeypatch, capsys, device, devices, count, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    command[command.index("cpu")] = device
    assert main(["run", *command, "--devices", *devices]) == 1
    assert words in capsys.readouterr().err


def test_a_cluster_without_ray_is_one_sentence(command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["run", *command, "--ray", "local"]) == 1
    said = capsys.readouterr().err
    assert said == 'inr-bench: Ray is not installed: pip install "inr-plugins[cluster]".\n'


def test_a_plan_says_which_numbers_of_the_papers_it_will_not_have(command, capsys):
    start = command.index("--scenes")
    words = ["plan", "--preset", "diner-table4", *command[start : command.index("--options")]]
    assert main(words) == 0
    assert "inr-bench: lpips of the paper's table is not computed, because " in capsys.readouterr().err
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
