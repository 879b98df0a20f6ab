"""Loading a checkpoint strictly: all of the weights, all that the optimizers hold, or a sentence that says what not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nerfstudio.engine.optimizers import Optimizers
from torch import Tensor
from torch.optim import Optimizer

from inr_plugins.errors import InputError

_MISFITS = (RuntimeError, LookupError, TypeError, AttributeError, ValueError, ArithmeticError)
_LONGEST = 300
"""Letters of a reason: torch lists all names that a state lacks."""


@contextmanager
def refusing_misfits(what: str, *, advice: str) -> Iterator[None]:
    """Turn what torch raises for a state that does not fit into a sentence: "`what` (reason): `advice`".

    Raises:
        InputError: the body raised it, or anything that a state of the wrong make leads to.
    """
    try:
        yield
    except InputError:
        raise
    except _MISFITS as error:
        raise InputError(f"{what} ({reason_of(error)}): {advice}") from error


def reason_of(error: Exception) -> str:
    """What an error of torch's says first of a state that does not fit, in a line that is not too long."""
    # torch names the module in the first line, and in the next ones what is missing, unknown or of another size.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[min(1, len(lines) - 1)].rstrip(".") if lines else type(error).__name__
    return reason if len(reason) <= _LONGEST else reason[: _LONGEST - 4] + " ..."


def check_kinds(state: Mapping[str, Any], model: Mapping[str, Any], *, step: int) -> None:
    """Refuse tensors of numbers of another kind than the model's: torch rounds or halves them without a word.

    Args:
        state: the weights as saved.
        model: the state of the model that has loaded them, under the same names.
        step: training step of the checkpoint, to name it by.

    Raises:
        InputError: whole numbers, real and complex ones do not stand for one another.
    """
    for name, value in state.items():
        own = model.get(name.removeprefix("module."))
        if isinstance(value, Tensor) and isinstance(own, Tensor) and _kind(value) != _kind(own):
            raise InputError(
                f"The checkpoint of step {step} does not fit the model ({name} holds {_kind(value)} numbers, not "
                f"{_kind(own)} ones): it is damaged; give another one."
            )


def _kind(value: Tensor) -> str:
    return "complex" if value.is_complex() else "real" if value.is_floating_point() else "whole"


def load_weights(load: Callable[[dict[str, Tensor]], None], state: Mapping[str, Tensor], *, step: int) -> None:
    """Give `load` the weights of a checkpoint, without those of a metric, which nobody trained.

    Args:
        load: loads all weights of a pipeline, and fails where some are missing, unknown or of other sizes.
        state: the weights as saved, also with the prefix that DDP puts before a pipeline's.
        step: training step of the checkpoint, to name it by.

    Raises:
        InputError: the weights do not fit.
    """
    with refusing_misfits(
        f"The checkpoint of step {step} does not fit the model",
        advice="it was written with other options or by another version of the method; give those that the run was "
        "started with, or train again.",
    ):
        load({name.removeprefix("module."): value for name, value in state.items() if ".lpips." not in name})


def load_optimizers(optimizers: Optimizers, state: Mapping[str, Any], path: Path, *, with_schedules: bool) -> None:
    """Put optimizers, and their schedules where wanted, back to what a checkpoint says.

    A learning rate that has been changed since is kept: the schedule goes on with it from where it was.

    Raises:
        InputError: the checkpoint lacks a group, has another one, or one that does not fit the model.
    """
    rates = {name: [group["lr"] for group in each.param_groups] for name, each in optimizers.optimizers.items()}
    bases = {
        name: [group.get("initial_lr", rate) for group, rate in zip(each.param_groups, rates[name], strict=True)]
        for name, each in optimizers.optimizers.items()
    }
    tables = [("optimizers", "optimizes", optimizers.optimizers)]
    if with_schedules:
        tables.append(("schedulers", "has learning-rate schedules of", optimizers.schedulers))
    for part, verb, present in tables:
        saved = _part(state, part, path)
        if set(saved) != set(present):
            raise InputError(
                f"Checkpoint {path} {verb} {sorted(saved)}, the model {sorted(present)}: resume with the method and "
                "options that the run was started with."
            )
        with refusing_misfits(f"The {part} of checkpoint {path} do not fit the model", advice="it is damaged."):
            for name, each in saved.items():
                present[name].load_state_dict(each)
    for name, each in optimizers.optimizers.items():
        _check_moments(each, name, path)
        _keep_rates(each, optimizers.schedulers.get(name) if with_schedules else None, bases[name])


def _part(state: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    """A part of a checkpoint that training goes on from."""
    part = state.get(name)
    if not isinstance(part, Mapping):
        raise InputError(
            f"Checkpoint {path} lacks its {name}, so that training cannot go on from it as it was: give another one."
        )
    return part


def _check_moments(optimizer: Optimizer, name: str, path: Path) -> None:
    """torch takes moments of any shape, and fails at the first step."""
    for param, moments in optimizer.state.items():
        for key, value in moments.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != param.shape:
                raise InputError(
                    f"The optimizers of checkpoint {path} do not fit the model ({key} of {name} has the shape "
                    f"{tuple(value.shape)}, its weights {tuple(param.shape)}): it is damaged."
                )


def _keep_rates(optimizer: Optimizer, schedule: Any, wanted: list[float]) -> None:
    """Scale a group's rate where the configuration has another one to begin with than the checkpoint."""
    for index, (group, rate) in enumerate(zip(optimizer.param_groups, wanted, strict=True)):
        was = group.get("initial_lr", group["lr"])
        if was == rate or not was:
            continue
        group["lr"] *= rate / was
        if "initial_lr" in group:
            group["initial_lr"] = rate
        if index < len(getattr(schedule, "base_lrs", ())):
            schedule.base_lrs[index] = rate


def load_scaler(scaler: Any, state: Mapping[str, Any], path: Path) -> bool:
    """Put a gradient scaler back to what a checkpoint says.

    Returns:
        False where it begins anew, because the checkpoint was written on a device that has no use for one.

    Raises:
        InputError: the checkpoint lacks it, or it is of another make.
    """
    saved = _part(state, "scalers", path)
    if not scaler.is_enabled():
        return True
    if not saved:
        return False
    with refusing_misfits(f"The scalers of checkpoint {path} cannot be read", advice="it is damaged."):
        scaler.load_state_dict(dict(saved))
    return True
