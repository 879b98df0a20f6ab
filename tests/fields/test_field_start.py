"""A field of networks that starts as another surface: a coloured ball beside the middle of its box."""

import pytest
import torch
from long_form import long_form
from torch.nn.functional import normalize

from inr_plugins.fields.field_start import FieldStart, near_cells, start_as_field
from inr_plugins.fields.sphere_start import SphereStart, start_as_sphere
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

BOX = torch.tensor([[-1.0, -2.0, -1.0], [3.0, 2.0, 3.0]])
MIDDLE, RADIUS = torch.tensor([1.4, -0.3, 0.8]), 0.7


class Ball:
    """Red from one side and blue from the other, darker the flatter it is seen."""

    def sdf(self, x):
        return (x - MIDDLE).norm(dim=-1) - RADIUS

    def normal(self, x):
        return normalize(x - MIDDLE, dim=-1)

    def colour(self, x, d):
        side = ((x - MIDDLE)[:, :1] / RADIUS).clamp(-1, 1)
        facing = -(d * self.normal(x)).sum(-1, keepdim=True)
        return torch.cat([0.5 + 0.4 * side, 0.3 * facing, 0.5 - 0.4 * side], -1).clamp(0, 1)


def make(normalization="none"):
    torch.manual_seed(0)
    shape = CoordinateNetworkConfig(activation="softplus", width=32, hidden_layers=3)
    colour = CoordinateNetworkConfig(width=32, hidden_layers=2, normalization=normalization)
    field = SurfaceField(BOX, distance=shape, colour=colour)
    start_as_sphere(field, SphereStart(steps=20))
    return field


@long_form
def test_distance_normals_and_colours_are_taken_on():
    field, told = make("cross"), []
    field.sharpness_rate.fill_(4.0)
    error = start_as_field(
        *(field, Ball(), FieldStart(steps=150, points=1024, sharpness=37.0)), tell=lambda *now: told.append(now)
    )
    assert error < 0.03
    assert told == [(k + 1, 150) for k in range(150)]
    assert float(field.sharpness) == pytest.approx(37.0, rel=1e-4)
    field.eval()
    n = normalize(torch.randn(300, 3), dim=-1)
    x = MIDDLE + RADIUS * n
    with torch.no_grad():
        assert float(field.sdf(x).abs().mean()) < 0.04
        assert float((field.sdf(MIDDLE + 0.6 * RADIUS * n) < 0).float().mean()) > 0.99
        assert float((field.sdf(MIDDLE + 1.4 * RADIUS * n) > 0).float().mean()) > 0.99
        assert float((field.normal(x) * n).sum(-1).mean()) > 0.97
        d = -normalize(n + 0.3 * torch.randn(300, 3), dim=-1)
        assert float((field.colour(x, d) - Ball().colour(x, d)).abs().mean()) < 0.1


def test_it_draws_nothing_from_the_common_generator_and_is_the_same_twice():
    found = []
    for _ in range(2):
        field = make().eval()
        state = torch.get_rng_state()
        start_as_field(field, Ball(), FieldStart(steps=3, points=64), tell=lambda *_: None)
        assert torch.equal(torch.get_rng_state(), state)
        assert not field.training
        found.append(field.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_cells_near_the_surface_are_found_and_a_box_without_one_is_refused():
    cells, edge = near_cells(Ball(), BOX)
    assert edge == pytest.approx(4 / 96)
    assert float(Ball().sdf(cells).abs().max()) < 1.5 * edge
    # Three layers of cells of a sphere, about.
    assert len(cells) == pytest.approx(3 * 4 * torch.pi * RADIUS**2 / edge**2, rel=0.1)
    field = make()
    field.place(BOX + 20)
    with pytest.raises(ValueError, match="no surface in the box"):
        start_as_field(field, Ball(), FieldStart(steps=1), tell=lambda *_: None)
