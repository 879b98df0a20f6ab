"""Small bar charts for the page: SVG as an address that markdown can show, a few kilobytes and no script."""

from __future__ import annotations

from base64 import b64encode

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 280, 72
"""Pixels; the page's column of controls is about as wide."""
_LEFT, _BOTTOM = 34, 14
_MOST_BARS = 120
_ABOVE, _BELOW, _TEXT = "#4dabf7", "#ff922b", "#909296"


def bar_chart(values: Float[np.ndarray, " n"], *, across: str, highest: str) -> str:
    """A picture of bars as high as the absolute values, those of negative ones in another colour.

    Where there are more values than bars, neighbours share one, which is as high as the highest of them.

    Args:
        values: at least one, finite.
        across: a word or two below the bars.
        highest: what the highest bar stands for, written at its height.
    """
    groups = np.array_split(np.asarray(values, dtype=np.float64), min(len(values), _MOST_BARS))
    tallest = [group[np.argmax(np.abs(group))] for group in groups]
    most = max(map(abs, tallest)) or 1.0
    wide, high = (WIDTH - _LEFT) / len(tallest), HEIGHT - _BOTTOM - 4
    bars = {_ABOVE: "", _BELOW: ""}
    for number, value in enumerate(tallest):
        size = high * abs(value) / most
        path = f"M{_LEFT + number * wide:.1f} {HEIGHT - _BOTTOM}v{-size:.1f}h{0.85 * wide:.2f}v{size:.1f}z"
        bars[_ABOVE if value >= 0 else _BELOW] += path
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="10" fill="{_TEXT}">'
        + "".join(f'<path d="{path}" fill="{colour}"/>' for colour, path in bars.items() if path)
        + f'<path d="M{_LEFT} {HEIGHT - _BOTTOM}h{WIDTH - _LEFT}" stroke="{_TEXT}" stroke-width="1"/>'
        f'<text x="{_LEFT - 4}" y="12" text-anchor="end">{_escaped(highest)}</text>'
        f'<text x="{_LEFT - 4}" y="{HEIGHT - _BOTTOM}" text-anchor="end">0</text>'
        f'<text x="{(WIDTH + _LEFT) / 2}" y="{HEIGHT - 2}" text-anchor="middle">{_escaped(across)}</text></svg>'
    )
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
