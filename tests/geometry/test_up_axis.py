"""Which axis is up, and where it is turned."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.geometry.up_axis import up_rotation


@pytest.mark.parametrize(("up", "top"), [("x", 0), ("y", 1), ("z", 2), ("-x", 0), ("-y", 1), ("-z", 2)])
def test_up_turns_the_named_axis_to_z_without_mirroring(up: str, top: int):
    rotation = up_rotation(up, "a.ply")
    axis = np.eye(3)[top] * (-1 if up.startswith("-") else 1)
    assert np.allclose(rotation @ axis, [0, 0, 1])
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.allclose(up_rotation("auto", "a.GLB"), up_rotation("y", "a.ply"))
