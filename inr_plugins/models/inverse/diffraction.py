"""`ns-train diner-tomography`: the refractive index of a volume, learnt from pictures in the light of LEDs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.scattering import KeyVolume, PlaceVolume, WithAbsorption
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room
from inr_plugins.models.inverse.keyed import KeyedModel, KeyedModelConfig
from inr_plugins.models.inverse.volume import MeasuredVolume
from inr_plugins.models.signals.panels import TRUTH
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.operators.diffraction import Optics
from inr_plugins.operators.diffraction_tomography import Intensities, permittivity_contrast
from inr_plugins.operators.tomography import relative_error
from inr_plugins.signal_grid import SignalPixels

PARTS = ("index", "absorption")
_UM_IN_MM = 1e-3
_EDGE = 1e-3
"""Of a gradient's length, in values: below it total variation is quadratic."""


@dataclass
class DinerVolumeModelConfig(KeyedModelConfig):
    """A volume as DINER's journal version has it (sec. 7.2): a key for each voxel, and a small network behind them."""

    _target: type = field(default_factory=lambda: ScatteringModel)
    """Class to instantiate."""
    network: CoordinateNetworkConfig = field(default_factory=lambda: CoordinateNetworkConfig(width=64, hidden_layers=1))
    """Network from a key, or a place, to the refractive index. The paper has 2 layers of 64, which cost a CPU several
    times as much."""
    positive: bool = True
    """The index is the medium's or more, and nothing sends out light."""
    absorption: bool | None = None
    """Look for what absorbs light too, with keys and a network of its own; by default of pictures, and of a volume,
    which absorbs nothing, not."""
    smoothness: float = 0.3
    """Weight of the volume's mean total variation beside the loss of the pictures, in values; 0: none."""
    sparsity: float = 1.0
    """Weight of the volume's mean difference from the medium, in values; 0: none."""


