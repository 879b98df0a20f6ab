"""A surface against the true one, in the dataset's frame: read, checked to lie in one frame, measured both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.appearance.visibility import PointsSeen
from inr_plugins.geometry.distance.winding import WindingNumber
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.io.mesh_file import Tell
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh, is_watertight
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.geometry.repair.solid import Solid, solid_of
from inr_plugins.metrics.sampling import Inside, PointCloud, inside_mesh
from inr_plugins.metrics.seen import COUNTED_PLACES, SeenPart, Sees
from inr_plugins.metrics.surface import DEFINITIONS, surface_metrics
from inr_plugins.metrics.volume import volumetric_iou

DEFAULT_FRACTIONS = (0.005, 0.01, 0.02)
"""Thresholds of the F-score where none are given: parts of the diagonal of the truth's bounding box."""

SURFACE_DEFINITIONS = {
    **DEFINITIONS,
    "iou": "volume of both / volume of either, at the centres of a grid over the box of both; inside is where the "
    "winding number is above 1/2",
    "surface": "of a mesh, oriented outward part by part: faces, and pieces of faces, of one part that lie inside "
    "others are no surface, and none of them is drawn",
    "seen": COUNTED_PLACES,
}

# More than this between the sizes of two boxes is another unit of length, not a bad surface.
_LARGEST_RATIO = 10.0
_IOU_RESOLUTION = 128
# Near a hole every point of the grid is compared with each open edge.
_FILMED_RESOLUTION, _MOST_FILMED_EDGES = 64, 1000


@dataclass(frozen=True)
class SurfaceSettings:
    """How surfaces are compared.

    Attributes:
        thresholds: distances of the F-scores, the dataset's units; none: :data:`DEFAULT_FRACTIONS`.
        samples: points drawn from each surface.
        seed: seed of the drawing.
        iou: measure the volumetric IoU even where a mesh is not watertight.
    """

    thresholds: tuple[float, ...] = ()
    samples: int = 300_000
    seed: int = 0
    iou: bool = False


def default_thresholds(box: Float[np.ndarray, "2 3"]) -> tuple[float, ...]:
    """:data:`DEFAULT_FRACTIONS` of the diagonal of the truth's box."""
    diagonal = float(np.linalg.norm(box[1] - box[0]))
    return tuple(fraction * diagonal for fraction in DEFAULT_FRACTIONS)


def surface_box(surface: Mesh | Cloud) -> Float[np.ndarray, "2 3"]:
    """Lowest and highest corner of a mesh's vertices or a cloud's points."""
    points = surface.points if isinstance(surface, Cloud) else surface.vertices
    return np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def check_same_frame(pred: Float[np.ndarray, "2 3"], truth: Float[np.ndarray, "2 3"]) -> None:
    """Refuse a prediction and a truth whose boxes say that they are in different frames or units.

    Raises:
        InputError: the boxes do not overlap, or one is over ten times the other's size.
    """
    sizes = [float(np.linalg.norm(box[1] - box[0])) for box in (pred, truth)]
    apart = bool((np.maximum(pred[0], truth[0]) > np.minimum(pred[1], truth[1])).any())
    if not apart and max(sizes) <= _LARGEST_RATIO * min(sizes):
        return
    why = "do not overlap" if apart else f"differ {max(sizes) / max(min(sizes), 1e-300):.3g} times in size"
    raise InputError(
        f"The prediction, from {_corner(pred[0])} to {_corner(pred[1])}, and the truth, from {_corner(truth[0])} to "
        f"{_corner(truth[1])}, {why}: both must be in the dataset's frame and units, so move the truth into it."
    )


def _corner(point: Float[np.ndarray, " 3"]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in point) + ")"


def compare_surfaces(
    pred: Mesh | Cloud, truth: Mesh | Cloud, settings: SurfaceSettings, *, views: PinholeViews | None = None
) -> dict[str, Any]:
    """The record of one comparison: scores, their floor, thresholds and IoU, in units of the truth.

    Of meshes the surface is drawn from that `solid_of` leaves of their faces, as it is for training.

    Args:
        pred: the surface to judge.
        truth: what it is judged by.
        settings: how.
        views: cameras, in the frame of the truth: measure over what they see too, under "seen" of the record
            (`inr_plugins.metrics.seen`).

    Raises:
        InputError: the surfaces lie in different frames, cannot be sampled, have no inside although IoU is wanted, or
            there are views and the truth is no mesh, or they see nothing of it.
    """
    pred_box, truth_box = surface_box(pred), surface_box(truth)
    check_same_frame(pred_box, truth_box)
    thresholds = settings.thresholds or default_thresholds(truth_box)
    pred_solid, truth_solid = _solid(pred, name="prediction"), _solid(truth, name="truth")
    try:
        measured = surface_metrics(
            _measurable(pred_solid),
            _measurable(truth_solid),
            thresholds=thresholds,
            samples=settings.samples,
            seed=settings.seed,
            sees=_sees(truth_solid, views),
        )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"The surfaces cannot be compared: {error}") from error
    found = measured.to_json()
    del found["definitions"]
    boxes = np.stack([pred_box, truth_box])
    iou, missing = _iou(pred_solid, truth_solid, boxes, settings)
    if measured.seen is not None and views is not None:
        part = measured.seen.part
        seen_iou = None if iou is None else _iou(pred_solid, truth_solid, boxes, settings, part=part)[0]
        found["seen"] = {**found["seen"], "iou": seen_iou, "cameras": len(views)}
    parts = ", ".join(f"{100 * fraction:g} %" for fraction in DEFAULT_FRACTIONS)
    default = f"{parts} of the diagonal of the truth's bounding box"
    return {
        **found,
        "thresholds_from": "given" if settings.thresholds else default,
        "iou": iou,
        "iou_missing": missing,
        "prediction": {**describe_surface(pred), **_repaired(pred_solid)},
        "truth": {**describe_surface(truth), **_repaired(truth_solid)},
    }


