"""A learning-rate schedule that is as long as the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from inr_plugins.engine.optimization.schedulers import exponential_factor
from inr_plugins.errors import InputError


@dataclass
class RunDecayConfig(SchedulerConfig):
    """Exponential decay of the learning rate from the first step of a run to its last."""

    _target: type = field(default_factory=lambda: RunDecay)
    """Class to instantiate."""
    final_fraction: float | None = 0.1
    """Part of the optimizer's rate that is left at the end and after; None: the activation's own."""
    max_steps: int | None = None
    """Step at which it is reached; None: the last of the run, so that it follows --max-num-iterations."""


class RunDecay(Scheduler):
    """Builds the schedule of :class:`RunDecayConfig`: rate * final_fraction^(step / max_steps)."""

    config: RunDecayConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """Return the schedule for `optimizer`; InputError if the end is unknown or a number is out of range."""
        factor = self.factor()
        # A plain function, whose state LambdaLR does not save: a resumed run follows its own configuration.
        return LambdaLR(optimizer, lr_lambda=lambda step: factor(step))

    def factor(self) -> Callable[[int], float]:
        """What the rate is multiplied by at a step; InputError as `get_scheduler`."""
        final, end = self.config.final_fraction, self.config.max_steps
        if final is None or not 0 < final <= 1:
            raise InputError(f"The scheduler's final_fraction must be above 0 and at most 1, got {final}.")
        if end is None or end < 1:
            raise InputError(f"The scheduler's max_steps must be at least 1, got {end}: give a number of steps.")
        return lambda step: exponential_factor(step, begin=0, end=end, final=final)
