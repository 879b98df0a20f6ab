"""The data of `ns-train cn-ct`: views of a slice through a body, measured of an image of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.data.signals.datamanager import SignalDataManager, SignalDataManagerConfig
from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.images import SignalImages
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.parser import SignalDataParser, SignalDataParserConfig, SignalOutputs
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.operators.tomography import Geometry, Sinograms, back_projected, measure, smoothest
from inr_plugins.options import OF_THE_DATA
from inr_plugins.signal_grid import SignalPixels

_LONGEST = 1024
"""Pixels along a slice: its fit is measured whole in every step."""


@dataclass
class SliceDataParserConfig(SignalDataParserConfig):
    """An image of a slice, and how it is measured."""

    _target: type = field(default_factory=lambda: SliceDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Grey image of the slice, black where nothing attenuates the beam; it is measured, and judged by, never learnt."""
    memory_gigabytes: tyro.conf.Suppress[float] = 2.0
    """Not used: slices are small."""
    views: int = 100
    """Views that are learnt from, evenly over 180 degrees."""
    held_out_views: int = 8
    """Further views, half-way between two of those, by which a fit is judged."""
    noise: float = 0.0
    """Noise of the measurements, its root mean square as a share of theirs, such as 0.05."""
    noise_seed: int = 0
    """Seed of the noise."""
    pixel_mm: float = 1.0
    """Side of a pixel of the slice, and distance of the detector's bins, millimetres."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of image that is, as it was when training began."""
    NOUN: ClassVar[str] = "slice"

    def read(self) -> SignalImage:
        """The image; InputError where it can be no slice."""
        found = super().read()
        self._check(found.kind)
        if not found.pixels.any():
            raise InputError(f"--data {shown(Path(self.data))} is black, and nothing of it can be measured.")
        return found

    def kind(self) -> SignalKind:
        """What kind of image that is."""
        return self.read().kind

    def geometry(self, kind: SignalKind) -> Geometry:
        """How a slice of a kind is measured."""
        return Geometry(kind.width, kind.height, self.pixel_mm, self.views, self.held_out_views)

    def _check(self, kind: SignalKind) -> None:
        name = f"--data {shown(Path(self.data))}"
        if kind.channels != 1:
            raise InputError(f"{name} is {kind.description()}, and a slice has one value a pixel: make it grey.")
        if kind.is_float:
            raise InputError(
                f"{name} has floating-point numbers, whose unit nothing says: store the slice as grey of 8 or 16 bits."
            )
        if max(kind.width, kind.height) > _LONGEST:
            raise InputError(
                f"{name} has {kind.width} x {kind.height} pixels: make it {_LONGEST} or fewer along its longer side."
            )
        if self.held_out_views > self.views:
            option = "--pipeline.datamanager.dataparser"
            raise InputError(
                f"{option}.held-out-views {self.held_out_views} are more than {option}.views {self.views}, between "
                "which they lie: give fewer."
            )


class SliceDataParser(SignalDataParser):
    """As the base class; the metadata that the model gets have "tomography" too, what `Geometry` is made of."""

    config: SliceDataParserConfig

    @property
    def geometry(self) -> Geometry:
        """How the slice is measured."""
        return self.config.geometry(self.kind)

    @cached_property
    def measured(self) -> Sinograms:
        """What was measured of the slice."""
        values = torch.from_numpy(self.image.values()[..., 0])
        return measure(values, self.geometry, noise=self.config.noise, seed=self.config.noise_seed)

    @cached_property
    def classical(self) -> dict[str, torch.Tensor]:
        """Answers (height, width) without a network: fbp and tv, as `operators.tomography` has them."""
        return {"fbp": back_projected(self.measured), "tv": smoothest(self.measured)}

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> SignalOutputs:
        outputs = super()._generate_dataparser_outputs(split, **kwargs)
        outputs.metadata["tomography"] = asdict(self.geometry)
        return outputs


class SliceImages(SignalImages):
    """The picture of the slice; beside it, where a run is judged, what its held-out views and other methods say.

    Attributes:
        judges: whether classical answers are wanted too, which take some seconds to a minute.
    """

    judges = False

    def get_metadata(self, data: dict) -> dict:
        """held_out (views, bins), and fbp and tv (height, width) where they are wanted."""
        if self.stands_in:
            return {}
        parser: Any = self._dataparser_outputs.parser  # type: ignore[attr-defined]
        return {"held_out": parser.measured.held_out, **(parser.classical if self.judges else {})}


@dataclass
class SliceDataManagerConfig(SignalDataManagerConfig):
    """Settings of the datamanager of slices that are measured."""

    _target: type = field(default_factory=lambda: SliceDataManager)
    """Class to instantiate."""
    dataparser: SliceDataParserConfig = field(default_factory=SliceDataParserConfig)
    """Which slice, and how it is measured."""
    pixels_per_batch: tyro.conf.Suppress[int] = 1 << 20
    """Not used: a view sees all of the slice."""
    seed: tyro.conf.Suppress[int | None] = None
    """Not used: nothing is drawn."""


class SliceDataManager(SignalDataManager):
    """All views in every step, and the picture of the slice where a fit is judged.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: SliceDataManagerConfig
    dataparser: SliceDataParser

    def setup_train(self) -> None:
        """As the base class; and say what is measured."""
        super().setup_train()
        if self.test_mode == "val":
            geometry, noise = self.dataparser.geometry, self.config.dataparser.noise
            CONSOLE.print(
                f"Measured {geometry.views} views of {geometry.bins} bins over 180 degrees, noise {100 * noise:g} %; "
                f"{geometry.held_out} more are held out.",
                highlight=False,
                markup=False,
            )

    def create_eval_dataset(self) -> SliceImages:
        """The picture of the slice, with all that a run is judged by where that is what it was opened for."""
        dataset = cast(SliceImages, super().create_eval_dataset())
        dataset.judges = self.test_mode == "test"
        return dataset

    @property
    def dataset_type(self) -> type[SliceImages]:
        """Of both splits."""
        return SliceImages

    def _pixels(self, step: int) -> tuple[SignalPixels, dict[str, Any]]:
        if self._truth is None:
            self._truth = self.dataparser.measured.learnt.to(self.device)
        return SignalPixels(None), {"measured": self._truth}

    def get_train_rays_per_batch(self) -> int:
        """Pixels of the slice, all of which a step evaluates."""
        return len(self.image.flat)

    def get_eval_rays_per_batch(self) -> int:
        """Pixels of the slice."""
        return len(self.image.flat)

    def evaluated(self, number: int, count: int) -> str:
        """What metrics are of: the slice, which was not learnt from itself."""
        return "the slice, which was not learnt from but measured"
