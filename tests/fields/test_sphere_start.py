"""A field that starts as a sphere: where its surface, its inside and its normals are, in eval mode."""

import pytest
import torch
from long_form import long_form

from inr_plugins.fields.sphere_start import SphereStart, start_as_sphere
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

BOX = torch.tensor([[-1.0, -1.0, 1.0], [3.0, 3.0, 5.0]])
MIDDLE, HALF = BOX.mean(0), 2.0
NEUS = {"activation": "softplus", "encoding": "positional", "octaves": 6, "hidden_layers": 4, "skips": (2,)}
SINE = {"activation": "finer-sine", "omega": 8.0, "hidden_layers": 3}
GAUSS = {"activation": "gauss", "scale": 2.0, "hidden_layers": 3}


def make(**distance) -> SurfaceField:
    torch.manual_seed(0)
    colour = CoordinateNetworkConfig(width=8, hidden_layers=1)
    return SurfaceField(BOX, distance=CoordinateNetworkConfig(width=32, **distance), colour=colour)


def on_sphere(radius, count=300):
    outward = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
    return MIDDLE + outward * radius * HALF, outward


@pytest.mark.parametrize(
    ("shape", "normalization", "hollow"),
    [
        (NEUS, "none", False),
        pytest.param(NEUS, "batch", False, marks=long_form),
        pytest.param(NEUS, "layer", False, marks=long_form),
        pytest.param(NEUS, "global", True, marks=long_form),
        pytest.param(NEUS, "cross", False, marks=long_form),
        pytest.param(NEUS, "cross", True, marks=long_form),
        pytest.param(SINE, "none", False, marks=long_form),
        pytest.param(SINE, "cross", False, marks=long_form),
        pytest.param(GAUSS, "layer", False, marks=long_form),
    ],
)
def test_the_surface_is_a_sphere_in_eval(shape, normalization, hollow):
    field = make(normalization=normalization, **shape).eval()
    start = SphereStart(radius=0.8 if hollow else 0.5, hollow=hollow, steps=80 if shape is NEUS else 160, points=256)
    error = start_as_sphere(field, start)
    assert not field.training
    assert 0 < error < 0.1
    x, outward = on_sphere(start.radius)
    with torch.no_grad():
        sdf, gradient, _ = field.distance_and_gradient(x)
        corners = field.sdf(torch.cartesian_prod(*BOX.T))
        middle = field.sdf(MIDDLE[None])
    sign = -1 if hollow else 1
    # In half sides of the box, of which the sphere's radius is a half.
    assert float(sdf.abs().mean()) / HALF < 0.03
    assert float(sdf.abs().max()) / HALF < 0.1
    assert float((sign * gradient * outward).sum(-1).mean()) == pytest.approx(1.0, abs=0.15)
    assert float(sign * middle) / HALF < -0.6 * start.radius
    assert float((sign * corners).min()) / HALF > 0.3


@pytest.mark.parametrize("shape", [NEUS, SINE])
def test_it_draws_nothing_repeats_and_leaves_colours_and_sharpness_alone(shape):
    fields = [make(normalization="cross", **shape) for _ in range(2)]
    before = {name: p.clone() for name, p in fields[0].named_parameters()}
    for seed, field in enumerate(fields):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        start_as_sphere(field, SphereStart(steps=4))
        assert torch.equal(torch.get_rng_state(), state)
    changed = {name for name, p in fields[0].named_parameters() if not torch.equal(p, before[name])}
    assert all(name.startswith(("distance_network", "head")) for name in changed)
    assert any(name.startswith("distance_network") for name in changed)
    states = [field.state_dict() for field in fields]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert all(p.grad is None for p in fields[0].parameters())


def test_a_hollow_sphere_is_the_full_one_inside_out():
    u = torch.rand(50, 3) - 0.5
    full, hollow = SphereStart(radius=0.3), SphereStart(radius=0.3, hollow=True)
    torch.testing.assert_close(hollow.distance(u), -full.distance(u))
    torch.testing.assert_close(hollow.gradient(u), -full.gradient(u))
    assert full.distance(torch.zeros(1, 3)) == pytest.approx(-0.3)
