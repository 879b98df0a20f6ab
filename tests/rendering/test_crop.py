import torch
from nerfstudio.cameras.rays import RayBundle

from inr_plugins.rendering.crop import crop_of, cuts_off, guess_of, narrowed, within
from inr_plugins.rendering.grid.march import Samples


def test_samples_outside_the_crop_of_their_ray_are_left_out():
    rays = RayBundle(torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2, 1))
    assert crop_of(rays) is None
    rays.nears, rays.fars = torch.tensor([[1.0], [0.0]]), torch.tensor([[2.0], [1.5]])
    ray, distance = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0.5, 1.0, 2.0, 0.5, 1.6])
    samples = Samples(ray, distance, torch.arange(5), torch.zeros(5, 3))
    assert within(samples, crop_of(rays)).flat_cell.tolist() == [1, 3]
    assert within(samples, None) is samples


def test_rays_that_are_narrowed_still_have_behind_them_what_no_crop_cuts_off():
    rays = RayBundle(torch.zeros(3, 3), torch.ones(3, 3), torch.ones(3, 1), metadata={"shape": torch.zeros(3, 1)})
    assert not cuts_off(rays)
    near, far = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([3.0, 4.0, 6.0])
    some = narrowed(rays, near, far)[torch.tensor([2, 0])]
    assert [each.tolist() for each in crop_of(some)] == [[5, 1], [6, 3]]
    assert not cuts_off(some)
    assert rays.nears is None
    assert list(rays.metadata) == ["shape"]
    rays.nears, rays.fars = torch.full((3, 1), 2.5), torch.full((3, 1), 5.5)
    cropped = narrowed(rays, near, far)
    assert [each.tolist() for each in crop_of(cropped)] == [[2.5, 2.5, 5], [3, 4, 5.5]]
    assert cuts_off(cropped)


def test_a_guess_stays_with_its_ray():
    rays = RayBundle(torch.zeros(3, 3), torch.ones(3, 3), torch.ones(3, 1))
    assert guess_of(rays) is None
    guess = torch.tensor([1.5, torch.inf, 7.0])
    for begin in (None, torch.full((3, 1), 2.5)):
        rays.nears, rays.fars = begin, begin
        some = narrowed(rays, torch.zeros(3), torch.ones(3), guess=guess)[torch.tensor([2, 0, 1])]
        assert guess_of(some).tolist() == [7.0, 1.5, torch.inf]
        assert guess_of(rays) is None
