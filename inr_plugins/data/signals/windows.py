"""Which parts of an image are looked at when it is judged: all of it, or some that are spread over a large one."""

from __future__ import annotations

from inr_plugins.signal_grid import PixelGrid, PixelWindow

LARGEST_WHOLE = 1 << 22
"""Pixels of the largest picture that is judged whole: rays and metrics of one take some 300 bytes a pixel, and more
where it has more channels than colours and an opacity."""
SIDE = 512
"""Pixels of the sides of a part of a larger one."""
_ALONG, _COLOURS = 4, 4


def windows_of(grid: PixelGrid, channels: int = 1) -> list[PixelWindow]:
    """The image, if it is not too large, else up to 16 parts of 512 x 512 pixels, the corners among them.

    Of a video the same of each frame.
    """
    frames = range(grid.frames)
    if grid.width * grid.height * max(channels, _COLOURS) <= LARGEST_WHOLE * _COLOURS:
        return [PixelWindow(0, 0, grid.width, grid.height, frame) for frame in frames]
    width, height = min(SIDE, grid.width), min(SIDE, grid.height)
    lefts = {round(place * (grid.width - width) / (_ALONG - 1)) for place in range(_ALONG)}
    tops = {round(place * (grid.height - height) / (_ALONG - 1)) for place in range(_ALONG)}
    places = [(left, top) for top in sorted(tops) for left in sorted(lefts)]
    return [PixelWindow(left, top, width, height, frame) for frame in frames for left, top in places]
