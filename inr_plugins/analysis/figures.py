"""Figures of what `inr-analyze` finds out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from inr_plugins.analysis.attribute_rank import AttributeRank
from inr_plugins.analysis.code_space import CodeSpace
from inr_plugins.analysis.key_space import KeySpace
from inr_plugins.plotting import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INFINITE = 100.0
"""dB: what is drawn of no error at all."""
_LEAST = 1e-12
"""Of the largest eigenvalue: what is drawn of smaller ones, which rounding has made."""
_SHOWN, _RGBA = 4000, 4
_NAMED, _COLOURS = 120, 10
"""Codes, at the most, that are drawn with their names, and groups of names that have colours."""


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize="medium")
    axes.grid(which="major", alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def rank_figure(found: AttributeRank, *, width: int | None, reached: float) -> Figure:
    """PSNR of the best line, plane and so on of colours, and the run's; beside it the directions' shares."""
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    shown = [min(each, _INFINITE) for each in found.psnr]
    left.plot(range(len(shown)), shown, marker="o", label="best affine map of so many numbers")
    if width is None:
        left.axhline(reached, color="C1", label="this run")
    else:
        left.plot([width], [min(reached, _INFINITE)], "*", markersize=13, color="C1", label="this run, by its key")
    left.axvline(found.rank, color="grey", linewidth=0.8, linestyle="--", label="rank of the attributes")
    left.set_xlabel("numbers a pixel")
    left.set_ylabel(f"PSNR (dB, {_INFINITE:.0f} and above as {_INFINITE:.0f})")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.legend(frameon=False, fontsize="small")
    _plain(left, "How many numbers the colours need")
    right.bar(range(1, len(found.shares) + 1), [100 * share for share in found.shares])
    right.set_xlabel("principal direction")
    right.set_ylabel("of the variance (%)")
    right.xaxis.get_major_locator().set_params(integer=True)
    _plain(right, "Principal directions")
    return figure


def spectrum_figure(rows: list[tuple[str, list[float]]]) -> Figure:
    """Bars of the bands' shares, signal by signal."""
    figure = new_figure(7, 3.8)
    axes = figure.subplots()
    bands = len(rows[0][1])
    each = 0.8 / len(rows)
    for i, (name, shares) in enumerate(rows):
        places = np.arange(bands) + (i - (len(rows) - 1) / 2) * each
        axes.bar(places, shares, width=0.92 * each, label=name)
    axes.set_xticks(range(bands), ["lowest", *[""] * (bands - 2), "highest"])
    axes.set_xlabel("band of frequencies")
    axes.set_ylabel("share of the magnitudes")
    axes.legend(frameon=False)
    _plain(axes, "Spectrum")
    return figure


