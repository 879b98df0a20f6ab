"""A learning-rate schedule that is as long as the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
    final_fraction: float = 0.1
    """Part of the optimizer's rate that is left at the end and after."""
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
        if not 0 < final <= 1:
            raise InputError(f"The scheduler's final_fraction must be above 0 and at most 1, got {final}.")
        if end is None or end < 1:
            raise InputError(f"The scheduler's max_steps must be at least 1, got {end}: give a number of steps.")
        return lambda step: exponential_factor(step, begin=0, end=end, final=final)


def settle_schedules(optimizers: Mapping[str, Mapping[str, Any]], last_step: int) -> dict[str, dict[str, Any]]:
    """The optimizers' configurations with schedules that follow the run ending at `last_step`; all else as it is."""
    settled = {name: dict(group) for name, group in optimizers.items()}
    for group in settled.values():
        schedule = group.get("scheduler")
        if isinstance(schedule, RunDecayConfig) and schedule.max_steps is None:
            group["scheduler"] = replace(schedule, max_steps=last_step)
    return settled
