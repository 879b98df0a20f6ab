"""Patches: weights that sum to one, blends without seams, and groups that lose nothing."""

import pytest
import torch

from inr_plugins.networks.dictionary.patches import PatchGrid

BOX = torch.tensor([[-1.0, -1.0, -2.0], [1.0, 1.0, 2.0]], dtype=torch.float64)


def random_points(count, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    unit = 2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1
    return scale * unit * torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)


def dense_weights(grid, points):
    """The weight of every patch at every point."""
    patch, weight, _ = grid.local(points)
    return torch.zeros(len(points), grid.patches, dtype=weight.dtype).scatter_add(1, patch, weight)


def centres(grid):
    axes = [torch.linspace(float(a), float(b), grid.per_side, dtype=torch.float64) for a, b in BOX.T]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 3)


@pytest.mark.parametrize("per_side", [2, 4])
def test_weights_sum_to_one_and_places_are_measured_from_the_centres(per_side):
    grid = PatchGrid(BOX, per_side)
    # Beyond the box too.
    points = torch.cat([random_points(200), random_points(100, scale=1.5), centres(grid)])
    patch, weight, place = grid.local(points)
    torch.testing.assert_close(weight.sum(1), torch.ones(len(points), dtype=torch.float64))
    assert (weight >= 0).all()
    assert all(len(row.unique()) == 8 for row in patch)
    spacing = (BOX[1] - BOX[0]) / (per_side - 1)
    torch.testing.assert_close(centres(grid)[patch] + place * spacing, points[:, None].expand(-1, 8, 3))
    assert place[:200].abs().max() <= 1


def test_at_its_centre_a_patch_is_alone():
    grid = PatchGrid(BOX, 3)
    torch.testing.assert_close(dense_weights(grid, centres(grid)), torch.eye(27, dtype=torch.float64))


def test_weights_and_their_slopes_are_continuous_across_the_lattice():
    grid = PatchGrid(BOX, 4)
    planes = torch.linspace(-1, 1, 4, dtype=torch.float64)[1:3]
    for x in planes:
        point = random_points(20)
        point[:, 0] = x
        step = torch.tensor([1e-5, 0.0, 0.0], dtype=torch.float64)
        before, at, after = (dense_weights(grid, point + s * step) for s in (-1, 0, 1))
        assert (after - before).abs().max() < 1e-6
        # One-sided slopes; those of trilinear weights would differ by 2 / spacing.
        assert ((after - at) - (at - before)).abs().max() / 1e-5 < 1e-3


def test_weights_and_places_have_the_gradient_of_finite_differences():
    grid = PatchGrid(BOX, 3)
    points = random_points(6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: grid.local(x)[1:], points)


def functions(number, place):
    """A different function for every group, of places in its frame."""
    phase = number.double()[:, None] * 0.37
    return torch.sin(place @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64) + phase)


def test_a_blend_is_the_weighted_sum_over_all_patches():
    grid = PatchGrid(BOX, 3)
    # Uneven groups: most points of the second shape are in one cell.
    points = torch.stack([random_points(40), torch.cat([0.1 + 0.2 * random_points(35, 1).abs(), random_points(5, 2)])])
    spacing = (BOX[1] - BOX[0]) / 2
    expected = torch.zeros(2, 40, dtype=torch.float64)
    for shape in range(2):
        weights = dense_weights(grid, points[shape])
        for patch, centre in enumerate(centres(grid)):
            place = (points[shape] - centre) / spacing
            said = functions(torch.tensor([27 * shape + patch]), place[None])[0]
            expected[shape] += weights[:, patch] * said
    torch.testing.assert_close(grid.blend(points, functions), expected)


def test_patches_that_say_the_same_blend_to_it_with_its_gradient():
    """What is linear in the box, said in each patch's own frame."""
    grid = PatchGrid(BOX, 4)
    slope = torch.tensor([0.3, -0.7, 0.2], dtype=torch.float64)

    def said(group, place):
        return (centres(grid)[group][:, None] + place * grid.spacing) @ slope

    points = random_points(50)[None].requires_grad_()
    values = grid.blend(points, said)
    torch.testing.assert_close(values, points @ slope)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    torch.testing.assert_close(gradient, slope.expand(1, 50, 3))


def test_only_patches_with_points_are_asked():
    grid = PatchGrid(BOX, 5)
    asked = []

    def said(group, place):
        asked.append((group, place.shape))
        return place[..., 0]

    grid.blend(0.01 + 0.1 * random_points(9).abs()[None], said)
    ((group, shape),) = asked
    assert len(group) == 8
    assert shape == (8, 9, 3)
    assert grid.blend(points=random_points(0)[None], evaluate=said).shape == (1, 0)


def test_boxes_and_numbers_of_patches_out_of_range_are_refused():
    with pytest.raises(ValueError, match="patches_per_side must be at least 2"):
        PatchGrid(BOX, 1)
    with pytest.raises(ValueError, match="lower and an upper corner"):
        PatchGrid(BOX.flip(0), 3)
