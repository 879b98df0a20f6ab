"""A learning-rate schedule that begins anew with each stage of a run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from inr_plugins.engine.optimization.schedulers import exponential_factor
from inr_plugins.errors import InputError
from inr_plugins.options import check_schedule


@dataclass
class StageDecayConfig(SchedulerConfig):
    """Exponential decay of the learning rate from the first step of each stage to its last."""

    _target: type = field(default_factory=lambda: StageDecay)
    """Class to instantiate."""
    final_fraction: float = 0.1
    """Part of the optimizer's rate that is left at the end of each stage, and after the last one."""
    stage_starts: tuple[int, ...] | None = None
    """First steps of the stages; None: the model's."""
    max_steps: int | None = None
    """Step at which the last stage ends; None: the last of the run."""


class StageDecay(Scheduler):
    """Builds the schedule of :class:`StageDecayConfig`: rate * final_fraction^(part of the stage that is over)."""

    config: StageDecayConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> LRScheduler:
        """Return the schedule for `optimizer`; InputError if the stages are unknown or a number is out of range."""
        factor = self.factor()
        # A plain function, whose state LambdaLR does not save: a resumed run follows its own configuration.
        return LambdaLR(optimizer, lr_lambda=lambda step: factor(step))

    def factor(self) -> Callable[[int], float]:
        """What the rate is multiplied by at a step; InputError as `get_scheduler`."""
        starts, end, final = self.config.stage_starts, self.config.max_steps, self.config.final_fraction
        check_schedule(self.config)
        if not starts or end is None:
            open_one = "max-steps" if starts else "stage-starts"
            raise InputError(f"--optimizers.*.scheduler.{open_one} must be given: nothing settles it here.")
        ends = (*starts[1:], end)

        def factor_at(step: int) -> float:
            stage = max(0, bisect_right(starts, step) - 1)
            return exponential_factor(step, begin=starts[stage], end=ends[stage], final=final)

        return factor_at
