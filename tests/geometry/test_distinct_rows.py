"""Equal rows against numpy's slow way, and chains of near points against every pair."""

import numpy as np
import pytest

from inr_plugins.geometry import distinct_rows as module
from inr_plugins.geometry.distinct_rows import distinct_rows, joined_places


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.int32])
@pytest.mark.parametrize("collide", [False, True])
def test_as_numpy_finds_them(monkeypatch, kind, collide):
    if collide:  # all rows have one hash, so that they must be compared themselves
        monkeypatch.setattr(module, "_hashes", lambda rows: np.zeros(len(rows), dtype=np.uint64))
    rows = np.random.default_rng(0).integers(-3, 4, (500, 3)).astype(kind)
    first, index = distinct_rows(rows)
    assert np.array_equal(rows[first][index], rows)
    wanted, places = np.unique(rows, axis=0, return_index=True)
    assert len(first) == len(wanted)
    assert np.array_equal(first, np.sort(places))


def test_both_zeros_are_one_and_no_rows_are_none():
    first, kind = distinct_rows(np.array([[0.0, 1], [-0.0, 1], [0, -1]]))
    assert (first.tolist(), kind.tolist()) == ([0, 2], [0, 0, 1])
    first, kind = distinct_rows(np.zeros((0, 3)))
    assert (len(first), len(kind)) == (0, 0)


def test_chains_of_near_points():
    points = np.random.default_rng(1).random((200, 3))
    reach = 0.12
    label = np.arange(200)
    near = np.linalg.norm(points[:, None] - points[None], axis=2) <= reach
    for _ in range(200):
        label = np.where(near, label[None], 200).min(axis=1)
    assert np.array_equal(joined_places(points, reach), label)
