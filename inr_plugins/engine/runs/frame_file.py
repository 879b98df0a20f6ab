"""dataparser_transforms.json of a run: the frame of the data in that of the model, for other programs.

Neither nerfstudio 1.1.5 nor this package reads it: both ask the data again. Programs that place what was exported, or
fly cameras through a run, do.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.utils import comms

from inr_plugins.errors import InputError
from inr_plugins.files import why_unreadable, write_json

FRAME_FILE = "dataparser_transforms.json"

# It is some 300 bytes; what is longer is something else.
_MOST_BYTES = 1 << 20
_TOLERANCE = 1e-3


def write_frame_whole(outputs: DataparserOutputs | None) -> None:
    """Have nerfstudio write a dataset's frame whole or not at all, and in the first process only.

    Args:
        outputs: what was read, whose method is replaced; None: of a datamanager without any.
    """
    if outputs is not None:
        outputs.save_dataparser_transform = partial(_write_frame, outputs)  # type: ignore[method-assign]


def _write_frame(outputs: DataparserOutputs, path: Path) -> None:
    """As nerfstudio's DataparserOutputs.save_dataparser_transform: the frame of the data in that of the model.

    Raises:
        InputError: it has numbers that are not finite.
    """
    if comms.is_main_process():
        frame = {"transform": outputs.dataparser_transform.tolist(), "scale": float(outputs.dataparser_scale)}
        try:
            write_json(path, frame, indent=4)
        except ValueError as error:
            raise InputError("The frame of the data has numbers that are not finite: fix the data's poses.") from error


def frame_problem(path: Path) -> str | None:
    """What is wrong with the file at `path`, as the end of a sentence that begins with its name; None for nothing."""
    problem = why_unreadable(path)
    if problem is not None:
        return f"it {problem}"
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if len(content) > _MOST_BYTES:
        return "it is larger than any such file"
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError):
        return "it is cut short or damaged (no JSON)"
    if not isinstance(document, dict) or not {"transform", "scale"} <= document.keys():
        return 'it lacks "transform" or "scale"'
    return _problem_of_numbers(document["transform"], document["scale"])


def _problem_of_numbers(transform: Any, scale: Any) -> str | None:
    """Refuse what is no rotation and shift of 3 rows and 4 columns, and no factor above 0."""
    try:
        matrix, factor = np.array(transform, dtype=np.float64), float(scale)
    except (TypeError, ValueError, OverflowError):
        return "it has entries that are no numbers"
    if matrix.shape != (3, 4):
        return f'its "transform" is not 3 rows of 4 numbers but of shape {matrix.shape}'
    if not np.isfinite(matrix).all() or not np.isfinite(factor):
        return "it has numbers that are not finite"
    if factor <= 0:
        return f'its "scale" is {factor:g}, and has to be above 0'
    if np.abs(matrix[:, :3] @ matrix[:, :3].T - np.eye(3)).max() > _TOLERANCE:
        return 'its "transform" is no rotation and shift'
    return None
