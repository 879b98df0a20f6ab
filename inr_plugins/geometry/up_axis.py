"""Which axis of a file points up, and the turn that makes it z."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

Up = Literal["auto", "x", "y", "z", "-x", "-y", "-z"]
"""The axis that points up; "auto": y in glTF, which says so, else z."""


def up_rotation(up: Up, source: str | Path) -> Float[np.ndarray, "3 3"]:
    """The turn (a signed permutation, determinant 1) that brings the up axis of `source` to +z.

    Args:
        up: the axis.
        source: a file, or the name of a built-in object.
    """
    if up == "auto":
        up = "y" if Path(source).suffix.lower() in (".glb", ".gltf") else "z"
    axis = "xyz".index(up[-1])
    rotation = np.roll(np.eye(3), axis + 1, axis=1) if axis < 2 else np.eye(3)
    return np.diag([1.0, -1.0, -1.0]) @ rotation if up.startswith("-") else rotation
