"""A reconstruction of COLMAP's in plain arrays: cameras that were placed, points that they see, lenses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from inr_plugins.photos.pycolmap_import import import_pycolmap


@dataclass(frozen=True)
class Placed:
    """A picture whose camera was placed.

    Attributes:
        name: of the picture in the reconstruction.
        camera: number of its lens in the reconstruction.
        pose: camera to world in the frame of the reconstruction; OpenCV's axes (x right, y down, z forward).
        pixels: where in the picture points of the reconstruction are seen, (column, row), the corner of the picture
            being (0, 0).
        points: the row of each of these points in `Model.points`.
        features: how many features the picture has.
    """

    name: str
    camera: int
    pose: Float[np.ndarray, "4 4"]
    pixels: Float[np.ndarray, "m 2"]
    points: Int[np.ndarray, " m"]
    features: int


@dataclass(frozen=True)
class Model:
    """A reconstruction.

    Attributes:
        placed: the pictures with a pose, in the order of their names.
        lenses: pycolmap's Camera of each number.
        points: positions.
        colours: of the points.
        errors: mean distance in pixels between where a point is seen and where it should be.
        reprojection: the mean of that over all observations, pixels.
    """

    placed: tuple[Placed, ...]
    lenses: dict[int, Any]
    points: Float[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"]
    errors: Float[np.ndarray, " n"]
    reprojection: float

    @property
    def rotations(self) -> Float[np.ndarray, "k 3 3"]:
        """Camera to world of the placed pictures."""
        return np.stack([each.pose[:3, :3] for each in self.placed])

    @property
    def positions(self) -> Float[np.ndarray, "k 3"]:
        """Where the placed cameras stand."""
        return np.stack([each.pose[:3, 3] for each in self.placed])

    def distance_of_sight(self) -> float:
        """The median over pictures of the median distance to the points that they see; 1 where they see none."""
        each = [
            float(np.median(np.linalg.norm(self.points[one.points] - one.pose[:3, 3], axis=1)))
            for one in self.placed
            if len(one.points)
        ]
        return float(np.median(each)) if each else 1.0


def read_model(folder: Path) -> Model:
    """Read cameras, images and points3D, .bin or .txt, from a folder.

    Raises:
        InputError: pycolmap is missing.
        RuntimeError: or ValueError, of pycolmap, where the files cannot be read.
    """
    pycolmap = import_pycolmap()
    stored = pycolmap.Reconstruction(str(folder))
    rows, points, colours, errors = dict[int, int](), [], [], []
    for number, point in sorted(stored.points3D.items()):
        rows[number] = len(rows)
        points.append(point.xyz)
        colours.append(point.color)
        errors.append(point.error)
    images = sorted((stored.image(each) for each in stored.reg_image_ids()), key=lambda each: each.name)
    return Model(
        placed=tuple(_placed(image, rows) for image in images),
        lenses=dict(stored.cameras.items()),
        points=np.array(points, dtype=np.float64).reshape(-1, 3),
        colours=np.array(colours, dtype=np.uint8).reshape(-1, 3),
        errors=np.array(errors, dtype=np.float64),
        reprojection=float(stored.compute_mean_reprojection_error()),
    )


def _placed(image: Any, rows: dict[int, int]) -> Placed:
    pose = np.eye(4)
    pose[:3] = image.cam_from_world().inverse().matrix()
    seen = [(point.xy, rows[point.point3D_id]) for point in image.points2D if point.point3D_id in rows]
    return Placed(
        name=image.name,
        camera=int(image.camera_id),
        pose=pose,
        pixels=np.array([xy for xy, _ in seen], dtype=np.float64).reshape(-1, 2),
        points=np.array([row for _, row in seen], dtype=np.int64),
        features=int(image.num_points2D()),
    )
