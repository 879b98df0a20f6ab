import math

import pytest
import torch
from torch.nn import functional as F

from inr_plugins.fields.protocol import ColourField, DensityField
from inr_plugins.fields.radiance import RadianceField, truncated_exp
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.contraction import Contraction

BOX = torch.tensor([[-1.0, -0.5, 0.0], [3.0, 1.5, 1.0]])


def config(**changes):
    return CoordinateNetworkConfig(**{"activation": "finer-sine", "width": 24, "hidden_layers": 2, **changes})


def make(seed=0, **changes) -> RadianceField:
    torch.manual_seed(seed)
    box, contraction = changes.pop("box", BOX), changes.pop("contraction", None)
    return RadianceField(box, network=config(**changes), contraction=contraction).eval()


def points(count, box=BOX, seed=1):
    return box[0] + (box[1] - box[0]) * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


def directions(count, seed=2):
    return F.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_the_published_field_has_the_published_number_of_weights():
    """201,842 in the authors' field of three hidden layers of 182."""
    field = RadianceField(BOX, network=config(width=182, hidden_layers=3))
    assert sum(p.numel() for p in field.parameters()) == 201_842
    assert [tuple(p.shape) for p in field.density_network.parameters() if p.ndim == 2] == [
        (182, 3),
        (182, 182),
        (182, 182),
        (183, 182),
    ]


def test_it_answers_the_protocol():
    field = make()
    assert isinstance(field, DensityField)
    assert isinstance(field, ColourField)
    x = points(50)
    assert field.density(x).shape == (50,)
    assert (field.density(x) > 0).all()
    colour = field.colour(x, directions(50))
    assert colour.shape == (50, 3)
    assert ((colour > 0) & (colour < 1)).all()


def test_the_truncated_exponential_is_exp_with_a_derivative_held_within_fifteen():
    x = torch.tensor([-40.0, -15.0, -3.0, 0.0, 2.0, 15.0, 20.0, 1000.0], requires_grad=True)
    y = truncated_exp(x)
    torch.testing.assert_close(y[:7], torch.exp(x.detach())[:7])
    assert torch.isfinite(y).all()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    expected = [math.exp(min(max(v, -15), 15)) for v in x.tolist()]
    torch.testing.assert_close(gradient, torch.tensor(expected))


def test_half_precision_input_has_float32_density():
    assert truncated_exp(torch.tensor([14.0], dtype=torch.bfloat16)).dtype == torch.float32


def test_density_does_not_depend_on_the_unit_of_length():
    """A scene ten times as large has a tenth of the density at the same place, so that a ray meets the same."""
    small, large = make(), make(box=10 * BOX)
    x = points(40)
    torch.testing.assert_close(large.density(10 * x) * 10, small.density(x), rtol=1e-4, atol=1e-6)


def test_the_longest_side_spans_minus_one_to_one_and_axes_share_a_scale():
    field = make()
    seen = []
    field.density_network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    corners = torch.stack([BOX[0], BOX[1], BOX.mean(0)])
    field.density(corners)
    torch.testing.assert_close(seen[0], torch.tensor([[-1.0, -0.5, -0.25], [1.0, 0.5, 0.25], [0.0, 0.0, 0.0]]))


def test_there_is_nothing_outside_the_box():
    field = make()
    outside = points(20) + torch.tensor([10.0, 0.0, 0.0])
    assert (field.density(outside) == 0).all()
    assert (field.density(BOX) > 0).all()


def test_a_point_has_one_value_whatever_else_is_asked(monkeypatch):
    field = make()
    x, d = points(101), directions(101)
    density, colour = field.density(x), field.colour(x, d)
    monkeypatch.setattr("inr_plugins.fields.radiance._QUERY_CHUNK", 17)
    torch.testing.assert_close(field.density(x), density, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(field.colour(x, d), colour, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(field.density(x[3:4]), density[3:4], rtol=1e-5, atol=1e-6)
    assert len(field.density(x[:0])) == 0
    assert field.colour(x[:0], d[:0]).shape == (0, 3)


@pytest.mark.parametrize("normalization", ["batch", "cross"])
def test_points_asked_for_in_training_do_not_see_each_other_nor_move_statistics(normalization):
    field = make(normalization=normalization).train()
    field.density_and_features(points(64))
    before = {name: value.clone() for name, value in field.state_dict().items()}
    x = points(30, seed=5)
    torch.testing.assert_close(field.density(x)[:3], field.density(x[:3]), rtol=1e-4, atol=1e-6)
    field.density_of_contracted(x)
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())


def test_the_colour_depends_on_the_direction_and_the_density_does_not():
    field = make()
    x = points(30)
    assert (field.colour(x, directions(30)) - field.colour(x, directions(30, seed=3))).abs().max() > 1e-3


@pytest.mark.parametrize("contracted", [False, True])
def test_normals_are_minus_the_gradient_of_the_density(contracted):
    field = make(contraction=Contraction(BOX) if contracted else None).double()
    x = points(60).double() * (2.5 if contracted else 1.0)
    step, eye = 1e-6, torch.eye(3, dtype=torch.float64)
    with torch.no_grad():
        raw = [field._raw(x + sign * step * axis)[:, 0] for axis in eye for sign in (1, -1)]
    gradient = torch.stack([(raw[2 * i] - raw[2 * i + 1]) / (2 * step) for i in range(3)], -1)
    with torch.no_grad():
        normals = field.normal(x)
    torch.testing.assert_close(normals, -F.normalize(gradient, dim=-1), atol=1e-4, rtol=0)
    assert not normals.requires_grad


def test_a_contracted_field_has_values_everywhere_and_the_same_inside_the_box():
    contraction = Contraction(BOX)
    field = make(contraction=contraction)
    torch.testing.assert_close(field.box, contraction.outer_box)
    far = points(20) * 100
    assert (field.density(far) > 0).all()
    torch.testing.assert_close(field.density(far), field.density_of_contracted(contraction(far)))
    x = points(20)
    torch.testing.assert_close(field.density(x), field.density_of_contracted(x))


def test_an_encoded_position_goes_with_an_encoded_direction():
    field = make(activation="relu", encoding="positional")
    first = next(p for p in field.colour_network.parameters() if p.ndim == 2)
    assert first.shape[1] == 24 + 3 + 2 * 3 * 4
    assert field.colour(points(5), directions(5)).shape == (5, 3)


@pytest.mark.parametrize("activation", ["sine", "gauss", "wavelet", "finer-gauss", "finer-wavelet", "softplus"])
def test_any_activation_makes_a_field(activation):
    field = make(activation=activation)
    x = points(20)
    density = field.density(x)
    assert torch.isfinite(density).all()
    assert density.std() > 0
    loss = density.sum() + field.colour(x, directions(20)).sum()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in field.parameters())


def test_a_saved_field_answers_the_same():
    field, other = make(), make(seed=9, box=2 * BOX)
    other.load_state_dict(field.state_dict())
    x, d = points(30), directions(30)
    assert torch.equal(field.density(x), other.density(x))
    assert torch.equal(field.colour(x, d), other.colour(x, d))


def test_a_box_without_volume_and_a_detached_scale_with_normals_are_refused():
    with pytest.raises(ValueError, match="no volume"):
        make(box=torch.zeros(2, 3))
    with pytest.raises(ValueError, match="detach_scale"):
        make(detach_scale=True)
