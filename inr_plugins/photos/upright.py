"""The dataset's frame: that of the reconstruction, turned so that z points up, and scaled.

A reconstruction from pictures knows neither where up is nor how long a metre is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

_ROUNDS = 10
_TILTED = 0.1
"""Sine of the tilt, 6 degrees, from which on a picture counts less and less for up."""
_LEVEL = 10.0
"""Median tilt in degrees up to which cameras count as held level."""
_TURNED = 0.05
"""Share that the second of three directions must have in the cameras' right-hand axes, for their plane to be known."""

Means = Literal["level", "mean", "given"]


@dataclass(frozen=True)
class Up:
    """Where up is.

    Attributes:
        direction: unit vector in the frame of the reconstruction.
        means: how it was found: "level", from cameras that are held level; "mean", of the cameras' own; "given".
        tilt: median of the angles of the cameras' right-hand axes to the horizontal, degrees.
    """

    direction: Float[np.ndarray, " 3"]
    means: Means
    tilt: float


def up_of_cameras(rotations: Float[np.ndarray, "n 3 3"]) -> Up:
    """Up, from how people hold cameras: level, so that the right-hand axes of all of them are horizontal.

    Up is then the direction that is across all these axes, weighted so that a few pictures taken aslant do not matter
    (Cauchy's weights). Where the cameras look one way, so that many directions are, or are not held level, it is the
    mean of their own directions up.

    Args:
        rotations: camera to world; the columns are the camera's axes x (right), y (down) and z (forward).
    """
    right, upward = rotations[:, :, 0], -rotations[:, :, 1]
    mean = _unit(upward.mean(axis=0), instead=upward[0])
    weights = np.ones(len(right))
    direction, spread = mean, np.zeros(3)
    for _ in range(_ROUNDS):
        spread, axes = np.linalg.eigh(np.einsum("n,ni,nj->ij", weights / weights.sum(), right, right))
        direction = axes[:, 0]
        weights = 1 / (1 + (right @ direction / _TILTED) ** 2)
    if direction @ mean < 0:
        direction = -direction
    tilt = tilt_of(right, direction)
    if spread[1] < _TURNED or tilt > _LEVEL:
        return Up(mean, "mean", tilt_of(right, mean))
    return Up(direction, "level", tilt)


def given_up(direction: Float[np.ndarray, " 3"], rotations: Float[np.ndarray, "n 3 3"]) -> Up:
    """Up as it was given, and how level the cameras are by it."""
    unit = direction / np.linalg.norm(direction)
    return Up(unit, "given", tilt_of(rotations[:, :, 0], unit))


def tilt_of(right: Float[np.ndarray, "n 3"], up: Float[np.ndarray, " 3"]) -> float:
    """Median of the angles of axes to the plane across `up`, degrees."""
    return float(np.degrees(np.median(np.abs(np.arcsin(np.clip(right @ up, -1, 1))))))


def turn_to_z(up: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """The shortest turn that brings a unit vector to +z (Rodrigues' formula)."""
    z = np.array([0.0, 0.0, 1.0])
    axis, cosine = np.cross(up, z), float(up @ z)
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def _unit(vector: Float[np.ndarray, " 3"], *, instead: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else instead
