"""A fit in stages as a file of few bytes, a block for each stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt

from inr_plugins.codecs.image import as_pixels, middles
from inr_plugins.codecs.of_stream import numbers_of_stream
from inr_plugins.codecs.steps import Steps
from inr_plugins.codecs.stream import QuantisedStream
from inr_plugins.codecs.stream_image import StreamCode
from inr_plugins.fields.stream_image import StageView
from inr_plugins.models.signals.compression import (
    JUDGED,
    PROBED,
    check_whole_numbers,
    no_image_to_compare_with,
    no_such_file,
    psnr_of_pixels,
    spread,
)
from inr_plugins.models.signals.stream_image import StreamImageModel


@dataclass(frozen=True)
class StageBytes:
    """What a stage is in the file.

    Attributes:
        width: of the hidden layers.
        size: bytes of the file up to its end.
        psnr: of the pixels that these give, dB; None where there is no image to compare with.
        fit_psnr: of the network before.
    """

    width: int
    size: int
    psnr: float | None
    fit_psnr: float | None


@dataclass(frozen=True, eq=False)
class CompressedStream:
    """What came of it.

    Attributes:
        code: the image.
        file: its bytes.
        stages: each stage of it.
    """

    code: StreamCode
    file: bytes
    stages: list[StageBytes]

    @property
    def psnr(self) -> float | None:
        """Of the whole file's pixels."""
        return self.stages[-1].psnr

    @property
    def fit_psnr(self) -> float | None:
        """Of the whole network."""
        return self.stages[-1].fit_psnr


def compress_stream(
    model: StreamImageModel,
    truth: UInt[np.ndarray, "height width channels"] | None,
    *,
    profile: bytes | None = None,
    loss: float = 0.3,
    size: int | None = None,
    on_try: Callable[[int], None] = lambda count: None,
) -> CompressedStream:
    """Make the weights of all stages that have been learnt whole, and a file of them.

    One measure of what a step costs is taken for all tensors, by the error of the last stage: what is wrong in an early
    stage is wrong in all later ones.

    Args:
        model: trained, in evaluation mode.
        truth: the image; needed where no size is given.
        profile: the ICC profile of its colours.
        loss: dB by which the PSNR of any stage may fall for it.
        size: bytes that the whole file may have, in place of a loss.
        on_try: told how many sets of steps have been tried.

    Raises:
        InputError: the network is of a kind that no file holds, or no steps are good enough.
    """
    grid, bits = model.grid, model.bits
    check_whole_numbers(bits)
    if size is None and truth is None:
        raise no_image_to_compare_with()
    shape, numbers = numbers_of_stream(model.stream.network, model.stream.stage)
    steps: Steps[QuantisedStream] = Steps(shape, numbers, middles(grid.width, grid.height, spread(grid.count, PROBED)))
    judged = spread(grid.count, JUDGED)
    places = middles(grid.width, grid.height, judged)
    wanted = None if truth is None else truth.reshape(-1, truth.shape[-1])[judged].astype(np.float64)
    fits = (
        None
        if wanted is None
        else [psnr_of_pixels(as_pixels(each, bits), wanted, bits) for each in _fitted(model, judged)]
    )
    tries = 0

    def scores(network: QuantisedStream) -> list[float]:
        assert wanted is not None
        return [psnr_of_pixels(as_pixels(each, bits), wanted, bits) for each in network.stages(places)]

    def as_code(network: QuantisedStream) -> StreamCode:
        return StreamCode(grid.width, grid.height, bits, network, profile, bool(model.bands))

    def is_good(network: QuantisedStream) -> bool:
        nonlocal tries
        tries += 1
        on_try(tries)
        if size is not None:
            return len(as_code(network).file()) <= size
        assert fits is not None
        return all(found >= fit - loss for found, fit in zip(scores(network), fits, strict=True))

    network = steps.coarsest_that(is_good) if size is None else steps.finest_that(is_good)
    if network is None:
        raise no_such_file(loss, size, len(as_code(steps.network(10**6)).file()))
    code = as_code(network)
    unknown: list[float | None] = [None] * len(shape.widths)
    rows = zip(
        shape.widths,
        code.sizes(),
        unknown if wanted is None else scores(network),
        unknown if fits is None else fits,
        strict=True,
    )
    return CompressedStream(code, code.file(), [StageBytes(*row) for row in rows])


@torch.no_grad()
def _fitted(model: StreamImageModel, places: np.ndarray) -> list[np.ndarray]:
    """What each stage has in pixels, by their numbers."""
    chosen = torch.from_numpy(places).to(model.device)
    middles_of = model.grid.indices(chosen).double()
    stages = range(1, model.stream.stage + 1)
    return [StageView(model.stream, stage).at(middles_of).double().cpu().numpy() for stage in stages]
