"""Pinhole cameras as arrays: the rays through their pixels, and where points fall in their images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.frames import Similarity

# Poses are float32 products of a few rotations: 1e-6 of shear is rounding, 1e-3 another map.
_SHEAR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class PinholeViews:
    """k undistorted perspective cameras, all in one frame: that of the mesh they look at.

    Camera axes as nerfstudio's and OpenGL's: x right, y up, looking along -z. Image coordinates are in pixels from the
    *corner* of the image's top left pixel, x right, y down, so that pixel (i, j) has its centre at (i + 0.5, j + 0.5).

    Attributes:
        camera_to_world: rotation and position; the columns of the rotation are the camera's axes.
        fx: focal lengths along the width, pixels, > 0.
        fy: focal lengths along the height, pixels, > 0.
        cx: x of the principal points, pixels; may lie outside of the image.
        cy: y of the principal points, pixels.
        width: of the images, pixels.
        height: of the images, pixels.

    Raises:
        ValueError: lengths that differ, a number that is not finite, a focal length or size that is not positive, or a
            pose that is no rotation and shift.
    """

    camera_to_world: Float[np.ndarray, "k 3 4"]
    fx: Float[np.ndarray, " k"]
    fy: Float[np.ndarray, " k"]
    cx: Float[np.ndarray, " k"]
    cy: Float[np.ndarray, " k"]
    width: Int[np.ndarray, " k"]
    height: Int[np.ndarray, " k"]

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy", "width", "height"):
            values = getattr(self, name)
            if values.shape != (len(self.camera_to_world),):
                raise ValueError(f"{name} has shape {values.shape}; there are {len(self.camera_to_world)} poses.")
            if not np.isfinite(values).all() or (name not in ("cx", "cy") and (values <= 0).any()):
                wanted = "finite" if name in ("cx", "cy") else "finite and positive"
                raise ValueError(f"{name} of cameras must be {wanted}; it runs from {values.min()} to {values.max()}.")
        rotation = self.camera_to_world[:, :, :3].astype(np.float64)
        gram = rotation.swapaxes(1, 2) @ rotation
        if not np.isfinite(self.camera_to_world).all() or (np.abs(gram - np.eye(3)) > _SHEAR_TOLERANCE).any():
            raise ValueError("A camera's pose must be a finite rotation and shift; take the scale out of its rotation.")

    def __len__(self) -> int:
        return len(self.camera_to_world)

    def moved(self, similarity: Similarity) -> PinholeViews:
        """The cameras in another frame, in which they see the same; where it is a mirror image, their axes are too."""
        rotation = similarity.rotation @ self.camera_to_world[:, :, :3].astype(np.float64)
        position = similarity.points(self.camera_to_world[:, :, 3].astype(np.float64))
        return replace(self, camera_to_world=np.concatenate([rotation, position[:, :, None]], axis=2))

    def origin(self, view: int) -> Float[np.ndarray, " 3"]:
        """Position of a camera."""
        return self.camera_to_world[view, :, 3].astype(np.float64)

    def directions(self, view: int, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """Directions from the camera through image coordinates; 1 long along the optical axis, so no unit vectors."""
        local = np.empty((len(pixels), 3))
        local[:, 0] = (pixels[:, 0] - self.cx[view]) / self.fx[view]
        local[:, 1] = (self.cy[view] - pixels[:, 1]) / self.fy[view]
        local[:, 2] = -1.0
        return local @ self.camera_to_world[view, :, :3].T.astype(np.float64)

    def pixel_grid(self, view: int, *, columns: int, rows: int) -> Float[np.ndarray, "n 2"]:
        """Image coordinates of the centres of columns x rows equal cells of the image, row by row."""
        x = (np.arange(columns) + 0.5) * (self.width[view] / columns)
        y = (np.arange(rows) + 0.5) * (self.height[view] / rows)
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    def contains(self, view: int, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether points are in front of the camera and project into its image; what hides them is not asked."""
        local = (points - self.origin(view)) @ self.camera_to_world[view, :, :3].astype(np.float64)
        depth = -local[:, 2]
        front = depth > 0
        safe = np.where(front, depth, 1.0)
        x = self.cx[view] + self.fx[view] * local[:, 0] / safe
        y = self.cy[view] - self.fy[view] * local[:, 1] / safe
        return front & (x >= 0) & (x < self.width[view]) & (y >= 0) & (y < self.height[view])
