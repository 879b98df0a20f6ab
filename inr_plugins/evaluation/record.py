"""The JSON record of an evaluation: all that it takes to believe the numbers and to measure them again."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from inr_plugins import machine
from inr_plugins.errors import InputError
from inr_plugins.evaluation.backgrounds import BACKGROUND_DEFINITION
from inr_plugins.evaluation.images import IMAGE_DEFINITIONS
from inr_plugins.evaluation.judge import Settings
from inr_plugins.evaluation.runs import distinct
from inr_plugins.evaluation.silhouettes import SILHOUETTE_DEFINITION
from inr_plugins.evaluation.surfaces import SURFACE_DEFINITIONS
from inr_plugins.files import write_json


def make_record(
    entries: Sequence[Mapping[str, Any]],
    configs: Sequence[Path],
    settings: Settings,
    *,
    failed: Mapping[Path, str] | None = None,
    pending: Sequence[Path] = (),
    folder: Path,
    command: str,
) -> dict[str, Any]:
    """The record of all entries; paths are relative to `folder`, where it will lie.

    Args:
        entries: what judge.judge_run or judge.judge_mesh returned, one a run.
        configs: the runs' config.yml, or none for a mesh without a run.
        settings: what was measured.
        failed: config.yml of runs that could not be, and why.
        pending: config.yml of runs whose turn has not come yet.
        folder: where the record will lie.
        command: the command line.
    """
    methods = [str(entry["method"] or (settings.mesh.name if settings.mesh else "run")) for entry in entries]
    labels = distinct(methods, [config.parent.name for config in configs] or [""])
    runs = []
    for place, (label, entry) in enumerate(zip(labels, entries, strict=True)):
        config = relative_path(configs[place], to=folder) if configs else None
        surface = entry["surface"]
        if surface is not None:
            files = {key: surface[key] for key in ("truth_file", "prediction_file")}
            named = {key: None if file is None else relative_path(file, to=folder) for key, file in files.items()}
            surface = {**surface, **named}
        runs.append({"label": label, "config": config, **entry, "surface": surface})
    device = next((str(entry["device"]) for entry in entries if entry["device"]), "cpu")
    return {
        "made_by": f"inr-eval {version('inr-plugins')}",
        "command": command,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "paths": "relative to the folder of this record; image files to that of their dataset",
        "protocol": _protocol(settings),
        "versions": machine.versions(),
        "hardware": {**machine.hardware(device=device), "torch_threads": torch.get_num_threads()},
        "runs": runs,
        "failed": [
            {"config": relative_path(config, to=folder), "reason": reason} for config, reason in (failed or {}).items()
        ],
        "pending": [relative_path(config, to=folder) for config in pending],
    }


def _protocol(settings: Settings) -> dict[str, Any]:
    """What was asked for, and what every number means."""
    asked = settings.surface
    return {
        "images": {
            "split": settings.split,
            "every": settings.every,
            "views": settings.views,
            "background": settings.background or "white under alpha, else the model's own",
            "backgrounds": BACKGROUND_DEFINITION,
            "definitions": IMAGE_DEFINITIONS,
        },
        "surface": {
            "samples": asked.samples,
            "seed": asked.seed,
            "thresholds": list(asked.thresholds) or None,
            "frame": "the dataset's",
            "seen_only": settings.seen_only,
            "definitions": SURFACE_DEFINITIONS,
        },
        "silhouettes": {"measured": settings.silhouettes, "definition": SILHOUETTE_DEFINITION},
    }


def relative_path(path: Path, *, to: Path) -> str:
    """`path` as seen from the folder `to`, so that a record that moves with its run stays true."""
    return Path(os.path.relpath(path.resolve(), to.resolve())).as_posix()


def jsonable(value: Any) -> Any:
    """`value` with tuples as lists and numbers that JSON has no word for (NaN, infinities) as None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write `record` as JSON so that at every moment `path` is as it was before or complete.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    try:
        write_json(path, jsonable(record))
    except OSError as error:
        raise InputError(f"{path} could not be written ({error.strerror}): give another place.") from error
