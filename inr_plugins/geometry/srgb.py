"""sRGB, what images and mesh files mostly hold, and linear light, what is reckoned with (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def linear_from_srgb(colour: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Linear light in [0, 1] of sRGB values in [0, 1], in their precision."""
    return np.where(colour <= 0.04045, colour / 12.92, ((np.maximum(colour, 0.04045) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """sRGB values in [0, 1] of linear light, in its precision; clips what lies outside of [0, 1].

    The inverse of `linear_from_srgb`.
    """
    light = np.clip(light, 0.0, 1.0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
