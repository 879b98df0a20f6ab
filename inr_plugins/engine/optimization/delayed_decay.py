"""mip-NeRF's learning-rate schedule, as long as the run: exponential decay whose first steps are held back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inr_plugins.engine.optimization.run_decay import RunDecay, RunDecayConfig
from inr_plugins.engine.optimization.schedulers import warmup_factor


@dataclass
class DelayedDecayConfig(RunDecayConfig):
    """Exponential decay from the first step of a run to its last, starting from a small part of the rate."""

    _target: type = field(default_factory=lambda: DelayedDecay)
    """Class to instantiate."""
    final_fraction: float = 0.01
    """Part of the optimizer's rate that is left at the end and after."""
    delay_share: float = 0.0025
    """Part of the run, at its beginning, in which the rate climbs to that of the decay; 0: no delay."""
    delay_factor: float = 0.01
    """Part of the decay's rate that the first step has."""


class DelayedDecay(RunDecay):
    """Builds the schedule of :class:`DelayedDecayConfig`.

    rate * final_fraction^t * (d + (1 - d) sin(pi/2 min(t / share, 1))) with t = step / max_steps and d = delay_factor,
    as in mip-NeRF's code, which has 5e-4 to 5e-6 over a million steps with a delay of 2,500 of them.
    """

    config: DelayedDecayConfig

    def factor(self) -> Callable[[int], float]:
        """What the rate is multiplied by at a step; InputError if a number is out of range."""
        config, decay = self.config, super().factor()
        steps = round(config.delay_share * (config.max_steps or 0))
        return lambda step: decay(step) * warmup_factor(step, warmup_steps=steps, start=config.delay_factor)
