"""Experts of a dictionary of pictures as small pictures: those that add most to a picture, side by side."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from inr_plugins.fields.dictionary_picture import PictureDictionary

_JUDGED = 16
"""Places along the longer side of a piece by which experts are compared."""
_GAP = 4
"""Pixels between tiles."""


@torch.no_grad()
def strongest_experts(dictionary: PictureDictionary, code: Float[Tensor, "p l"], count: int) -> list[int]:
    """The experts that add most to a picture, by the squares of all that they add in its patches; first the most.

    Args:
        dictionary: with the experts.
        code: of the picture, a row for each patch.
        count: of experts, at the most; those that add nothing are left out.
    """
    places, _ = _lattice(dictionary, _JUDGED)
    size = dictionary.experts_at(places).square().mean((0, 2))
    added = code[:, : dictionary.settings.experts].float().square().sum(0) * size
    most = added.topk(min(count, len(added)))
    return most.indices[most.values > 0].tolist()


@torch.no_grad()
def expert_tiles(
    dictionary: PictureDictionary, experts: list[int], *, columns: int, side: int, has_alpha: bool
) -> UInt8[np.ndarray, "height width rgba"]:
    """Experts over a piece, row by row, each so that its largest value is white or black and 0 is grey.

    Args:
        dictionary: with the experts.
        experts: their numbers, at least one.
        columns: of tiles.
        side: of the longer side of a tile, in pixels.
        has_alpha: whether the last channel is an opacity, which is not shown.

    Returns:
        Red, green, blue and opacity; nothing between tiles.
    """
    places, (height, width) = _lattice(dictionary, side)
    index = torch.tensor(experts, device=places.device)
    found = dictionary.experts_at(places, index).transpose(0, 1)
    colours = found[..., : dictionary.channels - 1] if has_alpha else found
    colours = (colours[..., :3] if colours.shape[2] >= 3 else colours[..., :1]).expand(-1, -1, 3)
    values = 0.5 + 0.5 * colours / colours.abs().amax((1, 2), keepdim=True).clamp(min=1e-12)
    tiles = (255 * values).round().byte().cpu().numpy().reshape(-1, height, width, 3)
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + _GAP) - _GAP, min(columns, len(tiles)) * (width + _GAP) - _GAP, 4)
    whole = np.zeros(shape, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        whole[top : top + height, left : left + width, :3] = tile
        whole[top : top + height, left : left + width, 3] = 255
    return whole


def _lattice(dictionary: PictureDictionary, side: int) -> tuple[Float[Tensor, "n 2"], tuple[int, int]]:
    """Places all over a piece, row by row, so many along its longer side, and how many go down and across."""
    x, y = dictionary.pieces.grid.half_extent
    height, width = max(1, round(side * y)), max(1, round(side * x))
    device = next(dictionary.parameters()).device
    down, across = ((torch.arange(n, device=device) + 0.5) * 2 / n - 1 for n in (height, width))
    rows, columns = torch.meshgrid(down * y, across * x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], -1), (height, width)
