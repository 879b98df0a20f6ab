"""Arrays of numbers as instruments and programs leave them: NumPy's, HDF5, MATLAB's, pages of a TIFF."""

from __future__ import annotations

import hashlib
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from inr_plugins.data.signals.tiff_file import TIFF_ENDINGS
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

HDF5_ENDINGS = (".h5", ".hdf5")
ARRAY_ENDINGS = (".npy", ".npz", *HDF5_ENDINGS, ".mat", *TIFF_ENDINGS)
_HDF5_BEGINS = b"\x89HDF\r\n\x1a\n"
"""MATLAB's files of version 7.3 have a header before it."""
_MATLAB_HEADER = 512


def read_array(path: Path, name: str, *, what: str, most_bytes: float = math.inf) -> Shaped[np.ndarray, "*axes"]:
    """The one array of a file, or of several the one of a name.

    A TIFF gives its pages as the first axis. MATLAB's arrays have their axes as MATLAB shows them; files of version
    7.3, which are HDF5, have them turned round, and that is undone.

    Args:
        path: of the file, whose ending is one of ARRAY_ENDINGS.
        name: of the array.
        what: it is, for sentences.
        most_bytes: an .npy file with more is mapped into memory, and not read.

    Raises:
        InputError: it cannot be read, or which array is meant cannot be told.
    """
    problem = why_unreadable(path)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give the file of {what}.")
    ending = path.suffix.lower()
    if ending not in ARRAY_ENDINGS:
        raise InputError(f"--data {shown(path)} is no file of {what}: give one of {', '.join(ARRAY_ENDINGS)}.")
    try:
        found = _read(path, ending, name, most_bytes)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, ImportError, zipfile.BadZipFile) as error:
        reason = why_no_array(error)
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    if found.dtype.kind not in "fiu":
        raise InputError(f"--data {shown(path)} has numbers of the type {found.dtype}: save real ones.")
    if found.size == 0:
        raise InputError(f"--data {shown(path)} has the shape {found.shape}, and no numbers: give another file.")
    return found


def check_copies(path: Path, pictures: Shaped[np.ndarray, "pictures rows columns"], what: str) -> None:
    """Refuse pictures of which one is another, to the last bit, as none is that a camera took.

    Raises:
        InputError: naming both, from 0; `what` is one of them.
    """
    seen: dict[bytes, int] = {}
    for number, each in enumerate(pictures):
        first = seen.setdefault(hashlib.sha256(np.ascontiguousarray(each).tobytes()).digest(), number)
        if first != number:
            raise InputError(
                f"--data {shown(path)} has the same numbers in {what} {first} and {number} (from 0), as if one were a "
                "copy of the other: put its own there, or leave it out."
            )


def why_no_array(error: Exception) -> str:
    """What a reader of arrays has against a file, in its own words where these are of use to whoever has the file."""
    reason = " ".join(str(error).split())[:200]
    if "pickle" in reason or "Python objects" in reason:
        # NumPy's words are on how to run what is in a file.
        return "it holds no array of numbers"
    return "it is cut short" if "mmap length" in reason or "No data left" in reason else reason


def _read(path: Path, ending: str, name: str, most_bytes: float) -> np.ndarray:
    if ending == ".npy":
        is_large = path.stat().st_size > most_bytes
        return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r" if is_large else None))
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[_only(path, list(arrays), name)])
    if ending in TIFF_ENDINGS:
        return _of_tiff(path)
    if ending in HDF5_ENDINGS:
        return _of_hdf5(path, name)
    with path.open("rb") as file:
        is_hdf5 = _HDF5_BEGINS in file.read(_MATLAB_HEADER + len(_HDF5_BEGINS))
    # MATLAB's first axis is the fastest.
    return _of_hdf5(path, name).T if is_hdf5 else _of_matlab(path, name)


def _of_tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        if len({(page.shape, page.dtype) for page in tiff.pages}) > 1:
            raise InputError(f"--data {shown(path)} has pages of different sizes: give pages of one size.")
        pages: Any = tiff.asarray(key=slice(None))
    found = np.asarray(pages)
    return found[None] if found.ndim == 2 else found


def _of_hdf5(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        sets = [key for key, value in file.items() if isinstance(value, h5py.Dataset)]
        return np.asarray(file[_only(path, sets, name)])


def _of_matlab(path: Path, name: str) -> np.ndarray:
    from scipy.io import loadmat, whosmat

    names = [each for each, _, _ in whosmat(path)]
    chosen = _only(path, names, name)
    return np.asarray(loadmat(path, variable_names=[chosen])[chosen])


def _only(path: Path, names: list[str], wanted: str) -> str:
    if len(names) == 1:
        return names[0]
    if wanted not in names:
        told = ", ".join(names[:9]) or "none"
        raise InputError(f"--data {shown(path)} has the arrays {told}: call the one that is meant {wanted}.")
    return wanted
