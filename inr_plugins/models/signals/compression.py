"""A fitted image as a file of few bytes: its network with whole weights, as coarse as what they may cost allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt

from inr_plugins.codecs.image import ImageCode, as_pixels, middles
from inr_plugins.codecs.network import QuantisedNetwork
from inr_plugins.codecs.of_network import numbers_of
from inr_plugins.codecs.steps import Steps
from inr_plugins.errors import InputError, setting
from inr_plugins.models.signals.coordinate_image import CoordinateImageModel

JUDGED = 1 << 18
"""Pixels that the error is of, at the most; where there are more, these are spread over the image."""
PROBED = 1 << 12
"""Pixels that the cost of a tensor's step is measured in."""
_SAME = 100.0
"""PSNR of what has no error, dB."""


@dataclass(frozen=True, eq=False)
class Compressed:
    """What came of it.

    Attributes:
        code: the image.
        file: its bytes.
        psnr: of the file's pixels, dB; None where there is no image to compare with.
        fit_psnr: of the network before.
    """

    code: ImageCode
    file: bytes
    psnr: float | None
    fit_psnr: float | None


def check_compressible(model: Any) -> None:
    """Refuse a model that is no network of coordinates.

    Raises:
        InputError: naming what can be compressed.
    """
    if not isinstance(model, CoordinateImageModel) or model.spacing_mm is not None:
        raise InputError(
            "Only what finer-image, cn-image and finer-stream learn can be compressed: the keys of diner-image alone "
            "are larger than the image, and other methods learn none."
        )
    check_whole_numbers(model.bits)
    if model.grid.is_video:
        raise InputError("What finer-video learns cannot be compressed yet: give a run of finer-image or cn-image.")


def check_whole_numbers(bits: int) -> None:
    """Refuse an image of so many bits where they are those of floating-point numbers.

    Raises:
        InputError: saying so.
    """
    if bits not in (8, 16):
        raise InputError(
            "A compressed file has pixels of 8 or 16 bits, and this image has floating-point numbers: convert it first."
        )


def compress(
    model: CoordinateImageModel,
    truth: UInt[np.ndarray, "height width channels"] | None,
    *,
    profile: bytes | None = None,
    loss: float = 0.3,
    size: int | None = None,
    on_try: Callable[[int], None] = lambda count: None,
) -> Compressed:
    """Make a fit's weights whole, and a file of them.

    Args:
        model: trained, in evaluation mode.
        truth: the image; needed where no size is given.
        profile: the ICC profile of its colours.
        loss: dB by which the PSNR may fall for it.
        size: bytes that the file may have, in place of a loss.
        on_try: told how many sets of steps have been tried.

    Raises:
        InputError: the network is of a kind that no file holds, or no steps are good enough.
    """
    check_compressible(model)
    grid, bits = model.grid, model.bits
    shape, numbers = numbers_of(model.field.network, model.config.network())
    steps = Steps(shape, numbers, middles(grid.width, grid.height, spread(grid.count, PROBED)))
    judged = spread(grid.count, JUDGED)
    places = middles(grid.width, grid.height, judged)
    wanted = None if truth is None else truth.reshape(-1, truth.shape[-1])[judged].astype(np.float64)
    tries = 0

    def psnr_of(values: Float[np.ndarray, "n channels"]) -> float | None:
        return None if wanted is None else psnr_of_pixels(as_pixels(values, bits), wanted, bits)

    def as_code(network: QuantisedNetwork) -> ImageCode:
        return ImageCode(grid.width, grid.height, bits, network, profile, bool(model.bands))

    fit_psnr = psnr_of(_fitted(model, judged))

    def is_good(network: QuantisedNetwork) -> bool:
        nonlocal tries
        tries += 1
        on_try(tries)
        if size is not None:
            return len(as_code(network).file()) <= size
        found = psnr_of(network(places))
        assert found is not None
        assert fit_psnr is not None
        return found >= fit_psnr - loss

    if size is None and wanted is None:
        raise no_image_to_compare_with()
    network = steps.coarsest_that(is_good) if size is None else steps.finest_that(is_good)
    if network is None:
        raise no_such_file(loss, size, len(as_code(steps.network(10**6)).file()))
    code = as_code(network)
    return Compressed(code, code.file(), psnr_of(network(places)), fit_psnr)


def no_image_to_compare_with() -> InputError:
    """What to do without the image."""
    return InputError(
        f"What compression costs is measured against the image, which is not there: give --data, or a "
        f"{setting('size')}."
    )


def no_such_file(loss: float, size: int | None, least: int) -> InputError:
    """What to do where no file costs as little, or is as small, as is asked for; the smallest has `least` bytes."""
    if size is None:
        return InputError(f"No file of this network costs less than {loss:g} dB: give a larger {setting('loss')}.")
    return InputError(
        f"No file of this network has {size:,} bytes or fewer (the least are {least:,}, of nothing): give a larger "
        f"{setting('size')}."
    )


def spread(count: int, most: int) -> np.ndarray:
    """Numbers of pixels, all of them or `most` at random places, always the same."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


@torch.no_grad()
def _fitted(model: CoordinateImageModel, places: np.ndarray) -> Float[np.ndarray, "n channels"]:
    chosen = torch.from_numpy(places).to(model.device)
    return model.field.at(model.grid.indices(chosen).double()).double().cpu().numpy()


def psnr_of_pixels(found: np.ndarray, wanted: np.ndarray, bits: int) -> float:
    """dB, of whole numbers of so many bits."""
    error = float(np.mean((found - wanted) ** 2)) / ((1 << bits) - 1) ** 2
    return _SAME if error == 0 else -10 * math.log10(error)
