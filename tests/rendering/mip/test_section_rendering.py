import math

import torch

from inr_plugins.rendering.mip.section_rendering import max_weight_section, termination_distance
from inr_plugins.rendering.sections import Sections


def test_it_is_dark_behind_the_first_section_that_leaves_too_little_light():
    edges = torch.tensor([[0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0]])
    weights = torch.tensor([[0.5, 0.4995, 0.0005], [0.2, 0.2, 0.2], [1.0, 0.0, 0.0]])
    assert termination_distance(edges, weights, 1e-3).tolist() == [2.0, math.inf, 1.0]
    assert termination_distance(edges, weights, 1e-4).tolist() == [4.0, math.inf, 1.0]
    assert termination_distance(edges, weights, 0.0).tolist() == [math.inf] * 3
    # Ten times 0.1 is more than 1 in float32.
    assert termination_distance(torch.arange(11.0)[None], torch.full((1, 10), 0.1), 0.0).tolist() == [math.inf]


def test_the_max_weight_section_of_each_ray_that_has_any():
    ray = torch.tensor([0, 0, 0, 2, 2, 3])
    sections = Sections(ray, torch.zeros(6), torch.ones(6))
    weights = torch.tensor([0.1, 0.7, 0.2, 0.3, 0.1, 0.0])
    rays, place = max_weight_section(sections, weights, 5)
    assert rays.tolist() == [0, 2, 3]
    assert place.tolist() == [1, 3, 5]
