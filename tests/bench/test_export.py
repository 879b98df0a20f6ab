"""What a report gives to other tools, read back with their own readers, and reports on several folders."""

from __future__ import annotations

import csv
import sys
from types import SimpleNamespace

import pytest
from bench_helpers import record, write_records
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from inr_plugins.bench.export import run_name, send_to_wandb, write_tensorboard
from inr_plugins.bench.record import read_all
from inr_plugins.bench.report import write_report
from inr_plugins.cli.bench import main
from inr_plugins.errors import InputError

SCORES = {
    "chamfer": 0.1, "chamfer_squared": 0.04, "normal_consistency": 0.9,
    "thresholds": [{"f_score": 0.5}, {"f_score": 0.75}],
}  # fmt: skip
SURFACE = {
    "scores": SCORES, "floor": SCORES, "iou": {"iou": 0.625}, "truth": {"box": [[0, 0, 0], [3, 4, 0]]},
    "seconds": {"extract": 1.0},
}  # fmt: skip


def two(**more):
    return [
        {"budget": 60.0, "psnr": 20.0, "ssim": 0.5, "seconds": 61.0, "steps": 100, **more},
        {"budget": 300.0, "psnr": 30.0, "ssim": 0.75, "seconds": 301.0, "steps": 500, **more},
    ]


def read(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_the_table_of_results_has_a_row_for_each_budget_and_each_failure(tmp_path):
    good = record("a, b", two(surface=SURFACE))
    good |= {"neighbours": 2}
    bad = record("c", [], error="It fell over.")
    write_report(write_records(tmp_path, good, bad))
    rows = read(tmp_path / "results.csv")
    assert [(row["label"], row["status"], row["budget"], row["psnr"]) for row in rows] == [
        ("a, b", "finished", "60.0", "20.0"), ("a, b", "finished", "300.0", "30.0"), ("c", "failed", "", ""),
    ]  # fmt: skip
    last = rows[1]
    assert (last["seconds"], last["steps"], last["ssim"], last["unit"]) == ("301.0", "500", "0.75", "seconds")
    # A tenth, in percent of the diagonal of 5.
    assert (float(last["chamfer"]), float(last["f_score"]), float(last["iou"])) == (pytest.approx(2), 0.75, 0.625)
    assert (last["rays_per_second"], last["peak_memory_gb"], last["neighbours"]) == ("1000.0", "2.0", "2")
    assert (rows[2]["neighbours"], rows[2]["key"]) == ("", bad["key"])


def test_curves_are_tensorboards_scalars_at_their_steps_and_seconds_of_training(tmp_path):
    records = [record("a/b", two(surface=SURFACE), curve=[
        {"moment": 30.0, "seconds": 30.5, "steps": 50, "psnr": 15.0},
        {"moment": 60.0, "seconds": 61.0, "steps": 100, "psnr": 19.0},
        {"moment": 90.0, "seconds": 90.0, "steps": 150, "psnr": None},
    ]), record("c", [], error="It fell over.")]  # fmt: skip
    for _ in range(2):
        # Written anew, not added to.
        folder = write_tensorboard(tmp_path / "tensorboard", records)
    (run,) = folder.iterdir()
    assert run.name == run_name(records[0])
    events = EventAccumulator(str(run)).Reload()
    assert [(each.step, each.wall_time, each.value) for each in events.Scalars("psnr")] == [
        (100, 61.0, 20.0), (500, 301.0, 30.0),
    ]  # fmt: skip
    few = [(each.step, each.wall_time, each.value) for each in events.Scalars("psnr_of_few_views")]
    assert few == [(50, 30.5, 15.0), (100, 61.0, 19.0)]
    assert [each.value for each in events.Scalars("iou")] == [0.625, 0.625]


def test_a_folder_with_other_files_is_not_made_anew(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt is no file of TensorBoard's"):
        write_tensorboard(tmp_path, [record("a", two())])
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_curves_are_runs_of_wandb_with_the_trainings_key(tmp_path, monkeypatch):
    begun, logged, finished = [], [], []

    def init(**options):
        begun.append(options)
        return SimpleNamespace(
            log=lambda values, step: logged.append((step, values)), finish=lambda: finished.append(options["id"])
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    curve = [{"moment": 30.0, "seconds": 30.5, "steps": 50, "psnr": 15.0}]
    records = [record("a", two(), curve=curve), record("b", [], error="It fell over.")]
    assert send_to_wandb("mine", records) == 1
    assert [(each["project"], each["id"], each["config"]["label"]) for each in begun] == [
        ("mine", records[0]["key"], "a")
    ]
    assert finished == [records[0]["key"]]
    assert logged == [
        (50, {"psnr_of_few_views": 15.0, "seconds": 30.5}),
        (100, {"psnr": 20.0, "ssim": 0.5, "seconds": 61.0}),
        (500, {"psnr": 30.0, "ssim": 0.75, "seconds": 301.0}),
    ]


def test_what_wandb_does_not_take_is_one_sentence(monkeypatch):
    def init(**options):
        raise RuntimeError("no API key")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with pytest.raises(InputError, match=r"\(no API key\): run wandb login"):
        send_to_wandb("mine", [record("a", two())])


def test_several_folders_make_one_report_in_which_the_newest_finished_record_of_a_training_counts(tmp_path, capsys):
    old, new = record("a", two()), record("a", [{"budget": 60.0, "psnr": 25.0}, {"budget": 300.0, "psnr": 35.0}])
    failed = record("a", [], error="It fell over.")
    for each, date in ((old, "2026-01-01"), (new, "2026-01-02"), (failed, "2026-01-03")):
        each |= {"key": "k", "date": f"{date}T00:00:00+00:00"}
    other = record("b", two())
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    write_records(first, old)
    write_records(second, new, other)
    write_records(third, failed)
    records, complaints = read_all([first, second, third, first])
    assert [each["key"] for each in records] == [other["key"], "k"]
    assert records[1]["measured"]["results"][0]["psnr"] == 25.0
    assert len(complaints) == 2
    assert all(str(second) in words and f"that of {second} counts" in words for words in complaints[1:])
    into = tmp_path / "all"
    assert main(["report", str(first), str(second), "--output", str(into)]) == 0
    assert "| a | **25.00** | **35.00** |" in (into / "report.md").read_text()
    assert {row["label"] for row in read(into / "results.csv")} == {"a", "b"}
    assert not (first / "report.md").exists()
    assert "that of" in capsys.readouterr().err
