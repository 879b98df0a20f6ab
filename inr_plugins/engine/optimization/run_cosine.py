"""Warm-up and half a cosine wave of the learning rate, both as long as the run asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inr_plugins.engine.optimization.run_decay import RunDecay, RunDecayConfig
from inr_plugins.engine.optimization.schedulers import cosine_factor, warmup_factor


@dataclass
class RunCosineConfig(RunDecayConfig):
    """Linear warm-up from zero, then half a cosine wave to the last step of the run (NeuS)."""

    _target: type = field(default_factory=lambda: RunCosine)
    """Class to instantiate."""
    final_fraction: float = 0.05
    """Part of the optimizer's rate that is left at the end and after."""
    warmup_share: float = 1 / 60
    """Part of the run that the warm-up takes; NeuS: 5,000 of 300,000 steps."""


class RunCosine(RunDecay):
    """Builds the schedule of :class:`RunCosineConfig`."""

    config: RunCosineConfig

    def factor(self) -> Callable[[int], float]:
        """What the rate is multiplied by at a step; InputError if the end is unknown or a number is out of range."""
        super().factor()
        final, end, share = self.config.final_fraction, self.config.max_steps or 1, self.config.warmup_share
        warm = round(share * end)

        def factor(step: int) -> float:
            if step < warm:
                return warmup_factor(step, warmup_steps=warm, start=0.0, ramp="linear")
            return cosine_factor(step, begin=warm, end=end, final=final)

        return factor
