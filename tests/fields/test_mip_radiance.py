import math

import pytest
import torch
from torch.nn import functional as F

from inr_plugins.fields.mip_radiance import MipRadianceField
from inr_plugins.fields.protocol import ColourField, DensityField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

BOX = torch.tensor([[-1.0, -0.5, 0.0], [3.0, 1.5, 1.0]])
COUPLING = ["batch", "global", "cross"]


def make(seed=0, box=BOX, bounded=True, precision="float32", **changes) -> MipRadianceField:
    torch.manual_seed(seed)
    network = CoordinateNetworkConfig(**{"width": 16, "hidden_layers": 2, **changes})
    return MipRadianceField(box, network=network, bounded=bounded, precision=precision).eval()


def points(count, box=BOX, seed=1):
    return box[0] + (box[1] - box[0]) * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def directions(count, seed=2):
    return F.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=-1)


def ask(field, x, variance=None, *, sampling_level=1):
    variance = torch.full_like(x, 1e-4) if variance is None else variance
    return field.density_and_colour(
        x, variance, directions(len(x)), torch.arange(len(x)), sampling_level=sampling_level
    )


def test_the_published_field_has_the_published_number_of_weights():
    """612 thousand in table 1 of mip-NeRF."""
    network = CoordinateNetworkConfig(width=256, hidden_layers=8, initialization="glorot")
    field = MipRadianceField(BOX, network=network)
    assert sum(p.numel() for p in field.parameters()) == 612_740
    shapes = [tuple(p.shape) for p in field.trunk.parameters() if p.ndim == 2]
    assert shapes == [(256, 96), *[(256, 256)] * 4, (256, 352), *[(256, 256)] * 2, (257, 256)]


def test_density_and_bottleneck_start_as_the_two_layers_that_they_are_in_the_paper():
    network = CoordinateNetworkConfig(width=256, hidden_layers=2, initialization="glorot")
    torch.manual_seed(0)
    last = MipRadianceField(BOX, network=network).trunk.layers[-1]
    assert float(last.weight[0].detach().abs().max()) == pytest.approx(math.sqrt(6 / 257), rel=0.02)
    assert float(last.weight[1:].detach().abs().max()) == pytest.approx(math.sqrt(6 / 512), rel=0.02)
    assert not last.bias.any()


def test_densities_and_colours_are_the_networks_outputs_shifted_and_padded():
    field, x = make(), points(30)
    raw = field.trunk((x - BOX.mean(0)) * 0.75, torch.full_like(x, 1e-4 * 0.75**2))
    density, colour = ask(field, x)
    torch.testing.assert_close(density, torch.log1p(torch.exp(raw[:, 0] - 1)) * 1.5 / 2)
    with torch.no_grad():
        field.view_network.layers[-1].bias.copy_(torch.tensor([100.0, -100.0, 0.0]))
        field.view_network.layers[-1].weight.zero_()
    torch.testing.assert_close(ask(field, x)[1][0], torch.tensor([1.001, -0.001, 0.5]))
    assert torch.equal(field.colour(x, directions(30))[0], torch.tensor([1.0, 0.0, 0.5]))
    assert colour.shape == (30, 3)


def test_blender_scenes_are_taken_as_they_are():
    """mip-NeRF's constants are those of scenes within ±1.5: sin(2^l x) of x in the dataset's own unit."""
    box = torch.tensor([[-1.5] * 3, [1.5] * 3])
    field, x = make(box=box), torch.tensor([[0.7, -1.2, 0.3]])
    seen = []
    field.trunk.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    ask(field, x, torch.full_like(x, 1e-3))
    torch.testing.assert_close(seen[0], (x, torch.full_like(x, 1e-3)))


