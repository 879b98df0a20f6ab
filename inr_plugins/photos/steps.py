"""From photos to a reconstruction: features, comparing, placing the cameras, each step kept as soon as it is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from inr_plugins.files import replacing, write_json, write_text
from inr_plugins.photos.failures import Evidence
from inr_plugins.photos.lenses import LensGroup
from inr_plugins.photos.options import PhotoOptions
from inr_plugins.photos.pairs import MOST_FOR_ALL, all_pairs, pairs_in_sequence
from inr_plugins.photos.pictures import UNREADABLE, Photo, pixels_of
from inr_plugins.photos.pycolmap_import import import_pycolmap
from inr_plugins.photos.solve import LOG, run_step
from inr_plugins.photos.work import Work, read_json
from inr_plugins.progress import Bar

_WORKERS = 2
_GREY = 128
_LEAST_INLIERS = 15
_AT_ONE_PLACE = 1.0
"""Pixels that what two photos have in common is apart in them at the most, by the median, to be at one place."""


def threads() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def prepare(photos: Sequence[Photo], names: Sequence[str], work: Work, *, max_size: int, tell: Bar) -> dict[int, str]:
    """Write the pictures that COLMAP compares: upright, small enough, opaque; those that are there stay.

    Args:
        photos: the photos.
        names: of the pictures, one for each photo.
        work: where to.
        max_size: of the longer side, in pixels.
        tell: of progress.

    Returns:
        Why a photo could not be read, by its number.
    """
    work.pictures.mkdir(parents=True, exist_ok=True)
    failed = dict[int, str]()

    def one(number: int) -> None:
        path = work.pictures / names[number]
        if path.exists():
            return
        try:
            pixels = pixels_of(photos[number], max_size)
        except UNREADABLE as error:
            failed[number] = f"does not decode ({' '.join(str(error).split()) or type(error).__name__})"
            return
        if pixels.shape[2] == 4:
            alpha = pixels[..., 3:].astype(np.float32) / 255
            pixels = np.round(pixels[..., :3] * alpha + _GREY * (1 - alpha)).astype(np.uint8)
        with replacing(path, durable=False) as partial:
            image = Image.fromarray(pixels)
            if path.suffix == ".jpg":
                image.save(partial, format="JPEG", quality=95, subsampling=0)
            else:
                image.save(partial, format="PNG", compress_level=1)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for done, _ in enumerate(pool.map(one, range(len(photos))), start=1):
            tell("Reading photos", done, len(photos))
    return failed


def find_poses(
    names: Sequence[str],
    groups: Sequence[LensGroup],
    work: Work,
    options: PhotoOptions,
    *,
    in_sequence: bool,
    tell: Bar,
) -> tuple[Evidence, Path]:
    """Find features, compare photos, and place their cameras; what has been done before is not done again.

    Args:
        names: of the pictures in `work`, "" for one that could not be read.
        groups: the lenses.
        work: the pictures; the reconstructions go there too.
        options: how.
        in_sequence: whether the photos follow each other.
        tell: of progress.

    Returns:
        What was found, by the names of the pictures, and the folder of the largest model.

    Raises:
        RuntimeError: pycolmap failed.
        MemoryError: the memory did not suffice.
    """
    used = [name for name in names if name]
    common = {"database": str(work.database), "pictures": str(work.pictures), "threads": threads()}
    log = work.folder / LOG
    lenses = [
        {"names": [names[each] for each in group.numbers if names[each]], "model": group.model, "params": group.params}
        for group in groups
    ]
    job = {**common, "groups": [each for each in lenses if each["names"]], "max_features": options.max_features}
    run_step(
        "features",
        job,
        log=log,
        on_progress=lambda done: tell("Finding features", done, len(used)),
        counted="descriptors",
    )
    tell("Finding features", len(used), len(used))

    wants_all = options.matching == "all" or (
        options.matching == "auto" and not in_sequence and len(used) <= MOST_FOR_ALL
    )
    pairs = all_pairs(len(used)) if wants_all else pairs_in_sequence(len(used))
    listed = work.folder / "pairs.txt"
    write_text(listed, "".join(f"{used[first]} {used[second]}\n" for first, second in pairs), durable=False)
    job = {**common, "list": str(listed), "seed": options.seed}
    run_step(
        "matches",
        job,
        log=log,
        on_progress=lambda done: tell("Comparing photos", done, len(pairs)),
        counted="two_view_geometries",
    )
    tell("Comparing photos", len(pairs), len(pairs))

    models, ratios = _place(common, work, options, log, count=len(used), tell=tell)
    evidence = _evidence(used, work.database, models, ratios)
    write_json(work.outcome, _as_json(evidence, [folder for folder, _ in models]), durable=False)
    return evidence, work.models / (models[0][0] if models else "0")


def _place(
    common: dict[str, object], work: Work, options: PhotoOptions, log: Path, *, count: int, tell: Bar
) -> tuple[list[tuple[str, list[str]]], dict[str, float]]:
    """The folders and names of the models, the largest first, and the `focal_ratios` of that."""
    shutil.rmtree(work.models, ignore_errors=True)
    work.models.mkdir()
    job = {**common, "models": str(work.models), "seed": options.seed}
    found = run_step("mapping", job, log=log, on_progress=lambda done: tell("Placing cameras", min(done, count), count))
    tell("Placing cameras", count, count)
    return [(str(folder), list(names)) for folder, names in found["models"]], found["focal_ratios"]


def _evidence(
    names: Sequence[str], database: Path, models: Sequence[tuple[str, list[str]]], ratios: dict[str, float]
) -> Evidence:
    """What the database knows of the photos and their pairs."""
    pycolmap = import_pycolmap()
    kinds = pycolmap.TwoViewGeometryConfiguration
    still_kinds = {int(kinds.PANORAMIC), int(kinds.PLANAR_OR_PANORAMIC), int(kinds.PLANAR)}
    matches, still, fixed = dict[tuple[str, str], int](), set[tuple[str, str]](), set[tuple[str, str]]()
    with pycolmap.Database.open(str(database)) as opened:
        by_number = {image.image_id: image.name for image in opened.read_all_images()}
        places = {number: opened.read_keypoints(number)[:, :2] for number in by_number}
        for pair, geometry in zip(*opened.read_two_view_geometries(), strict=True):
            numbers, same = pycolmap.pair_id_to_image_pair(pair), geometry.inlier_matches
            first, second = sorted(by_number[number] for number in numbers)
            if len(same) >= _LEAST_INLIERS:
                matches[first, second] = len(same)
                if int(geometry.config) in still_kinds:
                    still.add((first, second))
                moved = places[numbers[0]][same[:, 0]] - places[numbers[1]][same[:, 1]]
                if np.median(np.abs(moved).max(axis=1)) < _AT_ONE_PLACE:
                    fixed.add((first, second))
    return Evidence(
        names=tuple(names),
        features={by_number[number]: len(each) for number, each in places.items()},
        matches=matches,
        still=frozenset(still),
        groups=tuple(frozenset(each) for _, each in models),
        fixed=frozenset(fixed),
        focal_ratios=ratios,
    )


def _as_json(evidence: Evidence, folders: Sequence[str]) -> dict[str, object]:
    return {
        "names": list(evidence.names),
        "features": evidence.features,
        "matches": [[*pair, count] for pair, count in evidence.matches.items()],
        "still": [list(pair) for pair in sorted(evidence.still)],
        "fixed": [list(pair) for pair in sorted(evidence.fixed)],
        "focal_ratios": dict(evidence.focal_ratios),
        "groups": [sorted(group) for group in evidence.groups],
        "folders": list(folders),
    }


def outcome(work: Work) -> tuple[Evidence, Path] | None:
    """What came of placing the cameras before, and the folder of the largest model; None where it has not been done."""
    stored = read_json(work.outcome)
    if stored is None:
        return None
    evidence = Evidence(
        names=tuple(stored["names"]),
        features=stored["features"],
        matches={(first, second): count for first, second, count in stored["matches"]},
        still=frozenset((first, second) for first, second in stored["still"]),
        groups=tuple(frozenset(group) for group in stored["groups"]),
        # Datasets of earlier versions have neither.
        fixed=frozenset((first, second) for first, second in stored.get("fixed", ())),
        focal_ratios=stored.get("focal_ratios", {}),
    )
    return evidence, work.models / (stored["folders"] or ["0"])[0]
