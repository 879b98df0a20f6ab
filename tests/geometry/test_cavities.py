import numpy as np
import pytest

from inr_plugins.geometry.cavities import fill_cavities


def shell(outer=0.8, inner=0.5, n=33):
    axis = np.linspace(-1, 1, n)
    radius = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0)
    return np.minimum(outer - radius, radius - inner).astype(np.float32), radius


@pytest.mark.parametrize(("sign", "inside"), [(1, "above"), (-1, "below")])
def test_a_closed_shell_becomes_solid_and_its_outside_stays(sign, inside):
    values, radius = shell()
    filled, count = fill_cavities(sign * values + 3, level=3.0, inside=inside)
    hollow = radius <= 0.5
    assert count == hollow.sum()
    assert (sign * (filled - 3)[hollow] > 0).all()
    np.testing.assert_array_equal(filled[~hollow], (sign * values + 3)[~hollow])
    assert filled.dtype == np.float32


def test_a_shell_with_a_hole_is_left_as_it_is():
    values, _ = shell()
    values[16, 16, 16:] = -1
    filled, count = fill_cavities(values, level=0.0, inside="above")
    assert count == 0
    assert filled is values