def _sees(truth: Solid | Cloud, views: PinholeViews | None) -> Sees | None:
    """Whether the views see points past the truth; None without views."""
    if views is None:
        return None
    if isinstance(truth, Cloud):
        raise InputError(
            f"{setting('seen_only', True)} needs a true mesh, and the truth is a cloud of points, which hides nothing: "
            "leave it out."
        )
    return PointsSeen(truth.surface, views)


def _solid(surface: Mesh | Cloud, *, name: str) -> Solid | Cloud:
    """What a mesh bounds; a cloud stays one.

    Raises:
        InputError: the mesh is none; the sentence says which of the two.
    """
    if isinstance(surface, Cloud):
        return surface
    try:
        return solid_of(surface)
    except InputError as error:
        raise InputError(f"The {name} cannot be measured: {error}") from error


def _measurable(surface: Solid | Cloud) -> Mesh | PointCloud:
    """What the metrics take."""
    return surface.surface if isinstance(surface, Solid) else PointCloud(surface.points, surface.normals)


def _repaired(surface: Solid | Cloud) -> dict[str, Any]:
    """What was done to a mesh of several parts before it was measured."""
    if isinstance(surface, Cloud):
        return {}
    return {"parts": surface.parts, "turned_parts": surface.inside_out, "inner_share": surface.inner_share}


def _iou(
    pred: Solid | Cloud,
    truth: Solid | Cloud,
    boxes: Float[np.ndarray, "2 2 3"],
    settings: SurfaceSettings,
    *,
    part: SeenPart | None = None,
) -> tuple[dict[str, Any] | None, str | None]:
    """The volumetric IoU, or why there is none; over the places of a part only, if one is given."""
    if not (isinstance(pred, Solid) and isinstance(truth, Solid)):
        if settings.iou:
            raise InputError(
                f"A cloud of points has no inside, so that {setting('iou')} cannot be measured: leave it out."
            )
        return None, "a cloud of points has no inside"
    open_ones = [name for name, solid in (("prediction", pred), ("truth", truth)) if solid.open_edges]
    if open_ones and not settings.iou:
        return None, f"not watertight: {' and '.join(open_ones)} (--iou measures it all the same)"
    box = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
    try:
        filmed = any(0 < solid.open_edges <= _MOST_FILMED_EDGES for solid in (pred, truth))
        resolution = _FILMED_RESOLUTION if filmed else _IOU_RESOLUTION
        counts = None if part is None else part.counts
        found = volumetric_iou(_inside(pred), _inside(truth), box, resolution=resolution, counts=counts)
    except ValueError as error:
        raise InputError(f"The volumes cannot be compared: {error}") from error
    if not open_ones:
        return {**found.to_json(), "note": None}, None
    many = max(pred.open_edges, truth.open_edges) > _MOST_FILMED_EDGES
    how = "what lies below a hole may be wrong" if many else "holes count as closed by a film"
    return {**found.to_json(), "note": f"not watertight: {' and '.join(open_ones)}; {how}"}, None


def _inside(solid: Solid) -> Inside:
    """Where the winding number is above one half: at open meshes with a film over their holes, if those are short."""
    counted = inside_mesh(solid.mesh.vertices, solid.mesh.faces, outward=True)
    if solid.open_edges == 0 or solid.open_edges > _MOST_FILMED_EDGES:
        return counted
    winding = WindingNumber(solid.mesh, solid.cones, solid.part)
    return lambda points: winding.inside(points, counted(points))


def describe_surface(surface: Mesh | Cloud) -> dict[str, Any]:
    """What a surface is, in numbers."""
    box = surface_box(surface).tolist()
    if isinstance(surface, Cloud):
        normals = surface.normals is not None
        notes = list(surface.notes)
        return {"kind": "cloud", "points": len(surface.points), "normals": normals, "box": box, "notes": notes}
    counts = {"vertices": len(surface.vertices), "faces": len(surface.faces)}
    return {"kind": "mesh", **counts, "watertight": is_watertight(surface), "box": box}


def read_named(path: Path, *, option: str, tell: Tell) -> Mesh | Cloud:
    """Read a surface; `tell` gets a sentence for each thing that was merged or left out.

    Raises:
        InputError: as `read_surface`, naming the option that the file was given by.
    """
    found: list[str] = []
    try:
        surface = read_surface(path, tell=found.append)
    except InputError as error:
        raise InputError(f"{setting(option)}: {error.marked}") from error
    for note in [*found, *(surface.notes if isinstance(surface, Cloud) else ())]:
        tell(f"--{option} {path.name}: {note}.")
    return surface


def threshold_names(record: dict[str, Any]) -> Sequence[str]:
    """What to call a comparison's thresholds in a table."""
    if record["thresholds_from"] != "given":
        return [f"{100 * fraction:g} % of the diagonal" for fraction in DEFAULT_FRACTIONS]
    return [f"{score['threshold']:.4g}" for score in record["scores"]["thresholds"]]
