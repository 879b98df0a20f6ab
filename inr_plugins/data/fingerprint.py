"""What data is known by again: a few numbers that follow from what it shows, not from where or how it is stored.

They are compared with a tolerance (engine.runs.same_data): the same shape in another format, or with its triangles
cut up otherwise, is the same, and so is the same picture at another resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh, face_normals

if TYPE_CHECKING:
    from nerfstudio.data.datasets.base_dataset import InputDataset

Fingerprint = dict[str, list[float]]
"""Numbers by what they are about; "count" is how many shapes or pictures there are."""

_PICTURES = 3


def fingerprint_of_surfaces(surfaces: Sequence[Mesh | Cloud]) -> Fingerprint:
    """Of each shape, in order: the mean of its surface and its spread, in units of the frame that it is in."""
    numbers = [_moments(surface) for surface in surfaces]
    return {"count": [float(len(numbers))], "surfaces": [float(each) for row in numbers for each in row]}


def _moments(surface: Mesh | Cloud) -> Float[np.ndarray, " 9"]:
    """Mean (3), standard deviations (3) and covariances xy, xz, yz (3) of the points of a surface or a cloud."""
    if isinstance(surface, Mesh):
        corners = surface.vertices[surface.faces]
        areas = np.linalg.norm(face_normals(surface), axis=1)
        weights = areas / areas.sum() if areas.sum() > 0 else np.full(len(areas), 1 / len(areas))
        mean = weights @ corners.mean(axis=1)
        corners = corners - mean
        whole = corners.sum(axis=1)
        # The integral of x x^T over a triangle of area A: A / 12 (a a^T + b b^T + c c^T + s s^T), s = a + b + c.
        second = np.einsum("f,fki,fkj->ij", weights, corners, corners) + np.einsum("f,fi,fj->ij", weights, whole, whole)
        second /= 12
    else:
        mean = surface.points.mean(axis=0, dtype=np.float64)
        offsets = surface.points - mean
        second = offsets.T @ offsets / len(offsets)
    return np.concatenate([mean, np.sqrt(np.diag(second)), second[np.triu_indices(3, k=1)]])


def fingerprint_of_views(dataset: InputDataset) -> Fingerprint:
    """Of the cameras where they stand and look on average, of a few pictures their mean colours.

    Raises:
        InputError: a picture cannot be read.
    """
    poses = dataset.cameras.camera_to_worlds.double().cpu().numpy()
    places, looks = poses[:, :3, 3], poses[:, :3, 2]
    cameras = np.concatenate([places.mean(axis=0), places.std(axis=0), looks.mean(axis=0), looks.std(axis=0)])
    chosen = sorted({round(place) for place in np.linspace(0, len(dataset) - 1, _PICTURES)})
    colours = [_mean_colour(dataset.get_numpy_image(index)) for index in chosen]
    return {
        "count": [float(len(dataset))],
        "cameras": [float(each) for each in cameras],
        "pictures": [float(each) for colour in colours for each in colour],
    }


def _mean_colour(image: np.ndarray) -> Float[np.ndarray, " 4"]:
    """Mean of straight colour times alpha, and of alpha; in [0, 1]."""
    pixels = image.reshape(-1, image.shape[-1]) / 255
    alpha = pixels[:, 3:] if pixels.shape[-1] == 4 else np.ones((len(pixels), 1))
    return np.concatenate([(pixels[:, :3] * alpha).mean(axis=0), alpha.mean(axis=0)])
