"""Whether photos that share a lens were taken with one: what focal length each of them has by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from inr_plugins.photos.pycolmap_import import import_pycolmap

_FEWEST_POINTS = 20
_FEWEST_PHOTOS = 3
_MOST = 3.0
"""Times that a focal length may be another, or be part of it; beyond that, a photo's points do not tell it."""


def focal_ratios(model: Any) -> dict[str, float]:
    """The focal length of each photo by the points that it sees, over that of the lens it shares with others.

    Its pose and its focal length are refined together, and points stay where they are: they were placed with one focal
    length for all, and even so pull that of a photo of another lens towards its own.

    Args:
        model: a Reconstruction.

    Returns:
        By the names of pictures; those that share their lens with too few, or whose points do not tell, are left
            out.
    """
    pycolmap = import_pycolmap()
    options = pycolmap.AbsolutePoseRefinementOptions(refine_focal_length=True)
    by_lens, found = dict[int, list[Any]](), dict[str, float]()
    for number in sorted(model.reg_image_ids()):
        by_lens.setdefault(model.image(number).camera_id, []).append(model.image(number))
    for number, images in by_lens.items():
        lens = model.camera(number)
        focal, centre = lens.mean_focal_length(), np.array([lens.width, lens.height]) / 2
        for image in images if len(images) >= _FEWEST_PHOTOS else []:
            seen = [point for point in image.points2D if point.has_point3D()]
            if len(seen) < _FEWEST_POINTS:
                continue
            points = np.array([model.point3D(point.point3D_id).xyz for point in seen])
            # As a pinhole in the middle sees them: the lens's distortion is known by all of its photos.
            pixels = lens.cam_from_img(np.array([point.xy for point in seen])) * focal + centre
            own = pycolmap.Camera(model="SIMPLE_PINHOLE", width=lens.width, height=lens.height, params=[focal, *centre])
            inliers = np.ones(len(seen), dtype=bool)
            pycolmap.refine_absolute_pose(image.cam_from_world(), pixels, points, inliers, own, options)
            ratio = own.mean_focal_length() / focal
            if 1 / _MOST < ratio < _MOST:
                found[image.name] = ratio
    return found
