"""A fitted image or video read out of its field: any part of it at any resolution, in the numbers of its file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from inr_plugins.errors import InputError, setting
from inr_plugins.signal_grid import PixelGrid, PixelWindow

_AT_ONCE = 1 << 20
"""Pixels of colours that are read out at once, about; fewer of more channels."""
_COLOURS = 4
_TYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}
_TIME = r"\d+|\d+(?:\.\d+)?s"
_FRAMES = re.compile(rf"({_TIME})?:({_TIME})?|({_TIME})", re.ASCII)
_ROUNDING = 1e-6
"""Of a frame, by which a moment in seconds may miss the one that begins then."""


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


def find_frames(grid: PixelGrid, wanted: str | None, *, rate: float | None = None) -> range:
    """The frames of a video that are asked for, from 0: "A:B" those from A up to B without it, "A" one; None: all.

    A and B are numbers of frames, or seconds with an s behind: "1.5s:2s" are the frames that begin from then up to
    then, "1.5s" is the one that is shown then. The first one begins at 0.

    Args:
        grid: of the video.
        wanted: what is asked for.
        rate: frames a second; None: not known.

    Raises:
        InputError: it is none of these, there are none such, an image has no frames, or seconds are asked for of a
            video without a rate.
    """
    if wanted is None:
        return range(grid.frames)
    if not grid.is_video:
        raise InputError(f"{setting('frames')} is for videos, and this run has learnt an image: leave it out.")
    found = _FRAMES.fullmatch(wanted.strip())
    if found is None:
        raise InputError(
            f"{setting('frames')} {wanted} is no part of a video: give A:B, both from 0, B left out itself, or "
            "seconds, as 1.5s:2s."
        )
    first, end, single = found.groups()
    if "s" in wanted and rate is None:
        raise InputError(
            f"{setting('frames')} {wanted} is in seconds, and it is not known how many frames this video has in one: "
            "give numbers of frames."
        )
    if single is not None:
        shown = math.floor(_place(single, rate) + _ROUNDING)
        chosen = range(shown, shown + 1)
    else:
        begin, stop = (math.ceil(_place(each or "0", rate) - _ROUNDING) for each in (first, end))
        chosen = range(begin, stop if end else grid.frames)
    if not chosen or chosen.stop > grid.frames:
        raise InputError(
            f"{setting('frames')} {wanted} is no part of the video, which has frames 0 to {grid.frames - 1}: give one."
        )
    return chosen


def _place(time: str, rate: float | None) -> float:
    """A number of frames as text, or of seconds with an s behind, in frames."""
    return float(time[:-1]) * (rate or 0.0) if time.endswith("s") else int(time)


def output_size(region: PixelWindow, scale: float) -> tuple[int, int]:
    """Width and height of a region that is read out `scale` times as large."""
    return max(1, round(region.width * scale)), max(1, round(region.height * scale))


def read_out(
    model: Any,
    *,
    scale: float = 1.0,
    region: PixelWindow | None = None,
    frame: int = 0,
    unit_span: tuple[float, float] | None = None,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Shaped[np.ndarray, "height width channels"]:
    """An image, or a frame of a video, as its field has it, clamped to the file's range and rounded to its own bits.

    What a range was guessed for (a measured slice) is not clamped.

    Pixels of the output are squares that fill the region, and are asked for in their middles: at scale 1 those of the
    image. A smaller scale samples and does not average.

    Args:
        model: an ImageModel.
        scale: pixels of the output along one of the image's.
        region: what part of it; None: all.
        frame: of a video, from 0.
        unit_span: read out in float32 and unclamped instead, values of 0 and 1 being these numbers.
        on_rows: told the rows that are done, and all.
    """
    region = region or find_region(model.grid, None)
    width, height = output_size(region, scale)
    found = np.empty((height, width, model.shown_channels), dtype=output_type(model, unit_span))
    first = 0
    for rows in read_out_rows(model, scale=scale, region=region, frame=frame, unit_span=unit_span, on_rows=on_rows):
        found[first : first + len(rows)] = rows
        first += len(rows)
    return found


def output_type(model: Any, unit_span: tuple[float, float] | None = None) -> np.dtype[Any]:
    """Of the numbers that are read out; see `read_out`."""
    return np.dtype(_TYPES[model.bits] if unit_span is None else np.float32)


def read_out_rows(
    model: Any,
    *,
    scale: float = 1.0,
    region: PixelWindow | None = None,
    frame: int = 0,
    unit_span: tuple[float, float] | None = None,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Shaped[np.ndarray, "rows width channels"]]:
    """What `read_out` has, some rows after the others, so that not all of it has to be in memory."""
    region = region or find_region(model.grid, None)
    width, height = output_size(region, scale)
    dtype, is_clamped = output_type(model, unit_span), model.is_clamped and unit_span is None
    device, (low, high) = model.device, unit_span or model.span
    columns = region.left - 0.5 + (torch.arange(width, dtype=torch.float64, device=device) + 0.5) * region.width / width
    lines = region.top - 0.5 + (torch.arange(height, dtype=torch.float64, device=device) + 0.5) * region.height / height
    step = max(1, _AT_ONCE * _COLOURS // max(model.shown_channels, _COLOURS) // width)
    for first in range(0, height, step):
        rows = lines[first : first + step]
        pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).reshape(-1, 2)
        if model.grid.is_video:
            pixels = torch.cat([pixels, torch.full_like(pixels[:, :1], frame)], -1)
        values = model.values_at(pixels).double()
        numbers = low + (high - low) * (values.clamp(0, 1) if is_clamped else values)
        # Of floating-point numbers there is nothing to be rounded.
        numbers = numbers if dtype.kind == "f" else numbers.round()
        yield numbers.reshape(len(rows), width, -1).cpu().numpy().astype(dtype)
        on_rows(min(first + step, height), height)


def find_part(parts: tuple[str, ...], wanted: str | None) -> int:
    """The number of the part that is asked for; None: the first, or what has no parts.

    Raises:
        InputError: there is none of that name.
    """
    if wanted is None:
        return 0
    if not parts:
        raise InputError(f"{setting('part')} is for what has parts, as a phase, and this run's has none: leave it out.")
    if wanted not in parts:
        raise InputError(f"{setting('part')} {wanted} is none of {', '.join(parts)}: give one.")
    return parts.index(wanted)


def read_out_frames(
    model: Any,
    frames: range,
    *,
    scale: float = 1.0,
    region: PixelWindow | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Shaped[np.ndarray, "height width channels"]]:
    """Frames of a video one after another, as `read_out` has them; `on_frame` is told those that are done, and all."""
    for done, frame in enumerate(frames, 1):
        yield read_out(model, scale=scale, region=region, frame=frame)
        on_frame(done, len(frames))
