"""ISMRMRD's files, written by h5py as the package of that name lays them out, and what is refused of them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from inr_plugins.data.signals.resonance import VolumeDataParserConfig
from inr_plugins.data.signals.resonance_file import KSpace, read_resonance
from inr_plugins.errors import InputError

F = np.fft
COUNTERS = ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast", "phase", "repetition")
IDX = np.dtype([*((name, "<u2") for name in (*COUNTERS, "set", "segment")), ("user", "<u2", (8,))])
HEAD = np.dtype(
    [("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4")]
    + [("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", (3,)), ("number_of_samples", "<u2")]
    + [("available_channels", "<u2"), ("active_channels", "<u2"), ("channel_mask", "<u8", (16,))]
    + [(name, "<u2") for name in ("discard_pre", "discard_post", "center_sample", "encoding_space_ref")]
    + [("trajectory_dimensions", "<u2"), ("sample_time_us", "<f4")]
    + [(name, "<f4", (3,)) for name in ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")]
    + [("idx", IDX), ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,))]
)
READOUT = np.dtype([("head", HEAD), ("traj", h5py.vlen_dtype(np.float32)), ("data", h5py.vlen_dtype(np.float32))])
NOISE = 1 << 18

COILS, SLICES, ROWS, COLUMNS = 2, 9, 14, 12
"""And twice as many columns are measured."""


def image(slices: int) -> np.ndarray:
    """What two coils see, without a symmetry: (coils, slices, rows, 2 columns), with something beside the image too."""
    rng = np.random.default_rng(0)
    found = rng.uniform(1, 2, (COILS, slices, ROWS, 2 * COLUMNS)) * np.exp(1j * np.arange(COILS))[:, None, None, None]
    found[..., : COLUMNS // 2] *= 0.2
    return found


def transformed(numbers: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Unitary, the origin and frequency 0 in the middle."""
    return F.fftshift(F.fftn(F.ifftshift(numbers, axes=axes), axes=axes, norm="ortho"), axes=axes)


def header(partitions: int, **other: str) -> str:
    """The XML of a scan with voxels of 1.5 mm along rows, 2 along columns and 3 through slices; `other` parts of it."""
    told = {
        "trajectory": "cartesian",
        "encoded": f"<x>{2 * COLUMNS}</x><y>{ROWS}</y><z>{partitions}</z>",
        "recon": f"<x>{COLUMNS}</x><y>{ROWS}</y><z>{partitions}</z>",
        "limits": f"<kspace_encoding_step_1><minimum>0</minimum><maximum>13</maximum><center>{ROWS // 2}</center>"
        "</kspace_encoding_step_1>",
        "more": "",
        **other,
    }
    extent = f"<y>{1.5 * ROWS}</y><z>{3 * partitions}</z>"
    encoding = (
        f"<encoding><encodedSpace><matrixSize>{told['encoded']}</matrixSize><fieldOfView_mm><x>{4 * COLUMNS}</x>"
        f"{extent}</fieldOfView_mm></encodedSpace><reconSpace><matrixSize>{told['recon']}</matrixSize><fieldOfView_mm>"
        f"<x>{2 * COLUMNS}</x>{extent}</fieldOfView_mm></reconSpace><encodingLimits>{told['limits']}</encodingLimits>"
        f"<trajectory>{told['trajectory']}</trajectory>{told['more']}</encoding>"
    )
    return f'<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">{encoding}</ismrmrdHeader>'


def readouts(k: np.ndarray, *, slices_are: str, shift: int = 0) -> np.ndarray:
    """One readout of noise, then those of (coils, slices, rows, columns), the last first.

    Args:
        slices_are: the counter of slices.
        shift: of the numbers of rows.
    """
    places = [(over, at) for over in range(k.shape[1]) for at in range(k.shape[2])][::-1]
    found = np.zeros(len(places) + 1, READOUT)
    found["head"]["version"], found["head"]["active_channels"] = 1, len(k)
    found["head"]["number_of_samples"], found["head"]["center_sample"] = k.shape[3], k.shape[3] // 2
    found["head"]["flags"][0] = NOISE
    for row, (over, at) in enumerate(places, 1):
        found["head"]["idx"]["kspace_encode_step_1"][row], found["head"]["idx"][slices_are][row] = at + shift, over
        found["data"][row] = np.ascontiguousarray(k[:, over, at].astype(np.complex64)).ravel().view(np.float32)
    found["data"][0] = np.full(2 * len(k) * k.shape[3], 1e6, np.float32)
    for row in range(len(found)):
        found["traj"][row] = np.zeros(0, np.float32)
    return found


def write(path: Path, rows: np.ndarray, text: str) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("dataset")
        group.create_dataset("xml", data=[text.encode()], dtype=h5py.string_dtype())
        group.create_dataset("data", data=rows)
    return path


def of_slices() -> np.ndarray:
    return readouts(transformed(image(3), (2, 3)), slices_are="slice")


