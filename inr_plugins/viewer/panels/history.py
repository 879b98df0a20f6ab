"""What a training has been like so far: a few hundred moments, however long it takes, and a small drawing of them."""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

_MOST = 480
_SOONEST = 0.25
"""Seconds between two moments that are kept, at first."""
WIDTH, _HEIGHT, _LEFT = 240, 62, 4
_COLOURS = ("#ffd369", "#6ec1ff", "#9be28c", "#ff9a8c")


@dataclass
class Moment:
    """The training as it was after one step.

    Attributes:
        at: seconds since the first moment.
        step: the step.
        values: PSNR and losses by name; tensors until somebody asks for numbers.
    """

    at: float
    step: int
    values: dict[str, Any]


class History:
    """Moments spread evenly over time. Noting one takes microseconds, and waits for no device."""

    def __init__(self, *, most: int = _MOST, soonest: float = _SOONEST) -> None:
        """
        Args:
            most: moments that are kept; when there are more, each second one is dropped.
            soonest: seconds between two moments, twice as many after each time that some were dropped.
        """
        self._most, self._soonest = most, soonest
        self._moments: list[Moment] = []
        self._begun: float | None = None
        self._lock = threading.Lock()

    def note(self, step: int, values: Mapping[str, Any], *, at: float | None = None) -> None:
        """Keep what one step has come to, unless the last moment is too recent.

        Args:
            step: the step.
            values: numbers, or tensors of one number each, which are looked at later.
            at: time.monotonic() of it, now unless given.
        """
        now = time.monotonic() if at is None else at
        self._begun = now if self._begun is None else self._begun
        if self._moments and now - self._begun - self._moments[-1].at < self._soonest:
            return
        # Not the graph that a loss was reckoned with.
        kept = {name: each.detach() if hasattr(each, "detach") else each for name, each in values.items()}
        with self._lock:
            self._moments.append(Moment(now - self._begun, step, kept))
            if len(self._moments) > self._most:
                self._moments = self._moments[::2]
                self._soonest *= 2

    def moments(self) -> list[Moment]:
        """All moments that are kept, in numbers; what is no finite number is left out."""
        with self._lock:
            moments = list(self._moments)
        for each in moments:
            if any(type(value) is not float for value in each.values.values()):
                each.values = _numbers(each.values)
        return moments


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            continue  # a picture, or a word
        if math.isfinite(number):
            found[name] = number
    return found


Curve = Sequence[tuple[float, float]]
"""Points of seconds and a value, in the order of time."""


def curves(moments: Sequence[Moment]) -> dict[str, Curve]:
    """Each value over time, by its name."""
    names = {name: None for each in moments for name in each.values}
    return {name: [(each.at, each.values[name]) for each in moments if name in each.values] for name in names}


def speed(moments: Sequence[Moment]) -> Curve:
    """Steps a second between each moment and the next."""
    return [
        (later.at, (later.step - earlier.step) / (later.at - earlier.at))
        for earlier, later in pairwise(moments)
        if later.at > earlier.at
    ]


def averaged(curve: Curve, count: int) -> Curve:
    """Means over `count` equal spans of time, without those in which there is nothing."""
    if len(curve) <= count:
        return curve
    begin, end = curve[0][0], curve[-1][0]
    spans: dict[int, list[tuple[float, float]]] = {}
    for at, value in curve:
        spans.setdefault(min(count - 1, int(count * (at - begin) / max(end - begin, 1e-9))), []).append((at, value))
    return [(sum(at for at, _ in each) / len(each), sum(y for _, y in each) / len(each)) for each in spans.values()]


def drawn(title: str, lines: Mapping[str, Curve], *, log: bool = False) -> str:
    """An SVG of a few curves over one axis of time, WIDTH wide.

    Args:
        title: what stands above.
        lines: curves by name; names are drawn where there are several.
        log: whether the axis of values is logarithmic; what is not positive is then left out.
    """
    shown = {name: averaged([p for p in line if p[1] > 0 or not log], WIDTH // 3) for name, line in lines.items()}
    shown = {name: line for name, line in shown.items() if line}
    points = [point for line in shown.values() for point in line]
    if not points:
        return ""
    scale = math.log10 if log else float
    low, high = min(scale(y) for _, y in points), max(scale(y) for _, y in points)
    last = max(x for x, _ in points)
    top, bottom, right = 16, _HEIGHT - 12, WIDTH - 4

    def place(x: float, y: float) -> str:
        share = 0.5 if high - low < 1e-12 else (scale(y) - low) / (high - low)
        return f"{_LEFT + (right - _LEFT) * x / max(last, 1e-9):.1f},{bottom - (bottom - top) * share:.1f}"

    parts = [_text(_LEFT, 10, title, fill="#ddd")]
    for line, colour in zip(shown.values(), _COLOURS, strict=False):
        path = " ".join(place(x, y) for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
    ends = f"{min(y for _, y in points):.3g} to {max(y for _, y in points):.3g}"
    parts += [_text(right, 10, ends, anchor="end"), _text(right, _HEIGHT - 2, _clock(last), anchor="end")]
    if len(shown) > 1:
        legend = "".join(
            f'<tspan fill="{colour}">{escape(name.removesuffix("_loss")[:14])} </tspan>'
            for name, colour in zip(shown, _COLOURS, strict=False)
        )
        parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 2}">{legend}</text>')
    style = 'font-family="sans-serif" font-size="9"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{_HEIGHT}" {style}>'
        f'<rect width="100%" height="100%" fill="#1f2024"/>{"".join(parts)}</svg>'
    )


def as_image(svg: str, name: str) -> str:
    """Markdown of a drawing."""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _text(x: float, y: float, text: str, *, fill: str = "#999", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}">{escape(text)}</text>'


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return (
        f"{whole // 60}:{whole % 60:02d}"
        if whole < 3600
        else f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    )
