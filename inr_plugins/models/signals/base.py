"""The base of models of images and videos: learnt from pixels, seen along rays that meet the plane of the image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.base_model import Model
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.fields.image import ImageField
from inr_plugins.metrics.image import ImageMetrics, channel_metrics
from inr_plugins.models.common.backgrounds import over
from inr_plugins.models.common.feasibility import naming_options
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.over_white import OverWhite
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.signals.config import ImageSettings
from inr_plugins.models.signals.panels import FRAME, STORED, ImagePanel
from inr_plugins.options import check_model
from inr_plugins.rendering.crop import crop_of
from inr_plugins.signal_grid import PixelGrid, SignalPixels, first_view
from inr_plugins.viewer.page import LivePage
from inr_plugins.viewer.snapshot import generic_copy

_LEAST_ERROR = 1e-12
BEYOND = 10.0
"""Depth of a ray that meets nothing, normalised units."""


@dataclass
class ImageModelConfig(ImageSettings):
    """Images and videos that are learnt from their pixels."""

    _target: type = field(default_factory=lambda: ImageModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used."""
        check_model(self)


class ImageModel(PreciseSteps, OverWhite, Model):
    """An image as a field of values in [0, 1] at places, fitted by the mean squared error of its pixels.

    Subclasses say in `make_field` and `get_param_groups` what it is made of. For pixels (`SignalPixels`) forward gives
    `values` (n, channels), unclamped. For rays it gives, where they meet the image in the plane y = 0 of the normalised
    frame (see `data.signals.parser`): rgb, clamped, over white where there is an opacity or nothing; depth (distance
    along the ray); accumulation, the opacity. Grey is shown as grey. Of what has bands rgb is of `seen_bands`, and
    channels, clamped, are all of them. Of a video a ray sees the frame of its time, 0 for the first one to 1 for the
    last, or `frame` whatever its time is, where that is set.

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: ImageSettings
    frame_noun: str = FRAME
    """What frames are called in the viewer."""
    frame: int | None = None
    """Of a video, what every ray sees, from 0; for copies that are looked at."""
    has_truth: bool = True
    """Whether the image that the datamanager has is what is looked for, and not another answer beside it."""
    stored_name: str = STORED
    """What that image is called in the viewer."""
    is_clamped: bool = True
    """Whether nothing outside of `span` is read out."""
    spacing_mm: tuple[float, float] | None = None
    """Distance of rows and of columns, of what has a size."""
    slice_mm: float | None = None
    """Distance of the slices of a volume, whose frames they are."""
    affine: tuple[tuple[float, ...], ...] | None = None
    """Where the voxels of a volume are in the patient, as `data.signals.medical_file` has it."""
    unit_span: tuple[float, float] = (0.0, 1.0)
    """Of what has a unit, what values of 0 and 1 are in it."""
    unit: str | None = None
    """That unit."""
    parts: tuple[str, ...] = ()
    """Names of channels that are a grey picture each, of which one at a time is seen and read out."""
    part: int = 0
    """Which of them that is."""
    window: tuple[float, float] = (0.0, 1.0)
    """Values that are seen as black and as white; for copies that are looked at."""
    part_units: tuple[tuple[str, tuple[float, float]], ...] = ()
    """Of each part, `unit` and `unit_span`."""
    unjudged_parts: tuple[str, ...] = ()
    """Those that are known but for a number, so that the viewer has no PSNR of them."""
    unstored_parts: tuple[str, ...] = ()
    """Those of which the datamanager's image has nothing."""
    bands: tuple[str, ...] = ()
    """Names of channels that are neither colours nor an opacity, of which three or one are seen, and all read out."""
    seen_bands: tuple[int, ...] = ()
    """Those that are seen (`signal_grid.views_of`)."""
    read_bands: tuple[int, ...] = ()
    """Those that are read out alone; none: all of them."""
    gives_channels: bool = True
    """Whether rays see all bands, too, for what judges them; not those of copies that are only looked at."""

    def populate_modules(self) -> None:
        super().populate_modules()
        check_model(self.config)
        signal = (self.kwargs.get("metadata") or {}).get("signal")
        if signal is None:
            raise InputError("This method learns an image or a video: give --data its file.")
        self.channels, self.bits = int(signal["channels"]), int(signal["bits"])
        self.has_alpha = bool(signal["has_alpha"])
        self.span: tuple[float, float] = signal["span"]
        self.parts, self.bands = tuple(signal.get("parts", ())), tuple(signal.get("bands", ()))
        self.seen_bands = first_view(self.bands) if self.bands else ()
        self.grid = PixelGrid(int(signal["width"]), int(signal["height"]), int(signal["frames"]))
        with naming_options():
            self.field = self.make_field()
        self.image_metrics = ImageMetrics()
        self.page = LivePage(
            panels=lambda: [self.image_panel(), *network_panels(self)],
            has_surface=False,
            read_out=self.files_to_read_out(),
        )

    def image_panel(self, make: Callable[..., ImagePanel] = ImagePanel, **more: Any) -> ImagePanel:
        """The panel of what is seen, made with what `ImagePanel` has and more."""
        return make(
            frames=self.grid.frames,
            frame=self.frame_noun,
            scales=self.scales(),
            stored=self.stored_name,
            is_truth=self.has_truth,
            parts=self.parts,
            unjudged=self.unjudged_parts,
            unstored=self.unstored_parts if self.parts else (),
            bands=self.bands,
            **more,
        )

    def scales(self) -> tuple[tuple[str, tuple[float, float]], ...]:
        """Of each part, or of all of it, its unit and what black and white are in that; none of what has no unit."""
        return self.part_units or (() if self.unit is None else ((self.unit, self.unit_span),))

    def files_to_read_out(self) -> dict[str, str | None]:
        """Names that the page suggests for files of what is learnt, and the part that each is of."""
        image = "image.tif" if self.bands else "image.png"
        return {"video.mkv" if self.grid.is_video else image: None}

    @abstractmethod
    def make_field(self) -> ImageField:
        """The field, of `self.grid` and `self.channels`; ValueError where settings cannot be used."""

    def show_part(self, part: int) -> None:
        """See another part from now on, and read it out in its unit; of a copy, or of what is not trained any more."""
        self.part = part
        if self.part_units:
            self.unit, self.unit_span = self.part_units[part]
            self.span = self.unit_span

    def look_beside(self, manager: Any) -> None:
        """Take from a datamanager what the part that is seen is made with besides the field: nothing, by default.

        Raises:
            InputError: it is not there.
        """

    @property
    def shown_channels(self) -> int:
        """Of what is read out."""
        return 1 if self.parts else len(self.read_bands) or self.channels

    @property
    def reads_bands(self) -> bool:
        """Whether what is read out has bands; one of them, or three as colours, is an image like others."""
        return bool(self.bands) and not self.read_bands

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n shown"]:
        """The field at places (see `ImageField.at`), of what has parts the one that is seen, and of bands those that
        are read out."""
        values = self.field.at(pixels)
        if self.read_bands:
            return values[:, list(self.read_bands)]
        return values[:, self.part : self.part + 1] if self.parts else values

    # -- training ------------------------------------------------------------------------------------------------------

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """Outputs for pixels, which training has, or for rays (see the class)."""
        if isinstance(ray_bundle, SignalPixels):
            return {"values": self.field(ray_bundle.places)}
        return super().forward(ray_bundle)

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        # Of numbers in [-1, 1], as the papers have it.
        return {"mse_loss": 4 * F.mse_loss(outputs["values"], batch["values"])}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """PSNR of a batch's pixels over all channels, of the whole image where a step sees it, clamped to [0, 1]."""
        error = F.mse_loss(outputs["values"].clamp(0, 1), batch["values"])
        return {"psnr": -10 * torch.log10(error.clamp(min=_LEAST_ERROR))}

    # -- rendering -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("models of images render rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3).double(), ray_bundle.directions.reshape(-1, 3).double()
        # A ray along the plane has an infinite distance, or none, and so meets nothing.
        distance = -origins[:, 1] / directions[:, 1]
        point = origins + directions * distance[:, None]
        coordinates = torch.stack([point[:, 0], -point[:, 2]], -1)
        inside, pixels = self.seen_at(coordinates, ray_bundle.times)
        inside &= distance > 0
        crop = crop_of(ray_bundle)
        if crop is not None:
            inside &= (distance >= crop[0]) & (distance < crop[1])
        rays = inside.nonzero()[:, 0]
        rgb = self._background_colour(origins.float()).clone()
        depth, accumulation = (torch.full_like(rgb[:, :1], each) for each in (BEYOND, 0.0))
        colours, opacity = self.colours_at(pixels[rays])
        rgb[rays] = colours * opacity + rgb[rays] * (1 - opacity)
        depth[rays] = distance[rays, None].float()
        accumulation[rays] = opacity
        shape = ray_bundle.origins.shape[:-1]
        outputs = {"rgb": rgb, "depth": depth, "accumulation": accumulation}
        if self.bands and self.gives_channels:
            outputs["channels"] = rgb.new_zeros(len(rgb), self.channels)
            outputs["channels"][rays] = self.field.at(pixels[rays]).clamp(0, 1)
        return {name: value.reshape(*shape, -1) for name, value in outputs.items()}

    def seen_at(
        self, coordinates: Float[Tensor, "n 2"], times: Tensor | None
    ) -> tuple[Bool[Tensor, " n"], Float[Tensor, "n d"]]:
        """Whether there is something at places in the plane, and column and row, and frame of a video, of what."""
        inside = (coordinates.abs() <= coordinates.new_tensor(self.grid.half_extent)).all(-1)
        return inside, self._places(coordinates, times)

    def _places(self, coordinates: Float[Tensor, "n 2"], times: Tensor | None) -> Float[Tensor, "n d"]:
        """Column and row, and the frame of a video, of places in the plane."""
        pixels = PixelGrid(self.grid.width, self.grid.height).to_pixels(coordinates)
        if not self.grid.is_video:
            return pixels
        last = self.grid.frames - 1
        if self.frame is not None or times is None:
            frames = torch.full_like(pixels[:, :1], self.frame or 0)
        else:
            frames = (times.reshape(-1, 1).double() * last).round().clamp(0, last)
        return torch.cat([pixels, frames], -1)

    def colours_at(self, pixels: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 1"]]:
        """Straight colours and opacities, clamped, at places counted in pixels (see `ImageField.at`)."""
        values = self.field.at(pixels)[:, list(self.seen_bands)] if self.bands else self.values_at(pixels)
        values = self._windowed(values)
        opacity = values[:, -1:] if self.has_alpha else torch.ones_like(values[:, :1])
        colours = values[:, :-1] if self.has_alpha else values
        return colours.expand(-1, 3), opacity

    def _windowed(self, values: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Values as they are seen: 0 for black and 1 for white."""
        black, white = self.window
        if self.window != (0.0, 1.0):
            values = (values - black) / (white - black)
        return values.clamp(0, 1)

    # -- pictures ------------------------------------------------------------------------------------------------------

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        image = batch["image"].to(outputs["rgb"].device)
        target = over(image, self._background_colour(image[..., :3]))
        pictures = evaluation_pictures(outputs, target)
        # Of a plane that is met at a right angle there is nothing in a depth to see.
        pictures["error"] = (outputs["rgb"] - target).abs()
        if "channels" in batch:
            return channel_metrics(outputs["channels"], batch["channels"].to(outputs["rgb"].device)), pictures
        return self.image_metrics(outputs["rgb"], target), pictures

    def viewer_copy(self) -> Any:
        """A copy of which only what is looked at is rendered."""
        made = generic_copy(self)
        made.gives_channels = False
        return made
