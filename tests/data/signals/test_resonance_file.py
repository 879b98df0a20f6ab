"""K-space and volumes: what is read, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from inr_plugins.data.signals.resonance import VolumeDataParserConfig
from inr_plugins.data.signals.resonance_file import KSpace, Volume, read_resonance
from inr_plugins.data.signals.resonance_sidecar import SPACE
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
OF_K_SPACE_ALONE = {"values": "k-space", "spacing_mm": 1, "centre": "middle"}
OF_A_SLICE = {**OF_K_SPACE, "axes": "coils rows columns"}
OF_SLICES = {**OF_K_SPACE, "axes": "slices coils rows columns", "spacing_mm": [5, 2, 1]}


def body(slices: int = 12) -> np.ndarray:
    """An ellipsoid that fills most of the slices, with a ball in it that is above the middle one."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in (slices, 20, 16)], indexing="ij")
    ball = (z - 0.5) ** 2 + (y + 0.3) ** 2 + (x - 0.1) ** 2 < 0.1
    return ((z**2 + (y / 0.8) ** 2 + (x / 0.6) ** 2 < 1) + ball).astype(np.float64)


def of_slices(seed: int | None = None) -> np.ndarray:
    """The body as two coils see it, slice by slice (slices, coils, rows, columns), as numpy transforms each.

    Args:
        seed: of a phase that each slice has for itself; None: there is none.
    """
    seen = body()[:, None] * np.stack(
        [np.linspace(1, 0.3, 16) * np.ones((20, 1)), np.linspace(0.3j, 1j, 16) * np.ones((20, 1))]
    )
    if seed is not None:
        seen = seen * np.exp(2j * np.pi * np.random.default_rng(seed).uniform(size=(len(seen), 1, 1, 1)))
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(seen, axes=(2, 3))), axes=(2, 3)).astype(np.complex64)


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


F = np.fft
TRANSFORMED: dict[tuple[str, str | None], Callable[[np.ndarray], np.ndarray]] = {
    ("middle", "middle"): lambda image: F.fftshift(F.fftn(F.ifftshift(image))),
    ("middle", None): lambda image: F.fftshift(F.fftn(F.ifftshift(image))),
    ("middle", "first"): lambda image: F.fftshift(F.fftn(image)),
    ("first", "middle"): lambda image: F.fftn(F.ifftshift(image)),
    ("first", "first"): lambda image: F.fftn(image),
}


@pytest.mark.parametrize("shape", [(12, 14), (11, 13), (8, 11, 12)])
@pytest.mark.parametrize(("centre", "origin"), TRANSFORMED)
def test_all_that_numpy_makes_of_an_image_is_read_alike(
    centre: str, origin: str | None, shape: tuple[int, ...], tmp_path: Path
) -> None:
    image = np.random.default_rng(0).uniform(size=shape)
    told = {"values": "k-space", "spacing_mm": 1, "centre": centre, "axes": " ".join(SPACE[-len(shape) :])}
    told = told | ({} if origin is None else {"origin": origin})
    found = read_resonance(write(tmp_path / "a.npy", TRANSFORMED[centre, origin](image), told))
    assert isinstance(found, KSpace)
    np.testing.assert_allclose(F.fftshift(F.ifftn(F.ifftshift(found.numbers[0]))), image, rtol=0, atol=1e-6)
    assert not found.notes


def test_slices_that_are_in_space_are_not_rolled(tmp_path: Path) -> None:
    told = {**OF_SLICES, "slices": "image", "axes": "slices rows columns", "origin": "first"}
    k = F.fftshift(F.fft2(body(11)), axes=(1, 2))
    found = read_resonance(write(tmp_path / "a.npy", k, told), wanted=8)
    np.testing.assert_allclose(F.fftshift(F.ifft2(F.ifftshift(found.numbers[0]))), body(11)[8], rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 20), (8, 24, 20)])