def test_slices_are_read_and_what_is_beside_the_image_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", of_slices(), header(1))
    begin = COLUMNS - COLUMNS // 2
    for wanted, number in ((None, 1), (2, 2)):
        found = read_resonance(path, wanted=wanted)
        assert isinstance(found, KSpace)
        wanted_image = image(3)[:, number, :, begin : begin + COLUMNS]
        np.testing.assert_allclose(found.numbers, transformed(wanted_image, (1, 2)), rtol=0, atol=1e-5)
        assert found.spacing_mm == (1.5, 2)
    with pytest.raises(InputError, match=r"has 3 slices, from 0 on, and .*slice 3 is none of them"):
        read_resonance(path, wanted=3)
    assert VolumeDataParserConfig(data=path, slice=0).read().pixels.shape == (ROWS, COLUMNS, 1)


def test_three_dimensions_a_centre_elsewhere_and_lines_that_are_missing(tmp_path: Path) -> None:
    k = transformed(image(SLICES), (1, 2, 3))
    rows = readouts(k, slices_are="kspace_encode_step_2", shift=3)
    text = header(SLICES, limits="<kspace_encoding_step_1><center>10</center></kspace_encoding_step_1>")
    kept = rows[(rows["head"]["idx"]["kspace_encode_step_1"] != 5)]
    found = read_resonance(write(tmp_path / "a.h5", kept, text))
    assert isinstance(found, KSpace)
    begin = COLUMNS - COLUMNS // 2
    wanted = transformed(image(SLICES)[..., begin : begin + COLUMNS], (1, 2, 3))
    wanted[:, :, 2] = 0
    np.testing.assert_allclose(found.numbers, wanted, rtol=0, atol=1e-5)
    assert not found.numbers[:, :, 2].any()
    assert found.spacing_mm == (3, 1.5, 2)
    with pytest.raises(InputError, match="slice is of k-space whose slices were measured one by one"):
        read_resonance(tmp_path / "a.h5", wanted=1)


def test_an_echo_that_begins_late_is_where_its_middle_is(tmp_path: Path) -> None:
    k = transformed(image(1), (2, 3))
    rows = readouts(k[..., 5:], slices_are="slice")
    rows["head"]["center_sample"], rows["head"]["discard_pre"], rows["head"]["discard_post"] = COLUMNS - 5, 1, 2
    found = read_resonance(write(tmp_path / "a.h5", rows, header(1)))
    assert isinstance(found, KSpace)
    k[..., :6], k[..., -2:] = 0, 0
    np.testing.assert_allclose(found.numbers, k[:, 0], rtol=0, atol=1e-5)
    assert ["readouts that are not whole, whose oversampling is not cut off" in each for each in found.notes] == [True]


def changed(name: str, value: int, *, row: int = 5) -> np.ndarray:
    """Readouts of which one has another number in its head, or in its counters."""
    rows = of_slices()
    (rows["head"]["idx"] if name in (IDX.names or ()) else rows["head"])[name][row] = value
    return rows


BAD: dict[str, tuple[np.ndarray, str, str]] = {
    "spiral": (of_slices(), header(1, trajectory="spiral"), 'the trajectory "spiral", and only cartesian'),
    "encodings": (of_slices(), header(1, more="</encoding><encoding>"), "has 2 encodings, and one is read"),
    "no xml": (of_slices(), "nothing", "a header that is no XML"),
    "no size": (of_slices(), header(1, encoded="<x>24</x>"), "has encodedSpace/matrixSize/y None in its header"),
    "averages": (changed("average", 1), header(1), "2 values of average, and one is learnt: .* or of their mean"),
    "echoes": (changed("contrast", 1), header(1), "2 values of contrast, and one is learnt"),
    "twice": (changed("kspace_encode_step_1", 3), header(1), r"two readouts of one place \(kspace_encode_step_1 3\)"),
    "outside": (changed("kspace_encode_step_1", 14), header(1), "kspace_encode_step_1 14 with 24 samples that is not"),
    "short": (changed("number_of_samples", 10), header(1), "or is cut short: mend its header"),
    "backwards": (changed("flags", 1 << 21), header(1), "readouts from right to left"),
    "coils": (changed("active_channels", 1), header(1), "different numbers of coils"),
    "noise": (of_slices()[:1], header(1), "no readouts of an image"),
    "heads": (np.zeros(4, [("head", [("version", "<u2")]), ("data", "<f4")]), header(1), "without ISMRMRD's heads"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    rows, text, words = BAD[name]
    with pytest.raises(InputError, match=words):
        read_resonance(write(tmp_path / "a.h5", rows, text))


def test_calibration_counts_unless_it_was_measured_apart(tmp_path: Path) -> None:
    rows = changed("flags", 1 << 19)
    at = int(rows["head"]["idx"]["kspace_encode_step_1"][5])
    for mode, is_there in (("embedded", True), ("separate", False)):
        more = f"<parallelImaging><calibrationMode>{mode}</calibrationMode></parallelImaging>"
        found = read_resonance(write(tmp_path / "a.h5", rows, header(1, more=more)), wanted=2)
        assert isinstance(found, KSpace)
        assert bool(found.numbers[:, at].any()) is is_there


def test_other_hdf5_needs_its_json_still(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["dataset"] = image(1)[0, 0]
    path.with_suffix(".json").write_text(json.dumps({"values": "k-space", "spacing_mm": 1, "centre": "middle"}))
    with pytest.raises(InputError, match="away from the middle one"):
        read_resonance(path)
