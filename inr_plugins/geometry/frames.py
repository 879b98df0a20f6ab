"""Similarity transforms between the dataset's frame and the normalised frame, applied to points, directions and boxes.

nerfstudio's dataparsers turn, shift and scale the cameras before training; what leaves the program must be taken
back. Both frames are Euclidean, so the map between them is a similarity: one scale for all axes, a rotation (or a
reflection, when a dataparser changes handedness) and a shift.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError

# Dataparser transforms are float32 products of a few rotations: 1e-6 of shear is rounding, 1e-3 another map.
_SHEAR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Similarity:
    """The map y = scale * rotation @ x + offset, in float64.

    Attributes:
        rotation: orthonormal; its determinant is -1 when the map turns right-handed frames into left-handed ones.
        scale: length of y per length of x, > 0.
        offset: image of the origin, in y's units.
    """

    rotation: Float[np.ndarray, "3 3"]
    scale: float
    offset: Float[np.ndarray, " 3"]

    @classmethod
    def identity(cls) -> Similarity:
        """The map y = x."""
        return cls(rotation=np.eye(3), scale=1.0, offset=np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: Float[np.ndarray, "rows 4"]) -> Similarity:
        """Read y = A x + b from the rows [A | b] of a 3x4 or 4x4 matrix; a uniform scale inside A is taken out of it.

        Raises:
            InputError: A is singular, not finite, or scales some directions more than others.
        """
        linear, offset = np.asarray(matrix, dtype=np.float64)[:3, :3], np.asarray(matrix, dtype=np.float64)[:3, 3]
        if not (np.isfinite(linear).all() and np.isfinite(offset).all()):
            raise InputError("The transform between the frames is not finite; check the poses of the dataset.")
        left, stretches, right = np.linalg.svd(linear)
        scale = float(stretches.mean())
        if scale <= 0 or np.abs(stretches / scale - 1).max() > _SHEAR_TOLERANCE:
            raise InputError(
                f"The transform between the frames stretches space by {stretches.round(6).tolist()}: only a rotation, "
                "a shift and one scale can be undone; check the dataset's applied_transform."
            )
        return cls(rotation=left @ right, scale=scale, offset=offset)

    @classmethod
    def from_dataparser(cls, transform: Float[np.ndarray, "3 4"], scale: float) -> Similarity:
        """Map from the dataset's frame to the normalised frame: x_norm = scale * (R x_data + t), transform = [R | t].

        These are nerfstudio's `dataparser_transform` and `dataparser_scale`.

        Raises:
            InputError: the transform is no similarity or the scale is not a positive number.
        """
        if not (np.isfinite(scale) and scale > 0):
            raise InputError(f"The dataparser's scale is {scale}; it must be a positive number.")
        return cls.from_matrix(float(scale) * np.asarray(transform, dtype=np.float64)[:3, :4])

    @property
    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """Homogeneous matrix of the map."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.offset
        return matrix

    @property
    def mirrors(self) -> bool:
        """True when the map changes handedness, so that a triangle's corners come out in the opposite order."""
        return bool(np.linalg.det(self.rotation) < 0)

    def inverse(self) -> Similarity:
        """The map from y back to x."""
        return Similarity(self.rotation.T, 1 / self.scale, -(self.rotation.T @ self.offset) / self.scale)

    def after(self, first: Similarity) -> Similarity:
        """The map that applies `first` and then this one."""
        return Similarity(self.rotation @ first.rotation, self.scale * first.scale, self.points(first.offset[None])[0])

    def points(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions in x's frame -> positions in y's frame."""
        return x @ (self.scale * self.rotation.T) + self.offset

    def directions(self, d: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Unit directions or outward normals in x's frame -> the same in y's frame; lengths are kept.

        Outward stays outward under a reflection too: the normal moves with the surface.
        """
        return d @ self.rotation.T

    def bounding_box(self, box: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
        """Axis-aligned box in y's frame around the image of an axis-aligned box (rows: lowest, highest corner)."""
        corners = self.points(np.array(list(product(*np.asarray(box, dtype=np.float64).T))))
        return np.stack([corners.min(axis=0), corners.max(axis=0)])
