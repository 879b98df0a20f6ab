"""What is drawn of balls before training begins."""

import pytest
import torch
from ball_batches import BallBatches

from inr_plugins.errors import InputError
from inr_plugins.models.nid.points import draw_clouds, draw_surface

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
