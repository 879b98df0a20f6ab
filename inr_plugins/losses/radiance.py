"""The losses of DVGO (Sun et al. 2022, sec. 4.4), on which DINER's radiance field is built.

Of several processes each has equally many rays, so that the mean of their losses is that of all rays.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def background_entropy(accumulation: Float[Tensor, "r 1"]) -> Float[Tensor, ""]:
    """Mean binary entropy of the light that passes a ray: small when each ray is either blocked or free.

    Clamped at 1e-6 as in DVGO's code, which keeps the gradient of settled rays finite.
    """
    p = accumulation.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log() + (1 - p) * (1 - p).log()).mean()


def per_point_colour(
    weights: Float[Tensor, " s"],
    colours: Float[Tensor, "s 3"],
    ray: Int[Tensor, " s"],
    target: Float[Tensor, "r 3"],
) -> Float[Tensor, ""]:
    """Squared error of every sample's own colour against its pixel, weighted by how visible the sample is.

    Weights carry no gradient here: the colours move, the geometry does not. Summed over channels and samples, averaged
    over rays, as in DVGO's code.
    """
    error = (colours - target[ray]).square().sum(-1)
    return (weights.detach() * error).sum() / max(len(target), 1)
