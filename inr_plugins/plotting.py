"""Figures without a display, and files of them that are whole or not there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from inr_plugins.errors import InputError
from inr_plugins.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, that shares no state with others (pyplot's would).

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("Plots need matplotlib: pip install matplotlib.") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of 120 pixels an inch.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as partial, warnings.catch_warnings():
        # A name in letters that matplotlib's font lacks: the text around the picture has it.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(partial, dpi=120, format="png")
