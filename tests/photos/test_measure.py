"""Lengths that somebody knows, against a reconstruction whose lengths are known."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.photos.measure import SizedPhoto, known_length
from inr_plugins.photos.model import Model, Placed

POINTS = np.array([[0.0, 0, 5], [3, 0, 5], [0, 4, 5]])


def camera(name, position, pixels):
    pose = np.eye(4)
    pose[:3, 3] = position
    return Placed(name, 1, pose, np.array(pixels, dtype=float), np.arange(len(pixels)), 100)


FIRST = camera("0", [0.0, 0, 0], [[50, 40], [80, 40], [50, 80]])
SECOND = camera("1", [0.0, 2, 0], [[50, 20], [80, 20]])
MODEL = Model((FIRST, SECOND), {}, POINTS, np.zeros((3, 3), np.uint8), np.zeros(3), 0.5)
# The first photo is twice as large as what was looked at.
PHOTOS = [
    SizedPhoto("a.jpg", (200, 160), FIRST, (100, 80)),
    SizedPhoto("b 2.jpg", (100, 80), SECOND, (100, 80)),
    SizedPhoto("c.jpg", (100, 80), None, (100, 80)),
]


def test_two_cameras_that_are_so_far_apart():
    found = known_length(("a.jpg", "b 2", 0.5), PHOTOS, MODEL)
    assert (found.length, found.scale) == (2, 0.25)


def test_two_points_that_photos_show():
    found = known_length(("a.jpg:160,80", "a.jpg:102,158.5", 10.0), PHOTOS, MODEL)
    assert (found.length, found.scale) == (5, 2)  # from (3, 0, 5) to (0, 4, 5)
    assert "pixel 102,158.5 of a.jpg (by a point 2.5 pixels from it)" in found.ends
    mixed = known_length(("b 2.jpg:80,20", "a.jpg", 1.0), PHOTOS, MODEL)
    assert mixed.length == pytest.approx(np.sqrt(34))


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (("a.jpg", "d.jpg"), r"names d.jpg, and no photo is called so: give the name of one \(a.jpg to c.jpg\)"),
        (("a.jpg", "c.jpg"), "names c.jpg, which has no place"),
        (("a.jpg", "a.jpg"), "one place twice"),
        (("a.jpg:100,80", "b 2.jpg:50,20"), "one place twice"),
        (("a.jpg", "a.jpg:140,120"), r"near pixel 140,120 of a.jpg \(the nearest at 160,80\)"),
        (("a.jpg", "a.jpg:230,120"), "which is 200 x 160: give a column and a row inside"),
    ],
)
def test_ends_that_are_nowhere_are_named(ends, words):
    with pytest.raises(InputError, match=words):
        known_length((*ends, 1.0), PHOTOS, MODEL)
