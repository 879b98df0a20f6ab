"""A learning-rate schedule that is as long as the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from inr_plugins.engine.optimization.schedulers import exponential_factor
from inr_plugins.errors import InputError
from inr_plugins.options import check_schedule


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
        check_schedule(self.config)
        if final is None or end is None:
            open_one = "final-fraction" if final is None else "max-steps"
            raise InputError(f"--optimizers.*.scheduler.{open_one} must be a number: nothing settles it here.")
        return lambda step: exponential_factor(step, begin=0, end=end, final=final)
