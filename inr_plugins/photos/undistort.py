"""Pictures as a pinhole camera would have taken them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from inr_plugins.photos.pycolmap_import import import_pycolmap


@dataclass(frozen=True)
class Pinhole:
    """A lens without distortion: size, focal lengths and principal point in pixels, the picture's corner being (0,
    0)."""

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float


class Undistorter:
    """Takes one lens's distortion out of its pictures; none of the new pixels lies outside of the old picture.

    Args:
        lens: pycolmap's Camera.
        max_size: of the longer side of the new pictures, in pixels.
    """

    def __init__(self, lens: Any, max_size: int) -> None:
        self._pycolmap = import_pycolmap()
        self._lens = lens
        self._options = self._pycolmap.UndistortCameraOptions(max_image_size=max_size, blank_pixels=0.0)
        flat = self._pycolmap.undistort_camera(self._options, lens)
        self.pinhole = Pinhole(
            width=int(flat.width),
            height=int(flat.height),
            fl_x=float(flat.focal_length_x),
            fl_y=float(flat.focal_length_y),
            cx=float(flat.principal_point_x),
            cy=float(flat.principal_point_y),
        )

    def picture(self, pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h2 w2 c"]:
        """A picture in 3 channels, or 4 with straight alpha."""
        if pixels.shape[2] == 3:
            return self._warped(pixels)
        alpha = pixels[..., 3:].astype(np.float32) / 255
        premultiplied = np.round(pixels[..., :3] * alpha).astype(np.uint8)
        cover = self._warped(pixels[..., 3])[..., None]
        colour = self._warped(premultiplied) / np.maximum(cover.astype(np.float32) / 255, 1 / 255)
        return np.concatenate([np.clip(np.round(colour), 0, 255).astype(np.uint8), cover], axis=-1)

    def mask(self, inside: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h2 w2"]:
        """A mask, True inside."""
        return self._warped(np.where(inside, 255, 0).astype(np.uint8)) > 127

    def _warped(self, values: np.ndarray) -> np.ndarray:
        bitmap = self._pycolmap.Bitmap.from_array(np.ascontiguousarray(values))
        flat, _ = self._pycolmap.undistort_image(self._options, bitmap, self._lens)
        return flat.to_array()
