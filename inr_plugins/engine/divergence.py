"""Notice that training has come apart, before the last good checkpoint is replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from inr_plugins.errors import InputError


class TrainingDivergedError(InputError):
    """A loss or a weight is no longer a finite number."""


@dataclass
class LossWatch:
    """Looks at the losses of each step, and says when they stop being finite.

    Attributes:
        every: Steps between two looks. Each look waits for the device, which costs nothing on a CPU and breaks the
            overlap of host and device on CUDA.
        patience: Looks in a row that may find a loss that is not finite. Float16 training overflows now and then, and
            its loss scaling skips such steps.
    """

    every: int = 1
    patience: int = 0
    _bad_looks: int = 0

    def check(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Look at `losses` of `step`, if it is time to; TrainingDivergedError if they are not finite."""
        if step % self.every:
            return
        # One look at all of them, for which a device is waited for once.
        values = dict(
            zip(losses, torch.stack([loss.detach().double() for loss in losses.values()]).tolist(), strict=True)
        )
        if all(math.isfinite(value) for value in values.values()):
            self._bad_looks = 0
            return
        self._bad_looks += 1
        if self._bad_looks > self.patience:
            listed = ", ".join(f"{name} = {value:g}" for name, value in values.items())
            raise TrainingDivergedError(f"The loss is not finite at step {step} ({listed}).")


def require_finite(state: Mapping[str, object]) -> None:
    """TrainingDivergedError that names the first tensor of `state` with a NaN in it.

    Infinities pass: models use them as marks (an unbounded box, an empty minimum); arithmetic soon turns a diverging
    weight into a NaN.
    """
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and bool(torch.isnan(value).any()):
            raise TrainingDivergedError(f"The weights in {name} are no longer numbers.")
