"""Fields of one shape: their frame, their gradients, and that a point's value is its own."""

from typing import get_args

import pytest
import torch
from gradients import unlearnt

from inr_plugins.fields.level_normals import level_normals, outward_normals
from inr_plugins.fields.protocol import OccupancyField, SDFField
from inr_plugins.fields.shape import DistanceShape, OccupancyShape
from inr_plugins.models.shapes.backbones import BACKBONES, network_config
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])


def make(kind, activation="sine", normalization="none", box=BOX, **changes):
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(
        activation=activation, normalization=normalization, width=16, hidden_layers=2, **changes
    )
    return kind(box, network=network)


def differences(function, x, h=1e-3):
    steps = h * torch.eye(3)
    return torch.stack([(function(x + step) - function(x - step)) / (2 * h) for step in steps], -1)


def test_a_distance_is_twice_the_network_at_half_the_position():
    field = make(DistanceShape).eval()
    x = 2 * torch.rand(50, 3) - 1
    with torch.no_grad():
        torch.testing.assert_close(field.sdf(x), 2 * field.network(x / 2)[:, 0])
        torch.testing.assert_close(field(x.view(2, 25, 3)).view(50), field.sdf(x))


def test_a_network_sees_any_box_alike_and_its_distances_scale_with_it():
    big, small = make(DistanceShape, box=torch.tensor([[1.0, 2.0, 3.0], [5.0, 4.0, 7.0]])), make(DistanceShape)
    x = 2 * torch.rand(20, 3) - 1
    with torch.no_grad():
        torch.testing.assert_close(big.sdf(2 * x + torch.tensor([3.0, 3.0, 5.0])), 2 * small.sdf(x))
    torch.testing.assert_close(big.box, torch.tensor([[1.0, 2.0, 3.0], [5.0, 4.0, 7.0]]))


def test_an_occupancy_is_the_logistic_function_of_the_network():
    field = make(OccupancyShape).eval()
    x = 2 * torch.rand(50, 3) - 1
    with torch.no_grad():
        torch.testing.assert_close(field.logits(x), field.network(x)[:, 0])
        torch.testing.assert_close(field.occupancy(x), 1 / (1 + torch.exp(-field.logits(x))))


def test_each_field_answers_one_protocol_only():
    distance, occupancy = make(DistanceShape), make(OccupancyShape)
    assert isinstance(distance, SDFField)
    assert not isinstance(distance, OccupancyField)
    assert isinstance(occupancy, OccupancyField)
    assert not isinstance(occupancy, SDFField)


@pytest.mark.parametrize(("kind", "sign"), [(DistanceShape, 1), (OccupancyShape, -1)])
@pytest.mark.parametrize(
    ("activation", "normalization"), [("sine", "none"), ("finer-sine", "layer"), ("softplus", "cross")]
)
def test_normals_are_finite_differences_and_point_out_of_the_solid(kind, sign, activation, normalization):
    constants = {"omega": 5.0} if "sine" in activation else {"beta": 5.0}
    field = make(kind, activation, normalization, **constants)
    field(2 * torch.rand(500, 3) - 1)
    x = 1.6 * torch.rand(40, 3) - 0.8
    with torch.no_grad():
        gradient = sign * differences(field._query, x)
        found = field.normal(x)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(40))
    cosine = (found * torch.nn.functional.normalize(gradient, dim=-1)).sum(-1)
    assert float(cosine.min()) > 0.99


@pytest.mark.parametrize("kind", [DistanceShape, OccupancyShape])
def test_a_gradient_for_losses_is_that_of_each_point_and_can_be_differentiated(kind):
    field = make(kind, omega=5.0).train()
    x = 1.6 * torch.rand(2, 20, 3) - 0.8
    value, gradient = field.with_gradient(x)
    with torch.no_grad():
        torch.testing.assert_close(value, field(x))
        torch.testing.assert_close(gradient.view(-1, 3), differences(field, x.view(-1, 3)), atol=5e-3, rtol=1e-2)
    (gradient.norm(dim=-1) - 1).square().mean().backward()
    # A summand of the output is none of its gradient.
    assert unlearnt(field) == {"network.layers.2.bias"}


def test_a_loss_of_gradients_goes_through_cross_normalization():
    field = make(DistanceShape, "finer-sine", "cross").train()
    value, gradient = field.with_gradient(2 * torch.rand(1, 64, 3) - 1)
    (value.square().mean() + gradient.square().mean()).backward()
    assert unlearnt(field) == set()


