"""`ns-train diner-lensless`: the amplitude and the phase of an object, learnt from holograms at several heights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.errors import InputError
from inr_plugins.fields.image import positive_part
from inr_plugins.metrics.image import ssim
from inr_plugins.models.inverse.keyed import KeyedModel, KeyedModelConfig
from inr_plugins.models.signals.panels import TRUTH
from inr_plugins.operators.lensless import (
    Holograms,
    Optics,
    light_at,
    turned_to,
    weighted_square,
    weights_of_heights,
)
from inr_plugins.operators.propagation import FreeSpace, intensity
from inr_plugins.operators.tomography import relative_error
from inr_plugins.signal_grid import SignalPixels

_BEND = 0.02
"""Of amplitudes, which are 0 and more: that of 0 becomes a half of this."""
_DARK = 1e-6
"""Intensity whose root has a slope that can be learnt by; 1 is the light alone."""
_LEAST_SIDE = 11
"""Of SSIM's window."""
_LEAST_ERROR = 1e-12


@dataclass
class LenslessModelConfig(KeyedModelConfig):
    """A field of light as DINER has it (sec. 7.1): keys and two sine layers of 64 for each of its parts."""

    _target: type = field(default_factory=lambda: LenslessModel)
    """Class to instantiate."""
    loss: Literal["amplitude", "intensity"] = "amplitude"
    """What of the holograms is compared: their roots, or the intensities themselves, as the paper's code does."""
    slow_weight: float = 1.0
    """By how much at the most differences between heights count more, where they are slow and small, for holograms
    with next to no noise, such as 10 (`operators.lensless.weights_of_heights`); 1: not, as the paper has it."""
    learn_heights: bool = False
    """Learn how far each height is from what the file says, beside the object."""


