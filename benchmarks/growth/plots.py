"""A picture of an axis: figures against sizes, both logarithmic, with the power laws that hold for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from inr_plugins.files import replacing

from .axes import AXES, MEMORY, QUANTITIES, SECONDS
from .fit import ALLOWED, FLAT, longest_fit, spread

_Curves = dict[tuple[str, str], tuple[list[int], list[float]]]


def plot_axis(name: str, curves: _Curves, path: Path) -> bool:
    """Draw an axis into a PNG file: seconds on the left, memory on the right; False, and no file, without figures."""
    panels = [
        {place: curve for place, curve in curves.items() if place[1] in keys and min(curve[1]) > 0}
        for keys in (SECONDS, MEMORY)
    ]
    panels = [each for each in panels if each]
    if not panels:
        return False
    # Without pyplot: no display, and no state that others share.
    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(AXES[name].title, x=0.02, ha="left", fontsize="medium")
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), place + 1)
        several = len({key for _, key in panel}) > 1
        for colour, ((series, key), (sizes, costs)) in enumerate(panel.items()):
            words = QUANTITIES[key]
            label = words if several and len({each for each, _ in panel}) == 1 else series
            label = f"{series}, {words}" if several and label == series else label
            _draw(axes, sizes, costs, label, f"C{colour}")
        _dress(axes, AXES[name].unit, "seconds" if next(iter(panel))[1] in SECONDS else "MiB")
        axes.set_xticks(sorted({size for sizes, _ in panel.values() for size in sizes}))
    with replacing(path) as partial:
        figure.savefig(partial, dpi=90, format="png")
    return True


def _draw(axes: Any, sizes: Sequence[int], costs: Sequence[float], label: str, colour: str) -> None:
    """Points, and the law that holds for some or all of them, dashed."""
    if len(costs) >= 2 and spread(costs) <= FLAT:
        label = f"{label}: flat"
    elif len(costs) == 2:
        label = f"{label}: ×{costs[-1] / costs[0]:.2f}"
    elif len(costs) > 2:
        power = longest_fit(sizes, costs)
        if power.worst <= ALLOWED:
            label = f"{label}: n^{power.exponent:.2f}"
            ends = [power.low, power.high]
            axes.plot(ends, [power(each) for each in ends], color=colour, linestyle="--", linewidth=1.2)
    line = "-" if len(costs) == 2 else ":"
    axes.plot(sizes, costs, color=colour, marker="o", markersize=5, linestyle=line, linewidth=1, label=label)


def _dress(axes: Any, across: str, up: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain = FuncFormatter(lambda value, _: f"{value:,.12g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(plain)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(plain)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(which="major", alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize="small")
