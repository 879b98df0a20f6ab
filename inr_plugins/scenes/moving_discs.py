"""A made video whose background and foreground are known: discs that move before a picture that stands still."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, UInt

from inr_plugins.scenes.planet import planet

_OCTAVES = 6
_DISCS = 3
_COLOURS = ((235, 70, 50), (60, 140, 240), (250, 210, 60))


@dataclass(frozen=True)
class MovingDiscs:
    """Three shaded discs, each of which goes along a line and back as it meets an edge, before a still picture.

    A pixel is of the background or of a disc, never of both, so that background and mask are the whole truth.

    Attributes:
        width: columns.
        height: rows.
        frames: how many.
        seed: of the background, and of where discs begin and go.
    """

    width: int
    height: int
    frames: int
    seed: int = 0

    @cached_property
    def background(self) -> UInt[np.ndarray, "height width 3"]:
        """What is behind: ground of a planet, seen from near."""
        longer = max(self.width, self.height)
        x = (2 * np.arange(self.width) + 1 - self.width) / longer * 0.6
        y = (2 * np.arange(self.height) + 1 - self.height) / longer * 0.6
        return planet(*np.meshgrid(x.astype(np.float32), y.astype(np.float32)), octaves=_OCTAVES, seed=self.seed)

    @property
    def radii(self) -> Float[np.ndarray, " discs"]:
        """Of the discs, in pixels."""
        return self._paths[2]

    @cached_property
    def _paths(self) -> tuple[Float[np.ndarray, "discs 2"], Float[np.ndarray, "discs 2"], Float[np.ndarray, " discs"]]:
        """Where the middles begin, what they go by in a frame, and radii, in pixels."""
        draw = np.random.default_rng((self.seed, 1))
        size = np.array([self.width, self.height], dtype=np.float64)
        angle = draw.uniform(0, 2 * np.pi, _DISCS)
        speed = draw.uniform(0.01, 0.03, _DISCS) * max(size)
        radii = draw.uniform(0.06, 0.14, _DISCS) * min(size)
        return (
            draw.uniform(0, 1, (_DISCS, 2)) * size,
            speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1),
            radii,
        )

    def middles(self, frame: int) -> Float[np.ndarray, "discs 2"]:
        """Column and row of the discs' middles in a frame; they turn back at the edges."""
        start, step, _ = self._paths
        last = np.array([self.width, self.height], dtype=np.float64) - 1
        along = np.mod(start + frame * step, 2 * np.maximum(last, 1))
        return np.minimum(along, 2 * np.maximum(last, 1) - along)

    def picture(self, frame: int) -> tuple[UInt[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
        """A frame, and where the foreground is in it."""
        found, mask = self.background.copy(), np.zeros((self.height, self.width), dtype=bool)
        column, row = np.meshgrid(np.arange(self.width), np.arange(self.height))
        for middle, radius, colour in zip(self.middles(frame), self.radii, _COLOURS, strict=True):
            distance = np.hypot(column - middle[0], row - middle[1]) / radius
            disc = distance < 1
            light = np.sqrt(1 - np.clip(distance, 0, 1) ** 2)[..., None] * 0.6 + 0.4
            found[disc] = (light * colour).astype(np.uint8)[disc]
            mask |= disc
        return found, mask
