"""What `ns-train nid-images` and `nid-image-fit` learn from: the pictures of a folder, as the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
import tyro

from inr_plugins import ranks
from inr_plugins.data.signals.bands_file import ChannelAxis
from inr_plugins.data.signals.batches import PixelBatches
from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.parser import SignalDataParserConfig
from inr_plugins.data.signals.picture_folder import SignalPictures, read_pictures
from inr_plugins.signal_grid import PictureBatch


@dataclass
class PicturesDataParserConfig(SignalDataParserConfig):
    """The pictures of a folder, one after another in the plane y = 0 of the scene."""

    data: Path = Path()
    """Folder of pictures (PNG, JPEG, TIFF, BMP, WebP, PGM or PPM), all of one kind, or one picture."""
    size: int | None = None
    """Side in pixels to which the middle square of every picture is brought; by default they are taken as they are,
    and have to be of one size."""
    channel_axis: tyro.conf.Suppress[ChannelAxis | None] = None
    """Not used."""
    NOUN: ClassVar[str] = "folder of pictures"
    FRAMES: ClassVar[str] = "pictures"

    def read(self) -> SignalPictures:
        """What is at `data`; see `read_pictures`."""
        return read_pictures(Path(self.data), size=self.size)

    def kind(self) -> SignalKind:
        """What kind of pictures these are."""
        return self.read().kind

    def frame_files(self) -> list[Path]:
        """See SignalDataParserConfig."""
        return list(self.read().files) if Path(self.data).exists() else []

    def frame_names(self) -> tuple[str, ...]:
        """See SignalDataParserConfig: of the files, where they are still there."""
        return tuple(each.name for each in self.frame_files())


@dataclass
class MaskedPicturesDataParserConfig(PicturesDataParserConfig):
    """As PicturesDataParserConfig; parts of the pictures may be missing."""

    mask: Path | None = None
    """Picture that is white where nothing is known of --data, or a folder of one for each picture, by name."""

    def read(self) -> SignalPictures:
        """What is at `data`; see `read_pictures`."""
        return read_pictures(Path(self.data), size=self.size, mask=self.mask)


@dataclass
class PictureDataManagerConfig(SignalDataManagerConfig):
    """Settings of the datamanager of dictionaries of pictures."""

    _target: type = field(default_factory=lambda: PictureDataManager)
    """Class to instantiate."""
    dataparser: PicturesDataParserConfig = field(default_factory=PicturesDataParserConfig)
    """Which pictures."""
    pixels_per_batch: int = 1 << 21
    """Pixels of the pictures of a training step, at the most, or one picture; the model says how many patches, and
    which pixels of these, it learns from."""


class PictureDataManager(SignalDataManager):
    """As the base class; a batch has some whole pictures, and a pass all of them once."""

    config: PictureDataManagerConfig

    @property
    def pictures(self) -> SignalPictures:
        """All that there are."""
        return cast(SignalPictures, self.image)

    def _batches(self) -> PixelBatches:
        kind = self.dataparser.kind
        most = max(1, self.config.pixels_per_batch // (kind.width * kind.height))
        return PixelBatches(kind.frames, most, seed=self._seed, rank=ranks.rank(), ranks=ranks.number())

    def _pixels(self, step: int) -> tuple[PictureBatch, dict[str, Any]]:
        numbers = self._batches().places(step)
        if numbers is None:
            numbers = torch.arange(self.dataparser.kind.frames)
        values = self.values_of(numbers.numpy())
        draw = int(np.random.default_rng((self._seed, step)).integers(1 << 31))
        return PictureBatch(numbers.to(self.device), values, draw), {"values": values}

    def values_of(self, numbers: np.ndarray) -> torch.Tensor:
        """The pixels of some pictures, (s, h, w, c) in [0, 1], on the device."""
        pixels = np.stack([self.image.picture(int(number)) for number in numbers])
        return self._values_of(pixels)

    def said_of_batches(self) -> str:
        """See SignalDataManager."""
        size, count = self._batches().size, self.dataparser.kind.frames
        return "" if size >= count else f" A step sees {size} of them."

    def get_train_rays_per_batch(self) -> int:
        """Pixels of the pictures of a step."""
        kind = self.dataparser.kind
        return self._batches().size * kind.width * kind.height

    def get_eval_rays_per_batch(self) -> int:
        """Pixels of a step."""
        return self.get_train_rays_per_batch()

    def evaluated(self, number: int, count: int) -> str:
        """What metrics are of: pictures that were learnt from."""
        if count == 1:
            return "the picture"
        return f"all {count} pictures" if number == count else f"{number} of {count} pictures"
