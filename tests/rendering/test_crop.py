import torch
from nerfstudio.cameras.rays import RayBundle

from inr_plugins.rendering.crop import crop_of, within
from inr_plugins.rendering.grid.march import Samples


def test_samples_outside_the_crop_of_their_ray_are_left_out():
    rays = RayBundle(torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2, 1))
    assert crop_of(rays) is None
    rays.nears, rays.fars = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [1.5]])
    ray, distance = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0.5, 1.0, 2.0, 0.5, 1.6])
    samples = Samples(ray, distance, torch.arange(5), torch.zeros(5, 3))
    assert within(samples, crop_of(rays)).flat_cell.tolist() == [1, 3]
    assert within(samples, None) is samples
