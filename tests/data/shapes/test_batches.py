"""A batch follows from its step and its seeds alone, and holds what the shapes' sources gave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.data.shapes.batches import PointBatches, divide_points, moved
from inr_plugins.data.shapes.sampling import SampleCounts, ShapeSamples

COUNTS = SampleCounts(on=3, near=4, far=2, uniform=1)


class Ball:
    """Points around a ball; `fresh` ones lie on the far side, so that they can be told from the others."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def sample(
        self, counts: SampleCounts, rng: np.random.Generator, *, step: int | None = None, fresh: bool = False
    ) -> ShapeSamples:
        direction = rng.normal(size=(counts.total, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        position = np.arange(counts.total)
        on = position < counts.on
        distance = np.where(on, 0, rng.normal(size=counts.total) * 0.1)
        points = direction * (self.radius + distance)[:, None]
        points[:, 0] = -np.abs(points[:, 0]) if fresh else np.abs(points[:, 0])
        return ShapeSamples(
            points=points.astype(np.float32),
            sdf=distance.astype(np.float32),
            near=(position >= counts.on) & (position < counts.on + counts.near),
            on=on,
            normals=np.where(on[:, None], points / self.radius, 0).astype(np.float32),
        )


BALLS = [Ball(radius) for radius in (0.3, 0.5, 0.7, 0.9)]


def batches(sources=BALLS, *, shapes: int = 2, entropy=(0, 0, 0), fresh: bool = False) -> PointBatches:
    return PointBatches(sources, COUNTS, shapes=shapes, entropy=entropy, fresh=fresh)


def assert_equal(one, other) -> None:
    assert torch.equal(one.points.points, other.points.points)
    assert torch.equal(one.points.shape, other.points.shape)
    assert one.known.keys() == other.known.keys()
    for name, value in one.known.items():
        assert torch.equal(value, other.known[name]), name


def test_each_row_belongs_to_the_shape_whose_number_stands_beside_it():
    make = batches()
    seen = set()
    for step in range(20):
        points, known = make(step)
        assert points.points.shape == (2, 10, 3)
        assert points.shape.dtype == torch.int64
        assert len(set(points.shape.tolist())) == 2
        seen |= set(points.shape.tolist())
        radius = torch.tensor([BALLS[number].radius for number in points.shape.tolist()])
        torch.testing.assert_close(points.points.norm(dim=-1) - radius[:, None], known["sdf"], atol=1e-6, rtol=0)
        assert known["on"].sum(1).tolist() == [3, 3]
        assert known["near"].sum(1).tolist() == [4, 4]
        off = ~known["on"]
        assert torch.equal(known["occupancy"][off], (known["sdf"][off] < 0).float())
        assert known["normal"].norm(dim=-1)[known["on"]].tolist() == pytest.approx([1.0] * 6, abs=1e-5)
        assert known["normal"][off].abs().max() == 0
    assert seen == {0, 1, 2, 3}


def test_a_batch_does_not_depend_on_what_was_drawn_before():
    first, second = batches(), batches()
    expected = {step: first(step) for step in range(6)}
    for step in (5, 0, 3, 3, 1):
        assert_equal(second(step), expected[step])


@pytest.mark.parametrize("entropy", [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ids=["seed", "process", "stream"])
def test_another_seed_process_or_stream_gives_other_points(entropy):
    assert not torch.equal(batches(entropy=entropy)(0).points.points, batches()(0).points.points)


def test_no_two_steps_are_alike():
    make = batches(BALLS[:1], shapes=1)
    assert len({tuple(make(step).points.points.reshape(-1).tolist()) for step in range(10)}) == 10


def test_fresh_points_are_asked_for_where_they_are_wanted():
    assert bool((batches(fresh=True)(0).points.points[..., 0] <= 0).all())
    assert bool((batches()(0).points.points[..., 0] >= 0).all())


def test_all_shapes_are_in_a_batch_where_there_are_fewer_than_it_holds():
    make = batches(BALLS[:3], shapes=8)
    assert make.size == 30
    assert sorted(make(0).points.shape.tolist()) == [0, 1, 2]


def test_a_batch_comes_to_the_device_whole():
    batch = batches()(4)
    points, known = moved(batch, "cpu")
    assert torch.equal(points.points, batch.points.points)
    assert torch.equal(points.shape, batch.points.shape)
    assert known.keys() == {"sdf", "occupancy", "near", "on", "normal"}


@pytest.mark.parametrize(
    ("points", "shares", "counts"),
    [
        (10_000, {"on": 0.0, "near": 0.5, "far": 0.5, "uniform": 0.0}, SampleCounts(0, 5000, 5000, 0)),
        (10, {"on": 1.0, "near": 1.0, "far": 1.0, "uniform": 0.0}, SampleCounts(4, 3, 3, 0)),
        (7, {"on": 0.2, "near": 0.2, "far": 0.4, "uniform": 0.2}, SampleCounts(1, 1, 3, 2)),
        (1, {"on": 0.1, "near": 0.0, "far": 0.9, "uniform": 0.0}, SampleCounts(0, 0, 1, 0)),
    ],
)
def test_points_are_divided_by_their_shares_and_none_is_left_over(points, shares, counts):
    found = divide_points(points, shares)
    assert found.total == points
    wanted = {name: points * share / sum(shares.values()) for name, share in shares.items()}
    assert all(abs(getattr(found, name) - value) < 1 for name, value in wanted.items())
    assert sorted([found.on, found.near, found.far, found.uniform]) == sorted(
        [counts.on, counts.near, counts.far, counts.uniform]
    )
