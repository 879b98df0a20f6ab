"""Records: one JSON file a training, written whole or not at all, under the key of what was asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inr_plugins.bench.peers import OF_MEASUREMENTS
from inr_plugins.errors import InputError

FORMAT = 1
FINISHED = "finished"
FAILED = "failed"
BESIDE = "beside"
"""Under this name of what was measured are the scores of a fit that knows measurements alone, and of other answers."""

Record = dict[str, Any]
"""A record as JSON holds it; `describe_protocol` and `one_job.make_record` say what is in it."""


def records_folder(output: Path) -> Path:
    """Where the records of a benchmark lie."""
    return output / "records"


def record_path(output: Path, key: str) -> Path:
    """The file of the record with this key."""
    return records_folder(output) / f"{key}.json"


def read_json(path: Path) -> Any | None:
    """What `path` holds, or None if it is not there or is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def finished_record(output: Path, key: str) -> Record | None:
    """The record of this key, if there is one and its training was measured to its end."""
    record = read_json(record_path(output, key))
    whole = isinstance(record, dict) and record.get("format") == FORMAT and record.get("status") == FINISHED
    return record if whole else None


def code_of(record: Record) -> str:
    """By which code of this package a training was measured: see machine.code_digest; "unknown" of old records."""
    return str((record.get("versions") or {}).get("code", "unknown"))


def stale_because(record: Record, now: Mapping[str, str]) -> str | None:
    """In what the code or the versions that a training was measured with are not those of now; None where they are.

    Args:
        record: of a finished training.
        now: versions of packages by their names, and under "code" the digest of this one (machine.code_digest).
    """
    then = {**(record.get("versions") or {}), "code": code_of(record)}
    for name, number in now.items():
        if name in then and then[name] != number:
            return f"{name} {then[name]}, this is {number}"
    return None


def read_records(output: Path) -> tuple[list[Record], list[str]]:
    """All records of a benchmark, oldest first, and a sentence on each file that is none.

    Raises:
        InputError: there is no such folder, or there are no records in it.
    """
    folder = records_folder(output)
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    found: list[Record] = []
    complaints = []
    for file in files:
        record = read_json(file)
        if isinstance(record, dict) and record.get("format") == FORMAT and isinstance(record.get("definition"), dict):
            found.append(record)
        else:
            complaints.append(f"{file} is not a record of this version, and is left out.")
    if not found:
        raise InputError(f"There are no records in {folder}: give a folder that inr-bench run wrote (--output).")
    return sorted(found, key=lambda record: str(record.get("date"))), complaints


def read_all(outputs: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The records of several benchmarks as of one; of those with one key the newest that finished, else the newest.

    Raises:
        InputError: see read_records.
    """
    complaints: list[str] = []
    best: dict[str, tuple[bool, str, Record, Path]] = {}
    for output in dict.fromkeys(outputs):
        records, about = read_records(output)
        complaints += about
        for record in records:
            key = str(record.get("key"))
            rank = (record.get("status") == FINISHED, str(record.get("date")), record, output)
            other = best.get(key)
            if other is not None:
                kept = max(rank, other, key=lambda each: each[:2])
                complaints.append(
                    f"The training {key} has records in {other[3]} and {output}: that of {kept[3]} counts."
                )
                rank = kept
            best[key] = rank
    found = [record for _, _, record, _ in best.values()]
    return sorted(found, key=lambda record: str(record.get("date"))), complaints


def describe_protocol(definition: Record) -> list[str]:
    """The protocol in sentences, for a record and a report."""
    in_seconds = definition["unit"] == "seconds"
    every = definition["eval_every_view"]
    which = "every test view" if every == 1 else f"every {every}th test view (five at least)"
    stride = definition["eval_pixel_stride"]
    how = "PSNR and SSIM (Gaussian window of 11, inside the image) are means of each image's value"
    if stride > 1:
        which = f"every {stride}th row and column of {which}"
        how = "PSNR is the mean of each image's value"
    length = (
        "A training has its method's own length and learning-rate schedule and is stopped by the clock; budgets are "
        "moments of one training."
        if in_seconds
        else "A training has as many steps as the largest budget (--max-num-iterations); smaller ones are its moments."
    )
    return [
        length,
        "The clock starts when the data is loaded, with what a model does to prepare itself (the sphere of a surface, "
        "the regression of nid-fit), and stands still during evaluation. A step that has begun as a budget ends "
        "counts. Start-up is given apart.",
        *_about_pictures(definition, which, how),
        *_about_meshes(definition.get("mesh_resolution", 0)),
        "Peak memory is that of the training process during training, without evaluation and without loading "
        "processes; on a GPU, what torch has allocated there.",
    ]


def _about_pictures(definition: Record, which: str, how: str) -> list[str]:
    if definition["method"] in OF_MEASUREMENTS:
        return [
            "Quality: what is looked for, where it is known, which training does not see but by its measurements; PSNR "
            "and SSIM of its pictures, clamped to [0, 1] in float32. Else measurements that were held out."
        ]
    if definition["scene"]["parser"] == "signal-data":
        stride = definition["eval_pixel_stride"]
        part, and_ssim = f", every {stride}th row and column", ""
        if stride == 1:
            part, and_ssim = "", " and SSIM (Gaussian window of 11, inside the image)"
        return [
            f"Quality: the image that training learns{part}, in its own pixels, over white where it has alpha; PSNR of "
            f"its colours{and_ssim}, clamped to [0, 1] in float32."
        ]
    if definition["scene"]["parser"] == "video-data":
        return [
            f"Quality: frames of the video that training learns ({which.replace('test view', 'frame')}), over white "
            "where they have alpha; PSNR of their colours, clamped to [0, 1] in float32. Of nid-video that is the "
            "background beside all that is seen, and the scores beside it are of the background and the foreground."
        ]
    return [
        f"Quality: {which}, held out from training, over white where images have alpha, and outside of masks "
        f"for methods that learn the masked object alone; {how}, of colours clamped to [0, 1] in float32.",
        f"The curve: PSNR of {definition['curve_views']} of these views.",
    ]


def _about_meshes(resolution: int) -> list[str]:
    if not resolution:
        return []
    return [
        f"Surfaces: the mesh as `inr-mesh --resolution {resolution}` makes it, against the shape's own file or the "
        "mesh that a made scene was rendered from, where there is one; 100,000 points of each, IoU on a grid of 128^3."
    ]


def scene_names(records: Sequence[Record]) -> list[str]:
    """Names of the scenes in `records`, each once, in order of appearance."""
    return list(dict.fromkeys(record["definition"]["scene"]["name"] for record in records))
