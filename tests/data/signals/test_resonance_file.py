"""K-space and volumes: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inr_plugins.data.signals.resonance_file import KSpace, Volume, read_resonance
from inr_plugins.errors import InputError

SHAPE = (8, 10, 12)


def volume() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 3, SHAPE).astype(np.float32)


def k_space(coils: int = 2) -> np.ndarray:
    """Frequency 0 in the middle, by numpy's own transform of volumes with a mean."""
    found = np.fft.fftshift(np.fft.fftn(np.stack([volume()] * coils), axes=(1, 2, 3)), axes=(1, 2, 3))
    return found.astype(np.complex64)


def write(path: Path, numbers: np.ndarray, told: dict[str, Any] | None) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{"volume" if numbers.dtype.kind == "f" else "kspace": numbers, "other": np.zeros(3)})
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["volume" if numbers.dtype.kind == "f" else "kspace"] = numbers
    else:
        np.save(path, numbers)
    if told is not None:
        path.with_suffix(".json").write_text(json.dumps(told))
    return path


OF_A_VOLUME = {"values": "volume", "spacing_mm": [3, 2, 1]}
OF_K_SPACE = {"values": "k-space", "spacing_mm": 2, "axes": "coils slices rows columns", "centre": "middle"}


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5"])
def test_all_files_are_the_same(ending: str, tmp_path: Path) -> None:
    found = read_resonance(write(tmp_path / f"a{ending}", volume(), OF_A_VOLUME))
    assert isinstance(found, Volume)
    np.testing.assert_array_equal(found.numbers, volume())
    assert found.spacing_mm == (3, 2, 1)
    measured = read_resonance(write(tmp_path / f"b{ending}", k_space(), OF_K_SPACE))
    assert isinstance(measured, KSpace)
    np.testing.assert_array_equal(measured.numbers, k_space())
    assert measured.spacing_mm == (2, 2, 2)


def test_axes_and_units_are_those_that_are_said(tmp_path: Path) -> None:
    told = {"values": "volume", "spacing_um": [1000, 2000, 3000], "axes": "columns rows slices"}
    found = read_resonance(write(tmp_path / "a.npy", volume().T, told))
    assert isinstance(found, Volume)
    np.testing.assert_array_equal(found.numbers, volume())
    assert found.spacing_mm == pytest.approx((3, 2, 1))
    turned = np.fft.ifftshift(k_space()[0], axes=(0, 1, 2))
    told = {"values": "k-space", "spacing_mm": 1, "centre": "first", "axes": "slices rows columns"}
    measured = read_resonance(write(tmp_path / "b.npy", turned, told))
    assert isinstance(measured, KSpace)
    np.testing.assert_array_equal(measured.numbers, k_space(1))
    coils = k_space(3) * np.array([1, 2, 3], np.complex64)[:, None, None, None]
    turned = np.fft.ifftshift(coils, axes=(1, 2, 3))
    measured = read_resonance(write(tmp_path / "d.npy", turned, {**OF_K_SPACE, "centre": "first"}))
    assert isinstance(measured, KSpace)
    np.testing.assert_array_equal(measured.numbers, coils)
    moved = {**OF_K_SPACE, "axes": "slices rows columns coils"}
    measured = read_resonance(write(tmp_path / "c.npy", np.moveaxis(k_space(), 0, -1), moved))
    assert isinstance(measured, KSpace)
    np.testing.assert_array_equal(measured.numbers, k_space())


def without_a_mean() -> np.ndarray:
    """K-space whose largest coefficient is beside the middle, where nothing was measured."""
    found = k_space()
    found[:, 4, 5, 6], found[:, 4, 5, 5] = 0, 1e6
    return found


BAD = {
    "no json": (volume(), None, "needs .*a.json beside it, with values and spacing_mm"),
    "no unit": (
        volume(),
        {"values": "volume", "spacing": 1},
        "key spacing, whose unit is not known",
    ),
    "unknown": (volume(), {**OF_A_VOLUME, "field": 3}, "the key field, which is none of"),
    "no values": (volume(), {"spacing_mm": 1}, 'has no values: give "volume" or "k-space"'),
    "no spacing": (volume(), {"values": "volume"}, "must have spacing_mm"),
    "one absurd": (volume(), {**OF_A_VOLUME, "spacing_mm": [1, 0, 1]}, "voxels of 0 mm are out of reason"),
    "absurd": (volume(), {**OF_A_VOLUME, "spacing_mm": 537}, "voxels of 537 mm are out of reason"),
    "few": (volume(), {**OF_A_VOLUME, "spacing_mm": [1, 2]}, "give one number, or one for each of slices rows columns"),
    "axes": (volume(), {**OF_A_VOLUME, "axes": "rows columns"}, 'has the axes "rows columns", and the array has 3'),
    "coils of a volume": (volume(), {**OF_A_VOLUME, "axes": "coils rows columns"}, "and the array has 3: give"),
    "no axes": (k_space(), {**OF_K_SPACE, "axes": None}, "has no axes, and the array has 4"),
    "complex": (volume() + 1j, OF_A_VOLUME, "numbers that are complex, and is said to be volume"),
    "real": (volume(), {**OF_K_SPACE, "axes": "slices rows columns"}, "float32, and is said to be k-space"),
    "nan": (np.where(volume() > 2.9, np.nan, volume()), OF_A_VOLUME, "NaN or infinity in"),
    "negative": (volume() - 1, OF_A_VOLUME, "numbers down to -.*give its magnitude"),
    "black": (0 * volume(), OF_A_VOLUME, "is 0 throughout"),
    "nothing": (0 * k_space(), OF_K_SPACE, "is 0 throughout, and nothing was measured"),
    "small": (volume()[:4], OF_A_VOLUME, "of 4 x 10 x 12 voxels: give 8 to 512"),
    "wrong centre": (k_space(), {**OF_K_SPACE, "centre": "first"}, "away from the first one, where frequency 0"),
    "no centre": (k_space() * (np.arange(12) != 6), OF_K_SPACE, "measure the middle of k-space"),
    "no mean": (without_a_mean(), OF_K_SPACE, "measure the middle of k-space"),
    "not said": (k_space(), {**OF_K_SPACE, "centre": None}, 'has no centre: give "middle" or "first"'),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    numbers, told, words = BAD[name]
    with pytest.raises(InputError, match=words):
        read_resonance(write(tmp_path / "a.npy", numbers, told))


def test_broken_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", volume(), OF_A_VOLUME)
    path.write_bytes(b"no array")
    with pytest.raises(InputError, match=r"cannot be read \(it holds no array of numbers\)"):
        read_resonance(path)
    path = write(tmp_path / "a.npy", volume(), OF_A_VOLUME)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        read_resonance(path)
    path = write(tmp_path / "a.h5", volume(), OF_A_VOLUME)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="cannot be read"):
        read_resonance(path)
    path.with_suffix(".json").write_text("[1]")
    with pytest.raises(InputError, match="no JSON object"):
        read_resonance(path)
    with pytest.raises(InputError, match="is no file of a volume or of k-space"):
        read_resonance(write(tmp_path / "a.txt.npy", volume(), OF_A_VOLUME).rename(tmp_path / "a.txt"))
    np.savez(tmp_path / "c.npz", one=volume(), two=volume())
    (tmp_path / "c.json").write_text(json.dumps(OF_A_VOLUME))
    with pytest.raises(InputError, match="has the arrays one, two: call the one that is meant volume"):
        read_resonance(tmp_path / "c.npz")
