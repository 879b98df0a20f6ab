"""What a mesh file holds, in one shape for all formats: one list of triangles, and how each part of it looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

Tell = Callable[[str], None]
"""Told what was merged or left out: a few words each, without a full stop, that go on from the name of the file."""


@dataclass(frozen=True)
class Paint:
    """How a part looks, beside the colours of its vertices.

    Attributes:
        colour: linear RGB that the picture, or else the vertex colours, are multiplied by; None: nothing is known.
        picture: sRGB, top row first, repeated in both directions; None: the part has none.
        covers: whether the picture is laid over the vertex colours instead of multiplying them.
        scale: of uv before the picture is looked up, and then
        offset: to be added.
    """

    colour: tuple[float, float, float] | None = None
    picture: UInt8[np.ndarray, "h w 3"] | None = None
    covers: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class MeshFile:
    """Triangles as the file has them, in its frame and units, parts moved to their places.

    Attributes:
        vertices: positions.
        faces: indices of the corners, in the file's order of turn.
        colours: sRGB in [0, 1] of the vertices, NaN where a part has none; None: no part has.
        face_colours: the same of the faces.
        uv: place of each corner in its part's picture, v pointing up, NaN where there is none; None: no part has.
        part: number of each face's part; None: all of the one part.
        paints: of each part.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    colours: Float[np.ndarray, "v 3"] | None = None
    face_colours: Float[np.ndarray, "f 3"] | None = None
    uv: Float[np.ndarray, "f 3 2"] | None = None
    part: Int[np.ndarray, " f"] | None = None
    paints: tuple[Paint, ...] = (Paint(),)
