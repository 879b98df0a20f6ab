"""Small charts for a page's folders: SVG inside markdown, a few kilobytes each, legible on light and dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

INK, ONE, OTHER = "#8a8f98", "#e8a33d", "#4c9be8"
"""Of text and axes, and of two series."""
WIDTH = 300
_MOST_BARS = 120


def as_markdown(svg: str, says: str) -> str:
    """A chart as markdown.

    Args:
        svg: the chart.
        says: what it shows, for those who cannot see it; without brackets.
    """
    return f"![{says}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def as_picture(pixels: UInt8[np.ndarray, "height width channels"], says: str) -> str:
    """A picture as markdown.

    Args:
        pixels: grey, red, green and blue, or these with an opacity.
        says: as that of `as_markdown`.
    """
    held = BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return f"![{says}](data:image/png;base64,{base64.b64encode(held.getvalue()).decode()})"


def svg(parts: Sequence[str], height: int) -> str:
    """A chart of `WIDTH` pixels and so many high, made of elements."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return f'{head} font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, *, anchor: str = "middle", colour: str = INK) -> str:
    """Words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x: np.ndarray | Sequence[float], y: np.ndarray | Sequence[float], colour: str, *, width: float = 1.5) -> str:
    """A line through points."""
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def steps(edges: np.ndarray, heights: np.ndarray, base: float, colour: str, *, filled: bool) -> str:
    """A histogram's outline, or its bars.

    Args:
        edges: one more than there are bars, in pixels.
        heights: of the bars in pixels.
        base: where bars stand, in pixels from the top.
        colour: of what is drawn.
        filled: bars, not their outline.
    """
    x = np.repeat(edges, 2)
    y = base - np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    look = f'fill="{colour}" fill-opacity="0.75"' if filled else f'fill="none" stroke="{colour}" stroke-width="1.5"'
    return f'<polyline points="{points}" {look}/>'


def bars(values: Float[np.ndarray, " n"], *, across: str, highest: str, height: int = 72) -> str:
    """Bars as high as the absolute values, those of negative ones in another colour.

    Where there are more values than bars, neighbours share one, which is as high as the highest of them.

    Args:
        values: at least one, finite.
        across: a word or two below the bars.
        highest: what the highest bar stands for, written at its height.
        height: in pixels.
    """
    left, right, base = 34.0, WIDTH - 6.0, height - 16.0
    groups = np.array_split(np.asarray(values, dtype=np.float64), min(len(values), _MOST_BARS))
    tallest = np.array([group[np.argmax(np.abs(group))] for group in groups])
    x = left + np.arange(len(tallest)) * (right - left) / len(tallest)
    tall = (base - 4) * np.abs(tallest) / (np.abs(tallest).max() or 1.0)
    wide = 0.85 * (right - left) / len(tallest)
    parts = []
    for colour, chosen in ((OTHER, tallest >= 0), (ONE, tallest < 0)):
        path = "".join(
            f"M{a:.1f} {base:.1f}v{-b:.1f}h{wide:.2f}v{b:.1f}z" for a, b in zip(x[chosen], tall[chosen], strict=True)
        )
        parts += [f'<path d="{path}" fill="{colour}"/>'] if path else []
    parts += [
        line([left, right], [base, base], INK, width=1),
        text(left - 4, 12, highest, anchor="end"),
        text(left - 4, base, "0", anchor="end"),
        text((left + right) / 2, height - 3, across),
    ]
    return svg(parts, height)


def dots(x: np.ndarray, y: np.ndarray, colour: str, *, radius: float = 1.3) -> str:
    """A cloud of dots, as one path."""
    path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))
    return f'<path d="{path}" stroke="{colour}" stroke-width="{2 * radius}" stroke-linecap="round" fill="none"/>'


def histograms(
    now: np.ndarray, before: np.ndarray, edges: np.ndarray, *, labels: tuple[str, str], unit: str, height: int = 130
) -> str:
    """Two distributions of positive numbers over a logarithmic axis: one as bars, the other as an outline.

    Args:
        now: share of each bin, drawn as bars.
        before: the same of the other, drawn as an outline.
        edges: of the bins.
        labels: of the two.
        unit: of the axis.
        height: in pixels.
    """
    top, base, left, right = 18.0, height - 28.0, 6.0, WIDTH - 6.0
    logs = np.log10(edges)

    def across(values: Any) -> Any:
        return left + (np.log10(values) - logs[0]) / (logs[-1] - logs[0]) * (right - left)

    highest = max(float(now.max(initial=0)), float(before.max(initial=0)), 1e-9)
    scale = (base - top) / highest
    parts = [
        steps(across(edges), now * scale, base, ONE, filled=True),
        steps(across(edges), before * scale, base, OTHER, filled=False),
        line([left, right], [base, base], INK, width=1),
        text(left, 11, labels[0], anchor="start", colour=ONE),
        text(right, 11, labels[1], anchor="end", colour=OTHER),
        text((left + right) / 2, height - 4, unit),
    ]
    for tick in _ticks(float(edges[0]), float(edges[-1])):
        x = float(across(tick))
        parts += [line([x, x], [base, base + 3], INK, width=1), text(x, base + 13, f"{tick:g}")]
    return svg(parts, height)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in a range, about one in 1, 2, 5 and their tenfolds."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    ticks = [tick for tick in ticks if low * 1.02 <= tick <= high / 1.02]
    return ticks if len(ticks) <= 8 else [tick for tick in ticks if f"{tick:e}".startswith("1")]


def against(pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], *, columns: int = 4) -> str:
    """Small squares in which one quantity is drawn against another; what is equal lies on the diagonal.

    Args:
        pairs: title, what goes across, what goes up.
        columns: squares in a row.
    """
    side, gap, head = (WIDTH - 4.0) / columns - 6.0, 6.0, 13.0
    rows = -(-len(pairs) // columns)
    parts: list[str] = []
    for number, (title, x, y) in enumerate(pairs):
        left = 2 + (number % columns) * (side + gap)
        top = (number // columns) * (side + head + gap) + head
        both = np.concatenate([x, y])
        low, high = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
        scale = (side - 6) / max(high - low, 1e-12)
        parts += [
            text(left + side / 2, top - 3, title),
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{side:.1f}" height="{side:.1f}" fill="none" stroke="{INK}" '
            'stroke-opacity="0.5"/>',
            line([left + 3, left + side - 3], [top + side - 3, top + 3], INK, width=0.8),
            dots(left + 3 + (x - low) * scale, top + side - 3 - (y - low) * scale, ONE),
        ]
    return svg(parts, int(rows * (side + head + gap)))


def along(
    series: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray, str]],
    within: tuple[float, float],
    *,
    unit: str,
    height: int = 130,
) -> str:
    """Densities over sections of a line, each series to its own height, and below it the sections' edges as ticks.

    Args:
        series: of each its name, where its sections begin, where they end, their density, and its colour.
        within: what part of the line is drawn.
        unit: of the axis.
        height: in pixels.
    """
    top, base, left, right = 18.0, height - 42.0, 6.0, WIDTH - 6.0
    low, high = within

    def across(values: Any) -> Any:
        return left + (np.clip(values, low, high) - low) / max(high - low, 1e-12) * (right - left)

    parts = []
    for number, (name, start, end, density, colour) in enumerate(series):
        seen = (end > low) & (start < high)
        a, b, tall = across(start[seen]), across(end[seen]), density[seen]
        up = base - tall / max(float(tall.max(initial=0)), 1e-12) * (base - top)
        x = np.stack([a, a, b, b], 1).reshape(-1)
        y = np.stack([np.full_like(up, base), up, up, np.full_like(up, base)], 1).reshape(-1)
        row = base + 3 + 7 * number
        ticks = "".join(f"M{place:.1f} {row:.1f}v5" for place in np.unique(np.concatenate([a, b]).round(1)))
        parts += [
            line(x, y, colour, width=1.2),
            f'<path d="{ticks}" stroke="{colour}" stroke-width="0.8"/>',
            text((left, right)[number % 2], 12, name, anchor=("start", "end")[number % 2], colour=colour),
        ]
    parts += [
        line([left, right], [base, base], INK, width=1),
        text(left, height - 8, f"{low:.3g}", anchor="start"),
        text((left + right) / 2, height - 8, unit),
        text(right, height - 8, f"{high:.3g}", anchor="end"),
    ]
    return svg(parts, height)
