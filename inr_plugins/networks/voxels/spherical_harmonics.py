"""Real spherical harmonics of degree 2, the nine functions of a voxel's view-dependent colour."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NUM_COEFFICIENTS = 9

# sqrt(1 / 4 pi), sqrt(3 / 4 pi), then the factors of the second band in the order of `spherical_harmonics`.
_BAND_0 = 0.28209479177387814
_BAND_1 = 0.4886025119029199
_BAND_2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)


def spherical_harmonics(d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """The orthonormal real basis up to degree 2 at unit directions.

    Order and signs as in PlenOctrees and Plenoxels: 1; -y, z, -x; xy, -yz, 2z²-x²-y², -xz, x²-y².
    """
    x, y, z = d.unbind(-1)
    a, b, c = _BAND_2
    return torch.stack(
        [
            torch.full_like(x, _BAND_0),
            -_BAND_1 * y,
            _BAND_1 * z,
            -_BAND_1 * x,
            a * x * y,
            -a * y * z,
            b * (2 * z * z - x * x - y * y),
            -a * x * z,
            c * (x * x - y * y),
        ],
        -1,
    )
