"""Operators: adjoints by dot products, gradients by differences, values by closed forms and another library."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from operator_checks import check_adjoint, check_gradients, random

from inr_plugins.errors import InputError
from inr_plugins.operators.least_squares import conjugate_gradients, operator_norm, total_variation
from inr_plugins.operators.protocol import Identity
from inr_plugins.operators.radon import (
    ParallelBeam,
    filtered_back_projection,
    root_of_ramp,
    shares_of_views,
    spread_angles,
)

OPERATORS = {
    "identity": lambda: Identity((5, 7)),
    "as fine": lambda: ParallelBeam((16, 16), spread_angles(9), bins=23),
    "oblong": lambda: ParallelBeam((11, 16), spread_angles(7, start=3.0), bins=17, pixel_mm=0.3, pitch_mm=0.4),
    "wide bins": lambda: ParallelBeam((12, 9), spread_angles(5, turn=360.0), bins=8, shift=0.3, rays_per_bin=3),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_adjoint_is_that_of_the_map(name: str) -> None:
    check_adjoint(OPERATORS[name]())


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_those_of_differences(name: str) -> None:
    check_gradients(OPERATORS[name]())


def blob(rows: int, columns: int, pixel: float) -> torch.Tensor:
    """A Gaussian of 1.5 mm at (2, 1) mm, y up, in a slice of pixels of a side in mm."""
    y, x = torch.meshgrid(
        ((rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)) * pixel,
        (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2) * pixel,
        indexing="ij",
    )
    return torch.exp(-((x - 2) ** 2 + (y - 1) ** 2) / (2 * 1.5**2))


@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_line_integrals_of_a_gaussian(shift: float) -> None:
    angles = spread_angles(12, turn=360.0)
    beam = ParallelBeam((70, 60), angles, bins=90, pixel_mm=0.25, pitch_mm=0.2, shift=shift)
    theta, offset = angles.deg2rad()[:, None], (torch.arange(90) - 44.5 + shift) * 0.2
    wanted = math.sqrt(2 * math.pi) * 1.5 * torch.exp(-((offset - 2 * theta.cos() - theta.sin()) ** 2) / (2 * 1.5**2))
    torch.testing.assert_close(beam.forward(blob(70, 60, 0.25)), wanted, rtol=0, atol=0.02)


def test_a_bin_measures_the_mean_over_it() -> None:
    angles = spread_angles(4)
    fine = ParallelBeam((30, 30), angles, bins=60, pitch_mm=0.5).forward(blob(30, 30, 1.0))
    wide = ParallelBeam((30, 30), angles, bins=30, rays_per_bin=2).forward(blob(30, 30, 1.0))
    torch.testing.assert_close(wide, fine.reshape(4, 30, 2).mean(-1))


def test_scikit_image_measures_the_same() -> None:
    from skimage.transform import radon

    image, angles = blob(65, 65, 0.25), spread_angles(30)
    wanted = radon(image.numpy(), theta=angles.numpy(), circle=False)
    # Its axis is at bin n // 2, which is no middle of an even number of bins.
    assert wanted.shape[0] == 92
    found = ParallelBeam((65, 65), angles, bins=92, shift=-0.5).forward(image).numpy().T
    assert np.abs(found - wanted).max() < 0.01 * wanted.max()


def test_filtered_back_projection_is_scikit_images() -> None:
    from skimage.transform import iradon

    beam = ParallelBeam((65, 65), spread_angles(90), bins=93)
    sinogram = beam.forward(blob(65, 65, 0.25))
    wanted = iradon(sinogram.numpy().T, theta=beam.angles_deg.numpy(), output_size=65, circle=False)
    found = filtered_back_projection(beam, sinogram).numpy()
    assert np.abs(found - wanted)[5:-5, 5:-5].max() < 0.01


def test_filtered_back_projection_is_in_units_of_the_slice() -> None:
    slice_ = blob(70, 60, 0.25)
    beam = ParallelBeam((70, 60), spread_angles(120, turn=360.0), bins=120, pixel_mm=0.25, pitch_mm=0.2, shift=1.5)
    found = filtered_back_projection(beam, beam.forward(slice_))
    torch.testing.assert_close(found, slice_, rtol=0, atol=0.02)


def test_uneven_views_count_by_the_angles_around_them() -> None:
    slice_ = blob(40, 40, 0.5)
    # Half of the views lie within 30 degrees.
    angles = torch.cat([torch.arange(0, 30, 0.75), torch.arange(30, 180, 3.75)]).double()
    beam = ParallelBeam((40, 40), angles, bins=59, pixel_mm=0.5)
    torch.testing.assert_close(filtered_back_projection(beam, beam.forward(slice_)), slice_, rtol=0, atol=0.04)


@pytest.mark.parametrize(("sigma", "pitch"), [(1.0, 0.25), (3.0, 0.25), (1.5, 0.5)])
def test_views_through_the_root_of_the_ramp_have_the_square_of_the_slice(sigma: float, pitch: float) -> None:
    # exp(-r² / 2 σ²) has line integrals sqrt(2 pi) σ exp(-s² / 2 σ²), and its square the integral pi σ². The sum over N
    # views of the integral of |f| |y(f)|² is N / pi of that (Fourier slice theorem, in polar coordinates).
    offset = (torch.arange(400, dtype=torch.float64) - 199.5) * pitch
    views = (math.sqrt(2 * math.pi) * sigma * torch.exp(-(offset**2) / (2 * sigma**2))).expand(7, -1)
    assert float(root_of_ramp(views).square().sum()) == pytest.approx(7 * sigma**2, rel=0.01)


def test_chosen_views_are_those_of_all() -> None:
    beam, x = ParallelBeam((12, 9), spread_angles(8), bins=15, pixel_mm=0.5, shift=1.0), random((12, 9), 3)
    chosen = torch.tensor([6, 1])
    torch.testing.assert_close(beam.views(chosen).forward(x), beam.forward(x)[chosen])


def test_many_views_are_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, angles = random((12, 9), 4), spread_angles(8)
    whole = ParallelBeam((12, 9), angles, bins=15).forward(x)
    monkeypatch.setattr("inr_plugins.operators.radon._AT_ONCE", 300)
    torch.testing.assert_close(ParallelBeam((12, 9), angles, bins=15).forward(x), whole)


def test_angles_have_no_doubled_end() -> None:
    assert spread_angles(4).tolist() == [0, 45, 90, 135]
    assert spread_angles(3, start=10, turn=360).tolist() == [10, 130, 250]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (torch.zeros(9, 22), r"shape \(9, 22\), and \(9, 23\)"),
        (torch.zeros(9, 23).index_put((torch.tensor(2), torch.tensor(3)), torch.tensor(torch.nan)), "1 of 207"),
    ],
)
def test_other_measurements_are_refused(data: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words):
        OPERATORS["as fine"]().check(data)


@pytest.mark.parametrize(
    "settings",
    [{"bins": 0}, {"bins": 9, "pixel_mm": -1.0}, {"bins": 9, "pitch_mm": math.inf}, {"bins": 9, "shift": math.nan}],
)
def test_an_impossible_instrument_is_refused(settings: dict) -> None:
    with pytest.raises(InputError):
        ParallelBeam((8, 8), spread_angles(4), **settings)


def test_least_squares_find_what_was_measured() -> None:
    beam, x = ParallelBeam((10, 10), spread_angles(20), bins=15), random((10, 10), 5)
    found = conjugate_gradients(beam, beam.forward(x), steps=300)
    torch.testing.assert_close(found, x, rtol=0, atol=1e-4)


def test_the_norm_is_that_of_the_matrix() -> None:
    beam = ParallelBeam((6, 6), spread_angles(5), bins=9)
    matrix = beam.forward(torch.eye(36, dtype=torch.float64).reshape(36, 6, 6)).reshape(36, -1)
    wanted = float(torch.linalg.matrix_norm(matrix, 2))
    assert operator_norm(beam, matrix, steps=60) == pytest.approx(wanted, rel=1e-4)


def test_total_variation_of_an_image_is_scikit_images() -> None:
    from skimage.restoration import denoise_tv_chambolle

    image = blob(24, 20, 0.5) + 0.2 + 0.05 * random((24, 20), 6).clamp(-2, 2)
    wanted = denoise_tv_chambolle(image.numpy(), weight=0.1, eps=1e-9, max_num_iter=3000)
    found = total_variation(Identity((24, 20)), image, weight=0.1, steps=1500)
    assert np.abs(found.numpy() - wanted).max() < 2e-3


def test_total_variation_keeps_what_is_measured_and_nothing_below_zero() -> None:
    slice_ = torch.zeros(16, 16, dtype=torch.float64)
    slice_[4:11, 5:12] = 1.0
    beam = ParallelBeam((16, 16), spread_angles(6), bins=23)
    y = beam.forward(slice_)
    smooth, sharp = conjugate_gradients(beam, y, steps=30), total_variation(beam, y, weight=0.01, steps=600)
    assert float(sharp.min()) >= 0
    assert float((sharp - slice_).square().mean()) < 0.1 * float((smooth - slice_).square().mean())


def test_a_view_has_the_angles_that_are_nearer_to_it() -> None:
    torch.testing.assert_close(shares_of_views(spread_angles(9)), torch.full((9,), 1 / 9, dtype=torch.float64))
    twice = shares_of_views(spread_angles(16, start=3.0, turn=360.0))
    torch.testing.assert_close(twice, torch.full((16,), 1 / 16, dtype=torch.float64))
    # 60 is left out of 0, 30 ... 150; a missing wedge counts as three of the mean gaps of 36 degrees.
    shares = shares_of_views(torch.tensor([120.0, 0.0, 90.0, 30.0, 150.0]))
    torch.testing.assert_close(shares, torch.tensor([30.0, 30, 45, 45, 30]).double() / 180)
    wedge = shares_of_views(torch.arange(5.0) * 10)
    torch.testing.assert_close(wedge, torch.tensor([59.0, 10, 10, 10, 59]).double() / 180)


def test_the_operator_of_the_documentation_works() -> None:
    page = Path(__file__).parents[2] / "docs" / "methods" / "cn-ct.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["found"].shape == (8, 6)
    assert len(code[code.index("class Sums") : code.index("sums = Sums")].strip().splitlines()) <= 20
