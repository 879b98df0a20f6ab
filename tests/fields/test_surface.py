"""The surface field: its gradient against finite differences, its units, and one value for each point."""

import pytest
import torch

from inr_plugins.fields.protocol import ColourField, SDFField
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.losses.surface import eikonal
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import BatchNorm, frozen_statistics

BOX = torch.tensor([[-1.0, 0.0, 1.0], [3.0, 2.0, 2.0]])
NORMALIZATIONS = ["none", "batch", "layer", "global", "cross"]


def make(normalization="none", *, seed=0, box=BOX, precision="float32", **distance) -> SurfaceField:
    torch.manual_seed(seed)
    shape = {"activation": "softplus", "beta": 5.0, "width": 12, "hidden_layers": 3, "skips": (2,), **distance}
    encoding = {"encoding": "positional", "octaves": 2} if shape["activation"] == "softplus" else {}
    shape["beta"] = shape["beta"] if shape["activation"] == "softplus" else None
    return SurfaceField(
        box,
        distance=CoordinateNetworkConfig(normalization=normalization, **shape, **encoding),
        colour=CoordinateNetworkConfig(normalization=normalization, width=10, hidden_layers=2),
        precision=precision,
    )


def points(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return BOX[0] + (BOX[1] - BOX[0]) * torch.rand(count, 3, generator=generator)


def directions(count, seed=2):
    d = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(d, dim=-1)


def hold_statistics(field, rows):
    """Make the running statistics of a field that has seen one batch those which that batch was normalized by."""
    for norm in field.distance_network.norms:
        if isinstance(norm, BatchNorm):
            # By the biased variance in training; the running one is of unbiased ones.
            norm.statistics.variance *= (rows - 1) / rows


@pytest.mark.parametrize("activation", ["softplus", "finer-sine"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_gradient_in_training_is_each_points_own_with_the_columns_statistics_held(normalization, activation):
    extra = {} if activation == "softplus" else {"activation": activation, "omega": 3.0}
    field, x = make(normalization, **extra).double(), points(40).double()
    sdf, gradient, _ = field.train().distance_and_gradient(x)
    hold_statistics(field, len(x))
    step, eye = 1e-5, torch.eye(3).double()
    with torch.no_grad():
        numeric = torch.stack([(field.sdf(x + step * e) - field.sdf(x - step * e)) / (2 * step) for e in eye], -1)
        torch.testing.assert_close(sdf, field.sdf(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, numeric, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_eikonal_losss_gradient_of_weights_is_that_of_finite_differences(normalization):
    field, x = make(normalization, width=6).double().train(), points(24).double()

    def loss():
        return eikonal(field.distance_and_gradient(x)[1])

    weights = [p for name, p in field.distance_network.named_parameters() if "weight" in name]
    exact = torch.autograd.grad(loss(), weights, allow_unused=True)
    generator = torch.Generator().manual_seed(3)
    for weight, gradient in zip(weights, exact, strict=True):
        assert gradient is not None
        along, step = torch.randn(weight.shape, generator=generator).double(), 1e-5
        with torch.no_grad():
            weight += step * along
        above = loss().detach()
        with torch.no_grad():
            weight -= 2 * step * along
        below = loss().detach()
        with torch.no_grad():
            weight += step * along
        numeric = float((above - below) / (2 * step))
        assert float((gradient * along).sum()) == pytest.approx(numeric, rel=2e-4, abs=1e-7)


def test_lengths_are_normalised_units_and_gradients_have_none():
    """A field of a box ten times as large has ten times the distance, and the same slopes, at the same place."""
    small, large = make().eval(), make(box=10 * BOX).eval()
    x = points(30)
    torch.testing.assert_close(large.sdf(10 * x), 10 * small.sdf(x), rtol=1e-4, atol=1e-4)
    gradients = [field.distance_and_gradient(at)[1] for field, at in ((small, x), (large, 10 * x))]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(large.sharpness * 10, small.sharpness)
    assert float(small.sharpness.detach()) == pytest.approx(20.0855 / 2, rel=1e-4)


def test_the_longest_side_spans_minus_one_to_one_and_axes_share_a_scale():
    u = make().unit_positions(torch.stack([BOX[0], BOX[1], BOX.mean(0)]))
    torch.testing.assert_close(u, torch.tensor([[-1.0, -0.5, -0.25], [1.0, 0.5, 0.25], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("normalization", ["none", "cross"])
def test_it_answers_the_protocol_with_one_value_for_each_point(normalization, monkeypatch):
    field = make(normalization).train()
    field.distance_and_gradient(points(64))
    before = {name: value.clone() for name, value in field.state_dict().items()}
    x, d = points(101), directions(101)
    assert isinstance(field, SDFField)
    assert isinstance(field, ColourField)
    with torch.no_grad():
        sdf, colour, normal = field.sdf(x), field.colour(x, d), field.normal(x)
        monkeypatch.setattr("inr_plugins.fields.surface._QUERY_CHUNK", 17)
        monkeypatch.setattr("inr_plugins.fields.surface._GRADIENT_CHUNK", 13)
        torch.testing.assert_close(field.sdf(x), sdf, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(field.colour(x, d), colour, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(field.normal(x), normal, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(field.sdf(x[3:4]), sdf[3:4], rtol=1e-4, atol=1e-5)
    assert field.sdf(x[:0]).shape == (0,)
    assert field.colour(x[:0], d[:0]).shape == (0, 3)
    assert field.eval().distance_and_gradient(x[:0])[2].shape == (0, 12)
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())
    torch.testing.assert_close(normal.norm(dim=-1), torch.ones(101))
    assert ((colour > 0) & (colour < 1)).all()


def test_the_signed_distance_can_be_differentiated_where_normals_of_a_mesh_are_wanted():
    field = make("cross").eval()
    x = points(20).requires_grad_()
    (gradient,) = torch.autograd.grad(field.sdf(x).sum(), x)
    torch.testing.assert_close(gradient, field.distance_and_gradient(x)[1].detach(), rtol=1e-4, atol=1e-5)


def test_the_colour_depends_on_position_direction_normal_and_features():
    field = make().eval()
    x, d = points(20), directions(20)
    _, gradient, features = (each.detach() for each in field.distance_and_gradient(x))
    given = [x, d, gradient, features]
    colour = field.shade(*given)
    for i in range(4):
        changed = [each + 0.3 if i == j else each for j, each in enumerate(given)]
        assert (field.shade(*changed) - colour).abs().max() > 1e-4


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_bfloat16_trains_close_to_float32_with_a_distance_in_full_precision(normalization):
    exact, rounded = make(normalization, width=32).train(), make(normalization, width=32, precision="bfloat16").train()
    x, d = points(200), directions(200)
    found = []
    for field in (exact, rounded):
        sdf, gradient, features = field.distance_and_gradient(x)
        colour = field.shade(x, d, gradient, features)
        assert sdf.dtype == gradient.dtype == colour.dtype == torch.float32
        (eikonal(gradient) + colour.mean() + sdf.square().mean()).backward()
        weights = torch.cat([p.grad.flatten() for p in field.distance_network.parameters()])
        assert torch.isfinite(weights).all()
        found.append((sdf, gradient, colour, weights))
    assert not torch.equal(found[0][0], found[1][0]), "bfloat16 was not used"
    assert len(found[1][0].unique()) > 150, "the head rounds distances"
    for one, other in zip(*found, strict=True):
        assert float(((one - other).norm() / one.norm()).detach()) < 0.06


def test_samples_are_chosen_by_running_statistics_without_moving_them():
    field = make("cross", precision="bfloat16").train()
    x = points(64)
    field.distance_and_gradient(x)
    before = {name: value.clone() for name, value in field.state_dict().items()}
    rough = field.rough_distance(x)
    assert not rough.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())
    with torch.no_grad(), frozen_statistics(field):
        assert float((rough - field.sdf(x)).abs().max() / field.sdf(x).abs().max()) < 0.05
    # In eval there is nothing rough about it.
    field.eval()
    torch.testing.assert_close(field.rough_distance(x), field.sdf(x).detach())


def test_choosing_samples_keeps_no_weights_from_the_pass_that_learns():
    """Casts that are kept in a pass without gradients have none, and go on in the caller's autocast in older torch."""
    field, kept = make("cross", precision="bfloat16").train(), []
    field.distance_network.layers[1].register_forward_pre_hook(
        lambda *_: kept.append((torch.is_grad_enabled(), torch.is_autocast_cache_enabled()))
    )
    with torch.autocast("cpu", torch.bfloat16):
        field.rough_distance(points(16))
        sdf, gradient, _ = field.distance_and_gradient(points(16))
    (sdf.square().mean() + gradient.square().mean()).backward()
    assert kept == [(False, False), (True, True)]
    learning = {name for name, each in field.distance_network.named_parameters() if each.grad is not None}
    assert {f"layers.{k}.weight" for k in range(len(field.distance_network.layers))} <= learning


def test_a_saved_field_answers_the_same():
    field, other = make("cross").train(), make("cross", seed=9)
    field.distance_and_gradient(points(50))
    other.load_state_dict(field.state_dict())
    x, d = points(30), directions(30)
    field.eval(), other.eval()
    assert torch.equal(field.sdf(x), other.sdf(x))
    assert torch.equal(field.colour(x, d), other.colour(x, d))


def test_a_box_without_volume_and_a_detached_scale_are_refused():
    with pytest.raises(ValueError, match="no volume"):
        make(box=torch.zeros(2, 3))
    with pytest.raises(ValueError, match="detach_scale"):
        make(activation="finer-sine", detach_scale=True)
