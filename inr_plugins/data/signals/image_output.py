"""An image as a file, with as many bits as its numbers have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float32, Shaped, UInt
from PIL import Image

from inr_plugins.data.signals.float_file import EXR_ENDING, FLOAT_BITS, encoded_exr
from inr_plugins.data.signals.rows_output import extra_samples, profile_chunk, write_rows
from inr_plugins.errors import InputError
from inr_plugins.files import replacing, replacing_all, shown

ARRAY_ENDING = ".npy"
"""Of an image's own numbers, or of float32 in a unit, beside which <name>.json says it and the distance of pixels."""
_FORMATS = {
    **{".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"},
    **{EXR_ENDING: "OpenEXR", ARRAY_ENDING: "NumPy array"},
}
_OF_FLOATS = ("TIFF", "OpenEXR", "NumPy array")
_OF_BANDS = ("TIFF", "NumPy array")
_RGB = 3
_JPEG_QUALITY = 95
_PNG_HEADER = 33
"""Bytes of the signature and of the header, which stand first in every PNG."""


def array_sidecar(path: Path) -> Path:
    """Where the unit and the spacing of an array are."""
    return path.with_suffix(".json")


def write_array(
    path: Path, numbers: Float32[np.ndarray, "*slices height width"], *, unit: str, spacing_mm: tuple[float, ...]
) -> None:
    """Write numbers in a unit as .npy, and what they are beside it; both or none.

    Args:
        path: of the array.
        numbers: rows go down, slices as they were learnt.
        unit: of the numbers.
        spacing_mm: distance of the middles of neighbouring slices, if there are any, of rows and of columns, mm.

    Raises:
        OSError: they cannot be written.
    """
    axes = "slices rows columns" if numbers.ndim == 3 else "rows columns"
    told = {"axes": axes, "spacing_mm": list(spacing_mm), "unit": unit}
    with replacing_all([path, array_sidecar(path)]) as (partial, beside):
        with partial.open("wb") as file:
            np.save(file, numbers, allow_pickle=False)
        beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def check_image_output(
    path: Path,
    *,
    bits: int | None,
    channels: int,
    has_bands: bool = False,
    of_others: str = "",
    or_some: str = "",
) -> None:
    """Refuse a name of a file that cannot hold such an image.

    Args:
        path: where the file is to be.
        bits: of a channel, 8 or 16, or 32 of floating-point numbers; None: not known yet.
        channels: 1 to 4, the second and the fourth being an opacity, but for bands.
        has_bands: the channels are neither colours nor an opacity.
        of_others: which endings would do for what is no image, for the sentence.
        or_some: how fewer channels are had, for the sentence.

    Raises:
        InputError: naming the file and what would do.
    """
    name = _FORMATS.get(path.suffix.lower())
    if name is None:
        raise InputError(
            f"{shown(path)} has an ending that no image is written to: give it .png, .tif or .jpg{of_others}."
        )
    if bits is None:
        return
    if has_bands and channels not in (1, _RGB) and name not in _OF_BANDS:
        raise InputError(
            f"{shown(path)} is a {name}, which has no room for the {channels} channels of the image: give a .tif or an "
            f"{ARRAY_ENDING}{or_some}."
        )
    if bits == FLOAT_BITS and name not in _OF_FLOATS:
        raise InputError(
            f"{shown(path)} is a {name}, which has no room for the floating-point numbers of the image: give a .tif or "
            f"an {EXR_ENDING}."
        )
    if bits != FLOAT_BITS and name == "OpenEXR":
        raise InputError(f"{shown(path)} would be of floating-point numbers, which the image has not: give a .png.")
    if name == "JPEG" and (bits == 16 or channels in (2, 4)):
        what = "16 bits" if bits == 16 else "an opacity"
        raise InputError(f"{shown(path)} is a JPEG, which has no room for {what} of the image: give a .png or .tif.")