@pytest.mark.parametrize("normalization", ["batch", "global", "cross"])
def test_outside_the_training_pass_a_point_has_a_value_of_its_own_in_any_mode(normalization):
    field = make(DistanceShape, normalization=normalization).train()
    x = 2 * torch.rand(300, 3) - 1
    with torch.no_grad():
        field(x)
        before = {name: value.clone() for name, value in field.state_dict().items()}
        whole, batch = field.sdf(x), field(x)
        # The training pass has the batch's statistics, and averages them in.
        field.load_state_dict(before)
        torch.testing.assert_close(torch.cat([field.sdf(part) for part in x.split(7)]), whole, atol=1e-5, rtol=1e-4)
        field.normal(x)
        assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())
        assert float((field(x[:50]) - batch[:50]).abs().max()) > 1e-4
        torch.testing.assert_close(field.eval()(x[:0]), torch.zeros(0))


def test_autocast_of_the_caller_changes_nothing():
    field = make(DistanceShape).train()
    x = 2 * torch.rand(100, 3) - 1
    with torch.no_grad():
        plain = field(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert field(x).dtype == torch.float32
            assert torch.equal(field(x), plain)


@pytest.mark.parametrize("activation", ["sine", "wavelet", "relu"])
def test_low_precision_is_for_training_alone_and_ends_in_float32(activation):
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(activation=activation, width=32, hidden_layers=3)
    field = DistanceShape(BOX, network=network, precision="bfloat16").train()
    x = 2 * torch.rand(200, 3) - 1
    with torch.no_grad():
        rough, exact = field(x), field.sdf(x)
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, exact, atol=0.1 * float(exact.std()) + 1e-3, rtol=0)
        assert torch.equal(field.eval()(x), exact)
    if activation != "wavelet":
        assert not torch.equal(rough, exact)


@pytest.mark.parametrize("activation", get_args(ActivationName))
@pytest.mark.parametrize("normalization", get_args(NormalizationName))
def test_every_activation_and_normalization_can_be_had_or_is_refused(activation, normalization):
    def build():
        config = network_config(
            activation,
            constants=ActivationSettings().constants,
            octaves=None,
            normalization=normalization,
            width=8,
            hidden_layers=2,
        )
        return DistanceShape(BOX, network=config).train()

    if "wavelet" in activation and normalization != "none":
        with pytest.raises(ValueError, match="normalization"):
            build()
        return
    field = build()
    value, gradient = field.with_gradient(2 * torch.rand(1, 30, 3) - 1)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    assert field.network.encoding.out_dim == (63 if activation in ("relu", "softplus") else 3)


def test_constants_are_those_published_for_distances():
    assert {name: each.settings.get("first_bias") for name, each in BACKBONES.items() if name.startswith("finer")} == {
        "finer-sine": 1.0,
        "finer-gauss": 1.0,
        "finer-wavelet": pytest.approx(3**-0.5),
    }
    config = network_config("finer-sine", constants={"omega": None, "first_bias": 0.2}, width=8, hidden_layers=1)
    assert (config.omega, config.first_bias, config.encoding) == (None, 0.2, "identity")


@pytest.mark.parametrize("box", [torch.zeros(2, 3), torch.tensor([[0.0] * 3, [float("nan")] * 3])])
def test_a_box_without_volume_is_refused(box):
    with pytest.raises(ValueError, match="no volume"):
        make(DistanceShape, box=box)


class Ball:
    """Answers a distance and nothing else."""

    def sdf(self, x):
        return x.norm(dim=-1) - 0.5


class SoftBall:
    """Answers an occupancy and nothing else."""

    def occupancy(self, x):
        return torch.sigmoid(8 * (0.5 - x.norm(dim=-1)))


@pytest.mark.parametrize("field", [Ball(), SoftBall()])
def test_any_field_of_the_protocol_has_outward_normals(field):
    x = 2 * torch.rand(40_000, 3) - 1
    x[0] = 0.0
    with torch.no_grad():
        found = outward_normals(field, x)
    torch.testing.assert_close(found[1:], torch.nn.functional.normalize(x[1:], dim=-1), atol=1e-3, rtol=0)
    assert torch.isfinite(found).all()
    assert outward_normals(field, x[:0]).shape == (0, 3)


def test_a_field_without_a_slope_has_no_normal():
    x = torch.randn(5, 3)
    assert not level_normals(lambda x: 0 * x.sum(-1), x, inside_below=True).any()
