"""Free cells against a brute-force twin that looks at every place of a ray."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.tracing.free_space import FreeSpace, cells_worth_asking

BOX = torch.tensor([[-1.0, -0.8, -1.2], [1.0, 0.9, 1.1]])
CELLS, SLOPE = 12, 1.2
EDGE = 2.3 / CELLS


def two_balls(x):
    """Distance to a ball of 0.3, and to one of 0.2."""
    first = (x - torch.tensor([0.4, 0.2, -0.5])).norm(dim=-1) - 0.3
    return torch.minimum(first, (x - torch.tensor([-0.5, -0.3, 0.6])).norm(dim=-1) - 0.2)


def random_rays(count=300):
    torch.manual_seed(3)
    origins = 3 * normalize(torch.randn(count, 3), dim=-1)
    directions = normalize(0.8 * torch.randn(count, 3) - origins, dim=-1)
    # Some along the axes, from outside and from within.
    directions[:6] = torch.cat([torch.eye(3), -torch.eye(3)])
    origins[:6] = -2 * directions[:6] + 0.1
    origins[6:40] = 0.5 * torch.randn(34, 3)
    enter, leave = box_interval(origins, directions, BOX)
    return origins, directions, enter.clamp(min=0), leave


def is_free(x):
    """Whether the cell around a point is free, worked out for each point anew."""
    middle = BOX[0] + (((x - BOX[0]) / EDGE).floor() + 0.5) * EDGE
    return two_balls(middle) > SLOPE * EDGE * 3**0.5 / 2


def test_rays_stop_at_the_first_cell_that_is_not_free():
    origins, directions, enter, leave = random_rays()
    found = FreeSpace(two_balls, BOX, cells=CELLS, slope=SLOPE).pass_through(origins, directions, enter, leave)
    stopped = 0
    for k in range(len(origins)):
        if leave[k] <= enter[k]:
            assert found[k] == enter[k]
            continue
        places = torch.linspace(float(enter[k]) + 1e-4, float(leave[k]) - 1e-4, 4000)
        free = is_free(origins[k] + directions[k] * places[:, None])
        if free.all():
            assert found[k] >= leave[k] - 1e-3
        else:
            stopped += 1
            assert float(found[k]) == pytest.approx(float(places[(~free).float().argmax()]), abs=2e-3)
    assert 60 < stopped < 240


def test_no_surface_is_passed():
    origins, directions, enter, leave = random_rays(2000)
    found = FreeSpace(two_balls, BOX, cells=20, slope=SLOPE).pass_through(origins, directions, enter, leave)
    passed = enter[:, None] + (found - enter).clamp(min=0)[:, None] * torch.linspace(0, 1, 200)
    nearest = two_balls(origins[:, None] + directions[:, None] * passed[..., None]).amin(-1)
    looked_at = (leave > enter) & (two_balls(origins + directions * enter[:, None]) > 0)
    assert float(nearest[looked_at].min()) > 0


def test_a_ray_stays_where_its_cell_is_not_free():
    free = FreeSpace(two_balls, BOX, cells=CELLS, slope=SLOPE)
    origin, direction = torch.tensor([[0.4, 0.2, -0.5]]), torch.tensor([[0.0, 0.0, 1.0]])
    for distance in (0.0, 0.2):
        there = torch.tensor([distance])
        assert free.pass_through(origin, direction, there, torch.tensor([1.0])).tolist() == pytest.approx([distance])


class Counted:
    """Rings that count how often they are looked up."""

    def __init__(self, rings):
        self.rings, self.times = rings, 0

    def __getitem__(self, cells):
        self.times += 1
        return self.rings[cells]


def test_a_free_ray_takes_a_few_strides_also_along_an_axis_and_on_a_side_of_the_cells():
    free = FreeSpace(two_balls, BOX, cells=CELLS, slope=SLOPE)
    for origin, direction in (
        ((-0.95, 0.85, 0.1), (0, 0, 1)),
        ((-1.0, 0.7, 0.0), (0, 0, -1)),
        ((0.9, 0.0, 1.0), (0, 1, 0)),
    ):
        free.rings = Counted(getattr(free.rings, "rings", free.rings))
        origins, directions = torch.tensor([origin]), torch.tensor([direction]).float()
        _, leave = box_interval(origins, directions, BOX)
        assert free.pass_through(origins, directions, torch.zeros(1), leave) >= leave
        assert free.rings.times <= 2 * CELLS


def test_values_that_are_no_numbers_are_not_free():
    free = FreeSpace(lambda x: x[:, 0] / 0 * 0, BOX, cells=CELLS, slope=SLOPE)
    assert not free.rings.any()


@pytest.mark.parametrize("rays", [0, 1000, 40_000, 10_000_000])
def test_cells_are_about_half_as_many_as_rays(rays):
    cells = cells_worth_asking(BOX, rays)
    assert cells == 0 or rays >= 1000
    assert cells <= 64
    if rays == 40_000:
        sides = BOX[1] - BOX[0]
        assert float((cells * sides / sides.max()).prod()) == pytest.approx(rays / 2, rel=0.15)