def test_values_do_not_depend_on_the_unit_of_length():
    """A scene ten times as large has a tenth of the density at the same place, so that a ray meets the same."""
    small, large = make(), make(box=10 * BOX)
    x, variance = points(40), torch.rand(40, 3) * 1e-2
    few, many = ask(small, x, variance), ask(large, 10 * x, 100 * variance)
    torch.testing.assert_close(10 * many[0], few[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(many[1], few[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(10 * large.density(10 * x), small.density(x), rtol=1e-3, atol=1e-5)


def test_large_gaussians_blur_what_lies_in_them_and_directions_change_colours_only():
    field = make()
    near, far = points(50), points(50) + 0.05
    sharp = (ask(field, near)[0] - ask(field, far)[0]).abs().mean()
    wide = torch.full_like(near, 100.0)
    assert (ask(field, near, wide)[0] - ask(field, far, wide)[0]).abs().max() < 1e-3 * sharp
    own = torch.arange(50)
    turned = field.density_and_colour(near, torch.full_like(near, 1e-4), directions(50, seed=3), own, sampling_level=1)
    assert torch.equal(turned[0], ask(field, near)[0])
    assert (turned[1] - ask(field, near)[1]).abs().max() > 1e-3


def test_it_answers_the_protocol_and_there_is_nothing_outside_the_box():
    field = make()
    assert isinstance(field, DensityField)
    assert isinstance(field, ColourField)
    assert (field.density(points(20)) > 0).all()
    assert (field.density(BOX) > 0).all()
    outside = points(20) + torch.tensor([10.0, 0.0, 0.0])
    assert (field.density(outside) == 0).all()
    assert (make(bounded=False).density(outside) > 0).all()
    assert len(field.density(BOX[:0])) == 0
    assert field.colour(BOX[:0], BOX[:0]).shape == (0, 3)


@pytest.mark.parametrize("normalization", ["none", "layer", *COUPLING])
def test_a_point_has_one_value_whatever_else_is_asked_also_in_training(normalization, monkeypatch):
    field = make(normalization=normalization).train()
    ask(field, points(64), sampling_level=0)
    ask(field, 0.3 * points(64), sampling_level=1)
    x, d = points(101), directions(101)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    density, colour = field.density(x), field.colour(x, d)
    monkeypatch.setattr("inr_plugins.fields.mip_radiance._POINTS_AT_ONCE", 17)
    torch.testing.assert_close(field.density(x), density, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(field.colour(x, d), colour, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(field.density(x[3:4]), density[3:4], rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())


@pytest.mark.parametrize("normalization", COUPLING)
def test_each_level_has_running_statistics_of_its_own(normalization):
    field = make(normalization=normalization).train()
    ask(field, points(64), sampling_level=0)
    ask(field, 0.3 * points(64), sampling_level=1)
    field.eval()
    x = points(20)
    coarse, fine = (ask(field, x, sampling_level=sampling_level)[0] for sampling_level in (0, 1))
    assert (coarse - fine).abs().max() > 1e-3
    torch.testing.assert_close(field.density_of_gaussians(x, torch.full_like(x, 1e-4), sampling_level=0), coarse)
    torch.testing.assert_close(field.density_of_gaussians(x, torch.full_like(x, 1e-4), sampling_level=1), fine)
    coarse, fine = (
        field.density_of_gaussians(x, field._around(x), sampling_level=sampling_level) for sampling_level in (0, 1)
    )
    torch.testing.assert_close(field.density(x), fine)
    assert (coarse - fine).abs().max() > 1e-3


def test_a_training_step_is_one_batch_and_evaluation_may_be_many(monkeypatch):
    monkeypatch.setattr("inr_plugins.fields.mip_radiance._POINTS_AT_ONCE", 10)
    field, calls = make(normalization="cross").train(), []
    field.trunk.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    ask(field, points(35))
    assert calls == [35]
    field.eval()
    expected = ask(field, points(35))
    calls.clear()
    with torch.no_grad():
        torch.testing.assert_close(ask(field, points(35)), expected, rtol=1e-4, atol=1e-5)
        assert calls == [10, 10, 10, 5]
        assert len(ask(field, points(0))[0]) == 0


@pytest.mark.parametrize("normalization", ["none", "cross"])
def test_normals_are_minus_the_gradient_of_the_density_with_the_blur_held(normalization):
    field = make(normalization=normalization, activation="softplus")
    ask(field.train(), points(64))
    field.eval().double()
    x, variance = points(40).double(), torch.full((40, 3), 1e-2, dtype=torch.float64)
    step, eye = 1e-6, torch.eye(3, dtype=torch.float64)

    def density(at):
        return field.density_of_gaussians(at, variance, sampling_level=1)

    with torch.no_grad():
        gradient = torch.stack([density(x + step * axis) - density(x - step * axis) for axis in eye], -1)
        normals = field.normal(x, variance)
    torch.testing.assert_close(normals, -F.normalize(gradient, dim=-1), atol=1e-4, rtol=0)
    assert not normals.requires_grad


def test_points_become_as_large_as_what_training_sees():
    """A new field takes a point for a cube of a 512th of the longest side."""
    field, seen = make(), torch.tensor([[1e-3, 2e-3, 3e-3], [0.5, 0.5, 0.5]])
    x = points(5)
    first = field._around(x)
    assert float(first[0, 0]) == pytest.approx((4 / 512) ** 2 / 12, rel=1e-4)
    field.note_footprint(seen, torch.zeros(2))
    torch.testing.assert_close(field._around(x), first, rtol=1e-4, atol=0)
    for _ in range(2000):
        field.note_footprint(seen, torch.tensor([0.7, 0.0]))
    torch.testing.assert_close(field._around(x), torch.full((5, 3), 2e-3), rtol=1e-4, atol=0)
    torch.testing.assert_close(field.density(x), ask(field, x, torch.full((5, 3), 2e-3))[0], rtol=1e-3, atol=1e-5)
    other = make(seed=5)
    other.load_state_dict(field.state_dict())
    assert torch.equal(other.density(x), field.density(x))


@pytest.mark.parametrize("activation", ["softplus", "sine", "gauss", "finer-sine", "finer-gauss", "wavelet"])
def test_any_activation_makes_a_field(activation):
    field = make(activation=activation, normalization="none" if activation == "wavelet" else "cross").train()
    density, colour = ask(field, points(20))
    (density.sum() + colour.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in field.parameters())
    assert density.detach().std() > 0


def test_bfloat16_is_for_training_on_a_cpu_and_gives_float32_densities():
    field, exact = make(precision="bfloat16", normalization="cross"), make(normalization="cross")
    x = points(200)
    assert torch.equal(ask(field, x)[0], ask(exact, x)[0])
    rough, full = ask(field.train(), x), ask(exact.train(), x)
    assert rough[0].dtype == rough[1].dtype == torch.float32
    assert 1e-5 < (rough[0] - full[0]).abs().max() < 0.05 * full[0].max()
    assert (rough[1] - full[1]).abs().max() < 0.05


def test_a_box_without_volume_and_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="no volume"):
        make(box=torch.zeros(2, 3))
    with pytest.raises(ValueError, match="normalization"):
        make(activation="finer-wavelet", normalization="batch")
