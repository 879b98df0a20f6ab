"""Shading by normals, at angles whose colours can be written down."""

import torch

from inr_plugins.rendering.normal_shading import normal_shade


def test_a_surface_that_faces_the_eye_has_the_colour_of_its_normal():
    n = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = torch.tensor([[1.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 1.0]])
    torch.testing.assert_close(normal_shade(n, n), expected)


def test_it_darkens_as_it_turns_away_and_no_further_than_edge_on():
    n = torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3)
    v = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.75**0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    found = normal_shade(n, v)
    torch.testing.assert_close(found[:, 2], torch.tensor([1.0, 0.35 + 0.65 * 0.5, 0.35, 0.35]))
    torch.testing.assert_close(found[:, 0], found[:, 2] / 2)
