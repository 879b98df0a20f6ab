"""Pictures in the light of LEDs and volumes: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from inr_plugins.data.signals.intensity_file import IndexVolume, Pictures, read_diffraction
from inr_plugins.errors import InputError

OPTICS = {"wavelength_nm": 515, "na": 0.65, "medium_index": 1.33, "pitch_um": 0.1625, "slice_um": 0.3}
LEDS = [[0.6, 0], [0, 0.6], [-0.6, 0], [0, -0.6], [0.3, 0.3]]
OF_PICTURES = {**OPTICS, "values": "intensity", "slices": 7, "led_na": LEDS}
OF_A_VOLUME = {**OPTICS, "values": "refractive index"}


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(50, 200, (5, 9, 11)).astype(np.uint16)


def volume() -> np.ndarray:
    return 1.33 + np.random.default_rng(1).uniform(0, 0.05, (4, 9, 11))


def write(path: Path, numbers: np.ndarray, told: dict[str, Any] | None, *, name: str = "intensity") -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{name: numbers, "other": np.zeros(3)})
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file[name] = numbers
            file["other"] = np.zeros(3)
    elif path.suffix == ".mat":
        savemat(path, {name: numbers, "other": np.zeros(3)})
    elif path.suffix == ".tif":
        tifffile.imwrite(path, numbers, photometric="minisblack")
    elif path.suffix == "":
        path.mkdir()
        for number, each in enumerate(numbers):
            Image.fromarray(each).save(path / f"led_{number + 1:02}.png")
    else:
        np.save(path, numbers)
    if told is not None:
        path.with_suffix(".json").write_text(json.dumps(told))
    return path


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5", ".mat", ".tif", ""])
def test_all_files_are_the_same(ending: str, tmp_path: Path) -> None:
    found = read_diffraction(write(tmp_path / f"scan{ending}", pictures(), OF_PICTURES))
    assert isinstance(found, Pictures)
    means = pictures().mean((1, 2), keepdims=True)
    np.testing.assert_allclose(found.contrast, pictures() / means - 1)
    np.testing.assert_allclose(found.led_na, LEDS)
    optics = found.optics
    assert (optics.rows, optics.columns, optics.slices) == (9, 11, 7)
    assert (optics.wavelength_um, optics.pitch_um, optics.slice_um) == pytest.approx((0.515, 0.1625, 0.3))
    # The middle is in focus.
    assert optics.first_um == pytest.approx(-0.9)


def test_matlab_files_of_version_7_3_are_turned_back(tmp_path: Path) -> None:
    path = tmp_path / "scan.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["intensity"] = pictures().T
    with path.open("r+b") as begun:
        begun.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    path.with_suffix(".json").write_text(json.dumps(OF_PICTURES))
    found = read_diffraction(path)
    assert isinstance(found, Pictures)
    np.testing.assert_allclose(found.contrast, pictures() / pictures().mean((1, 2), keepdims=True) - 1)


def test_volumes_are_indices_however_they_are_given(tmp_path: Path) -> None:
    found = read_diffraction(write(tmp_path / "a.npy", volume(), OF_A_VOLUME))
    assert isinstance(found, IndexVolume)
    np.testing.assert_allclose(found.index, volume())
    assert found.optics.slices == 4
    told = {**OPTICS, "values": "permittivity contrast", "axes": "rows columns slices", "first_um": 2}
    turned = np.moveaxis(volume() ** 2 - 1.33**2, 0, -1)
    other = read_diffraction(write(tmp_path / "b.npz", turned, told, name="contrast"))
    assert isinstance(other, IndexVolume)
    np.testing.assert_allclose(other.index, volume(), rtol=1e-12)
    assert other.optics.first_um == 2


def test_rounding_puts_no_index_below_the_medium(tmp_path: Path) -> None:
    rounded = volume()
    rounded[0] = 1.3295
    found = read_diffraction(write(tmp_path / "a.npy", rounded, OF_A_VOLUME))
    assert isinstance(found, IndexVolume)
    assert found.index.min() == 1.33


def test_a_smooth_background_is_quadratic_and_never_dark(tmp_path: Path) -> None:
    y, x = np.mgrid[0:9, 0:11]
    shade = np.stack([100 + 5 * x - 2 * y + k * x * y + 2 * x**2 + y**2 for k in range(5)])
    found = read_diffraction(write(tmp_path / "a.npy", shade, of(background="smooth")))
    assert isinstance(found, Pictures)
    np.testing.assert_allclose(found.contrast, 0, atol=1e-9)
    # Of light at two edges alone, the quadratic function is below 0 in between.
    edges = np.where((x == 0) | (x == 10), 100.0, 1.0)
    lit = np.stack([k * edges for k in range(1, 6)])
    found = read_diffraction(write(tmp_path / "b.npy", lit, of(background="smooth")))
    assert isinstance(found, Pictures)
    assert found.contrast[0, 0, 5] == pytest.approx(1 / (0.1 * edges.mean()) - 1)


def test_places_of_leds_and_backgrounds(tmp_path: Path) -> None:
    told = {key: value for key, value in OF_PICTURES.items() if key != "led_na"}
    told |= {"led_mm": [[30, 0], [0, 30], [0, 0], [-4, 3], [40, 0]], "led_distance_mm": 60, "background": "smooth"}
    y, x = np.mgrid[0:9, 0:11]
    shade = 100 + 5 * x - 2 * y + 0.3 * x * y + x**2
    numbers = shade * (1 + np.stack([np.where((y == 4) & (x == k), 0.5, 0) for k in range(5)]))
    found = read_diffraction(write(tmp_path / "a.npy", numbers, told))
    assert isinstance(found, Pictures)
    np.testing.assert_allclose(found.led_na[:2], [[30 / 4500**0.5, 0], [0, 30 / 4500**0.5]])
    assert found.led_na[3] == pytest.approx([-4 / 3625**0.5, 3 / 3625**0.5])
    assert np.abs(found.contrast[0]).max() == pytest.approx(0.5, abs=0.1)
    assert np.median(np.abs(found.contrast)) < 0.02
    # An LED on the edge of the aperture but for rounding is on it.
    told = {**OF_PICTURES, "led_na": [*LEDS[:4], [0.655, 0]]}
    edge = read_diffraction(write(tmp_path / "b.npy", pictures(), told))
    assert isinstance(edge, Pictures)
    assert edge.led_na[4] == pytest.approx([0.65, 0])


def of(**more: Any) -> dict[str, Any]:
    return {key: value for key, value in {**OF_PICTURES, **more}.items() if value is not None}


def bad_pictures(change: Any) -> np.ndarray:
    found = pictures().astype(np.float64)
    change(found)
    return found


def put(value: float) -> Any:
    def change(numbers: np.ndarray) -> None:
        numbers[2, 3, 4] = value

    return change


BAD = {
    "no json": (pictures(), None, "needs .*a.json beside it, with values, wavelength_nm"),
    "no unit": (pictures(), of(wavelength=515, wavelength_nm=None), "key wavelength, whose unit is not known"),
    "metres": (pictures(), of(wavelength_nm=0.515), "wavelength_nm 0.515, and 0.000515 µm is out of reason"),
    "a wavelength of 537 m": (pictures(), of(wavelength_nm=None, wavelength_um=5.37e8), "is out of reason"),
    "two wavelengths": (pictures(), of(wavelength_um=0.515), "must have wavelength_um or wavelength_nm, once"),
    "the camera's pixels": (pictures(), of(pitch_um=6.5), "the camera's over the magnification"),
    "dry and too wide": (pictures(), of(na=1.4), "na 1.4, which is not below medium_index 1.33"),
    "no index": (pictures(), of(medium_index=None), "has no medium_index: give one"),
    "too few LEDs": (pictures(), of(led_na=LEDS[:4]), "has 4 led_na for 5 pictures: give"),
    "one LED alone": (pictures()[:1], of(led_na=LEDS[:1]), "belongs to 1 picture, and no volume is known by so few"),
    "angles": (pictures(), of(led_na=[[40, 0]] * 5), "sine of an angle is at most 1"),
    "no pairs": (pictures(), of(led_na=[0.1] * 5), "no list of pairs"),
    "dark field": (pictures(), of(led_na=[[0.8, 0]] * 5), "5 LEDs beyond the objective's na of 0.65"),
    "one beyond": (pictures(), of(led_na=[[0.8, 0], *LEDS[1:]]), "has 1 LED beyond the objective's na of 0.65"),
    "one picture": (pictures()[:1], of(), "has 5 led_na for 1 picture: give"),
    "one slice": (volume()[:1], OF_A_VOLUME, "belongs to a volume of 1 slice: give 2"),
    "no distance": (pictures(), of(led_na=None, led_mm=LEDS), "has no led_distance_mm"),
    "NaN": (bad_pictures(put(np.nan)), of(), r"NaN or infinity in 1 of its numbers, the first at 2, 3, 4"),
    "negative": (bad_pictures(put(-3.0)), of(), "has 1 negative number, the first in picture 2"),
    "black": (pictures() * np.arange(5)[:, None, None], of(), "black in picture 0"),
    "not normalised": (pictures(), of(values="normalised intensity"), "a normalised intensity is about 1"),
    "two axes": (pictures()[0], of(), "give an array of three axes"),
    "other axes": (pictures(), of(axes="views rows columns"), 'and "axes": "leds rows columns"'),
    "a key of another method": (pictures(), of(turn_deg=180), "turn_deg, which is none of"),
    "no slices": (pictures(), of(slices=None), "has no slices: give one"),
    "half a slice": (pictures(), of(slices=2.5), "whole number from 2 to 512"),
    "what it is": (pictures(), of(values="amplitude"), 'give "intensity" or "normalised intensity" or'),
    "complex": (pictures() * 1j, of(), "numbers of the type complex128"),
    "tiny": (pictures()[:, :5], of(), "8 to 1024 along each side"),
    "a contrast as index": (volume() - 1.33, OF_A_VOLUME, "say .permittivity contrast."),
    "below the medium": (volume() - 0.02, OF_A_VOLUME, "an index down to 1.3.*clip it"),
    "nothing": (np.full((4, 9, 9), 1.33), OF_A_VOLUME, "is the medium throughout"),
    "huge": (np.ones((5, 8, 1025)), of(), "is of 1025 x 8 pixels"),
    "a background of none": (1 + 0 * pictures(), of(values="normalised intensity", background="mean"), "none left"),
    "a copy": (
        pictures()[[0, 1, 2, 1, 4]],
        of(),
        r"the same numbers in picture 1 and 3 \(from 0\), as if one were a copy",
    ),
    "an index as contrast": (volume(), {**OF_A_VOLUME, "values": "permittivity contrast"}, 'say "refractive index"'),
    "no index of matter": (volume() + 4, OF_A_VOLUME, "say .permittivity contrast."),
    "slices of a volume": (volume(), {**OF_A_VOLUME, "slices": 4}, "belongs to a volume"),
    "an empty field": (0 * pictures() + 77, of(), "has pictures of an empty field, the same in all of their pixels"),
    "one place": (pictures(), of(led_na=[[0.2, 0.1]] * 5), "has all LEDs at one place"),
    "a lit volume": (volume(), {**OF_A_VOLUME, "led_na": LEDS}, "belongs to a volume"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    numbers, told, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        read_diffraction(write(tmp_path / "a.npy", numbers, told))
    assert str(caught.value).count("\n") == 0


def test_a_missing_picture_is_noticed(tmp_path: Path) -> None:
    folder = write(tmp_path / "scan", pictures().astype(np.uint8), OF_PICTURES)
    (folder / "led_03.png").unlink()
    with pytest.raises(InputError, match=r"the numbers 1 to 5 but not 3"):
        read_diffraction(folder)
    Image.fromarray(np.zeros((9, 12), np.uint8)).save(folder / "led_03.png")
    with pytest.raises(InputError, match=r"led_03.png is of other pixels than led_01.png"):
        read_diffraction(folder)
    Image.fromarray(np.zeros((9, 11, 3), np.uint8)).save(folder / "led_03.png")
    with pytest.raises(InputError, match=r"has 3 channels"):
        read_diffraction(folder)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file of pictures"):
        read_diffraction(write(tmp_path / "a.npy", pictures(), OF_PICTURES).rename(tmp_path / "a.dat"))
    broken = tmp_path / "b.npy"
    broken.write_bytes(b"nothing")
    broken.with_suffix(".json").write_text(json.dumps(OF_PICTURES))
    with pytest.raises(InputError, match=r"cannot be read \(it holds no array of numbers\)"):
        read_diffraction(broken)
