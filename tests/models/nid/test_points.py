"""What is drawn of balls before training begins."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ball_batches import BallBatches
from data.shape_folders import manager

from inr_plugins.errors import InputError
from inr_plugins.models.nid.points import draw_clouds, draw_surface, has_estimated_normals, surface_of

RADIUS = 0.6


def test_a_cloud_is_drawn_until_its_points_are_there_each_of_them_once():
    source = BallBatches([RADIUS], cloud=40)
    drawn = draw_surface(source, points=1000)
    assert len(drawn.points) == 40
    assert len(drawn.points.unique(dim=0)) == 40
    torch.testing.assert_close(drawn.points, RADIUS * drawn.normals)
    torch.testing.assert_close(drawn.sdf, drawn.anywhere.norm(dim=-1) - RADIUS)
    assert len(draw_surface(BallBatches([RADIUS]), points=150).points) == 150


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (BallBatches([RADIUS], surface=0.0), "None of the points"),
        (BallBatches([RADIUS], normals=False), "no normals"),
        (BallBatches([RADIUS], cloud=3), "3 different points"),
    ],
)
def test_points_from_which_no_code_can_be_found_are_refused(source, word):
    with pytest.raises(InputError, match=word):
        draw_surface(source, points=100)


def test_clouds_of_all_shapes_come_with_the_normals_beside_the_points():
    radii = (0.3, 0.5, 0.7)
    clouds = draw_clouds(BallBatches(radii, per_step=1, points=40), shapes=3, points=25)
    assert clouds.shape == (3, 25, 6)
    torch.testing.assert_close(clouds[..., :3], torch.tensor(radii)[:, None, None] * clouds[..., 3:])
    with pytest.raises(InputError, match="did not come up"):
        draw_clouds(BallBatches(radii, per_step=1), shapes=4, points=25, most_batches=20)


class Scan(BallBatches):
    """Batches of a ball, and a cloud of other points that it is known by."""

    def __init__(self, count, *, known=True):
        super().__init__([RADIUS])
        normals = np.random.default_rng(0).normal(size=(count, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        self.surface = SimpleNamespace(points=0.4 * normals, normals=normals if known else None)

    def shape_surface(self, number):
        assert number == 0
        return self.surface


def test_of_a_cloud_every_point_is_taken_and_of_many_a_choice():
    drawn = draw_surface(Scan(90), points=1000)
    assert len(drawn.points.unique(dim=0)) == 90
    torch.testing.assert_close(drawn.points, 0.4 * drawn.normals)
    points, normals = surface_of(Scan(90), points=1000, device="cpu")
    assert sorted(points.tolist()) == sorted(drawn.points.tolist())
    torch.testing.assert_close(points, 0.4 * normals)
    fewer, _ = surface_of(Scan(90), points=30, device="cpu")
    assert len(fewer.unique(dim=0)) == 30
    # Not those that come first in the file.
    assert not set(map(tuple, fewer.tolist())) <= set(map(tuple, Scan(90).surface.points[:60].astype("f4").tolist()))
    # Of what is no such cloud, those that are drawn.
    drawn, _ = surface_of(Scan(90, known=False), points=50, device="cpu")
    assert drawn.norm(dim=-1).tolist() == pytest.approx([RADIUS] * 50)


@pytest.mark.parametrize("known", [True, False])
def test_a_file_without_normals_is_known_by_it_once_it_is_normalised(tmp_path, known):
    way = np.random.default_rng(0).normal(size=(500, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    np.savetxt(tmp_path / "ball.xyz", np.hstack([5 * way + 20, way]) if known else 5 * way + 20)
    assert has_estimated_normals(manager(tmp_path / "ball.xyz")) is not known
