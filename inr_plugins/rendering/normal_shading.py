"""The colours in which shapes are shown: by their normals, darker where the surface turns away from the eye."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

AMBIENT = 0.35
"""How bright a surface is that is seen edge on, of one that faces the eye."""


def normal_shade(normal: Float[Tensor, "*n 3"], towards_eye: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
    """RGB in [0, 1]: (n + 1) / 2 * (0.35 + 0.65 max(0, n . v)).

    Args:
        normal: outward unit normals n, normalised frame.
        towards_eye: unit directions v from the points to the camera, same frame.
    """
    facing = (normal * towards_eye).sum(-1, keepdim=True).clamp(min=0)
    return (normal + 1) / 2 * (AMBIENT + (1 - AMBIENT) * facing)
