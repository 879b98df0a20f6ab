"""The signal that a key table's network has learnt, as a function of the key: DINER's Fig. 4 and 6."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.image import KeyImage
from inr_plugins.networks.normalization.registry import frozen_statistics

MOST_WIDTH = 3
"""Of a key whose space can be sampled on a mesh."""
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class KeySpace:
    """A network of keys on an even mesh over the box that its keys lie in.

    Attributes:
        low: smallest of the keys, by their parts.
        high: largest.
        values: of the channels, in [0, 1] or beyond it, at the corners of the mesh; its axes are those of the keys.
        keys: of all pixels, row by row of the image.
    """

    low: list[float]
    high: list[float]
    values: Float[np.ndarray, "*sides channels"]
    keys: Float[np.ndarray, "n width"]


def mesh_sides(count: int, width: int) -> int:
    """Corners along each axis of a mesh that has about as many as an image has pixels."""
    return max(2, round(count ** (1 / width)))


@torch.no_grad()
def key_space(field: KeyImage, *, side: int | None = None) -> KeySpace:
    """The learnt signal over keys.

    Args:
        field: a fitted image with keys of 1, 2 or 3 numbers.
        side: corners of the mesh along each axis; None: about as many in all as the image has pixels.

    Raises:
        ValueError: keys of more numbers.
    """
    keys = field.table.keys.detach()
    width = keys.shape[1]
    if width > MOST_WIDTH:
        raise ValueError(f"a mesh over keys of {width} numbers is too large: train with key_width 1, 2 or 3")
    side = side or mesh_sides(len(keys), width)
    low, high = keys.amin(0), keys.amax(0)
    steps = torch.linspace(0, 1, side, device=keys.device)
    corners = torch.stack(torch.meshgrid(*[steps] * width, indexing="ij"), -1).reshape(-1, width)
    values = values_of_keys(field, low + corners * (high - low))
    return KeySpace(
        low=low.tolist(),
        high=high.tolist(),
        values=values.reshape(*[side] * width, -1).cpu().numpy(),
        keys=keys.cpu().numpy(),
    )


@torch.no_grad()
def values_of_keys(field: KeyImage, keys: Float[Tensor, "n width"]) -> Float[Tensor, "n channels"]:
    """What the network makes of keys, which need not be in the table; each for itself."""
    with frozen_statistics(field):
        parts = [(field.network(part).float() + 1) / 2 for part in keys.split(_CHUNK)]
    return torch.cat(parts)
