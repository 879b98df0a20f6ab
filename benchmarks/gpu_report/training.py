"""A training without a trainer: the steps of nerfstudio's loop alone, on one device, to be timed or compared."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor

from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.engine.optimization.settle import HasOwnRates, settle_optimizers
from inr_plugins.engine.processes.agreement import JointOptimizers
from inr_plugins.engine.trainer import InrTrainerConfig, PreciseInSteps

from .methods import seed_everything


class Training:
    """Model and optimizers of a configuration, as its trainer would make them.

    Attributes:
        model: that is trained.
    """

    def __init__(self, config: Any, source: Any, device: torch.device, *, last_step: int, seed: int = 0) -> None:
        """
        Args:
            config: of ns-train.
            source: of batches; methods.Balls, methods.Chart or methods.Pictures.
            device: to train on.
            last_step: at which the schedules of learning rates end.
            seed: of the weights, which are drawn on the CPU and so the same for every device.
        """
        self.device, self.source, self.config = device, source, config
        seed_everything(seed)
        with without_lpips_weights():
            self.model = config.pipeline.model.setup(
                **source.scene(), device=device, grad_scaler=None, seed_points=None
            )
        self.model.to(device)
        groups = self.model.get_param_groups()
        given = config.optimizers
        if isinstance(config, InrTrainerConfig):
            own = self.model.own_rates() if isinstance(self.model, HasOwnRates) else {}
            given = settle_optimizers(given, groups, own, last_step=last_step)
        self.optimizers = JointOptimizers(given, groups)
        self.mixed = bool(config.mixed_precision) and device.type == "cuda"
        scaled = self.mixed or (config.use_grad_scaler and device.type == "cuda")
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        known = {"optimizers": self.optimizers, "grad_scaler": self.scaler, "pipeline": None, "trainer": None}
        attributes = TrainingCallbackAttributes(
            **{each.name: known[each.name] for each in dataclasses.fields(TrainingCallbackAttributes)}
        )
        # What a model makes ready, a sphere say, is made in this.
        self.callbacks = self.model.get_training_callbacks(attributes)

    @torch.no_grad()
    def take(self, weights: dict[str, Tensor]) -> None:
        """Begin with the state of a model of the same shape, on whatever device it is."""
        for name, value in self.model.state_dict().items():
            value.copy_(weights[name])

    def step(self, number: int) -> dict[str, Tensor]:
        """Take one step; the losses before it, on the device."""
        self.model.train()
        self._call(TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, number)
        given, known = self.source.batch(number, self.device)
        with self.model.step_precision() if isinstance(self.model, PreciseInSteps) else nullcontext():
            self.optimizers.zero_grad_all()
            with torch.autocast(self.device.type, enabled=self.mixed):
                outputs = self.model(given)
                metrics = self.model.get_metrics_dict(outputs, known)
                losses = self.model.get_loss_dict(outputs, known, metrics)
                loss = functools.reduce(torch.add, losses.values())
            self.scaler.scale(loss).backward()
            self.optimizers.optimizer_scaler_step_some(self.scaler, [*self.optimizers.parameters])
        self.scaler.update()
        self.optimizers.scheduler_step_all(number)
        self._call(TrainingCallbackLocation.AFTER_TRAIN_ITERATION, number)
        return {name: value.detach() for name, value in losses.items()}

    def _call(self, location: TrainingCallbackLocation, step: int) -> None:
        for callback in self.callbacks:
            callback.run_callback_at_location(step, location=location)


@contextmanager
def numbers_of_the_cpu() -> Iterator[None]:
    """In it, random numbers are drawn on the CPU, whose generators draw others than a device's, and then moved."""

    def on_cpu(make: Any) -> Any:
        @functools.wraps(make)
        def drawn(*args: Any, device: Any = None, **kwargs: Any) -> Tensor:
            return make(*args, **kwargs) if device is None else make(*args, **kwargs).to(device)

        return drawn

    def like(make: Any) -> Any:
        def drawn(x: Tensor, **kwargs: Any) -> Tensor:
            return make(x.shape, dtype=kwargs.get("dtype") or x.dtype).to(x.device)

        return drawn

    with (
        patch.object(torch, "rand", on_cpu(torch.rand)),
        patch.object(torch, "randn", on_cpu(torch.randn)),
        patch.object(torch, "randint", on_cpu(torch.randint)),
        patch.object(torch, "randperm", on_cpu(torch.randperm)),
        patch.object(torch, "rand_like", like(torch.rand)),
        patch.object(torch, "randn_like", like(torch.randn)),
    ):
        yield
