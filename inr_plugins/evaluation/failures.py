"""What keeps a run from being measured, in a sentence: out of memory, or an error that nobody has foreseen."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

from inr_plugins.errors import InputError

_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of a device did not suffice: Python's, numpy's and torch's errors say so."""
    if isinstance(error, MemoryError):
        return True
    # torch's own class is another in each of its versions, and on a CPU it is a plain RuntimeError.
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no further word")


def failure_sentence(error: Exception, subject: Path | None, *, device: str | None) -> str:
    """Why a run or a mesh could not be measured, and what to do about it.

    Args:
        error: what measuring it raised.
        subject: the run's folder, or the mesh.
        device: the --device that was asked for.
    """
    if isinstance(error, InputError):
        return str(error)
    if is_out_of_memory(error):
        other = "" if device == "cpu" else "--device cpu, "
        return (
            f"There is not enough memory to measure {subject} ({first_line(error)}): give {other}a lower "
            "--resolution, or fewer --samples."
        )
    return f"{subject} could not be measured ({type(error).__name__}: {first_line(error)}): the lines above say where."


def free_memory() -> None:
    """Give back what a run that has ended still holds, on a GPU too."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
