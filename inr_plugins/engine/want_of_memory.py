"""What to lower where the memory of the device or of the machine does not suffice to train, or to look at a view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inr_plugins.errors import InputError, first_line, is_out_of_memory

_DATA, _MODEL = "pipeline.datamanager.", "pipeline.model."
_BATCHES = ("points_per_batch", "train_num_rays_per_batch")
_SIZES = ("num_voxels", "max_train_samples", "num_fine_samples", "uniform_samples", "experts", "points", "width")
_LONGEST = 160


@contextmanager
def naming_want_of_memory(
    config: Any, *, evaluates: Callable[[], bool] = lambda: False, go_on: Callable[[], str]
) -> Iterator[None]:
    """Say in a sentence that memory does not suffice, and which options of this training to lower.

    Args:
        config: of the training.
        evaluates: whether it was at a view, and not at a step.
        go_on: how to go on, as a part of a sentence.

    Raises:
        InputError: the body had not enough memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(want_of_memory(error, config, evaluates=evaluates(), go_on=go_on())) from error


def want_of_memory(error: BaseException, config: Any, *, evaluates: bool, go_on: str) -> str:
    """The sentence; see :func:`naming_want_of_memory`."""
    said = _said(error)
    if evaluates:
        chunk = f"--{_MODEL}eval-num-rays-per-chunk"
        return f"There is not enough memory to evaluate a view ({said}): lower {chunk}, then {go_on}."
    batch = next((name for name in _BATCHES if hasattr(config.pipeline.datamanager, name)), None)
    sizes = [f"--{_MODEL}{_dashed(name)}" for name in _SIZES if hasattr(config.pipeline.model, name)][:2]
    anew = f"; or train anew with a lower {' or '.join(sizes)}" if sizes else ""
    lower = "" if batch is None else f"lower --{_DATA}{_dashed(batch)}, then "
    return f"There is not enough memory to train ({said}): {lower}{go_on}{anew}."


def want_of_memory_of_others(error: BaseException) -> str:
    """The sentence for a method of nerfstudio's own."""
    return (
        f"There is not enough memory ({_said(error)}): lower --{_DATA}train-num-rays-per-batch or "
        f"--{_MODEL}eval-num-rays-per-chunk."
    )


def want_of_memory_to_look(error: BaseException, command: str, config_file: Path) -> str:
    """The sentence for a command of nerfstudio's that opens a run: ns-eval, ns-render, ns-viewer.

    Args:
        error: what was raised.
        command: the command's name.
        config_file: the run's config.yml.
    """
    lower = "give ns-render a lower --eval-num-rays-per-chunk"
    if command != "ns-render":
        lower = f"lower eval_num_rays_per_chunk in {config_file}, or use the CPU or a device with more memory"
    return f"There is not enough memory for {command} ({_said(error)}): {lower}."


def _said(error: BaseException) -> str:
    return first_line(error).split(" GPU ")[0].rstrip(". ")[:_LONGEST]


def _dashed(name: str) -> str:
    return name.replace("_", "-")
