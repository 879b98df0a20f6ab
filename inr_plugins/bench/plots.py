"""Plots of quality against time: one curve a method, with a band over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inr_plugins.bench.record import Record
from inr_plugins.bench.tables import Group
from inr_plugins.plotting import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """PSNR against seconds of training: means over seeds, and the lowest and the highest of them."""

    seconds: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve_of(records: Sequence[Record]) -> Curve:
    """The curve of one method on one scene.

    Points are joined by the moment that they were meant for; a moment that some seeds missed is the others' mean.
    Points without a number are left out.
    """
    points: dict[float, list[tuple[float, float]]] = {}
    for record in records:
        for point in record["measured"]["curve"]:
            if point["psnr"] is not None:
                points.setdefault(point["moment"], []).append((point["seconds"], point["psnr"]))
    joined = []
    for found in points.values():
        seconds, values = zip(*found, strict=True)
        joined.append((statistics.fmean(seconds), values))
    joined.sort(key=lambda point: point[0])
    return Curve(
        seconds=[seconds for seconds, _ in joined],
        mean=[statistics.fmean(values) for _, values in joined],
        low=[min(values) for _, values in joined],
        high=[max(values) for _, values in joined],
    )


def plot_scene(group: Group, scene: str, path: Path) -> bool:
    """Draw all methods of a group on one scene into a PNG file; False, and no file, if no curve has a point.

    Raises:
        InputError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    curves = {label: curve_of(group.of(label=label, scene=scene)) for label in group.labels()}
    curves = {label: curve for label, curve in curves.items() if curve.seconds}
    if not curves:
        return False
    figure = _draw(curves, title=f"{scene}, held-out views")
    save_figure(figure, path)
    return True


def _draw(curves: dict[str, Curve], *, title: str) -> Figure:
    figure = new_figure(8, 4.5)
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes = figure.add_subplot()
    by_quality = sorted(curves.items(), key=lambda item: -item[1].mean[-1])
    for label, curve in by_quality:
        (line,) = axes.plot(curve.seconds, curve.mean, marker="o", markersize=4, linewidth=1.8, label=label)
        axes.fill_between(curve.seconds, curve.low, curve.high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("PSNR (dB)")
    axes.set_title(title, loc="left", fontsize="medium")
    axes.grid(which="major", alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