def _rgb(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Colours to draw: without alpha, grey as grey, clamped; of more channels than RGBA has the first three."""
    channels = values.shape[-1]
    colours = values[..., :3] if channels > _RGBA else values[..., :-1] if channels in (2, _RGBA) else values
    found: npt.NDArray[np.float64] = np.broadcast_to(colours, (*colours.shape[:-1], 3)).clip(0, 1).astype(np.float64)
    return found


def keys_figure(
    space: KeySpace, *, colours: Float[np.ndarray, "n channels"], keys: Float[np.ndarray, "n width"]
) -> Figure:
    """The learnt signal over keys on the left, the same among the image's colours on the right.

    Args:
        space: the learnt signal.
        colours: of some pixels.
        keys: theirs.
    """
    width = keys.shape[1]
    figure = new_figure(11, 4.6)
    if width < 3:
        left: Any = figure.add_subplot(1, 2, 1)
    else:
        left = figure.add_subplot(1, 2, 1, projection="3d")
    extent = [edge for pair in zip(space.low, space.high, strict=True) for edge in pair]
    if width == 1:
        along = np.linspace(space.low[0], space.high[0], len(space.values))
        drawn = _rgb(space.values)
        for channel, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
            left.plot(along, drawn[:, channel], color=colour, linewidth=1)
        left.imshow(drawn[None], extent=(*extent, -0.2, -0.05), aspect="auto", interpolation="nearest")
        left.set_ylim(-0.2, 1.05)
        left.set_xlabel("key")
        _plain(left, "Colours along the key")
    elif width == 2:
        left.imshow(_rgb(space.values.swapaxes(0, 1)), extent=extent, origin="lower", aspect="auto")
        left.plot(*_some(keys).T, ",", color="black", alpha=0.5)
        left.set_xlabel("first part of the key")
        left.set_ylabel("second part")
        _plain(left, "Colours over the keys; black: pixels")
        left.grid(False)
    else:
        shown = np.linspace(0, len(keys) - 1, min(len(keys), _SHOWN)).astype(int)
        left.scatter(*keys[shown].T, c=_rgb(colours[shown]), s=3, linewidths=0)
        left.set_title("Pixels where their keys are", loc="left", fontsize="medium")
    right: Any = figure.add_subplot(1, 2, 2, projection="3d")
    right.scatter(*_some(_rgb(colours)).T, c=_some(_rgb(colours)), s=3, linewidths=0, alpha=0.5)
    drawn = _rgb(space.values)
    if width == 1:
        right.plot(*drawn.T, color="black", linewidth=1)
    elif width == 2:
        step = max(1, len(drawn) // 40)
        coarse = drawn[::step, ::step]
        right.plot_wireframe(*np.moveaxis(coarse, -1, 0), color="black", linewidth=0.4, rstride=1, cstride=1)
    right.set(xlabel="red", ylabel="green", zlabel="blue", xlim=(0, 1), ylim=(0, 1), zlim=(0, 1))
    what = {1: "the curve of the keys", 2: "the surface of the keys"}.get(width, "all of it within reach")
    right.set_title(f"Colours of pixels, and {what}", loc="left", fontsize="medium")
    return figure


def _some(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), _SHOWN)).astype(int)]


def kernel_figure(spectra: list[tuple[str, npt.NDArray[np.float64]]], kernels: list[npt.NDArray[np.float64]]) -> Figure:
    """Eigenvalues on the left, kernels beside them (their magnitudes, of the largest)."""
    figure = new_figure(5 + 3.6 * len(kernels), 4)
    axes = figure.subplots(1, 1 + len(kernels), width_ratios=[1.4, *[1] * len(kernels)])
    for name, values in spectra:
        axes[0].plot(np.arange(1, len(values) + 1), values.clip(min=_LEAST * values[0]), label=name)
    axes[0].set_yscale("log")
    axes[0].axhline(1, color="grey", linewidth=0.8, linestyle="--")
    axes[0].set_xlabel("eigenvalue, by its size")
    axes[0].legend(frameon=False)
    _plain(axes[0], "Neural tangent kernel")
    for each, (name, _), kernel in zip(axes[1:], spectra, kernels, strict=True):
        each.imshow(np.abs(kernel) / max(np.abs(kernel).max(), np.finfo(float).tiny), vmin=0, vmax=1)
        each.set_title(name, loc="left", fontsize="medium")
        each.set_xticks([])
        each.set_yticks([])
    return figure


def codes_figure(found: CodeSpace, names: Sequence[str]) -> Figure:
    """The codes along the first two principal directions, with their names where these are not too many.

    Names that begin alike up to their last letter or digit, as those of a person's poses, have one colour.
    """
    figure = new_figure(10, 5)
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    places = found.places if found.places.shape[1] > 1 else np.pad(found.places, ((0, 0), (0, 1)))
    groups = {name[:-1]: None for name in names}
    for number, group in enumerate(groups):
        own = [row for row, name in enumerate(names) if name[:-1] == group]
        colour = f"C{number % 10}" if len(groups) <= _COLOURS else "C0"
        left.scatter(places[own, 0], places[own, 1], s=14, color=colour)
        for row in own if len(names) <= _NAMED else []:
            left.annotate(names[row], places[row, :2], xytext=(3, 2), textcoords="offset points", fontsize=6)
    left.set_xlabel(f"first direction ({100 * found.shares[0]:.0f} % of the variance)")
    second = f" ({100 * found.shares[1]:.0f} %)" if len(found.shares) > 1 else ""
    left.set_ylabel(f"second direction{second}")
    _plain(left, "Codes")
    right.plot(range(1, len(found.shares) + 1), 100 * np.cumsum(found.shares), marker=".", linewidth=0.8)
    right.set_xlabel("principal directions")
    right.set_ylabel("of the variance (%)")
    right.set_ylim(0, 102)
    right.xaxis.get_major_locator().set_params(integer=True)
    _plain(right, "How many directions they take up")
    return figure
