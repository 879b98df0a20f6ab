"""NIfTI and DICOM: voxels stay at their places in the patient, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_files import write_slices
from pydicom.dataset import FileDataset

from inr_plugins.data.signals import medical_file
from inr_plugins.data.signals.medical_file import (
    PlacedVolume,
    read_dicom,
    read_nifti,
    write_nifti,
    written_affine,
)
from inr_plugins.data.signals.resonance_file import Volume, read_resonance
from inr_plugins.errors import InputError


def turned(*degrees: float) -> np.ndarray:
    """A rotation about x, y and z."""
    found = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        one = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        one[i, i] = one[j, j] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        found = one @ found
    return found


def affine_of(rotation: np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3] = rotation * np.array(spacing)
    found[:3, 3] = origin
    return found


def values_at_places(found: PlacedVolume) -> tuple[np.ndarray, np.ndarray]:
    """Places (n, 3) in RAS of all voxels, and their numbers."""
    volume = found.numbers if found.numbers.ndim == 3 else found.numbers[None]
    slices, rows, columns = np.indices(volume.shape).reshape(3, -1)
    return (np.array(found.affine) @ np.stack([columns, rows, slices, np.ones_like(rows)])).T, volume.reshape(-1)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 9, shape).astype(np.float32)


ORIENTATIONS = {
    "straight": affine_of(np.eye(3), (1, 2, 3), (5, 6, 7)),
    "radiological": affine_of(np.diag([-1, 1, 1]), (1, 2, 3), (5, 6, 7)),
    "sagittal": affine_of(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]), (1, 2, 3), (-5, 6, 7)),
    "upside down and oblique": affine_of(turned(170, 12, -8), (0.9, 1.1, 3), (-5, 60, 7)),
    "a quarter and oblique": affine_of(turned(95, 5, 92), (0.9, 1.1, 3), (-5, 60, 7)),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_voxels_of_nifti_keep_their_places(name: str, ending: str, tmp_path: Path) -> None:
    data, affine = numbers(8, 9, 10), ORIENTATIONS[name]
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / f"a{ending}")
    found = read_nifti(tmp_path / f"a{ending}")
    assert found.notes == ()
    places, values = values_at_places(found)
    back = np.linalg.inv(affine) @ np.concatenate([places, np.ones((len(places), 1))], 1).T
    np.testing.assert_allclose(back[:3], np.round(back[:3]), atol=1e-4)
    np.testing.assert_array_equal(data[tuple(np.round(back[:3]).astype(int))], values)
    # Columns go to the right, rows to the back and slices up, more than anywhere else.
    steps = np.array(found.affine)[:, :3]
    assert np.abs(steps).argmax(0).tolist() == [0, 1, 2]
    assert (np.sign(steps.diagonal()) == [1, -1, 1]).all()
    np.testing.assert_allclose(found.spacing_mm, np.linalg.norm(steps, axis=0)[::-1], rtol=1e-6)
    assert sorted(found.spacing_mm) == pytest.approx(sorted(np.linalg.norm(affine[:3, :3], axis=0)), rel=1e-5)


@pytest.mark.parametrize(("axis", "stands"), [(0, [1, 2]), (1, [0, 2]), (2, [0, 1])])
def test_one_slice_of_nifti_lies_as_it_is_looked_at(axis: int, stands: list[int], tmp_path: Path) -> None:
    shape = [8, 9, 10]
    shape[axis] = 1
    data = numbers(*shape)
    nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 2, 3, 1])), tmp_path / "a.nii")
    found = read_nifti(tmp_path / "a.nii")
    # Its rows go down from the front, or from above where it stands.
    np.testing.assert_array_equal(found.numbers, np.squeeze(data, axis).T[::-1])
    assert found.spacing_mm == (stands[1] + 1, stands[0] + 1)
    places, values = values_at_places(found)
    at = np.round(places / [1, 2, 3]).astype(int)
    np.testing.assert_array_equal(data[tuple(at.T)], values)


def test_lengths_without_a_unit_are_told_and_microns_are_counted(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(numbers(8, 9, 10), None)
    image.header.set_zooms((50, 60, 70))
    image.header.set_xyzt_units("micron")
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "a.nii")
    found = read_nifti(tmp_path / "a.nii")
    assert found.spacing_mm == pytest.approx((0.07, 0.06, 0.05))
    assert [each.split(":")[0] for each in found.notes] == ["The file says nothing of its orientation"]
    image.header.set_xyzt_units("unknown")
    nibabel.save(image, tmp_path / "b.nii")
    assert "taken for millimetres" in read_nifti(tmp_path / "b.nii").notes[0]


def test_scaled_numbers_of_nifti_are_those_that_are_meant(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(8 * 8 * 8, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii")
    stored = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj)
    assert stored.max() == pytest.approx(511 * 0.5 + 3)
    assert read_nifti(tmp_path / "a.nii").numbers.max() == pytest.approx(511 * 0.5 + 3)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_what_is_written_lies_where_it_was_read(ending: str, tmp_path: Path) -> None:
    data, affine = numbers(8, 9, 10), ORIENTATIONS["a quarter and oblique"]
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "a.nii")
    found = read_nifti(tmp_path / "a.nii")
    part = found.numbers[2:, 1:7, 3:]
    place = written_affine(found.affine, found.spacing_mm, first=(3, 1, 2), step=(1, 1, 1))
    write_nifti(tmp_path / f"out{ending}", part, affine=place, unit="1")
    again = read_nifti(tmp_path / f"out{ending}")
    np.testing.assert_array_equal(again.numbers, part)
    assert again.notes == ()
    places, values = values_at_places(again)
    back = np.linalg.inv(affine) @ np.concatenate([places, np.ones((len(places), 1))], 1).T
    np.testing.assert_allclose(data[tuple(np.round(back[:3]).astype(int))], values)


def test_without_a_place_columns_go_right_and_rows_down() -> None:
    found = written_affine(None, (3, 2, 1), first=(0.5, 1, 4), step=(0.5, 2, 1))
    np.testing.assert_allclose(found @ [0, 0, 0, 1], [0.5, -2, 12, 1])
    np.testing.assert_allclose(found @ [1, 1, 1, 1], [1.0, -6, 15, 1])


# -- DICOM -------------------------------------------------------------------------------------------------------------


def slices(
    folder: Path,
    *,
    count: int = 9,
    rotation: np.ndarray | None = None,
    change: Callable[[int, FileDataset], None] | None = None,
) -> np.ndarray:
    """Slices as a scanner writes them, under names in no order; their numbers (slices, rows, columns)."""
    stored = np.random.default_rng(1).integers(0, 2000, (count, 8, 10)).astype(np.uint16)
    return write_slices(folder, stored, rotation=rotation, change=change)


@pytest.mark.parametrize("rotation", [np.eye(3), turned(80, 10, 20)], ids=["straight", "oblique"])
def test_voxels_of_dicom_keep_their_places(rotation: np.ndarray, tmp_path: Path) -> None:
    wanted = slices(tmp_path / "scan", rotation=rotation)
    found = read_dicom(tmp_path / "scan")
    np.testing.assert_array_equal(found.numbers, wanted)
    assert found.spacing_mm == pytest.approx((4, 2, 1.5))
    places, values = values_at_places(found)
    # By the standard's own formula (C.7.6.2.1), with x to the left and y to the back.
    k, row, column = np.indices(wanted.shape).reshape(3, -1)
    position = rotation @ np.stack([1.5 * column, 2.0 * row, 4.0 * k]) + np.array([[7], [8], [9]])
    np.testing.assert_allclose(places, (position * [[-1], [-1], [1]]).T, atol=1e-4)
    np.testing.assert_array_equal(values, wanted[k, row, column])
    one = read_dicom(tmp_path / "scan" / "0.dcm")
    np.testing.assert_array_equal(one.numbers, wanted[0])
    assert one.spacing_mm == (2, 1.5)
    # Its third axis is as long as it is thick.
    np.testing.assert_allclose(np.array(one.affine)[:, 2], [-1, -1, 1] * (3 * rotation[:, 2]), atol=1e-6)


def test_what_is_no_picture_in_the_folder_is_named(tmp_path: Path) -> None:
    slices(tmp_path / "scan")
    (tmp_path / "scan" / "readme.txt").write_text("of the scanner")
    found = read_resonance(tmp_path / "scan")
    assert isinstance(found, Volume)
    assert len(found.notes) == 1
    assert "readme.txt" in found.notes[0]


def _moved(k: int, told: Any) -> None:
    if k == 3:
        told.ImagePositionPatient = [7, 8, 9 + 4 * 2]


def _shifted(k: int, told: Any) -> None:
    told.ImagePositionPatient = [7 + 2 * k, 8, 9 + 4 * k]


def _other(name: str, value: Any, *, only: int | None = 4) -> Callable[[int, Any], None]:
    def change(k: int, told: Any) -> None:
        if only is None or k == only:
            setattr(told, name, value)

    return change


def _without(name: str) -> Callable[[int, Any], None]:
    return lambda k, told: delattr(told, name)


BAD = {
    "size": (_other("Rows", 4), r"has a slice \d.dcm that is of another size than \d.dcm"),
    "double": (_moved, r"two slices at one place \(\d.dcm and \d.dcm\)"),
    "tilted": (_shifted, "shifted aside"),
    "series": (_other("SeriesInstanceUID", "1.2.3"), r"has 2 series \(T1, T1\)"),
    "spacing": (_other("PixelSpacing", [2, 2]), "lies otherwise, or has other pixels, than"),
    "turned": (_other("ImageOrientationPatient", [0, 1, 0, -1, 0, 0]), "lies otherwise"),
    "colours": (_other("PhotometricInterpretation", "YBR_FULL"), "is in colours"),
    "frames": (_other("NumberOfFrames", 3), "several frames in one file"),
    "no place": (_without("ImagePositionPatient"), "has no ImagePositionPatient"),
    "no spacing": (_without("PixelSpacing"), "has no PixelSpacing"),
    "no way": (_without("ImageOrientationPatient"), "has no ImageOrientationPatient"),
    "no pictures": (_without("PixelData"), "has no DICOM file with pixels"),
    "cut": (_other("PixelData", b"12"), "cannot be read"),
    "far": (_other("PixelSpacing", [500, 500], only=None), "500 x 500 mm, which is out of reason"),
    "negative": (_other("RescaleIntercept", -3000, only=None), "give its magnitude"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_dicom_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    change, words = BAD[name]
    slices(tmp_path / "scan", change=change)
    with pytest.raises(InputError, match=words):
        read_resonance(tmp_path / "scan")


def test_a_missing_slice_is_told_by_its_neighbours(tmp_path: Path) -> None:
    slices(tmp_path / "scan")
    (tmp_path / "scan" / "2.dcm").unlink()  # The fifth.
    with pytest.raises(InputError, match=r"4 mm apart, and 8 mm between 6.dcm and 7.dcm: is a file missing"):
        read_dicom(tmp_path / "scan")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no DICOM file with pixels"):
        read_dicom(tmp_path / "empty")


def test_bad_nifti_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(numbers(8, 8, 8, 2), np.eye(4)), path)
    with pytest.raises(InputError, match="8 x 8 x 8 x 2 numbers, and a volume has three sides"):
        read_resonance(path)
    nibabel.save(nibabel.Nifti1Image(numbers(8, 8, 8).astype(np.complex64), np.eye(4)), path)
    with pytest.raises(InputError, match="numbers of the type complex64"):
        read_resonance(path)
    image = nibabel.Nifti1Image(numbers(8, 8, 8), np.eye(4))
    image.set_sform(np.diag([1, 1, 0, 1]), code=1)
    nibabel.save(image, path)
    with pytest.raises(InputError, match="says no place of its voxels"):
        read_resonance(path)
    nibabel.save(nibabel.Nifti1Image(numbers(8, 8, 8), np.diag([537.0, 1, 1, 1])), path)
    with pytest.raises(InputError, match="1 x 1 x 537 mm, which is out of reason"):
        read_resonance(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"a\.nii cannot be read"):
        read_resonance(path)
    path.write_bytes(b"no header")
    with pytest.raises(InputError, match=r"a\.nii cannot be read"):
        read_resonance(path)
    zipped = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(numbers(8, 8, 8), np.eye(4)), zipped)
    zipped.write_bytes(zipped.read_bytes()[:300])
    with pytest.raises(InputError, match=r"a\.nii\.gz cannot be read"):
        read_resonance(zipped)


def test_without_the_libraries_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match=r"pip install nibabel.*inr-plugins\[inverse\]"):
        read_nifti(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"pip install pydicom.*inr-plugins\[inverse\]"):
        read_dicom(tmp_path)
    with pytest.raises(InputError, match=r"out\.nii is NIfTI, which nibabel"):
        medical_file.check_can_write(tmp_path / "out.nii")
