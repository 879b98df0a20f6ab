"""`ns-train cn-ct`: a slice through a body, or a stack, as a coordinate network, learnt from views by tomography."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.metrics.image import psnr, ssim
from inr_plugins.models.inverse.measured import ComparedMeasurements, MeasuredModel, MeasuredModelConfig
from inr_plugins.models.inverse.volume import MeasuredVolume, volume_psnr
from inr_plugins.models.signals.base import ImageModel
from inr_plugins.models.signals.panels import TRUTH
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.normalization.registry import NormalizationName
from inr_plugins.operators.radon import root_of_ramp
from inr_plugins.operators.tomography import Geometry, Sinograms, of_each_slice, relative_error
from inr_plugins.signal_grid import SignalPixels

CLASSICAL = ("fbp", "tv")
"""Answers without a network: filtered back-projection and least total variation."""
_LEAST_SIDE = 11
"""Of SSIM's window."""


@dataclass
class CnSliceModelConfig(MeasuredModelConfig):
    """A slice as the normalization paper has it (sec. 5.3): four layers with ReLU, cross-normalised."""

    _target: type = field(default_factory=lambda: SliceModel)
    """Class to instantiate."""
    activation: ActivationName = "relu"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""
    normalization: NormalizationName = "cross"
    """Normalization before each activation; the learning rate depends on whether there is one."""
    width: int = 128
    """Width of the hidden layers; the paper has 128 and 256."""
    hidden_layers: int = 4
    """Hidden layers, the first one included; the paper has 2 and 4."""
    weighting: Literal["ramp", "none"] = "ramp"
    """What the loss counts of views: ramp, all frequencies of the slice alike; none, the views as they are, as the
    paper does, which learns what is fine much later."""


class ComparedSlice(ComparedMeasurements, MeasuredVolume):
    """A slice, or a stack, whose line integrals are compared with what was measured, whatever it is made of.

    Values from 0 to 1 stand for attenuations from 0 to that of `span`, 1/mm, or Hounsfield units from -1000 on, of
    DICOM; of an image, for those themselves.

    The loss is |W (A f - y)|² / |W y|² of all views (`operators.radon` has A), W being the root of the ramp filter
    (`operators.radon.root_of_ramp`) or nothing, as the settings' `weighting` has it.
    """

    config: Any

    def populate_modules(self) -> None:
        """As the base class; and the instrument, as the data has it."""
        found = (self.kwargs.get("metadata") or {}).get("tomography")
        self.affine = None if found is None else found.get("affine")
        super().populate_modules()
        if found is None:
            raise InputError("This method learns a slice from its views: give --data its sinogram, or its image.")
        self.geometry, self.has_truth = Geometry(**found["geometry"]), bool(found["has_truth"])
        pixel = self.geometry.pixel_mm
        self.spacing_mm, self.slice_mm = (pixel, pixel), self.geometry.slice_mm
        self.is_clamped = self.has_truth
        self.unit, self.unit_span = "1/mm", (0.0, 1.0) if self.has_truth else self.span
        if self.affine is not None:
            self.unit, self.unit_span = "HU", self.span
        self.stored_name = TRUTH if self.has_truth else CLASSICAL[0]
        self.learnt_beam = self.geometry.beam(self.geometry.learnt_angles)
        self.held_out_beam = self.geometry.beam(self.geometry.held_out_angles)

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel."""
        if self.grid.is_video:
            return super().files_to_read_out()
        return {"slice.tif" if self.affine is None else "slice.nii.gz": None}

    def weighted(self, missed: Float[Tensor, "*batch views bins"]) -> Float[Tensor, "*batch views bins"]:
        """See MeasuredModel."""
        return root_of_ramp(missed) if self.config.weighting == "ramp" else missed

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """See ImageModel; and, where the batch has them, how far held-out views are missed and classical answers.

        Without a truth there are no metrics of the slice, and its picture has filtered back-projection beside it. Of a
        stack see MeasuredVolume.
        """
        if self.grid.is_video:
            return super().get_image_metrics_and_images(outputs, batch)
        metrics, pictures = ImageModel.get_image_metrics_and_images(self, outputs, batch)
        if "measured" not in batch:
            return metrics, pictures
        metrics, answers = metrics if batch["has_truth"] else {}, batch["answers"]
        metrics |= self.measurement_scores(batch["measured"], answers, batch["truth"])
        pictures |= {name: _shown(answer).to(self.device) for name, answer in answers.items()}
        return metrics, pictures

    def measurement_scores(
        self,
        measured: Sinograms,
        answers: Mapping[str, Float[Tensor, "*slices height width"]],
        truth: Float[Tensor, "*slices height width"] | None,
    ) -> dict[str, float]:
        """Scores of the fit by views that were held out, and those of other answers.

        Args:
            measured: what there is.
            answers: slices by the names of the methods that they are of.
            truth: the slice, where it is known.

        Returns:
            held_out_error, |A f - y| / |y|, held_out_error_<name> of the answers, and psnr_<name> and ssim_<name>; of a
            stack psnr_fit and psnr_<name> of all voxels.
        """
        held_out, found = measured.held_out.to(self.device), self.volume_values()
        beam, is_stack = self.held_out_beam, self.grid.is_video
        scores = {"held_out_error": relative_error(of_each_slice(beam.forward, found), held_out)}
        if truth is not None and is_stack:
            scores["psnr_fit"] = volume_psnr(found, truth.to(found))
        for name, answer in ((name, answer.to(self.device)) for name, answer in answers.items()):
            scores[f"held_out_error_{name}"] = relative_error(of_each_slice(beam.forward, answer), held_out)
            if truth is None:
                continue
            if is_stack:
                scores[f"psnr_{name}"] = volume_psnr(answer, truth.to(answer))
                continue
            shown, wanted = _shown(answer), _shown(truth.to(answer))
            scores[f"psnr_{name}"] = psnr(shown, wanted)
            if min(shown.shape[:2]) >= _LEAST_SIDE:
                scores[f"ssim_{name}"] = ssim(shown, wanted)
        return scores


class SliceModel(ComparedSlice, MeasuredModel):
    """A coordinate network of (x, y), or of (x, y, z) of a stack, whose line integrals are compared with measured ones.

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: CnSliceModelConfig

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; of pixels also `measured`, line integrals (views, bins) of the learnt views.

        Of a stack they are all pixels of some slices, and line integrals of those: (slices, views, bins).
        """
        outputs = super().forward(ray_bundle)
        if isinstance(ray_bundle, SignalPixels):
            slices = outputs["values"].reshape(-1, self.grid.height, self.grid.width)
            outputs["measured"] = self.learnt_beam.forward(slices if self.grid.is_video else slices[0])
        return outputs


def _shown(slice_: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    return slice_.clamp(0, 1)[..., None].expand(-1, -1, 3)
