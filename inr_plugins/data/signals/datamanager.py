"""The datamanager of images and videos as signals: pixels to learn from, pictures to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager
from nerfstudio.data.utils.dataloaders import FixedIndicesEvalDataloader, RandIndicesEvalDataloader
from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape
from torch import Tensor

from inr_plugins import ranks
from inr_plugins.data.fingerprint import Fingerprint
from inr_plugins.data.images.parser import TestMode
from inr_plugins.data.no_rays import NoRaysConfig
from inr_plugins.data.signals.batches import PixelBatches
from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.images import SignalImages
from inr_plugins.data.signals.parser import SignalDataParser, SignalDataParserConfig, known_by
from inr_plugins.data.signals.video import SignalVideo
from inr_plugins.data.signals.windows import SIDE
from inr_plugins.signal_grid import PictureBatch, SignalPixels

_MOST_NUMBERS = 1 << 26
"""Of all bands in a training step, which takes some 20 bytes for each."""


@dataclass
class SignalDataManagerConfig(NoRaysConfig):
    """Settings of the datamanager of all methods that learn an image or a video."""

    _target: type = field(default_factory=lambda: SignalDataManager)
    """Class to instantiate."""
    dataparser: SignalDataParserConfig = field(default_factory=SignalDataParserConfig)
    """Which image."""
    pixels_per_batch: int = 1 << 20
    """Pixels of a training step, at the most: an image or a video with fewer is learnt whole in every step, a larger
    one in passes of which every batch is spread over it. Of images of many channels also so many that these are 2^26
    numbers."""
    seed: int | None = None
    """Seed of what is drawn for each pass; by default --machine.seed."""

    def settle_parser(self) -> None:
        """Note what kind of image there is, before there is a run; where there is none, that is said later.

        Raises:
            InputError: it cannot be read.
        """
        parser = self.dataparser
        at = parser if self.data is None else replace(parser, data=self.data)
        parser.learnt = at.kind() if Path(at.data).exists() else None

    def opens_without_data(self) -> bool:
        """Whether a run can be looked at without its image."""
        return self.dataparser.learnt is not None


class SignalDataManager(VanillaDataManager[SignalImages]):
    """Pixels of an image for training, and pictures of it for everything else.

    A batch is a function of the seed and the step alone, so that a resumed run goes on as if it had not stopped. There
    are no held-out pixels: the image itself is what is to be had, and `next_eval` gives pixels that are learnt from.

    Raises:
        InputError: from the constructor, if the file or an option is bad; it names the file or the option.
    """

    config: SignalDataManagerConfig
    dataparser: SignalDataParser

    def __init__(
        self,
        config: SignalDataManagerConfig,
        device: torch.device | str = "cpu",
        test_mode: TestMode = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        self._truth: Float[Tensor, "pixels channels"] | None = None
        # nerfstudio seeds torch with --machine.seed and the process's rank before it makes a pipeline; later on,
        # whatever evaluates or draws may have seeded it anew.
        self._seed = torch.initial_seed() - ranks.rank() if config.seed is None else config.seed
        super().__init__(
            config=config, device=device, test_mode=test_mode, world_size=world_size, local_rank=local_rank, **kwargs
        )

    @property
    def image(self) -> SignalImage:
        """The image that is learnt, or the video."""
        return self.dataparser.image

    def data_fingerprint(self) -> Fingerprint:
        """See `known_by`."""
        return known_by(self.image)

    def ask_of_data(self, check: Callable[[Fingerprint], None]) -> None:
        """Have `check` raise InputError where the image is another than it wants, now or when it is first read."""
        parser = self.dataparser
        parser.check = check
        if "image" in vars(parser):
            check(known_by(parser.image))

    # -- setting up ----------------------------------------------------------------------------------------------------

    def setup_train(self) -> None:
        """Say what is learnt; a run that is only opened has nothing to make ready."""
        if self.test_mode == "val":
            origin = f" ({self.image.origin})" if isinstance(self.image, SignalVideo) else ""
            found = self.image.kind.description(frames=self.config.dataparser.FRAMES)
            what = f"Read {self.config.dataparser.data}: {found}{origin}."
            CONSOLE.print(what + self.said_of_batches(), highlight=False, markup=False)
            for note in self.image.notes:
                CONSOLE.print(f"[bold yellow]{escape(note)}[/bold yellow]", highlight=False)

    def said_of_batches(self) -> str:
        """A sentence on what a step sees, where that is not all."""
        passed = self._batches().of_a_pass
        return "" if passed == 1 else f" A step sees one of {passed} parts of it."

    def create_train_dataset(self) -> SignalImages:
        """The picture for the viewer, which can do without it."""
        dataset = super().create_train_dataset()
        dataset.stands_in = self.test_mode != "val"
        return dataset

    def setup_eval(self) -> None:
        """Make the picture that a fit is compared with ready."""
        self.fixed_indices_eval_dataloader = FixedIndicesEvalDataloader(self.eval_dataset, device=self.device)
        self.eval_dataloader = RandIndicesEvalDataloader(self.eval_dataset, device=self.device)

    def _batches(self) -> PixelBatches:
        count = len(self.image.flat)
        most = self.config.pixels_per_batch
        if self.image.kind.bands:
            most = max(1, min(most, _MOST_NUMBERS // len(self.image.kind.bands)))
        return PixelBatches(count, most, seed=self._seed, rank=ranks.rank(), ranks=ranks.number())

    # -- batches -------------------------------------------------------------------------------------------------------

    def next_train(self, step: int) -> tuple[SignalPixels | PictureBatch, dict[str, Any]]:  # type: ignore[override]
        """The pixels of training step `step` and their true values (n, channels) in [0, 1], on the device."""
        self.train_count += 1
        return self._pixels(step)

    def next_eval(self, step: int) -> tuple[SignalPixels | PictureBatch, dict[str, Any]]:  # type: ignore[override]
        """The pixels that a training step sees too, and their values."""
        self.eval_count += 1
        return self._pixels(step)

    def _pixels(self, step: int) -> tuple[SignalPixels | PictureBatch, dict[str, Any]]:
        places = self._batches().places(step)
        if places is None:
            if self._truth is None:
                self._truth = self._values_of(self.image.flat)
            return SignalPixels(None), {"values": self._truth}
        return SignalPixels(places.to(self.device)), {"values": self._values_of(self.image.flat[places.numpy()])}

    def _values_of(self, pixels: np.ndarray) -> Float[Tensor, "*n channels"]:
        return torch.from_numpy(self.image.kind.values(pixels)).to(self.device)

    def get_train_rays_per_batch(self) -> int:
        """Pixels of a training step."""
        return self._batches().size

    def get_eval_rays_per_batch(self) -> int:
        """Pixels of a step."""
        return self._batches().size

    def evaluated(self, number: int, count: int) -> str:
        """What metrics are of: all of the image, which is also what was learnt from, or parts of a large one."""
        kind = self.dataparser.kind
        if kind.frames == count > 1:
            return f"all {count} frames" if number == count else f"{number} of {count} frames"
        return "the whole image" if count == 1 else f"{number} of {count} parts of {SIDE} x {SIDE} pixels"

    def get_datapath(self) -> Path:
        """The folder in which the image or the video is; nerfstudio saves camera paths there."""
        return Path(self.config.dataparser.data).parent
