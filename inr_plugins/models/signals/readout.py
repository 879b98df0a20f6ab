"""A fitted image read out of its field: any part of it at any resolution, in the numbers of its file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt

from inr_plugins.errors import InputError, setting
from inr_plugins.signal_grid import PixelGrid, PixelWindow

_AT_ONCE = 1 << 20
"""Pixels that are read out at once, about."""


def find_region(grid: PixelGrid, wanted: tuple[int, int, int, int] | None) -> PixelWindow:
    """The part of an image that is asked for, (left, top, width, height) in its pixels; None: all of it.

    Raises:
        InputError: it is empty, or reaches out of the image.
    """
    if wanted is None:
        return PixelWindow(0, 0, grid.width, grid.height)
    left, top, width, height = wanted
    if min(width, height) < 1 or left + width > grid.width or top + height > grid.height:
        raise InputError(
            f"{setting('region')} {left} {top} {width} {height} (left, top, width, height) is no part of the image, "
            f"which has {grid.width} x {grid.height} pixels: give one."
        )
    return PixelWindow(left, top, width, height)


def output_size(region: PixelWindow, scale: float) -> tuple[int, int]:
    """Width and height of a region that is read out `scale` times as large."""
    return max(1, round(region.width * scale)), max(1, round(region.height * scale))


def read_out(
    model: Any,
    *,
    scale: float = 1.0,
    region: PixelWindow | None = None,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> UInt[np.ndarray, "height width channels"]:
    """An image as its field has it, clamped and rounded to the file's own bits.

    Pixels of the output are squares that fill the region, and are asked for in their middles: at scale 1 those of the
    image. A smaller scale samples and does not average.

    Args:
        model: an ImageModel.
        scale: pixels of the output along one of the image's.
        region: what part of it; None: all.
        on_rows: told the rows that are done, and all.
    """
    region = region or find_region(model.grid, None)
    width, height = output_size(region, scale)
    kind = np.uint16 if model.bits == 16 else np.uint8
    found = np.empty((height, width, model.channels), dtype=kind)
    device, most = model.device, float(np.iinfo(kind).max)
    columns = region.left - 0.5 + (torch.arange(width, dtype=torch.float64, device=device) + 0.5) * region.width / width
    lines = region.top - 0.5 + (torch.arange(height, dtype=torch.float64, device=device) + 0.5) * region.height / height
    step = max(1, _AT_ONCE // width)
    for first in range(0, height, step):
        rows = lines[first : first + step]
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).reshape(-1, 2)
        values = (model.field.at(pixels).clamp(0, 1).double() * most).round()
        found[first : first + step] = values.reshape(len(rows), width, -1).cpu().numpy().astype(kind)
        on_rows(min(first + step, height), height)
    return found
