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
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.image import before_positive_part, positive_part
from inr_plugins.metrics.image import ssim
from inr_plugins.models.common.run_length import KnowsRunLength
from inr_plugins.models.inverse.keyed import KeyedModel, KeyedModelConfig
from inr_plugins.models.signals.panels import TRUTH
from inr_plugins.operators.lensless import (
    Holograms,
    Optics,
    light_at,
    turned_to,
    wanted_of,
    weighted_square,
    weights_of_heights,
)
from inr_plugins.operators.light_solve import DARK, light_step
from inr_plugins.operators.propagation import FreeSpace, intensity
from inr_plugins.operators.tomography import relative_error
from inr_plugins.signal_grid import SignalPixels

_BEND = 0.02
"""Of amplitudes, which are 0 and more: that of 0 becomes a half of this."""
_WORTH = 5e-4
"""Share of the loss that a step takes off it, if it is one to take."""
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
    solve_share: float = 0.2
    """Share of the steps, the last ones, in which the light is solved for and keys are moved to it (see LenslessModel);
    0: keys are descended to the end, as in the paper. Networks of the coordinates always are."""

    def check_options(self) -> None:
        """As the base class; and that the light of keys can be solved for."""
        super().check_options()
        if self.keys and self.solve_share > 0 and self.network.normalization != "none":
            raise InputError(
                "--pipeline.model.network.normalization: keys cannot be moved one by one before a normalization, which "
                "looks at all of them; leave it at none, or set --pipeline.model.solve-share 0."
            )


class LenslessModel(KnowsRunLength, KeyedModel):
    """A field of light in the plane of an object, whose intensities at several heights are compared with holograms.

    Of the two values v and w at a place the field is high * v exp(2 pi i w - pi i), v made 0 and more; its intensities
    are those of `operators.lensless.light_at`. The phase is known but for a constant, and is shown between -pi and pi.

    The loss is |R - S|² / |S|² of the roots of intensities, or of those themselves, in which differences between
    heights are weighted (see `LenslessModelConfig`).

    In the last steps of a run (`solve_share`) the light in all pixels is solved for (`operators.light_solve`), without
    those weights, and keys are moved to where the networks have it; networks stay as they are. Once a step makes the
    loss less by next to nothing, it is not taken, nor is any other: of noisy holograms what follows is noise. Heights
    that are learnt are descended in these steps, too, and then the next step may be one to take again.

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
        self._held: list[tuple[Parameter, Tensor]] = []
        self._is_solving = self._is_solved = False

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel."""
        return {f"{part}.tif": part for part in self.parts}

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """Also the heights, where they are learnt."""
        groups = super().get_param_groups()
        return {**groups, "heights": [self.shifts_mm]} if self.config.learn_heights else groups

    # -- steps in which the light is solved for ------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Also those of steps in which the light is solved for."""
        self.note_run_length(training_callback_attributes)
        callbacks = super().get_training_callbacks(training_callback_attributes)
        pipeline = training_callback_attributes.pipeline
        if pipeline is None or not self.config.keys:
            return callbacks
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        manager: Any = pipeline.datamanager
        measured: Holograms = manager.dataparser.measured
        return [
            *callbacks,
            TrainingCallback([before], self.before_step, update_every_num_iters=1, args=[measured.learnt]),
            TrainingCallback([after], self.after_step, update_every_num_iters=1),
        ]

    def is_solving(self, step: int) -> bool:
        """Whether the light is solved for in a step, counted from 0."""
        return step >= self.run_steps - round(self.config.solve_share * self.run_steps)

    def before_step(self, measured: Float[Tensor, "n height width"], step: int) -> None:
        """In a step in which the light is solved for, do so, and hold keys and networks."""
        if not self.is_solving(step):
            return
        if not self._is_solving:
            self._say(
                f"From step {step} on the light is solved for (--pipeline.model.solve-share); a step takes longer."
            )
            self._is_solving = True
        if not self._is_solved and not self.solve(measured.to(self.device)) and not self.config.learn_heights:
            self._is_solved = True
            self._say(f"The light is solved for: from step {step} on nothing changes any more.")
        # The optimizers do not know of this, and move what they have by what they remember.
        self._held = [(each, each.detach().clone()) for each in self.field.parameters()]

    def _say(self, line: str) -> None:
        if ranks.rank() == 0:
            CONSOLE.print(line, highlight=False, markup=False)

    def after_step(self, step: int) -> None:
        """Give keys and networks back what they were."""
        for each, value in self._held:
            each.data.copy_(value)
        self._held = []

    @torch.no_grad()
    def solve(self, measured: Float[Tensor, "n height width"]) -> bool:
        """Move keys to where the light of all pixels has intensities nearer to measured ones; whether it was worth it.

        What was not leaves everything as it is.
        """
        space = self.optics.space(self.space().distances_mm.detach())
        parts: Any = self.field.fields
        size, phase = (each.all_values() for each in parts)
        light = self.field_of(torch.cat([size, phase], -1))
        step = light_step(space, light, measured, compared=self.config.loss)
        if not step.before - step.after > _WORTH * step.before:
            return False
        size = before_positive_part(step.amplitude / self.high, _BEND).reshape(-1, 1)
        phase = phase + step.turn.reshape(-1, 1) / (2 * math.pi)
        for each, wanted in zip(parts, (size, phase), strict=True):
            each.move_keys(wanted)
        return True

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
        found = outputs["measured"]
        wanted = wanted_of(batch["measured"], found.detach())
        if self.config.loss == "amplitude":
            # As in Gerchberg and Saxton's method; the noise of light is alike in roots.
            found, wanted = (found + DARK).sqrt(), (wanted + DARK).sqrt()
        missed = found - wanted
        if self.config.slow_weight > 1 and len(missed) > 1:
            return {"measurement_loss": weighted_square(missed, self.slow_weights) / wanted.square().sum()}
        return {"measurement_loss": missed.square().sum() / wanted.square().sum()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """See ComparedMeasurements; of what is not saturated."""
        known = batch["measured"] >= 0
        return super().get_metrics_dict(
            {"measured": outputs["measured"][known]}, {"measured": batch["measured"][known]}
        )

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
            Of the fit, and with _<name> of the answers: held_out_error, |I - y| / |y|, held_out_contrast_error,
            |I - y| / |y - its mean|, and held_out_psnr, to the largest number that was recorded, all of what is not
            saturated; psnr_amplitude and ssim_amplitude, to 1; and psnr_phase, to the extent of the phase, of fields
            turned to the truth by one phase.
        """
        peak = float(torch.cat([measured.learnt, measured.held_out]).max())
        known = measured.held_out >= 0
        wanted = measured.held_out[known].to(self.device)
        scores = {}
        for name, answer in {"": self.light(), **answers}.items():
            each, suffix = answer.to(self.device), f"_{name}" if name else ""
            if len(measured.held_out):
                found = intensity(light_at(self.space(held_out=True), each))[known.to(self.device)]
                scores[f"held_out_error{suffix}"] = relative_error(found, wanted)
                # The light alone, which is most of a hologram, hides how little of an object may be there.
                mean = wanted.mean()
                scores[f"held_out_contrast_error{suffix}"] = relative_error(found - mean, wanted - mean)
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
