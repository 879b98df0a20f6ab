"""`ns-train cn-mri`: a slice or a volume as a coordinate network, learnt from its Fourier coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.image import CoordinateImage
from inr_plugins.models.inverse.measured import MeasuredModel, MeasuredModelConfig
from inr_plugins.models.inverse.volume import MeasuredVolume, volume_psnr
from inr_plugins.models.signals.panels import TRUTH
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.normalization.registry import NormalizationName
from inr_plugins.operators.resonance import Coefficients
from inr_plugins.operators.tomography import relative_error
from inr_plugins.signal_grid import SignalPixels


@dataclass
class CnVolumeModelConfig(MeasuredModelConfig):
    """A volume as the normalization paper has it (sec. 5.4): two layers of 256 with ReLU, cross-normalised."""

    _target: type = field(default_factory=lambda: ResonanceModel)
    """Class to instantiate."""
    activation: ActivationName = "relu"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""
    normalization: NormalizationName = "cross"
    """Normalization before each activation; the learning rate depends on whether there is one."""
    width: int = 128
    """Width of the hidden layers; the paper has 256."""
    hidden_layers: int = 2
    """Hidden layers, the first one included; the paper has 2 and 4."""
    DIMENSIONS = 3


class ResonanceModel(MeasuredVolume, MeasuredModel):
    """A coordinate network of (x, y), or (x, y, z), whose Fourier coefficients are compared with what was measured.

    The slices of a volume are to it what the frames of a video are.

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: CnVolumeModelConfig
    field: CoordinateImage

    def populate_modules(self) -> None:
        """As the base class; and where the voxels are."""
        super().populate_modules()
        found = (self.kwargs.get("metadata") or {}).get("voxels")
        if found is None:
            raise InputError("This method learns a volume from its k-space: give --data that, or the volume.")
        self.has_truth = bool(found["has_truth"])
        *slices, rows, columns = found["spacing_mm"]
        self.spacing_mm, self.slice_mm = (rows, columns), slices[0] if slices else None
        self.affine = found.get("affine")
        self.is_clamped = self.has_truth
        self.unit, self.unit_span = "1", self.span
        self.stored_name = TRUTH if self.has_truth else "zero filling"

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; of all voxels also `measured`, the coefficients of the pixels' operator."""
        outputs = super().forward(ray_bundle)
        if isinstance(ray_bundle, SignalPixels) and ray_bundle.operator is not None:
            outputs["measured"] = ray_bundle.operator.forward(self._as_volume(outputs["values"]))
        return outputs

    def measurement_scores(
        self,
        measured: Coefficients,
        answers: Mapping[str, Float[Tensor, "*axes"]],
        truth: Float[Tensor, "*axes"] | None,
    ) -> dict[str, float]:
        """Scores of the fit by coefficients that were held out, and those of other answers.

        Args:
            measured: what there is.
            answers: volumes by the names of the methods that they are of.
            truth: the volume, where it is known.

        Returns:
            held_out_error, |A f - y| / |y|, held_out_error_<name> of the answers; and, of all voxels, clamped to
            [0, 1], psnr_fit and psnr_<name>.
        """
        judge, held_out = measured.judge.to(self.device), measured.held_out.to(self.device)
        found, scores = self.volume_values(), {}
        for name, answer in {"": found, **answers}.items():
            each, suffix = answer.to(self.device), f"_{name}" if name else ""
            scores[f"held_out_error{suffix}"] = relative_error(judge.forward(each), held_out)
            if truth is not None:
                scores[f"psnr{suffix or '_fit'}"] = volume_psnr(each, truth.to(self.device))
        return scores
