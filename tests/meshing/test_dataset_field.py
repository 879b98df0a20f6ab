"""A run's field in the dataset's frame, against the formula of a sphere there."""

from __future__ import annotations

import numpy as np
import pytest
from cli.sphere_runs import CENTRE, RADIUS, SCALE, Fake, SphereDensity, SphereOccupancy, SphereSDF

from inr_plugins.errors import InputError
from inr_plugins.meshing import dataset_field
from inr_plugins.meshing.dataset_field import DatasetField


def field_of(kind, **changes) -> DatasetField:
    return DatasetField(Fake(kind, **changes)("config.yml", device=None, data=None))


@pytest.fixture
def points():
    return CENTRE + np.random.default_rng(0).normal(size=(50, 3)) * 2


@pytest.mark.parametrize("mirror", [False, True])
def test_distances_are_in_units_of_the_dataset(points, mirror, monkeypatch):
    monkeypatch.setattr(dataset_field, "_CHUNK", 7)
    field = field_of(SphereSDF, mirror=mirror)
    assert field.kind == "sdf"
    truth = np.linalg.norm(points - CENTRE, axis=1) - RADIUS
    assert field.sdf(points) == pytest.approx(truth, abs=2e-5)
    for refused in (field.density, field.occupancy):
        with pytest.raises(InputError, match="asked for its sdf"):
            refused(points)


def test_a_density_is_per_unit_of_the_dataset():
    """Light that crosses the middle is dimmed as much in either frame: the integral along a way is the same."""
    field = field_of(SphereDensity)
    middle = CENTRE[None]
    assert field.density(middle) == pytest.approx([100 * SCALE])
    assert field.density(middle + np.array([0.0, 0.0, 3 * RADIUS])) == pytest.approx([0.0])


def test_a_probability_has_no_unit(points):
    field = field_of(SphereOccupancy)
    distance = SCALE * (np.linalg.norm(points - CENTRE, axis=1) - RADIUS)
    assert field.occupancy(points) == pytest.approx(1 / (1 + np.exp(distance / 0.03)), abs=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
def test_colours_go_by_directions_of_the_dataset(points, mirror, monkeypatch):
    monkeypatch.setattr(dataset_field, "_CHUNK", 7)
    run = Fake(SphereSDF, mirror=mirror)
    field = DatasetField(run("config.yml", device=None, data=None))
    ways = np.random.default_rng(1).normal(size=(50, 3)) * 5
    unit = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    truth = 0.5 - 0.5 * unit @ run.to_normalised.rotation.T
    assert field.colour(points, ways) == pytest.approx(truth, abs=1e-6)
    ways[3] = 0
    with pytest.raises(InputError, match="length above 0"):
        field.colour(points, ways)
