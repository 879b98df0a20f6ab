"""What keeps a run from being measured, in a sentence."""

from __future__ import annotations

import gc
from pathlib import Path

import torch

from inr_plugins.errors import InputError, first_line, setting


def failure(error: BaseException, subject: Path | None, *, device: str | None) -> InputError:
    """Why a run or a mesh could not be measured, and what to do about it.

    Args:
        error: what measuring it raised: an InputError, or one of memory.
        subject: the run's folder, or the mesh.
        device: that was asked for.
    """
    if isinstance(error, InputError):
        return error
    other = "" if device == "cpu" else f"{setting('device', 'cpu')}, "
    return InputError(
        f"There is not enough memory to measure {subject} ({first_line(error)}): give {other}a lower "
        f"{setting('resolution')}, or fewer {setting('samples')}."
    )


def free_memory() -> None:
    """Give back what a run that has ended still holds, on a GPU too."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
