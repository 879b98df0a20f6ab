"""What the optimizers of a run are, once its model and its length are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.optimization.stage_decay import StageDecayConfig
from inr_plugins.errors import InputError


@dataclass(frozen=True)
class OwnRate:
    """The learning rate that a model's own set-up has, as that of an activation.

    Attributes:
        lr: at the first step.
        final_fraction: part of it that is left at the end.
        stage_starts: the first steps of the stages of a run that ends with a step, where there are stages.
    """

    lr: float
    final_fraction: float = 0.1
    stage_starts: Callable[[int], tuple[int, ...]] | None = None


@runtime_checkable
class HasOwnRates(Protocol):
    """A model that knows learning rates for groups of its parameters."""

    def own_rates(self) -> Mapping[str, OwnRate]:
        """The rates of groups by their names, used where a configuration leaves them at None."""


def settle_optimizers(
    configured: Mapping[str, Mapping[str, Any]],
    groups: Iterable[str],
    own: Mapping[str, OwnRate],
    *,
    last_step: int,
) -> dict[str, dict[str, Any]]:
    """The optimizers' configurations with nothing left open.

    Rates that are None become the model's own, and schedules without an end of their own end with the run; all else,
    and the configurations of groups that there are not yet, are as they were.

    Args:
        configured: "optimizer" and "scheduler" of each group.
        groups: those of the model.
        own: the model's own rates.
        last_step: at which the run ends.

    Raises:
        InputError: a group has no optimizer, or its rate is left open and the model has none.
    """
    for name in groups:
        if name not in configured:
            raise InputError(
                f"The model moves {name}, and the configuration has optimizers of {', '.join(configured) or 'nothing'}"
                ": it was written by another version; train anew."
            )
        if configured[name]["optimizer"].lr is None and name not in own:
            raise InputError(f"--optimizers.{name}.optimizer.lr must be a number: the method has no rate of its own.")
    return {name: _settled(group, own.get(name), last_step) for name, group in configured.items()}


def _settled(group: Mapping[str, Any], own: OwnRate | None, last_step: int) -> dict[str, Any]:
    optimizer, schedule = group["optimizer"], group.get("scheduler")
    if own is not None and optimizer.lr is None:
        optimizer = replace(optimizer, lr=own.lr)
    if isinstance(schedule, RunDecayConfig):
        if own is not None and schedule.final_fraction is None:
            schedule = replace(schedule, final_fraction=own.final_fraction)
        if schedule.max_steps is None:
            schedule = replace(schedule, max_steps=last_step)
    if isinstance(schedule, StageDecayConfig):
        if own is not None and own.stage_starts is not None and schedule.stage_starts is None:
            schedule = replace(schedule, stage_starts=own.stage_starts(last_step))
        if schedule.max_steps is None:
            schedule = replace(schedule, max_steps=last_step)
    return {**group, "optimizer": optimizer, "scheduler": schedule}
