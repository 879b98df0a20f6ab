"""Records for other tools: a table of all numbers, curves for TensorBoard and Weights & Biases."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inr_plugins import files
from inr_plugins.bench.record import FINISHED, Record, code_of
from inr_plugins.bench.surfaces import IOU, SURFACE_NUMBERS, surface_value
from inr_plugins.errors import InputError

RESULTS = "results.csv"
TENSORBOARD = "tensorboard"

_OF_RESULT = ("seconds", "steps", "psnr", "ssim", "silhouette_iou")
_OF_MEASURED = ("startup_seconds", "rays_per_second", "steps_per_second", "peak_memory_gb", "peak_device_memory_gb")
_COLUMNS = (
    *("key", "status", "preset", "label", "method", "options", "scene", "seed", "unit", "budget"),
    *_OF_RESULT,
    *SURFACE_NUMBERS,
    IOU,
    *(f"seen_{name}" for name in (*SURFACE_NUMBERS, IOU)),
    *_OF_MEASURED,
    *("parts", "seconds_of_all_parts"),
    *("device", "neighbours", "load_before", "cpu", "gpus", "code", "date"),
)


def result_rows(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """One row for each budget of each training; of one that failed a row without numbers.

    Surfaces go by the box of the truth, as in reports: `chamfer` in percent of its diagonal.
    """
    for record in records:
        definition, measured = record["definition"], record["measured"] or {}
        resumed = record.get("resumed")
        common = {name: definition[name] for name in ("preset", "label", "method", "seed", "unit", "device")}
        common |= {
            "key": record["key"],
            "status": record["status"],
            "options": " ".join(definition["options"]),
            "scene": definition["scene"]["name"],
            **{name: measured.get(name) for name in _OF_MEASURED},
            "parts": len(resumed["parts"]) if resumed else 1,
            "seconds_of_all_parts": resumed["seconds"] if resumed else record.get("wall_seconds"),
            "neighbours": record.get("neighbours"),
            "load_before": (record.get("load_average") or {}).get("before"),
            "cpu": record["hardware"]["cpu"],
            "gpus": "; ".join(record["hardware"]["gpus"]),
            "code": code_of(record),
            "date": record.get("date"),
        }
        for result in measured.get("results") or [None]:
            numbers: dict[str, Any] = {}
            if result is not None:
                numbers = {"budget": result["budget"], **{name: result.get(name) for name in _OF_RESULT}}
                for name in (*SURFACE_NUMBERS, IOU):
                    numbers[name] = surface_value(result, name)
                    numbers[f"seen_{name}"] = surface_value(result, name, seen=True)
            yield {**common, **numbers}


def write_results(path: Path, records: Sequence[Record]) -> None:
    """Write `result_rows` as a CSV file with a line of headings; what was not measured is empty.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result_rows(records))
    files.write_text(path, text.getvalue())


def _curve(record: Record) -> list[tuple[int, float, dict[str, float]]]:
    """Steps, seconds and numbers of a training's curve and of its budgets, in order."""
    points: dict[int, tuple[float, dict[str, float]]] = {}
    for point in record["measured"]["curve"]:
        if point["psnr"] is not None:
            points[point["steps"]] = (point["seconds"], {"psnr_of_few_views": point["psnr"]})
    for result in record["measured"]["results"]:
        found = {name: result.get(name) for name in ("psnr", "ssim")}
        found |= {name: surface_value(result, name) for name in (*SURFACE_NUMBERS, IOU)}
        numbers = points.get(result["steps"], (0.0, {}))[1]
        numbers |= {name: float(value) for name, value in found.items() if value is not None}
        points[result["steps"]] = (result["seconds"], numbers)
    return [(steps, seconds, numbers) for steps, (seconds, numbers) in sorted(points.items())]


def _finished(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record["status"] == FINISHED]


def run_name(record: Record) -> str:
    """What a training is called where curves are shown, in letters that a folder's name may have."""
    definition = record["definition"]
    name = f"{definition['label']} {definition['scene']['name']} seed {definition['seed']} {record['key'][:6]}"
    return "".join(letter if letter.isalnum() or letter in " .,()=-+" else "_" for letter in name)


def write_tensorboard(folder: Path, records: Sequence[Record]) -> Path:
    """Write the curves of finished trainings as TensorBoard's event files, a folder each, anew each time.

    The wall time of a point is the training's clock, which begins in 1970: TensorBoard's "relative" is seconds of
    training.

    Raises:
        InputError: the folder is there, and TensorBoard's files are not all that it holds.
        OSError: it cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    if folder.is_dir():
        others = [path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name]
        if others:
            raise InputError(f"{others[0]} is no file of TensorBoard's: move it out of {folder}, which is made anew.")
        shutil.rmtree(folder)
    for record in _finished(records):
        with SummaryWriter(str(folder / run_name(record))) as writer:
            for steps, seconds, numbers in _curve(record):
                for name, value in numbers.items():
                    writer.add_scalar(name, value, steps, walltime=seconds)
    return folder


def send_to_wandb(project: str, records: Sequence[Record]) -> int:
    """Send the curves of finished trainings to a project of Weights & Biases, a run each; how many.

    A run has the training's key as its id, so that it is the same run when it is sent again.

    Raises:
        InputError: wandb is not installed, or does not take them.
    """
    try:
        import wandb
    except ImportError as error:
        raise InputError("wandb is not installed: pip install wandb.") from error

    finished = _finished(records)
    try:
        for record in finished:
            definition = record["definition"]
            settings = {**definition, "versions": record["versions"], "hardware": record["hardware"]}
            run = wandb.init(
                project=project, id=record["key"], name=run_name(record), group=definition["scene"]["name"],
                config=settings, resume="allow", reinit=True,
            )  # fmt: skip
            for steps, seconds, numbers in _curve(record):
                run.log({**numbers, "seconds": seconds}, step=steps)
            run.finish()
    except Exception as error:
        raise InputError(
            f"Weights & Biases has not taken the curves ({error}): run wandb login, or set WANDB_MODE=offline."
        ) from error
    return len(finished)