def test_an_image_that_is_rolled_by_half_is_noted(shape: tuple[int, ...], tmp_path: Path) -> None:
    y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in shape[-2:]], indexing="ij")
    image = np.ones(shape) * ((y / 0.7) ** 2 + ((x - 0.1) / 0.6) ** 2 < 1)
    told = {"values": "k-space", "spacing_mm": 1, "centre": "middle", "axes": "rows columns", "slices": "k-space"}
    if len(shape) == 3:
        told["axes"] = "slices rows columns"
    else:
        del told["slices"]
    noted = []
    for origin in ("middle", "first"):
        found = read_resonance(write(tmp_path / "a.npy", F.fftshift(F.fftn(image)), {**told, "origin": origin}))
        noted.append(found.notes)
    assert noted[1] == ()
    assert len(noted[0]) == 1
    assert "empty in its middle and not at its border" in noted[0][0]
    assert 'put "origin": "first" in ' in noted[0][0]
    # Air in the middle, a body around it that ends before the border, and one that is cut off at one side.
    ring = image * (y**2 + x**2 > 0.3)
    for other in (ring, image * 0 + (y > 0.2)):
        k = F.fftshift(F.fftn(F.ifftshift(other)))
        assert not read_resonance(write(tmp_path / "a.npy", k, told)).notes


@pytest.mark.parametrize("shape", [(12, 30), (13, 29), (9, 12, 30)])
def test_half_of_a_spectrum_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    told = {"values": "k-space", "spacing_mm": 1, "centre": "first", "axes": " ".join(SPACE[-len(shape) :])}
    image = rng.uniform(size=shape)
    for origin in ("middle", "first"):
        path = write(tmp_path / "a.npy", F.rfftn(F.ifftshift(image) if origin == "middle" else image), told)
        with pytest.raises(InputError, match="half of the k-space of a real image, as rfft2 leaves it: give all of it"):
            read_resonance(path)
    # All of it, a part of it, and half of what is not real, as a scanner has it.
    half = F.rfftn(image)
    half *= 1 + 0.01 * (rng.normal(size=half.shape) + 1j * rng.normal(size=half.shape))
    for other in (F.fftn(image), F.fftn(image) * (np.arange(shape[-1]) < 18), half):
        assert isinstance(read_resonance(write(tmp_path / "a.npy", other.astype(np.complex64), told)), KSpace)


def test_numbers_that_stand_for_nothing_are_noted(tmp_path: Path) -> None:
    k = k_space().astype(np.complex128)
    assert not read_resonance(write(tmp_path / "a.npy", k * (np.arange(12) > 3), OF_K_SPACE)).notes
    found = read_resonance(write(tmp_path / "a.npy", np.where(np.arange(12) > 3, k, 1e-12), OF_K_SPACE))
    assert [" has 640 numbers below 1e-09 of the largest, which count as measured" in each for each in found.notes] == [
        True
    ]


def test_hdf5_of_other_programs_is_read(tmp_path: Path) -> None:
    """MATLAB's complex numbers, fastMRI's arrays beside k-space; of groups there is a sentence."""
    path = tmp_path / "a.h5"
    path.with_suffix(".json").write_text(json.dumps(OF_K_SPACE))
    with h5py.File(path, "w") as file:
        pairs = np.zeros(k_space().shape, [("real", "<f8"), ("imag", "<f8")])
        pairs["real"], pairs["imag"] = k_space().real, k_space().imag
        file["kspace"], file["reconstruction_rss"], file["ismrmrd_header"] = pairs, volume(), b"<xml/>"
    found = read_resonance(path)
    assert isinstance(found, KSpace)
    np.testing.assert_array_equal(found.numbers, k_space())
    with h5py.File(path, "w") as file:
        file["raw/kspace"], file["other/mask"] = k_space(), np.ones(3)
    with pytest.raises(InputError, match=r"has no array but the groups other, raw: save the array .* call it kspace"):
        read_resonance(path)