class LenslessModel(KeyedModel):
    """A field of light in the plane of an object, whose intensities at several heights are compared with holograms.

    Of the two values v and w at a place the field is high * v exp(2 pi i w - pi i), v made 0 and more; its intensities
    are those of `operators.lensless.light_at`. The phase is known but for a constant, and is shown between -pi and pi.

    The loss is |R - S|² / |S|² of the roots of intensities, or of those themselves, in which differences between
    heights are weighted (see `LenslessModelConfig`).

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: LenslessModelConfig
    unjudged_parts = ("phase",)

    def populate_modules(self) -> None:
        """As the base class; and how the object is seen."""
        found = (self.kwargs.get("metadata") or {}).get("imaging")
        if found is None:
            raise InputError("This method learns an object from its holograms: give --data those.")
        self.has_truth = bool(found["has_truth"])
        self.stored_name = TRUTH if self.has_truth else "Gerchberg-Saxton"
        super().populate_modules()
        self.high, self.optics = float(found["high"]), Optics(**found["optics"])
        pitch_mm = float(f"{self.optics.pitch_um / 1e3:.12g}")
        self.spacing_mm, self.is_clamped = (pitch_mm, pitch_mm), False
        self.part_units = (("1", (0.0, self.high)), ("rad", (-math.pi, math.pi)))
        self.show_part(0)
        if self.config.learn_heights:
            self.shifts_mm = Parameter(torch.zeros(len(self.optics.learnt_mm)))
        self._kept: dict[tuple[str, bool], FreeSpace] = {}

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel."""
        return {f"{part}.tif": part for part in self.parts}

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Also the heights, where they are learnt."""
        groups = super().get_param_groups()
        return {**groups, "heights": [self.shifts_mm]} if self.config.learn_heights else groups

    # -- light ---------------------------------------------------------------------------------------------------------

    def space(self, *, held_out: bool = False) -> FreeSpace:
        """From the object to the learnt sensors, or to the held-out ones; with the heights as they are learnt.

        How far a held-out height is off is told by those beside it.
        """
        heights = self.optics.heights(held_out=held_out).to(self.device)
        if not self.config.learn_heights:
            key = (str(self.device), held_out)
            if key not in self._kept:
                self._kept[key] = self.optics.space(heights)
            return self._kept[key]
        if held_out:
            order = np.argsort(self.optics.learnt_mm)
            shifts = self.shifts_mm.detach().cpu().double().numpy()[order]
            off = np.interp(self.optics.held_out_mm, np.array(self.optics.learnt_mm)[order], shifts)
            return self.optics.space(heights + torch.from_numpy(off).to(heights))
        return self.optics.space(heights + self.shifts_mm.double())

    def field_of(self, values: Float[Tensor, "n 2"]) -> Complex[Tensor, "height width"]:
        """The light of all pixels, from the field's values."""
        size, phase = values.unbind(-1)
        found = torch.polar(self.high * positive_part(size, _BEND), 2 * math.pi * (phase - 0.5))
        return found.reshape(self.grid.height, self.grid.width)

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; of all pixels also `measured`, the intensities (n, height, width) of learnt holograms."""
        outputs = super().forward(ray_bundle)
        if isinstance(ray_bundle, SignalPixels):
            outputs["measured"] = intensity(light_at(self.space(), self.field_of(outputs["values"])))
        return outputs

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        found, wanted = outputs["measured"], batch["measured"]
        if self.config.loss == "amplitude":
            # As in Gerchberg and Saxton's method; the noise of light is alike in roots.
            found, wanted = (found + _DARK).sqrt(), (wanted + _DARK).sqrt()
        missed = found - wanted
        if self.config.slow_weight > 1 and len(missed) > 1:
            return {"measurement_loss": weighted_square(missed, self.slow_weights) / wanted.square().sum()}
        return {"measurement_loss": missed.square().sum() / wanted.square().sum()}

    @cached_property
    def slow_weights(self) -> Float[Tensor, "height frequencies"]:
        """Of differences between heights."""
        return weights_of_heights(self.optics, most=self.config.slow_weight).to(self.device)

    # -- what is seen --------------------------------------------------------------------------------------------------

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
        """See ImageModel; amplitudes are 0 and more, and phases are brought into [-pi, pi)."""
        values = super().values_at(pixels)
        return positive_part(values, _BEND) if self.part == 0 else values - values.floor()

    @torch.no_grad()
    def light(self) -> Complex[Tensor, "height width"]:
        """The light in the middles of all pixels, as it is seen."""
        places = self.grid.indices(torch.arange(self.grid.count, device=self.device))
        return self.field_of(self.field.at(places.double()))

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """See ImageModel, of the amplitude; and the phase, how far held-out holograms are missed, and other answers.

        Without a truth there are no metrics of the object, and its picture has Gerchberg and Saxton's answer beside it.
        """
        metrics, pictures = super().get_image_metrics_and_images(outputs, batch)
        if "measured" not in batch:
            return metrics, pictures
        metrics = metrics if batch["has_truth"] else {}
        answers, truth = batch["answers"], batch["truth"]
        metrics |= self.measurement_scores(batch["measured"], answers, truth)
        light = self.light() if truth is None else turned_to(self.light(), truth.to(self.device))
        pictures["phase"] = _picture(light.angle() / (2 * math.pi) + 0.5)
        for name, answer in answers.items():
            each = answer.to(self.device) if truth is None else turned_to(answer, truth).to(self.device)
            pictures[f"{name}_amplitude"] = _picture(each.abs() / self.high)
            pictures[f"{name}_phase"] = _picture(each.angle() / (2 * math.pi) + 0.5)
        return metrics, pictures

    @torch.no_grad()
    def measurement_scores(
        self,
        measured: Holograms,
        answers: Mapping[str, Complex[Tensor, "height width"]],
        truth: Complex[Tensor, "height width"] | None,
    ) -> dict[str, float]:
        """Scores of the fit by holograms that were held out, and those of other answers.

        Args:
            measured: what there is.
            answers: objects by the names of the methods that they are of.
            truth: the object, where it is known.

        Returns:
            Of the fit, and with _<name> of the answers: held_out_error, |I - y| / |y|, and held_out_psnr, to the
            largest number that was recorded; psnr_amplitude and ssim_amplitude, to 1; and psnr_phase, to the extent of
            the phase, of fields turned to the truth by one phase.
        """
        peak = float(torch.cat([measured.learnt, measured.held_out]).max())
        scores = {}
        for name, answer in {"": self.light(), **answers}.items():
            each, suffix = answer.to(self.device), f"_{name}" if name else ""
            if len(measured.held_out):
                found, wanted = intensity(light_at(self.space(held_out=True), each)), measured.held_out.to(self.device)
                scores[f"held_out_error{suffix}"] = relative_error(found, wanted)
                scores[f"held_out_psnr{suffix}"] = _psnr(found - wanted, peak)
            if truth is not None:
                scores |= {f"{key}{suffix}": score for key, score in object_scores(each, truth.to(self.device)).items()}
        return scores


def object_scores(field: Complex[Tensor, "height width"], truth: Complex[Tensor, "height width"]) -> dict[str, float]:
    """psnr_amplitude, ssim_amplitude and psnr_phase of a field (see `LenslessModel.measurement_scores`)."""
    size, true_size = field.abs(), truth.abs()
    scores = {"psnr_amplitude": _psnr(size - true_size, 1.0)}
    if min(truth.shape) >= _LEAST_SIDE:
        scores["ssim_amplitude"] = ssim(_picture(size), _picture(true_size))
    extent = float(truth.angle().max() - truth.angle().min())
    if extent > 0:
        off = (turned_to(field, truth) * truth.conj()).angle()
        scores["psnr_phase"] = _psnr(off, extent)
    return scores


def _psnr(missed: Tensor, peak: float) -> float:
    return float(-10 * ((missed / peak).square().mean().clamp(min=_LEAST_ERROR)).log10())


def _picture(values: Float[Tensor, "height width"]) -> Float[Tensor, "height width 3"]:
    return values.clamp(0, 1)[..., None].expand(-1, -1, 3)
