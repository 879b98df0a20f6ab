"""Learning-rate schedules whose state holds plain Python floats.

nerfstudio's own schedules compute with numpy, so a checkpoint of theirs holds ``numpy.float64`` objects, which
``torch.load(weights_only=True)`` (the default from torch 2.6 on) refuses: no resume, no ns-eval, no ns-render. These
use ``math`` and save numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from inr_plugins.errors import InputError


def _fraction(step: int, begin: int, end: int) -> float:
    """How far `step` is from `begin` to `end`, held within [0, 1]; a span of no length is over at once."""
    if end <= begin:
        return 1.0
    return min(max((step - begin) / (end - begin), 0.0), 1.0)


def warmup_factor(step: int, *, warmup_steps: int, start: float, ramp: Literal["linear", "cosine"] = "cosine") -> float:
    """Factor that climbs from `start` at step 0 to 1 at `warmup_steps`; 1 from there on, and always when it is 0.

    "linear" climbs evenly; "cosine" follows a quarter sine wave, so that it arrives with no kink.
    """
    if warmup_steps <= 0:
        return 1.0
    t = _fraction(step, 0, warmup_steps)
    return start + (1.0 - start) * (math.sin(0.5 * math.pi * t) if ramp == "cosine" else t)


def exponential_factor(step: int, *, begin: int, end: int, final: float) -> float:
    """``final ** t`` with t going from 0 at `begin` to 1 at `end`: a straight line in log(lr), constant outside."""
    return math.exp(math.log(final) * _fraction(step, begin, end))


def cosine_factor(step: int, *, begin: int, end: int, final: float) -> float:
    """Half a cosine wave from 1 at `begin` down to `final` at `end`, constant outside."""
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * _fraction(step, begin, end)))


def _as_lambda_lr(optimizer: Optimizer, factor: Callable[[int], float]) -> LRScheduler:
    # A plain function, not a callable object: LambdaLR would save an object's attributes, and a resumed run would then
    # ignore the schedule that its own configuration asks for.
    return LambdaLR(optimizer, lr_lambda=lambda step: float(factor(step)))


@dataclass
class ExponentialDecayConfig(SchedulerConfig):
    """Warm-up, then exponential decay of the learning rate."""

    _target: type = field(default_factory=lambda: ExponentialDecay)
    """Class to instantiate."""
    lr_final: float | None = None
    """Learning rate at max_steps and after. None: the optimizer's own rate, that is no decay."""
    max_steps: int = 100_000
    """Step at which lr_final is reached, warm-up included."""
    warmup_steps: int = 0
    """Steps of warm-up."""
    lr_pre_warmup: float | None = 1e-8
    """Learning rate at step 0 when there is a warm-up. None: the optimizer's own, which stays even until the decay."""
    ramp: Literal["linear", "cosine"] = "cosine"
    """Shape of the warm-up."""


class ExponentialDecay(Scheduler):
    """Builds the schedule of :class:`ExponentialDecayConfig`."""

    config: ExponentialDecayConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """Return the schedule for `optimizer`, whose rate is `lr_init`; InputError if a rate is not positive."""
        config = self.config
        lr_final = lr_init if config.lr_final is None else config.lr_final
        if lr_init <= 0 or lr_final <= 0:
            raise InputError(
                f"An exponential decay needs positive learning rates, not lr={lr_init} and lr_final={lr_final}: "
                "change the optimizer's lr or the scheduler's lr_final."
            )

        def factor(step: int) -> float:
            if step < config.warmup_steps:
                start = 1.0 if config.lr_pre_warmup is None else config.lr_pre_warmup / lr_init
                return warmup_factor(step, warmup_steps=config.warmup_steps, start=start, ramp=config.ramp)
            return exponential_factor(step, begin=config.warmup_steps, end=config.max_steps, final=lr_final / lr_init)

        return _as_lambda_lr(optimizer, factor)


@dataclass
class CosineDecayConfig(SchedulerConfig):
    """Linear warm-up from zero, then half a cosine wave down to a fraction of the learning rate."""

    _target: type = field(default_factory=lambda: CosineDecay)
    """Class to instantiate."""
    final_fraction: float = 0.05
    """Fraction of the optimizer's rate that is left at max_steps and after."""
    max_steps: int = 100_000
    """Step at which the end of the wave is reached, warm-up included."""
    warmup_steps: int = 0
    """Steps of warm-up."""


class CosineDecay(Scheduler):
    """Builds the schedule of :class:`CosineDecayConfig`."""

    config: CosineDecayConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """Return the schedule for `optimizer`."""
        config = self.config

        def factor(step: int) -> float:
            if step < config.warmup_steps:
                return warmup_factor(step, warmup_steps=config.warmup_steps, start=0.0, ramp="linear")
            return cosine_factor(step, begin=config.warmup_steps, end=config.max_steps, final=config.final_fraction)

        return _as_lambda_lr(optimizer, factor)
