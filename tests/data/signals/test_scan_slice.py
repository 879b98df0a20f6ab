"""Slices of computed tomography in DICOM: which one, in what unit, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import write_slices
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLSLossless

from inr_plugins.data.signals.scan_slice import ScannedSlice
from inr_plugins.data.signals.tomography import SliceDataParserConfig
from inr_plugins.errors import InputError

COUNT, SCALE = 7, (2.0, -1024.0)


@pytest.fixture
def stored() -> np.ndarray:
    found = np.random.default_rng(3).integers(0, 1500, (COUNT, 12, 14)).astype(np.int16)
    found[:, 0, 0] = -300  # What the scanner did not see.
    return found


def write(folder: Path, stored: np.ndarray, **more: Any) -> np.ndarray:
    return write_slices(folder, stored, **{"modality": "CT", "pixel_mm": (0.75, 0.75), "scale": SCALE, **more})


def read(path: Path, **settings: Any) -> ScannedSlice:
    found = SliceDataParserConfig(data=path, **settings).read()
    assert isinstance(found, ScannedSlice)
    return found


@pytest.mark.parametrize("wanted", [None, 0, 6])
def test_a_slice_is_chosen_by_its_place_and_in_hounsfield_units(
    wanted: int | None, stored: np.ndarray, tmp_path: Path
) -> None:
    units = write(tmp_path / "scan", stored)
    found, k = read(tmp_path / "scan", slice=wanted), 3 if wanted is None else wanted
    assert (found.slice, found.slices) == (k, COUNT)
    np.testing.assert_array_equal(found.pixels[..., 0], np.maximum(units[k], -1000))
    # The standard's own formula (C.7.6.2.1), of the pixel in row 2 and column 5.
    place = np.array([7 + 0.75 * 5, 8 + 0.75 * 2, 9 + 4 * k])
    np.testing.assert_allclose(np.array(found.place.affine) @ [5, 2, 0, 1], place * [-1, -1, 1], atol=1e-6)


def test_values_are_shares_of_one_attenuation(stored: np.ndarray, tmp_path: Path) -> None:
    units = write(tmp_path / "scan", stored)[3]
    water = 0.0193  # 1/mm, about 70 keV
    attenuation = np.maximum(0, water * (1 + units / 1000))
    values = read(tmp_path / "scan").values()[..., 0]
    assert 0.9 < values.max() <= 1
    np.testing.assert_allclose(values / values.max(), attenuation / attenuation.max(), atol=1e-6)


def test_a_slice_of_lungs_alone_has_values_up_to_1(stored: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "scan", stored % 200)
    values = read(tmp_path / "scan").values()
    assert 0.9 < values.max() <= 1
    assert values.min() == 0


def test_pixels_have_their_size_and_no_other(stored: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "scan", stored)
    config = SliceDataParserConfig(data=tmp_path / "scan")
    config.settle()
    assert config.learnt is not None
    assert config.geometry(config.learnt, config.patient).pixel_mm == 0.75
    with pytest.raises(InputError, match=r"pixel-mm is of an image .* says how large its pixels are: leave it out"):
        read(tmp_path / "scan", pixel_mm=2.0)


def test_one_file_without_an_ending_and_a_tilted_gantry_will_do(stored: np.ndarray, tmp_path: Path) -> None:
    def lean(k: int, told: Any) -> None:
        told.ImagePositionPatient = [7, 8 + k, 9 + 4 * k]

    units = write(tmp_path / "scan", stored, name=lambda k: f"IM{k:04}", change=lean)
    assert read(tmp_path / "scan", slice=5).pixels[3, 4, 0] == units[5, 3, 4]
    one = read(tmp_path / "scan" / "IM0002")
    np.testing.assert_array_equal(one.pixels[..., 0], np.maximum(units[2], -1000))
    with pytest.raises(InputError, match=r"has 1 slice, from 0 on, and .*slice 1 is none of them"):
        read(tmp_path / "scan" / "IM0002", slice=1)


@pytest.mark.parametrize("lean", [0.0, 1.0])
def test_slices_that_jump_aside_are_refused(lean: float, stored: np.ndarray, tmp_path: Path) -> None:
    def jump(by: float) -> Callable[[int, Any], None]:
        def change(k: int, told: Any) -> None:
            told.ImagePositionPatient = [7 + (by if k >= 4 else 0), 8 + lean * k, 9 + 4 * k]

        return change

    write(tmp_path / "scan", stored, change=jump(25))
    with pytest.raises(
        InputError, match=r"shifted aside by 25 mm between 1\.dcm and 6\.dcm, and not evenly, as those of"
    ):
        read(tmp_path / "scan")
    write(tmp_path / "scan", stored, change=jump(0.05))
    assert read(tmp_path / "scan").slices == COUNT


def test_a_stack_does_not_lean(stored: np.ndarray, tmp_path: Path) -> None:
    def lean(by: float) -> Callable[[int, Any], None]:
        def change(k: int, told: Any) -> None:
            told.ImagePositionPatient = [7, 8 + by * k, 9 + 4 * k]

        return change

    write(tmp_path / "scan", stored, change=lean(1.0))
    with pytest.raises(
        InputError, match=r"slices that are shifted aside \(a tilted gantry\), and those of a stack stand"
    ):
        read(tmp_path / "scan", stack=True)
    units = write(tmp_path / "scan", stored, change=lean(0.01))
    np.testing.assert_array_equal(read(tmp_path / "scan", stack=True).pixels[..., 0], np.maximum(units, -1000))


def test_an_oblique_stack_does_not_lean(stored: np.ndarray, tmp_path: Path) -> None:
    c, s = np.cos(0.3), np.sin(0.3)
    write(tmp_path / "scan", stored, rotation=np.array([[1, 0, 0], [0, c, -s], [0, s, c]]))
    assert read(tmp_path / "scan", stack=True).place.slice_mm == 4


def test_a_slice_that_changes_is_read_again(stored: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "scan", stored)
    before = read(tmp_path / "scan").pixels[5, 5, 0]
    file = tmp_path / "scan" / f"{(5 * 3) % COUNT}.dcm"
    told = pydicom.dcmread(file)
    told.RescaleIntercept = -1000
    told.save_as(file)
    assert read(tmp_path / "scan").pixels[5, 5, 0] == before + 24


def test_a_file_of_a_real_scanner() -> None:
    """The one that pydicom is tested by: 128 x 128 pixels of a chest, of which its header says all."""
    path = Path(str(get_testdata_file("CT_small.dcm")))
    told, found = pydicom.dcmread(path), read(path)
    raw = np.frombuffer(told.PixelData, dtype="<i2").reshape(told.Rows, told.Columns)
    wanted = raw * float(told.RescaleSlope) + float(told.RescaleIntercept)
    np.testing.assert_array_equal(found.pixels[..., 0], np.maximum(wanted, -1000))
    np.testing.assert_allclose(
        np.array(found.place.affine)[:, 3], np.array(told.ImagePositionPatient, dtype=float) * [-1, -1, 1], atol=1e-5
    )


def _other(name: str, value: Any, *, only: int | None = 4) -> Callable[[int, Any], None]:
    def change(k: int, told: Any) -> None:
        if only is None or k == only:
            setattr(told, name, value)

    return change


def _without(name: str) -> Callable[[int, Any], None]:
    def change(k: int, told: Any) -> None:
        if k == 4:
            delattr(told, name)

    return change


BAD = {
    "modality": (_other("Modality", "MR"), r"6\.dcm is of the modality MR, and only computed tomography"),
    "no modality": (_without("Modality"), r"6\.dcm is without a modality"),
    "unit": (_other("RescaleType", "ED"), r"6\.dcm has numbers in ED \(RescaleType\), and not in HU"),
    "no slope": (_without("RescaleSlope"), r"6\.dcm has the RescaleSlope None and the RescaleIntercept -1024"),
    "no intercept": (_without("RescaleIntercept"), r"6\.dcm has .* the RescaleIntercept None"),
    "slope": (_other("RescaleSlope", 0), r"6\.dcm has the RescaleSlope 0"),
    "size": (_other("Rows", 4), r"has a slice 6\.dcm that is of another size than \d\.dcm"),
    "series": (_other("SeriesInstanceUID", "1.2.3"), "has 2 series"),
    "oblong": (_other("PixelSpacing", [0.75, 0.5], only=None), "0.75 x 0.5 mm, and those of a slice are square"),
    "far": (_other("PixelSpacing", [75, 75], only=None), "75 x 75 mm, which is out of reason"),
    "air": (_other("RescaleIntercept", -9000, only=None), "has nothing but air in slice 3"),
    "lead": (_other("RescaleSlope", 500, only=None), "in slice 3, which are no Hounsfield units"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_slice_of_computed_tomography_is_refused(name: str, stored: np.ndarray, tmp_path: Path) -> None:
    change, words = BAD[name]
    write(tmp_path / "scan", stored, change=change)
    with pytest.raises(InputError, match=words):
        read(tmp_path / "scan")


def test_a_missing_slice_is_named_by_its_neighbours(stored: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "scan", stored)
    (tmp_path / "scan" / "6.dcm").unlink()  # The fifth.
    with pytest.raises(InputError, match=r"4 mm apart, and 8 mm between 1\.dcm and 4\.dcm: is a file missing"):
        read(tmp_path / "scan")


def test_a_folder_without_dicom_and_a_slice_too_many(stored: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no DICOM file with pixels"):
        read(tmp_path)
    write(tmp_path / "scan", stored)
    with pytest.raises(InputError, match=r"has 7 slices, from 0 on, and .*slice 7 is none of them"):
        read(tmp_path / "scan", slice=7)
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "gone.dcm")


def test_a_compression_that_nothing_reads_says_what_to_install(stored: np.ndarray, tmp_path: Path) -> None:
    def compress(k: int, told: Any) -> None:
        told.file_meta.TransferSyntaxUID = JPEGLSLossless
        told.PixelData = encapsulate([b"1234"])
        told["PixelData"].is_undefined_length = True

    write(tmp_path / "scan", stored, change=compress)
    with pytest.raises(
        InputError,
        match=r"is compressed \(JPEG-LS Lossless .*: install pylibjpeg .*\(pip install 'pylibjpeg\[all\]'\)\.$",
    ):
        read(tmp_path / "scan")
