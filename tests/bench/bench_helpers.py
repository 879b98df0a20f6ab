"""Small datasets, jobs and hand-written records for the tests of benchmarks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from inr_plugins.bench.plan import Job, Protocol
from inr_plugins.bench.record import FAILED, FINISHED, FORMAT, record_path
from inr_plugins.bench.scenes import Scene
from inr_plugins.bench.workplace import Workplace
from inr_plugins.files import write_json


def write_blender(folder: Path, *, train: int = 4, test: int = 3, size: tuple[int, int] = (12, 8)) -> Path:
    """Write a Blender-format dataset of grey images."""
    for split, count in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(count):
            Image.new("RGBA", size, (index, 100, 100, 255)).save(folder / split / f"r_{index}.png")
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": [[1, 0, 0, index]]})
        (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    return folder


def scene(name: str = "ball", *, digest: str = "0" * 16) -> Scene:
    """A scene that is nowhere on the disk."""
    return Scene(name, Path("/nowhere") / name, "blender-data", digest, (12, 8), 4, 3)


def job(label: str = "a", *, seed: int = 0, where: Scene | None = None) -> Job:
    """A job of one second."""
    protocol = Protocol("seconds", (1.0,), device="cpu")
    return Job(label, label, (), (), where or scene(), seed, protocol)


def stand_in(code: str):
    """A command_of for run_jobs: a Python process that runs `code` with RESULT, PROGRESS and LABEL defined."""

    def command_of(job: Job, place: Workplace) -> list[str]:
        names = f"RESULT = {str(place.result)!r}; PROGRESS = {str(place.progress)!r}; LABEL = {job.label!r}\n"
        return [sys.executable, "-c", names + code]

    return command_of


def measured(results: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """What a job's process measures; each result needs budget and psnr, the rest has defaults."""
    full = [
        {"seconds": each["budget"], "steps": 10, "ssim": None, "ended_by_itself": False, "views": [], **each}
        for each in results
    ]
    curve = [{"moment": each["budget"], "seconds": each["seconds"], "steps": 10, "psnr": each["psnr"]} for each in full]
    return {
        "startup_seconds": 8.0,
        "rays_per_step": 100,
        "rays_per_second": 1000.0,
        "steps_per_second": 10.0,
        "curve": curve,
        "results": full,
        "peak_memory_gb": 2.0,
        "peak_memory_is_of_training_alone": True,
        "peak_device_memory_gb": None,
        **changes,
    }


def record(
    label: str,
    results: list[dict[str, Any]],
    *,
    scene_name: str = "ball",
    seed: int = 0,
    preset: str | None = None,
    unit: str = "seconds",
    error: str | None = None,
    resolution: tuple[int, int] = (400, 400),
    train_views: int = 100,
    date: str = "2026-01-01T00:00:00+00:00",
    cpu: str = "a processor",
    **changes: Any,
) -> dict[str, Any]:
    """A record as the runner writes it, from hand-written numbers."""
    budgets = [each["budget"] for each in results] or [60.0]
    return {
        "format": FORMAT,
        "key": f"{label}-{scene_name}-{seed}-{date}".replace(" ", "_").replace(":", ""),
        "status": FINISHED if error is None else FAILED,
        "error": error,
        "definition": {
            "label": label,
            "method": label,
            "options": [],
            "settings": [],
            "scene": {"name": scene_name, "digest": "0", "parser": "blender-data"},
            "seed": seed,
            "unit": unit,
            "budgets": budgets,
            "eval_every_view": 1,
            "eval_pixel_stride": 1,
            "curve_points": 6,
            "curve_views": 2,
            "device": "cpu",
            "budgets_of_preset": preset is not None,
            "preset": preset,
        },
        "scene": {"folder": "x", "resolution": list(resolution), "train_views": train_views, "test_views": 3},
        "versions": {"python": "3.11"},
        "hardware": {"cpu": cpu, "cores": 2, "memory_gb": 8.0, "system": "Linux", "gpus": []},
        "environment": {},
        "load_average": {"before": 0.5, "after": 1.0},
        "date": date,
        "measured": None if error is not None else measured(results, **changes),
    }


def write_records(output: Path, *records: dict[str, Any]) -> Path:
    """Write records where a benchmark would."""
    (output / "records").mkdir(parents=True, exist_ok=True)
    for each in records:
        write_json(record_path(output, each["key"]), each)
    return output
