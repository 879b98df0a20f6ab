"""What is said of a dataset that was made: report.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from inr_plugins.geometry.frames import Similarity
from inr_plugins.photos.dataset import View
from inr_plugins.photos.failures import Evidence, fixed_to_the_picture, is_fixed, some, why_not_placed
from inr_plugins.photos.measure import KnownLength
from inr_plugins.photos.model import Model
from inr_plugins.photos.pictures import fitted
from inr_plugins.photos.sources import Source
from inr_plugins.photos.upright import Up

_UNITS = "the median distance from a camera to what it sees is 1"
_MANY = 0.1
_OTHER_FOCAL, _FEWEST_OFF = 0.04, 2
"""How far, by its logarithm, the focal length of a photo is from the middle one where it seems to be of another lens;
and how many such photos there have to be."""


def describe(
    found: Source,
    evidence: Evidence | None,
    failed: dict[str, str],
    model: Model,
    views: Sequence[View],
    *,
    notes: Sequence[str],
    up: Up,
    length: KnownLength | None,
    frame: Similarity,
    max_size: int,
) -> dict[str, Any]:
    """The report, JSON.

    Args:
        found: the photos.
        evidence: what was found in them, by their names; None where the poses came with them.
        failed: why photos could not be read, by their names.
        model: the reconstruction.
        views: the photos of the dataset.
        notes: sentences on what was given beside the photos.
        up: where it is.
        length: that was known.
        frame: from the reconstruction's frame to the dataset's.
        max_size: of the images' longer side, pixels.
    """
    without = dict(failed)
    if evidence is not None:
        without |= {name: why_not_placed(name, evidence) for name in evidence.names if name not in evidence.placed}
    without |= found.unreadable
    return {
        "registered": len(views),
        "photos": len(views) + len(without),
        "not_registered": [{"photo": name, "why": why} for name, why in without.items()],
        "points": len(model.points),
        "reprojection_error_pixels": round(model.reprojection, 4),
        "lenses": [_lens(number, model, views, max_size) for number in sorted({view.placed.camera for view in views})],
        "frame": "that of COLMAP's reconstruction, turned so that z points up, and scaled; right-handed",
        "units": "metres" if length is not None else _UNITS,
        "from_colmap": frame.matrix.tolist(),
        "up": {"means": up.means, "direction_in_colmap": up.direction.tolist(), "tilt_degrees": round(up.tilt, 2)},
        "known_length": None
        if length is None
        else {"metres": length.metres, "in_colmap": length.length, "ends": list(length.ends)},
        "notes": [*found.notes, *notes, *doubts(evidence, up)],
        "views": [
            {"photo": view.photo.name, "points": len(view.placed.points), "features": view.placed.features}
            for view in views
        ],
    }


def _lens(number: int, model: Model, views: Sequence[View], max_size: int) -> dict[str, Any]:
    """A lens as it was found, and what EXIF says of it."""
    mine = [view.photo for view in views if view.placed.camera == number]
    lens, by_exif = model.lenses[number], mine[0].lens.focal
    diagonal = math.hypot(*fitted(mine[0].size, max_size))
    return {
        "camera": mine[0].lens.camera,
        "photos": len(mine),
        "size": [int(lens.width), int(lens.height)],
        "focal_by_exif": None if by_exif is None else round(by_exif * diagonal, 2),
        "focal": round(float(lens.mean_focal_length()), 2),
        "model": str(lens.model_name),
        "params": [float(value) for value in lens.params],
    }


def unused_masks(names: Sequence[str]) -> list[str]:
    """The note on masks that belong to no photo, where there are some."""
    if not names:
        return []
    head = "One mask belongs" if len(names) == 1 else f"{len(names)} masks belong"
    return [f"{head} to no photo, and {'is' if len(names) == 1 else 'are'} not used ({some(names)})."]


def doubts(evidence: Evidence | None, up: Up) -> list[str]:
    """Sentences on what may not be as it is wanted."""
    notes = []
    if up.means == "mean":
        notes.append(
            "Where up is could not be told from how level the cameras are, and their mean was taken: see whether it is "
            "right, and name another axis of the reconstruction with --up if not."
        )
    if evidence is None:
        return notes
    if is_fixed(evidence):
        notes.append(f"The poses may be those of the wrong thing: {fixed_to_the_picture(evidence)}")
    notes += _lens_doubts(evidence.focal_ratios)
    other = evidence.largest_other()
    if len(other) > _MANY * len(evidence.names):
        notes.append(
            f"{len(other)} photos fit together among themselves but not with the rest ({some(other)}): leave them out "
            "if they show another thing, or photograph the way between them."
        )
    return notes


def _lens_doubts(ratios: Mapping[str, float]) -> list[str]:
    """The note on photos that share a lens and do not seem to be of one."""
    if not ratios:
        return []
    middle = median(ratios.values())
    off = [name for name, ratio in ratios.items() if abs(math.log(ratio / middle)) > _OTHER_FOCAL]
    if len(off) < _FEWEST_OFF:
        return []
    least, most = min(off, key=ratios.__getitem__), max(off, key=ratios.__getitem__)
    return [
        f"{len(off)} of {len(ratios)} photos that were taken for one lens's seem to be of another focal length (from "
        f"{ratios[least]:.2f} times in {least} to {ratios[most]:.2f} times in {most}): if the camera was changed or "
        "zoomed, begin anew with --cameras each --overwrite."
    ]
