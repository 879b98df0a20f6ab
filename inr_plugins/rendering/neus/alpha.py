"""How much light a section of a ray stops, from the signed distance at its middle (NeuS, Wang et al. 2021).

With the logistic function S, a sharpness s and the signed distance f at a section's two ends, NeuS's eq. 13 is

    alpha = max((S(s f_begin) - S(s f_end)) / S(s f_begin), 0).

The released code, followed here, takes the ends from the middle: f there, minus and plus half the section's length
times the slope of f along the ray. It adds 1e-5 to numerator and denominator, so that a section far below the surface
counts as opaque; here alpha = 1 - exp(-tau) with tau = log S(s f_begin) - log S(s f_end), which is eq. 13 itself and
loses nothing where S is tiny.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def annealed_slope(cosine: Float[Tensor, "*n"], anneal: float | Float[Tensor, ""] = 1.0) -> Float[Tensor, "*n"]:
    """The slope of the distance along a ray, <= 0, that a section is taken to have (released code of NeuS).

    min(cosine, 0) in the end, so that light is stopped only where a ray goes towards the inside. At first min((cosine -
    1) / 2, 0), which also gives surfaces seen from behind a gradient, and so helps a shape to settle.

    Args:
        cosine: gradient of the distance times the ray's unit direction.
        anneal: 0 at first, 1 in the end.
    """
    return -(F.relu(0.5 - 0.5 * cosine) * (1 - anneal) + F.relu(-cosine) * anneal)


def section_optical_depth(
    sdf: Float[Tensor, "*n"],
    slope: Float[Tensor, "*n"],
    length: Float[Tensor, "*n"],
    sharpness: Float[Tensor, ""],
) -> Float[Tensor, "*n"]:
    """-log(1 - alpha) of sections, >= 0 (see the module).

    Args:
        sdf: signed distance at the middle of each section, negative inside, normalised units.
        slope: of the distance along the ray, <= 0 (`annealed_slope`).
        length: of each section, normalised units.
        sharpness: s, in 1 / normalised unit.
    """
    fall = -0.5 * slope * length
    begin, end = sharpness * (sdf + fall), sharpness * (sdf - fall)
    return (F.logsigmoid(begin) - F.logsigmoid(end)).clamp(min=0)