@pytest.mark.parametrize("wanted", [None, 9])
def test_of_slices_that_were_measured_one_by_one_one_is_read(wanted: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", of_slices(), {**OF_SLICES, "slices": "image"})
    found = read_resonance(path, wanted=wanted)
    assert isinstance(found, KSpace)
    np.testing.assert_array_equal(found.numbers, of_slices()[6 if wanted is None else 9])
    assert found.spacing_mm == (2, 1)
    assert [" slice 6 (from 0), the middle one," in each for each in found.notes] == ([True] if wanted is None else [])
    with pytest.raises(InputError, match=r"has 12 slices, from 0 on, and --pipeline\S+slice 12 is none of them"):
        read_resonance(path, wanted=12)
    # Frequency 0 of each slice is where it was said to be, and slices stay in their order.
    turned = np.fft.ifftshift(of_slices(), axes=(2, 3))
    found = read_resonance(write(path, turned, {**OF_SLICES, "slices": "image", "centre": "first"}), wanted=2)
    np.testing.assert_array_equal(found.numbers, of_slices()[2])


def test_another_slice_of_the_same_file_is_another_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npy", of_slices(), {**OF_SLICES, "slices": "image"})
    for number in (8, 4):
        found = VolumeDataParserConfig(data=path, slice=number).read()
        assert found.pixels.shape == (20, 16, 1)
        assert np.corrcoef(found.pixels[..., 0].ravel(), body()[number].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("slices", [8, 12, 31])
def test_k_space_of_three_dimensions_is_told_from_slices(slices: int, tmp_path: Path) -> None:
    """With noise and without most of it, it is read; and so is a stack that is said to be k-space."""
    rng = np.random.default_rng(0)
    k = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(body(slices))))
    k += 0.01 * np.abs(k).max() * (rng.normal(size=k.shape) + 1j * rng.normal(size=k.shape))
    told = {**OF_K_SPACE, "axes": "slices rows columns"}
    for measured in (k, k * (rng.uniform(size=k.shape[1:]) < 0.4 + 0.6 * (np.arange(16) % 8 > 4))):
        measured[slices // 2, 10, 8] = k[slices // 2, 10, 8]
        found = read_resonance(write(tmp_path / "a.npy", measured, told))
        assert found.numbers.shape == (1, slices, 20, 16)
    # Phases of which a transform along the slices gathers nothing.
    with pytest.raises(InputError, match="each had been measured by itself"):
        read_resonance(write(tmp_path / "a.npy", of_slices(37), OF_SLICES))
    found = read_resonance(write(tmp_path / "a.npy", of_slices(), {**OF_SLICES, "slices": "k-space"}))
    np.testing.assert_array_equal(found.numbers, of_slices().swapaxes(0, 1))


def test_one_slice_is_not_to_be_had_of_what_is_one(tmp_path: Path) -> None:
    for numbers, told in ((volume(), OF_A_VOLUME), (k_space(), OF_K_SPACE)):
        with pytest.raises(InputError, match=r"--pipeline\S+slice is of k-space whose slices .* is not: leave it out"):
            read_resonance(write(tmp_path / "a.npy", numbers, told), wanted=3)


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
    "an example of four axes": (k_space(), {**OF_K_SPACE, "axes": "coils rows columns"}, '"slices coils rows columns"'),
    "five axes": (k_space()[None], OF_K_SPACE, "an array of 5 axes, and there are coils, slices, rows and columns"),
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
    "long": (np.ones((8, 513), np.complex64), OF_K_SPACE_ALONE, "513 voxels: give 8 to 512 .* along the readout"),
    "long volume": (np.ones((8, 513), np.float32), OF_A_VOLUME | {"spacing_mm": 1}, "along each axis.$"),
    "slices of a volume": (volume(), {**OF_A_VOLUME, "slices": "image"}, "the key slices, which is of k-space"),
    "no slices": (k_space()[:, 4], {**OF_A_SLICE, "slices": "image"}, "the key slices, which is of k-space"),
    "odd slices": (k_space(), {**OF_K_SPACE, "slices": "space"}, 'the slices "space": give "image" or "k-space"'),
    "one by one": (of_slices(), OF_SLICES, 'each had been measured by itself: put "slices": "image" in .*a.json, of'),
    "one by one, first": (
        np.fft.ifftshift(of_slices(), axes=(2, 3)),
        {**OF_SLICES, "centre": "first"},
        'each had been measured by itself: put "slices": "image"',
    ),
    "few, one by one": (of_slices()[:5], OF_SLICES, 'put "slices": "image"'),
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