class ScatteringModel(MeasuredVolume, KeyedModel):
    """The refractive index of a volume, whose scattered light is compared with what was measured.

    Values from 0 to 1 stand for indices from the medium's to that of `span`; the pixels' operator measures the
    permittivity contrast n² - n0² that they are.

    The loss is |A f - y|² / |y|² of all learnt pictures and, weighted, the means of the values and of the length of
    their gradient: where pictures tell nothing there is the medium, and it is smooth.

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: DinerVolumeModelConfig
    unstored_parts = PARTS[1:]

    def populate_modules(self) -> None:
        """As the base class; and how the volume is seen."""
        found = (self.kwargs.get("metadata") or {}).get("scattering")
        self.has_truth = found is not None and bool(found["has_truth"])
        super().populate_modules()
        if found is None:
            raise InputError(
                "This method learns a volume from pictures in the light of LEDs: give --data those, or the volume."
            )
        optics = Optics(**found["optics"])
        self.medium_index = optics.medium_index
        pixel, self.slice_mm = (float(f"{each * _UM_IN_MM:.12g}") for each in (optics.pitch_um, optics.slice_um))
        self.spacing_mm = (pixel, pixel)
        self.is_clamped = self.has_truth
        self.index_span = self.span
        self.unit, self.unit_span = "1", self.span
        if self.absorbs:
            low, high = self.span
            self.parts = PARTS
            self.part_units = (("1", self.span), ("1", (0.0, (high**2 - low**2) / (2 * low))))
        self.stored_name = TRUTH if self.has_truth else "Tikhonov"

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel; and what is absorbed, where that is looked for."""
        files = super().files_to_read_out()
        return {**files, "absorption.nii.gz": PARTS[1]} if self.absorbs else files

    def show_part(self, part: int) -> None:
        """See ImageModel; of absorption nothing is cut off, for which there is no known most."""
        super().show_part(part)
        self.is_clamped = self.has_truth and part == 0

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
        """See ImageModel; absorption is the imaginary part of the index, that of the permittivity over 2 n."""
        if self.part == 0 or not isinstance(self.field, WithAbsorption):
            found: Float[Tensor, "n 1"] = self.field.at(pixels)
            return found
        (low, high), whole = self.index_span, self.field.whole(pixels)
        return low * whole[:, 1:] / (low + (high - low) * whole[:, :1])

    @property
    def absorbs(self) -> bool:
        """Whether absorption is looked for."""
        return not self.has_truth if self.config.absorption is None else self.config.absorption

    def make_field(self) -> ImageField:
        """See ImageModel; absorption is a part behind the index."""
        if not self.absorbs:
            return super().make_field()
        return WithAbsorption([self._part_field(), self._part_field()])

    def _part_field(self) -> ImageField:
        """See KeyedModel."""
        config = self.config
        made: KeyVolume | PlaceVolume
        if config.keys:
            check_room(self.grid.count * config.key_width, "key_width", copies=IN_TRAINING)
            made = KeyVolume(
                self.grid,
                1,
                key_width=config.key_width,
                network=config.network,
                init_range=config.key_start,
                precision=config.precision,
            )
        else:
            made = PlaceVolume(self.grid, 1, network=config.network, precision=config.precision)
        made.positive = config.positive
        return made

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; of all voxels also `measured`, the pictures of the pixels' operator."""
        outputs = super().forward(ray_bundle)
        if isinstance(ray_bundle, SignalPixels) and ray_bundle.operator is not None:
            volumes = self._as_volumes(outputs["values"])
            outputs["measured"] = ray_bundle.operator.forward(self._contrast(volumes))
        return outputs

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """As the base class; and what is known of volumes without pictures."""
        losses, values = super().get_loss_dict(outputs, batch, metrics_dict), outputs["values"]
        if self.config.smoothness:
            found = sum(_mean_variation(each) for each in self._as_volumes(values))
            losses["smoothness_loss"] = self.config.smoothness * torch.as_tensor(found)
        if self.config.sparsity:
            losses["sparsity_loss"] = self.config.sparsity * values.abs().mean(0).sum()
        return losses

    def measurement_scores(
        self,
        measured: Intensities,
        answers: Mapping[str, Float[Tensor, "2 slices rows columns"]],
        truth: Float[Tensor, "slices rows columns"] | None,
    ) -> dict[str, float]:
        """Scores of the fit by pictures that were held out, and those of other answers.

        Args:
            measured: what there is.
            answers: permittivity contrasts by the names of the methods that they are of.
            truth: the refractive index, where it is known.

        Returns:
            held_out_error, |A f - y| / |y|, held_out_error_<name> of the answers; and, of the permittivity contrast of
            all voxels, to the peak of the true one, psnr_fit and psnr_<name>.
        """
        held_out, scores = measured.held_out.to(self.device), {}
        for name, answer in {"": self.permittivity_contrast(), **answers}.items():
            each, suffix = answer.to(self.device), f"_{name}" if name else ""
            scores[f"held_out_error{suffix}"] = relative_error(measured.judge.forward(each), held_out)
            if truth is not None:
                wanted = permittivity_contrast(truth.to(self.device).double(), self.medium_index)
                missed = (each[0] - wanted).square().mean().clamp(min=1e-18)
                scores[f"psnr{suffix or '_fit'}"] = float(10 * (wanted.max().square() / missed).log10())
        return scores

    @torch.no_grad()
    def permittivity_contrast(self) -> Float[Tensor, "2 slices rows columns"]:
        """Its real and its imaginary part in the middles of all voxels."""
        places = self.grid.indices(torch.arange(self.grid.count, device=self.device)).double()
        read = self.field.whole if isinstance(self.field, WithAbsorption) else self.field.at
        return self._contrast(self._as_volumes(read(places)))

    def _contrast(self, volumes: Float[Tensor, "parts slices rows columns"]) -> Float[Tensor, "2 slices rows columns"]:
        """Of values of the index, and of absorption if there is one; 1 of that is as much as 1 of the index adds."""
        low, high = self.index_span
        real = permittivity_contrast(low + (high - low) * volumes[0], self.medium_index)
        imaginary = volumes[1] * (high**2 - low**2) if len(volumes) > 1 else torch.zeros_like(real)
        return torch.stack([real, imaginary])

    def _as_volumes(self, values: Float[Tensor, "n parts"]) -> Float[Tensor, "parts slices rows columns"]:
        return values.T.reshape(-1, *self.grid.sides[::-1])


def _mean_variation(volume: Float[Tensor, "slices rows columns"]) -> Float[Tensor, ""]:
    """The mean length of the gradient from one voxel to the next along each axis, where there is one."""
    inner = volume[:-1, :-1, :-1]
    squares = [(other - inner).square() for other in (volume[1:, :-1, :-1], volume[:-1, 1:, :-1], volume[:-1, :-1, 1:])]
    return (torch.stack(squares).sum(0) + _EDGE**2).sqrt().mean()