def write_image(
    path: Path,
    pixels: Shaped[np.ndarray, "height width channels"],
    *,
    profile: bytes | None = None,
    spacing_mm: tuple[float, float] | None = None,
    has_bands: bool = False,
    is_planar: bool = False,
) -> None:
    """Write an image, whole or not at all; `check_image_output` says what can be.

    Args:
        path: where.
        pixels: grey, grey and alpha, RGB or RGB and alpha, of 8 or 16 bits; or grey or RGB in float32.
        profile: the ICC profile of its colours; None: sRGB, of which nothing is written.
        spacing_mm: distance of rows and of columns, which a TIFF file notes as its resolution.
        has_bands: the channels, of any number, are neither colours nor an opacity.
        is_planar: write those one after the other, where the format can.

    Raises:
        InputError: the file cannot be such an image.
        OSError: it cannot be written.
    """
    bits, channels = 8 * pixels.dtype.itemsize, pixels.shape[-1]
    check_image_output(path, bits=bits, channels=channels, has_bands=has_bands)
    name = _FORMATS[path.suffix.lower()]
    if name == "PNG" and bits == 16 and channels == 2:
        # OpenCV does not write that either.
        size = (pixels.shape[1], pixels.shape[0])
        write_rows(path, [pixels], size=size, channels=channels, dtype=pixels.dtype, profile=profile)
        return
    with replacing(path) as partial:
        if name == "NumPy array":
            with partial.open("wb") as file:
                np.save(file, np.moveaxis(pixels, -1, 0) if is_planar else pixels, allow_pickle=False)
            return
        if name == "TIFF" and has_bands:
            with partial.open("wb") as file:
                write_bands(file, pixels, is_planar=is_planar)
            return
        if name == "OpenEXR":
            partial.write_bytes(encoded_exr(pixels))
            return
        if bits == FLOAT_BITS or (name == "TIFF" and spacing_mm is not None):
            _write_tiff(partial, pixels, profile, spacing_mm)
            return
        if bits == 16 and channels > 1:
            (_write_deep_png if name == "PNG" else _write_tiff)(partial, pixels, profile)
            return
        plain: Any = pixels[..., 0] if channels == 1 else pixels
        options: dict[str, Any] = {"quality": _JPEG_QUALITY} if name == "JPEG" else {}
        with partial.open("wb") as file:
            Image.fromarray(plain).save(file, format=name, icc_profile=profile, **options)


def _write_deep_png(path: Path, pixels: UInt[np.ndarray, "height width channels"], profile: bytes | None) -> None:
    """Colours of 16 bits, which Pillow does not write; a profile goes behind the header, which OpenCV does not do."""
    import cv2

    colours = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[-1] == 4 else cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", colours)[1].tobytes()
    if profile is not None:
        encoded = encoded[:_PNG_HEADER] + profile_chunk(profile) + encoded[_PNG_HEADER:]
    path.write_bytes(encoded)


def write_bands(file: IO[bytes], pixels: Shaped[np.ndarray, "height width channels"], *, is_planar: bool) -> None:
    """A TIFF file of one page, whose samples are neither colours nor an opacity."""
    import tifffile

    channels = pixels.shape[-1]
    tifffile.imwrite(
        file,
        np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if is_planar else pixels,
        photometric="minisblack",
        planarconfig="separate" if is_planar else "contig",
        extrasamples=extra_samples(channels, has_bands=True),
        compression="zlib",
        metadata=None,
    )


def _write_tiff(
    path: Path,
    pixels: Shaped[np.ndarray, "height width channels"],
    profile: bytes | None,
    spacing_mm: tuple[float, float] | None = None,
) -> None:
    """What Pillow does not write: colours of 16 bits, floating-point numbers, and finer than whole pixels an inch."""
    import tifffile

    channels = pixels.shape[-1]
    with path.open("wb") as file:
        tifffile.imwrite(
            file,
            pixels if channels > 1 else pixels[..., 0],
            photometric="rgb" if channels > 2 else "minisblack",
            planarconfig="contig" if channels > 1 else None,
            compression="zlib",
            metadata=None,
            iccprofile=profile,
            extrasamples=extra_samples(channels),
            resolution=None if spacing_mm is None else (10 / spacing_mm[1], 10 / spacing_mm[0]),
            resolutionunit=None if spacing_mm is None else "CENTIMETER",
        )
