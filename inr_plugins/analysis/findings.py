"""What `inr-analyze` finds out of a fitted image, each kind as words, rows of a table and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from inr_plugins.analysis import figures
from inr_plugins.analysis.attribute_rank import attribute_rank
from inr_plugins.analysis.band_shares import BANDS, band_shares
from inr_plugins.analysis.code_space import code_space
from inr_plugins.analysis.key_space import MOST_WIDTH, key_space, mesh_sides
from inr_plugins.analysis.tangent_kernel import KernelSummary, eigenvalues, in_float64, summary, tangent_kernel
from inr_plugins.errors import InputError
from inr_plugins.fields.image import CoordinateImage, ImageField, KeyImage
from inr_plugins.fields.parts import PartedImage
from inr_plugins.fields.stream_image import StreamImage
from inr_plugins.networks.coordinate_network import CoordinateNetwork
from inr_plugins.signal_grid import PixelGrid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PIXELS = 1 << 21
"""That a rank is of, spread evenly over the image; fewer of more channels than `_COLOURS`."""
_MOST_SPECTRUM = 1 << 24
"""Pixels of an image whose spectrum is taken in one piece; the same."""
_COLOURS = 4
_DRAWN = {1: 1024, 2: 128, 3: 24}
"""Corners along each axis of a mesh that is drawn and written down, at the most, by the length of a key."""
_LEAST_ERROR = 1e-12
_ON_A_MESH = "--pipeline.model.key-width 1, 2 or 3"

_MANTISSA = 24
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted image and its file.

    Attributes:
        field: the fit, in eval mode.
        pixels: of the file: whole numbers, or values in float32.
        fresh: makes the field as it was before its first step, but for the draw of its weights.
        device: where the field is.
    """

    field: ImageField
    pixels: Shaped[np.ndarray, "*frames height width channels"]
    fresh: Callable[[], ImageField]
    device: torch.device

    @property
    def bits(self) -> int:
        """Of a channel; of a float32 those of its mantissa."""
        return _MANTISSA if self.pixels.dtype == np.float32 else 8 * self.pixels.dtype.itemsize

    @property
    def grid(self) -> PixelGrid:
        """The image's pixels."""
        return self.field.grid

    def values(self, places: Int[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "n channels"]:
        """The file's, in [0, 1], of pixels by their numbers (None: of all)."""
        flat = self.pixels.reshape(-1, self.pixels.shape[-1])
        found = flat if places is None else flat[places]
        return found if found.dtype == np.float32 else found.astype(np.float32) / np.float32((1 << self.bits) - 1)

    def fit(self, places: Int[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "n channels"]:
        """The fit's, clamped to [0, 1]."""
        numbers = torch.arange(self.grid.count) if places is None else torch.from_numpy(places)
        middles = self.grid.indices(numbers).double()
        return self.field.at(middles.to(self.device)).clamp(0, 1).cpu().numpy()

    def spread(self, most: int) -> Int[np.ndarray, " n"]:
        """Numbers of at most so many pixels, evenly over rows and columns, of an image of few all.

        Of a video they are drawn from all frames, and always the same.
        """
        grid = self.grid
        if grid.is_video:
            if grid.count <= most:
                return np.arange(grid.count)
            return np.sort(np.random.default_rng(0).choice(grid.count, most, replace=False))
        share = max(1.0, (grid.count / most) ** 0.5)
        rows, columns = max(1, int(grid.height / share)), max(1, int(grid.width / share))
        if rows == 1 or columns == 1:
            rows, columns = min(grid.height, most), min(grid.width, most)
        row = (np.arange(rows) * grid.height) // rows
        column = (np.arange(columns) * grid.width) // columns
        numbers: npt.NDArray[np.int64] = (row[:, None] * grid.width + column).reshape(-1)
        return numbers


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found out.

    Attributes:
        words: name and text of each line that is printed.
        columns: names of the table's columns.
        rows: of the table.
        figure: draws it.
    """

    words: list[tuple[str, str]]
    columns: tuple[str, ...]
    rows: list[Sequence[Any]]
    figure: Callable[[], Figure]

    def as_csv(self) -> str:
        """The table, comma-separated."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def find_rank(fitted: Fitted) -> Findings:
    """The rank of the attributes, and what the best line, plane and so on of colours would reach, beside the fit."""
    places = fitted.spread(_for_channels(_MOST_PIXELS, fitted))
    values = fitted.values(places)
    found = attribute_rank(values, bits=fitted.bits)
    reached = psnr(fitted.fit(places), values)
    width = fitted.field.table.width if isinstance(fitted.field, KeyImage) else None
    channels = values.shape[1]
    words = [("rank", f"{found.rank} of {_channels(channels)}"), ("this run", f"{reached:.2f} dB")]
    if width is not None:
        words[-1] = ("this run", f"keys of {width}, {reached:.2f} dB")
        linear = found.psnr[min(width, channels)]
        words.append((f"linear {width}", "the image itself" if width >= found.rank else f"{linear:.2f} dB"))
    rows: list[Sequence[Any]] = [
        (k, "" if k == 0 else found.singular[k - 1], "" if k == 0 else found.shares[k - 1], found.psnr[k])
        for k in range(channels + 1)
    ]
    return Findings(
        words=words,
        columns=("directions", "root_mean_square", "share_of_variance", "psnr_of_best_affine"),
        rows=rows,
        figure=lambda: figures.rank_figure(found, width=width, reached=reached),
    )


def find_spectrum(fitted: Fitted) -> Findings:
    """Shares of the spectrum in four bands: of the image, of the fit, and of the signal over keys if there are any."""
    grid = fitted.grid
    if grid.is_video:
        raise InputError("spectrum: that of a video is not taken; rank, keys and ntk are.")
    most = _for_channels(_MOST_SPECTRUM, fitted)
    if grid.count > most:
        raise InputError(
            f"The image has {grid.count:,} pixels, and its spectrum is taken of {most:,} at the most: train "
            "on a part of it."
        )
    shape = (grid.height, grid.width, -1)
    rows: list[Sequence[Any]] = [
        ("image", *band_shares(fitted.values().reshape(shape))),
        ("fit", *band_shares(fitted.fit().reshape(shape))),
    ]
    words = []
    if isinstance(fitted.field, KeyImage):
        width = fitted.field.table.width
        if width <= MOST_WIDTH:
            rows.append(("learned over keys", *band_shares(key_space(fitted.field).values)))
        else:
            words.append(("over keys", f"not taken: keys of {width} numbers have no mesh ({_ON_A_MESH})"))
    words = [(str(name), "  ".join(f"{each:.3f}" for each in shares)) for name, *shares in rows] + words
    return Findings(
        words=words,
        columns=("signal", *(f"band_{i + 1}" for i in range(BANDS))),
        rows=rows,
        figure=lambda: figures.spectrum_figure([(str(name), list(shares)) for name, *shares in rows]),
    )


def find_keys(fitted: Fitted) -> Findings:
    """The learnt curve, surface or volume of colours over keys.

    Raises:
        InputError: the run has no keys, several tables of them, or keys of more than three numbers.
    """
    field = fitted.field
    if isinstance(field, PartedImage) and any(isinstance(each, KeyImage) for each in field.fields):
        raise InputError(
            "keys: each part of what this run has learnt has keys of its own, and neither these nor ntk are drawn; "
            "rank and spectrum are, where what is looked for is known."
        )
    if not isinstance(field, KeyImage):
        raise InputError("keys: this run has no keys; give a run of diner-image.")
    if field.table.width > MOST_WIDTH:
        raise InputError(f"keys: keys of {field.table.width} numbers cannot be drawn; train with {_ON_A_MESH}.")
    width = field.table.width
    space = key_space(field, side=min(_DRAWN[width], mesh_sides(field.grid.count, width)))
    places = fitted.spread(1 << 14)
    middles = [
        np.linspace(low, high, side)
        for low, high, side in zip(space.low, space.high, space.values.shape[:-1], strict=True)
    ]
    corners = np.stack(np.meshgrid(*middles, indexing="ij"), -1).reshape(-1, width)
    flat = space.values.reshape(len(corners), -1)
    spans = ", ".join(f"{low:.3g} to {high:.3g}" for low, high in zip(space.low, space.high, strict=True))
    inside = float(((flat >= 0) & (flat <= 1)).all(-1).mean())
    return Findings(
        words=[
            ("keys", f"{len(space.keys):,} of {width}: {spans}"),
            ("mesh", " x ".join(map(str, space.values.shape[:-1]))),
            ("colours", f"{100 * inside:.0f} % of the mesh between black and white"),
        ],
        columns=(*(f"key_{i + 1}" for i in range(width)), *(f"channel_{i + 1}" for i in range(flat.shape[1]))),
        rows=[[float(each) for each in row] for row in np.concatenate([corners, flat], -1)],
        figure=lambda: figures.keys_figure(space, colours=fitted.values(places), keys=space.keys[places]),
    )


def find_kernel(fitted: Fitted, *, points: int, progress: Progress = lambda what, done, total: None) -> Findings:
    """Eigenvalues of the neural tangent kernel before the first step and now.

    Raises:
        InputError: a network whose kernel cannot be taken.
    """
    places = fitted.spread(points)
    found: list[tuple[str, npt.NDArray[np.float64], KernelSummary]] = []
    kernels = []
    for name, field in (("at the start", fitted.fresh()), ("trained", fitted.field)):
        kernel = image_kernel(field, places, on_rows=partial(progress, f"Kernel, {name}"))
        kernels.append(kernel)
        found.append((name, eigenvalues(kernel), summary(kernel)))
    rows: list[Sequence[Any]] = [
        (i + 1, *(float(values[i]) for _, values, _ in found)) for i in range(len(found[0][1]))
    ]
    words = [("points", f"{len(places):,} pixels")]
    words += [
        (
            name,
            f"largest {each.largest:.4g}, mean {each.mean:.4g}, variance {each.variance:.4g}, "
            f"{each.above_one} above 1, half of the sum in {each.half}",
        )
        for name, _, each in found
    ]
    return Findings(
        words=words,
        columns=("eigenvalue", "at_the_start", "trained"),
        rows=rows,
        figure=lambda: figures.kernel_figure(
            [(name, values) for name, values, _ in found], [kernel.numpy() for kernel in kernels]
        ),
    )


def image_kernel(
    field: ImageField,
    places: Int[np.ndarray, " n"],
    *,
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> Float[Tensor, "n n"]:
    """The tangent kernel of the network's outputs (2 v - 1 of the values v) at pixels, keys and weights alike.

    As in training: statistics are those of these pixels, and are differentiated through; of a stream in stages, weights
    are those of the stage that it is in. In float64 on the CPU.

    Raises:
        InputError: the field is of another kind, or its network is one of tiny-cuda-nn's, which has no float64.
    """
    if not isinstance(field, KeyImage | CoordinateImage | StreamImage):
        raise InputError(
            "ntk: no kernel of what this method learns is known; give a run of an image or a video, of keys or of a "
            "network."
        )
    network = field.network
    if isinstance(network, CoordinateNetwork) and network.fused is not None:
        raise InputError(
            "ntk: the network is tiny-cuda-nn's, which computes in half precision; train it with implementation torch."
        )
    copy = in_float64(deepcopy(field).cpu()).train()
    numbers = torch.from_numpy(places)
    if isinstance(copy, KeyImage):
        keys = copy.table.keys
        return tangent_kernel(lambda: copy.network(keys[numbers]), copy.parameters(), on_rows=on_rows)
    middles = copy.grid.middles(numbers).double()
    return tangent_kernel(lambda: copy.network(middles), copy.parameters(), on_rows=on_rows)


def psnr(found: Float[np.ndarray, "n channels"], truth: Float[np.ndarray, "n channels"]) -> float:
    """In dB, over all channels."""
    error = np.square(found.astype(np.float64) - truth).mean()
    return float(-10 * np.log10(max(float(error), _LEAST_ERROR)))


def _for_channels(pixels: int, fitted: Fitted) -> int:
    """Of so many pixels of colours, as many as take the memory of those."""
    return pixels * _COLOURS // max(fitted.pixels.shape[-1], _COLOURS)


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count != 1 else ''}"


def find_codes(codes: Float[np.ndarray, "codes n"], names: Sequence[str]) -> Findings:
    """Principal components of the codes of a dictionary's signals.

    Args:
        codes: a row for each signal, of patches one after the other.
        names: of the signals.

    Raises:
        InputError: fewer than two codes.
    """
    if len(codes) < 2:
        raise InputError(
            f"The run has {len(codes)} code, of which there are no principal components: give a dictionary."
        )
    found = code_space(codes)
    used = (codes != 0).sum(axis=1)
    most = int(np.searchsorted(np.cumsum(found.shares), 0.9)) + 1 if found.shares.any() else 0
    words = [
        ("codes", f"{len(codes):,} of {codes.shape[1]:,} entries, {used.mean():,.0f} of them not 0"),
        ("directions", f"{most} hold 90 % of the variance; {found.effective:.1f} by entropy"),
    ]
    columns = ("name", *(f"direction_{number + 1}" for number in range(found.places.shape[1])))
    rows: list[Sequence[Any]] = [
        [name, *(float(each) for each in place)] for name, place in zip(names, found.places, strict=True)
    ]
    return Findings(words, columns, rows, partial(figures.codes_figure, found, names))
