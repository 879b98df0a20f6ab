"""Lenses of a transforms.json: what a frame says goes before what the file says of all, key by key.

nerfstudio-data reads a key from the file as a whole where it is there, and then from no frame; it has one camera model
for all frames, and takes k4 for a distortion only beside another one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE, CameraType

from inr_plugins.errors import InputError

LENS_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
DISTORTION_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")
"""In the order of nerfstudio's distortion_params; k4 is its factor of r^8, or of theta^8 for fisheyes."""

_POSITIVE_KEYS = ("fl_x", "fl_y", "w", "h")
_UNKNOWN_DISTORTION_KEYS = ("k5", "k6", "s1", "s2", "s3", "s4", "b1", "b2")


def settle_lenses(document: dict[str, Any], *, where: str) -> list[str]:
    """Rewrite the lens entries of a document in place, so that nerfstudio-data reads them with the frame's own first.

    Args:
        document: the object of a transforms.json, whose frames have a `file_path`.
        where: its name, for messages.

    Returns:
        The camera model of each frame, nerfstudio's name. The file as a whole is given the first one.

    Raises:
        InputError: an entry is missing, not a number, out of range or of no meaning to nerfstudio.
    """
    frames = document["frames"]
    names = [f"Frame {frame['file_path']} of {where}" for frame in frames]
    for key in LENS_KEYS:
        if any(key in frame for frame in frames) and key in document:
            value = document.pop(key)
            for frame in frames:
                frame.setdefault(key, value)
        owners = [(where, document)] if key in document else list(zip(names, frames, strict=True))
        for owner, entries in owners:
            _check_entry(owner, key, entries.get(key))
    _settle_distortion(document, frames, names, where=where)
    return _settle_models(document, frames, names, where=where)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_entry(owner: str, key: str, value: Any) -> None:
    if value is None:
        raise InputError(f"{owner} has no {key}, nor has the file as a whole: add it.")
    if not is_number(value) or (key in _POSITIVE_KEYS and value <= 0):
        wanted = "a number above 0" if key in _POSITIVE_KEYS else "a finite number"
        raise InputError(f"{owner} gives {key} as {value}: it needs {wanted}.")


def _settle_distortion(
    document: dict[str, Any], frames: Sequence[dict[str, Any]], names: Sequence[str], *, where: str
) -> None:
    """Give distortion to the file as a whole, or to each frame, as one list of parameters."""
    common = _distortion(document, None, owner=where)
    own = [_distortion(frame, common, owner=name) for frame, name in zip(frames, names, strict=True)]
    for entries in (document, *frames):
        for key in (*DISTORTION_KEYS, "distortion_params"):
            entries.pop(key, None)
    if all(each is common for each in own):
        if common is not None:
            document["distortion_params"] = common
        return
    lengths = {name: len(each) for name, each in zip(names, own, strict=True) if each is not None}
    first, length = next(iter(lengths.items()))
    other = next((name for name, each in lengths.items() if each != length), None)
    if other is not None:
        raise InputError(
            f"{first} has {length} distortion parameters and {other} has {lengths[other]}: give all as many."
        )
    for frame, each in zip(frames, own, strict=True):
        frame["distortion_params"] = [0.0] * length if each is None else each


def _distortion(entries: dict[str, Any], common: list[float] | None, *, owner: str) -> list[float] | None:
    """The parameters that `entries` give, over those `common` to all; `common` itself where they give none."""
    for key in _UNKNOWN_DISTORTION_KEYS:
        if entries.get(key):
            raise InputError(
                f"{owner} gives {key} as {entries[key]}, which nerfstudio's lenses do not have: undistort the images, "
                f"or calibrate them without {key}."
            )
    single = {key: entries[key] for key in DISTORTION_KEYS if key in entries}
    listed = entries.get("distortion_params")
    values = [*single.values(), *(listed if isinstance(listed, list) else [] if listed is None else [listed])]
    if not all(is_number(value) for value in values):
        raise InputError(f"{owner} has a distortion parameter that is not a finite number: fix or remove it.")
    if listed is not None:
        named = {key: float(value) for key, value in zip(DISTORTION_KEYS, listed, strict=False)}
        contrary = next((key for key in single if len(listed) != 6 or named[key] != single[key]), None)
        if contrary is not None:
            raise InputError(f"{owner} gives distortion_params and another {contrary} beside them: leave one out.")
        return [float(value) for value in listed]
    if not single:
        return common
    if common is not None and len(common) != len(DISTORTION_KEYS):
        raise InputError(
            f"{owner} gives {next(iter(single))}, which the file's {len(common)} distortion_params do not have: give "
            "the frame its own distortion_params."
        )
    base = common or [0.0] * len(DISTORTION_KEYS)
    return [float(single.get(key, value)) for key, value in zip(DISTORTION_KEYS, base, strict=True)]


def _settle_models(
    document: dict[str, Any], frames: Sequence[dict[str, Any]], names: Sequence[str], *, where: str
) -> list[str]:
    """Read the camera model of each frame, and give the file as a whole the first."""
    common = document.get("camera_model", "PINHOLE")
    models = [frame.get("camera_model", common) for frame in frames]
    for owner, model in [(where, common), *zip(names, models, strict=True)]:
        if model not in CAMERA_MODEL_TO_TYPE:
            known = ", ".join(CAMERA_MODEL_TO_TYPE)
            raise InputError(
                f"{owner} gives camera_model as {model}, which nerfstudio does not know: use one of {known}."
            )
    for owner, entries, model in [(where, document, common), *zip(names, frames, models, strict=True)]:
        if entries.get("is_fisheye") and CAMERA_MODEL_TO_TYPE[model] is not CameraType.FISHEYE:
            raise InputError(
                f"{owner} gives is_fisheye, instant-ngp's word, which nerfstudio-data takes no notice of: put "
                "instant-ngp-data at the end of the command, or give camera_model as OPENCV_FISHEYE."
            )
    kinds = {CAMERA_MODEL_TO_TYPE[model] for model in models}
    if len(kinds) > 1 and "fisheye_crop_radius" in document:
        raise InputError(
            f"{where} has frames of several camera models and a fisheye_crop_radius, which would cut all of them: take "
            "it out, or make a dataset of each model."
        )
    document["camera_model"] = models[0]
    return models
