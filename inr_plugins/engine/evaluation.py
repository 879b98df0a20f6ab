"""When to evaluate during training, and on what: by a share of the time, since a view may cost 20 ms or 2 minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nerfstudio.pipelines.base_pipeline import VanillaPipeline

_IN_THE_LINE = ("psnr_", "held_out_error", "held_out_contrast_error")
"""How metrics begin that are said beside those of pictures."""


@dataclass
class EvalBudget:
    """Keeps evaluation within a share of the time spent training.

    Attributes:
        fraction: Largest part of the time so far that may go to evaluation, from 0 (never) to 1 (always).
    """

    fraction: float
    _begin: float | None = None
    _spent: float = 0.0
    _last_cost: float | None = None

    def start(self) -> None:
        """Begin to count the time."""
        self._begin = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since :meth:`start`."""
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    def allows(self, *, estimate: float) -> bool:
        """Whether one more evaluation fits; `estimate` is its cost in seconds for as long as none was timed."""
        cost = estimate if self._last_cost is None else self._last_cost
        return self._spent + cost <= self.fraction * (self.elapsed + cost)

    def affordable(self, wanted: int, *, estimate: float) -> int:
        """How many of `wanted` views to evaluate when training ends: what the share pays for, but one at least.

        Numbers below 1 mean none or all, and stand.
        """
        cost = estimate if self._last_cost is None else self._last_cost
        if wanted < 1 or cost <= 0:
            return wanted
        return max(1, min(wanted, int(self.fraction * self.elapsed / cost)))

    def record(self, seconds: float) -> None:
        """Count an evaluation that took `seconds`."""
        self._spent += seconds
        self._last_cost = seconds


def spread_indices(count: int, wanted: int) -> list[int]:
    """`wanted` indices spread evenly over ``range(count)``, first and last included; all of them if wanted is -1."""
    if wanted < 0 or wanted >= count:
        return list(range(count))
    if wanted <= 1:
        return list(range(count))[:wanted]
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def expected_view_seconds(pipeline: VanillaPipeline, *, seconds_per_step: float) -> float:
    """Seconds that rendering one held-out view should take, judging by training: a third, for want of a backward pass.

    0 if there are no held-out views.
    """
    dataset = pipeline.datamanager.eval_dataset
    if dataset is None or len(dataset) == 0:
        return 0.0
    pixels = float(dataset.cameras.height.max()) * float(dataset.cameras.width.max())
    return pixels / pipeline.datamanager.get_train_rays_per_batch() * seconds_per_step / 3


@torch.no_grad()
def evaluate_views(pipeline: VanillaPipeline, wanted: int, *, step: int) -> tuple[dict[str, float], str]:
    """Evaluate `wanted` held-out views (-1: all) spread over the split.

    Returns:
        The metrics averaged over the views and a line that reports them; both empty where there is nothing to evaluate
        or the datamanager has no fixed views.
    """
    loader = getattr(pipeline.datamanager, "fixed_indices_eval_dataloader", None)
    if loader is None:
        return {}, ""
    count = len(loader.input_dataset)
    indices = spread_indices(count, wanted)
    if not indices:
        return {}, ""
    views = [loader.get_camera(index) for index in indices]
    metrics = pipeline.get_average_image_metrics(views, image_prefix="eval", step=step)
    # nerfstudio's own datamanagers have photographs that were held out.
    describe = getattr(pipeline.datamanager, "evaluated", "{} of {} held-out images".format)
    return metrics, metrics_line(metrics, what=describe(len(indices), count))


def metrics_line(metrics: Mapping[str, Any], *, what: str) -> str:
    """One line for people: the metrics that speak of quality, and what they are of."""
    # Methods that learn in stages have the PSNR of each, and those of measurements have other methods' answers.
    more = [name for name in metrics if name.startswith(_IN_THE_LINE) and not name.endswith("_std")]
    names = [name for name in ("psnr", "ssim", "lpips") if name in metrics] + more
    numbers = ", ".join(f"{name.replace('_', ' ')} {float(metrics[name]):.4g}" for name in names)
    return f"Evaluated {what}: {numbers or 'no metrics'}"
