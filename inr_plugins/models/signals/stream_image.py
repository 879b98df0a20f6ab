"""`ns-train finer-stream`: an image as a network that is widened in stages, each of which can be had by itself."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.errors import InputError
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.stream_image import StageView, StreamImage
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, naming_options
from inr_plugins.models.signals.base import ImageModel, ImageModelConfig
from inr_plugins.models.signals.coordinate_image import BACKBONES
from inr_plugins.models.signals.stream_panel import StreamPanel
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings
from inr_plugins.networks.stream_network import StreamNetworkConfig
from inr_plugins.options import model_option
from inr_plugins.viewer.page import LivePage

_LEAST_ERROR = 1e-12
_OUTPUT = "stage_{}".format


@dataclass
class StreamImageModelConfig(ImageModelConfig, ActivationSettings):
    """An image as a stream (FINER++, sec. 5.4): five hidden layers that grow from 30 to 151, Cho et al.'s widths."""

    _target: type = field(default_factory=lambda: StreamImageModel)
    """Class to instantiate."""
    activation: ActivationName = "finer-sine"
    """Activation of the hidden layers, finer-sine, finer-gauss, sine or gauss; constants and rate follow it unless they
    are given."""
    widths: tuple[int, ...] = (30, 69, 110, 151)
    """Width of the hidden layers after each stage; as many as there are stages."""
    hidden_layers: int = 5
    """Hidden layers, the first one included."""
    stage_steps: tuple[int, ...] = ()
    """Steps of each stage, or one number for all; none: equal parts of the run. Steps that are left are the last
    stage's."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        with naming_options():
            self.network().check()
        if len(self.stage_steps) not in (0, 1, len(self.widths)):
            raise InputError(
                f"{model_option('stage_steps')} has {len(self.stage_steps)} numbers, and {model_option('widths')} "
                f"{len(self.widths)}: give one for each stage, or one for all."
            )
        check_room(
            self.network().weights(len(self.widths), inputs=2, outputs=1), "widths", "hidden_layers", copies=IN_TRAINING
        )

    def network(self) -> StreamNetworkConfig:
        """The network, with the activation's own constants where nothing else is asked for."""
        own = BACKBONES[self.activation].settings if self.activation in BACKBONES else {}
        constants = {name: own.get(name) if value is None else value for name, value in self.constants.items()}
        settings = ActivationSettings(activation=self.activation, **constants)
        return StreamNetworkConfig(settings, tuple(self.widths), self.hidden_layers)

    def stage_starts(self, last_step: int) -> tuple[int, ...]:
        """The first step of each stage of a run that ends with a step.

        Raises:
            InputError: it has fewer steps than stages, which share them.
        """
        count = len(self.widths)
        if self.stage_steps:
            steps = self.stage_steps * count if len(self.stage_steps) == 1 else self.stage_steps
            return (0, *accumulate(steps[:-1]))
        if last_step < count:
            raise InputError(
                f"A run of {last_step} steps has none for some of its {count} stages: give --max-num-iterations, or "
                f"fewer {model_option('widths')}."
            )
        return tuple(stage * last_step // count for stage in range(count))


class StreamImageModel(ImageModel):
    """An image in stages, each of which adds neurons to the network of the stages before and leaves those as they are.

    Beside what models of images give for rays, `stage_1` and so on are rgb as earlier stages have it, in evaluation.

    Raises:
        InputError: a setting out of range, or settings that cannot go together.
    """

    config: StreamImageModelConfig
    field: StreamImage | StageView
    starts: Tensor

    def populate_modules(self) -> None:
        """As the base class; before training the first stage is shown."""
        super().populate_modules()
        # First steps of the stages, by which a run that goes on goes on; -1 until they are settled.
        self.register_buffer("starts", torch.full((len(self.config.widths),), -1))
        self.stream.network.stage.fill_(1)
        self.page = LivePage(panels=lambda: [self.image_panel(StreamPanel)], has_surface=False)

    def make_field(self) -> ImageField:
        """See ImageModel."""
        return StreamImage(self.grid, self.channels, network=self.config.network(), precision=self.config.precision)

    @property
    def stages(self) -> int:
        """How many there are in all."""
        return len(self.config.widths)

    # -- training ------------------------------------------------------------------------------------------------------

    def own_rates(self) -> dict[str, OwnRate]:
        """The activation's rate, anew for each stage."""
        return {"fields": OwnRate(BACKBONES[self.config.activation].lr, stage_starts=self.first_steps)}

    def first_steps(self, last_step: int) -> tuple[int, ...]:
        """The first steps of the stages: what they have been so far, where the run has begun."""
        return tuple(self.starts.tolist()) if int(self.starts[0]) >= 0 else self.config.stage_starts(last_step)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights; those of other stages than the one that is learnt have no gradient, and stay."""
        return {"fields": list(self.field.parameters())}

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """What puts the network into the stage of a step."""
        trainer = training_callback_attributes.trainer
        if trainer is not None:
            end = trainer._start_step + trainer.config.max_num_iterations
            self.starts.copy_(torch.tensor(self.first_steps(end)))
            self._tell_of(end)
        elif self.config.stage_steps:
            self.starts.copy_(torch.tensor(self.config.stage_starts(0)))
        before = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION
        return [TrainingCallback([before], self.before_step, update_every_num_iters=1)]

    def before_step(self, step: int) -> None:
        """Put the network into the stage of a step."""
        stage = max(1, sum(0 <= start <= step for start in self.starts.tolist()))
        if stage != self.field.stage:
            self.stream.network.stage.fill_(stage)
            self._say(f"Step {step:,}: stage {stage} of {self.stages} begins, {self._in_words(stage)}.")

    def _tell_of(self, end: int) -> None:
        """Say which stages a run has."""
        starts = self.starts.tolist()
        listed = ", ".join(
            f"{width} from step {start:,}" for width, start in zip(self.config.widths, starts, strict=True)
        )
        self._say(f"Stages by the width of their layers: {listed}.")
        reached = sum(start < end for start in starts)
        if reached < self.stages:
            self._say(
                f"The run ends with step {end:,}, in stage {reached} of {self.stages}: --max-num-iterations sets how "
                "many steps there are."
            )

    def _in_words(self, stage: int) -> str:
        weights = self.config.network().weights(stage, inputs=2, outputs=self.channels)
        return f"{self.config.widths[stage - 1]} wide, {weights:,} weights"

    @staticmethod
    def _say(sentence: str) -> None:
        if comms.is_main_process():
            CONSOLE.print(sentence, highlight=False, markup=False)

    # -- pictures ------------------------------------------------------------------------------------------------------

    def viewer_copy(self) -> StreamImageModel:
        """A copy of which only what is looked at is rendered."""
        made: StreamImageModel = super().viewer_copy()
        made.field = StageView(made.stream, made.field.stage)
        return made

    @torch.no_grad()
    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        """See ImageModel; and what earlier stages have."""
        outputs = super().get_outputs(ray_bundle)
        field = self.field
        if self.training or not isinstance(field, StreamImage):
            return outputs
        for stage in range(1, field.stage):
            outputs[_OUTPUT(stage)] = ImageModel.get_outputs(self._in_stage(stage), ray_bundle)[self._judged_by]
        return outputs

    @property
    def _judged_by(self) -> str:
        """The output that a fit is judged by."""
        return "channels" if self.bands else "rgb"

    def _in_stage(self, stage: int) -> StreamImageModel:
        """A shallow copy that has one stage in place of the newest."""
        made = copy.copy(self)
        # copy.copy has the copy's table of modules be that of the original.
        vars(made)["_modules"] = {**self._modules}
        made.field = StageView(self.stream, stage)
        return made

    @property
    def stream(self) -> StreamImage:
        """What is learnt; not of copies that are only looked at."""
        assert isinstance(self.field, StreamImage)
        return self.field

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """See ImageModel; and the PSNR of every stage, psnr_stage_1 and so on."""
        metrics, pictures = super().get_image_metrics_and_images(outputs, batch)
        target = pictures["img"][:, : outputs["rgb"].shape[1]]
        if self._judged_by in batch:
            target = batch[self._judged_by].to(target.device)
        for stage in range(1, self.field.stage + 1):
            found = outputs.get(_OUTPUT(stage), outputs[self._judged_by])
            metrics[f"psnr_stage_{stage}"] = _psnr(found, target)
        return metrics, pictures


def _psnr(found: Float[Tensor, "*n"], wanted: Float[Tensor, "*n"]) -> float:
    """dB, of values in [0, 1]."""
    return -10 * float(F.mse_loss(found, wanted).clamp(min=_LEAST_ERROR).log10())
