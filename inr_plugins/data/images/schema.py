"""What the entries of a JSON file of camera poses may be, looked at in one pass before anything is made of them.

Rules of our own rather than a library of schemas: pydantic comes with nothing that this package asks for itself, it
would make an object of each of 100,000 frames, and each refusal would still need its sentence here. Entries that are
missing, poses, and what depends on the parser are for the checks that follow; unknown entries are let pass, as
nerfstudio's parsers do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from inr_plugins.errors import InputError

_DIGITS = 18
"""Integers of more digits are read as floats, so that none is too large for what follows."""
_LARGEST_SIDE, _LARGEST_LENGTH = 65_536, 1e7
_LONGEST_PATH, _LONGEST_PART = 4096, 255
_DISTORTIONS = (6, 12)


class DoubleKeyError(ValueError):
    """An object of a JSON text has a key twice, with two values."""


def parse(text: str) -> Any:
    """A JSON text as Python's objects; integers of any length are numbers that can be calculated with.

    Raises:
        DoubleKeyError: of two values under a key Python's reader would take the last, others the first.
        RecursionError: it is nested deeper than Python reads.
        json.JSONDecodeError: it is no JSON.
    """
    return json.loads(text, parse_int=_integer, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        for key, value in pairs:
            if value != entries[key]:
                raise DoubleKeyError(f"{_short(key)} as {_short(value)} and as {_short(entries[key])}")
    return entries


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def check_document(document: dict[str, Any], *, where: str) -> None:
    """Refuse the first entry of a document, or of a frame of it, that is of another kind or out of range.

    Args:
        document: the object in the file.
        where: the file's name.

    Raises:
        InputError: naming the file, the frame and the entry.
    """
    _check(document, _OF_FILE, where)
    frames = document.get("frames")
    for index, frame in enumerate(frames if isinstance(frames, list) else []):
        if isinstance(frame, dict):
            name = frame.get("file_path")
            owner = f"Frame {name if isinstance(name, str) and len(name) <= _LONGEST_PART else index} of {where}"
            _check(frame, _OF_FRAME, owner)


def _check(entries: dict[str, Any], rules: dict[str, _Rule], owner: str) -> None:
    for key, value in entries.items():
        rule = rules.get(key)
        wanted = None if rule is None or value is None else rule(value)
        if wanted is not None:
            raise InputError(f"{owner} gives {key} as {_short(value)}: it needs {wanted}.")


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


_Rule = Callable[[Any], "str | None"]
"""What an entry needs to be, as the end of a sentence, if it is not that; else None."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: Any) -> str | None:
    return None if _is_number(value) else "a finite number"


def _positive(value: Any) -> str | None:
    return None if _is_number(value) and value > 0 else "a number above 0"


def _focal(value: Any) -> str | None:
    return _positive(value) or (None if value <= _LARGEST_LENGTH else f"pixels, {_LARGEST_LENGTH:,.0f} at most")


def _centre(value: Any) -> str | None:
    return _number(value) or (None if abs(value) <= _LARGEST_LENGTH else f"pixels, {_LARGEST_LENGTH:,.0f} at most")


def _side(value: Any) -> str | None:
    is_whole = value == int(value) if _is_number(value) else False
    if _positive(value) is None and is_whole and value <= _LARGEST_SIDE:
        return None
    return _positive(value) or f"a whole number of pixels, {_LARGEST_SIDE:,} at most"


def _distortion(value: Any) -> str | None:
    if isinstance(value, list) and len(value) in _DISTORTIONS and not any(isinstance(each, list) for each in value):
        return None
    return "a list of 6 numbers, k1, k2, k3, k4, p1, p2 (12 for FISHEYE624)"


def _parameter(value: Any) -> str | None:
    return None if _is_number(value) else "a finite number, as a distortion parameter is"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a text"


def _path(value: Any) -> str | None:
    if not isinstance(value, str) or "\0" in value or not value:
        return "the name of a file"
    size = len(value.encode(errors="surrogatepass"))
    longest = max(len(part.encode(errors="surrogatepass")) for part in value.replace("\\", "/").split("/"))
    if size > _LONGEST_PATH or longest > _LONGEST_PART:
        return f"a path of {_LONGEST_PATH} bytes at most, with no name in it of more than {_LONGEST_PART}"
    return None


def _frame_path(value: Any) -> str | None:
    # That it is no text at all is told by the check of frames, which has a word for where it is missing too.
    return _path(value) if isinstance(value, str) else None


def _paths(value: Any) -> str | None:
    if not isinstance(value, list):
        return "a list of the file names of frames"
    return next((f"names of files, not {_short(each)}" for each in value if _path(each)), None)


_OF_BOTH: dict[str, _Rule] = {
    **dict.fromkeys(("fl_x", "fl_y"), _focal),
    **dict.fromkeys(("cx", "cy"), _centre),
    **dict.fromkeys(("w", "h"), _side),
    "distortion_params": _distortion,
    "camera_model": _text,
}
_OF_FILE = {
    **_OF_BOTH,
    **dict.fromkeys(("k1", "k2", "k3", "k4", "p1", "p2"), _parameter),
    **dict.fromkeys(("fisheye_crop_radius", "aabb_scale", "x_fov", "y_fov"), _positive),
    **dict.fromkeys(("train_filenames", "val_filenames", "test_filenames"), _paths),
    "ply_file_path": _path,
    "orientation_override": _text,
}
_OF_FRAME = {**_OF_BOTH, "file_path": _frame_path, "mask_path": _path, "depth_file_path": _path}
