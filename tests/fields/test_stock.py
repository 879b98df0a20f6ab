"""nerfstudio's own fields behind our protocol: values as they give them themselves, blur alike in all directions."""

from types import SimpleNamespace

import pytest
import torch
from nerfstudio.cameras.rays import Frustums, RaySamples
from nerfstudio.field_components.encodings import NeRFEncoding
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.field_components.spatial_distortions import SceneContraction
from nerfstudio.fields import sdf_field
from nerfstudio.fields.base_field import Field
from nerfstudio.fields.nerfacto_field import NerfactoField
from nerfstudio.fields.tensorf_field import TensoRFField
from nerfstudio.fields.vanilla_nerf_field import NeRFField

from inr_plugins.fields.protocol import ColourField, DensityField
from inr_plugins.fields.protocol import SDFField as AnySDFField
from inr_plugins.fields.stock import StockRadianceField, StockSDFField, stock_field

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


class Witness(Field):
    """Keeps what it is asked, and answers with the squared distance from the origin and the direction."""

    def get_density(self, ray_samples):
        self.asked = ray_samples
        return ray_samples.frustums.get_positions().square().sum(-1, keepdim=True), None

    def get_outputs(self, ray_samples, density_embedding=None):
        return {FieldHeadNames.RGB: 0.5 + 0.5 * ray_samples.frustums.directions}


def points(n=50):
    torch.manual_seed(0)
    return torch.rand(n, 3) * 1.6 - 0.8, torch.nn.functional.normalize(torch.randn(n, 3), dim=-1)


def test_points_and_directions_arrive_as_they_are():
    field, (x, d) = StockRadianceField(Witness(), footprint=0.01), points()
    assert isinstance(field, DensityField)
    assert isinstance(field, ColourField)
    assert field.density(x).allclose(x.square().sum(-1), atol=1e-5)
    assert field.colour(x, d).allclose(0.5 + 0.5 * d, atol=1e-6)
    assert field.density(x[:0]).shape == (0,)
    assert field.colour(x[:0], d[:0]).shape == (0, 3)


@pytest.mark.parametrize("footprint", [0.003, 0.05])
def test_a_field_that_integrates_over_a_cone_sees_a_round_blob_at_the_point(footprint):
    field, (x, d) = StockRadianceField(Witness(), footprint=footprint), points()
    field.colour(x, d)
    # Double precision, since the cone starts a thousand footprints away.
    frustums = field.field.asked.frustums
    for name in ("origins", "directions", "starts", "ends", "pixel_area"):
        setattr(frustums, name, getattr(frustums, name).double())
    blob = frustums.get_gaussian_blob()
    assert blob.mean[:, 0].allclose(x.double(), atol=0.002 * footprint + 1e-6)
    # A box of this length has the variance length^2 / 12 along each side.
    expected = torch.eye(3).double() * footprint**2 / 12
    assert (blob.cov[:, 0] - expected).abs().max() < 0.02 * footprint**2 / 12


def test_vanilla_field_gives_its_own_density_and_colour():
    torch.manual_seed(1)
    encoding = {
        "position_encoding": NeRFEncoding(3, 4, 0.0, 3.0, include_input=True),
        "direction_encoding": NeRFEncoding(3, 2, 0.0, 1.0, include_input=True),
    }
    inner = NeRFField(**encoding, base_mlp_num_layers=3, base_mlp_layer_width=32, head_mlp_layer_width=16).eval()
    field, (x, d) = StockRadianceField(inner, footprint=0.01), points()
    assert field.density(x).allclose(inner.density_fn(x)[:, 0], rtol=1e-3, atol=1e-5)
    base = inner.mlp_base(inner.position_encoding(x))
    head = inner.mlp_head(torch.cat([inner.direction_encoding(d), base], -1))
    assert field.colour(x, d).allclose(torch.sigmoid(inner.field_heads[0].net(head)), atol=1e-3)


def test_colours_beyond_the_displays_are_cut():
    # Directions of twice the length give twice the witness's colours.
    field = StockRadianceField(Witness(), footprint=0.01)
    assert field.colour(torch.zeros(1, 3), torch.tensor([[2.0, -2.0, 0.5]])).tolist() == [[1.0, 0.0, 0.75]]


def test_nerfacto_and_tensorf_answer_in_eval():
    torch.manual_seed(2)
    nerfacto = NerfactoField(BOX, num_images=3, num_levels=2, max_res=32, log2_hashmap_size=8, implementation="torch")
    tensorf = TensoRFField(
        BOX,
        direction_encoding=NeRFEncoding(3, 2, 0.0, 1.0, include_input=True),
        feature_encoding=NeRFEncoding(9, 2, 0.0, 1.0, include_input=True),
        density_encoding=_Components(3),
        color_encoding=_Components(12),
        appearance_dim=9,
        head_mlp_layer_width=16,
    )
    x, d = points()
    for inner in (nerfacto.eval(), tensorf.eval()):
        field = StockRadianceField(inner, footprint=0.01)
        density, colour = field.density(x), field.colour(x, d)
        assert density.shape == (50,)
        assert (density >= 0).all()
        assert float(density.detach().std()) > 0
        assert colour.shape == (50, 3)
        assert float(colour.detach().std()) > 0
        # A function of the point alone.
        assert field.density(x[7:9]).allclose(density[7:9], rtol=1e-4, atol=1e-6)
        assert field.colour(x[7:9], d[7:9]).allclose(colour[7:9], atol=1e-5)


class _Components(torch.nn.Module):
    """In place of TensoRF's planes: some smooth numbers of a position."""

    def __init__(self, count):
        super().__init__()
        self.weights = torch.randn(3, count)

    def forward(self, x):
        return (x @ self.weights).sin().abs()

    def get_out_dim(self):
        return self.weights.shape[1]


def test_the_fine_field_goes_before_the_coarse_and_other_models_have_none():
    fine, box = Witness(), SimpleNamespace(aabb=BOX)
    found = stock_field(SimpleNamespace(field_coarse=Witness(), field_fine=fine, field=None, scene_box=box))
    assert found is not None
    assert found.field is fine
    assert found.footprint == pytest.approx(2 / 512)
    assert stock_field(SimpleNamespace(field=torch.nn.Linear(3, 1), scene_box=box)) is None
    with pytest.raises(ValueError, match="footprint"):
        StockRadianceField(fine, footprint=0.0)


class Grid(torch.nn.Module):
    """In place of tinycudann's grid, which no CPU has: some smooth features of a position in [0, 1]."""

    n_output_dims = 8

    def __init__(self, **_):
        super().__init__()
        self.weights = torch.randn(3, 8)

    def forward(self, x):
        assert (x >= 0).all()
        assert (x <= 1).all()
        return (4 * x @ self.weights).sin()


@pytest.fixture(params=["neus", "neus-facto"])
def stock_sdf(request, monkeypatch):
    """nerfstudio's SDFField as its two methods make it, but smaller; a ball of radius 0.5 to begin with."""
    monkeypatch.setattr(sdf_field, "tcnn", SimpleNamespace(Encoding=Grid))
    torch.manual_seed(3)
    layers = {"num_layers": 2, "use_grid_feature": True} if request.param == "neus-facto" else {"num_layers": 8}
    config = sdf_field.SDFFieldConfig(hidden_dim=128, geo_feat_dim=16, bias=0.5, inside_outside=False, **layers)
    contraction = SceneContraction(order=float("inf"))
    return config.setup(aabb=BOX, spatial_distortion=contraction, num_images=2).eval()


def test_stock_sdf_gives_its_own_distance_and_colour_negative_inside(stock_sdf):
    model = SimpleNamespace(field=stock_sdf, scene_box=SimpleNamespace(aabb=BOX))
    field, (x, d) = stock_field(model), points()
    assert isinstance(field, StockSDFField)
    assert isinstance(field, AnySDFField)
    assert isinstance(field, ColourField)
    # nerfstudio's own way: samples of rays, asked where they begin.
    one = torch.ones_like(x[:, None, :1])
    frustums = Frustums(origins=(x - d)[:, None], directions=d[:, None], starts=one, ends=1.5 * one, pixel_area=one)
    samples = RaySamples(frustums=frustums, camera_indices=torch.zeros_like(one, dtype=torch.long))
    own = stock_sdf.get_outputs(samples)
    with torch.no_grad():
        assert field.sdf(x).allclose(own[FieldHeadNames.SDF][:, 0, 0], atol=1e-6)
        assert field.colour(x, d).allclose(own[FieldHeadNames.RGB][:, 0], atol=1e-6)
    assert field.sdf(x[:0]).shape == (0,)
    assert field.colour(x[:0], d[:0]).shape == (0, 3)
    # A ray into the ball is stopped where the distance falls: it is negative inside.
    assert field.sdf(torch.zeros(1, 3)).item() < 0 < field.sdf(torch.full((1, 3), 0.9)).item()
    # The gradient is the distance's, by finite differences.
    x = x[:5].requires_grad_()
    (gradient,) = torch.autograd.grad(field.sdf(x).sum(), x)
    step = 1e-3 * torch.eye(3)
    with torch.no_grad():
        steps = [(field.sdf(x + h) - field.sdf(x - h)) / 2e-3 for h in step]
    assert gradient.allclose(torch.stack(steps, -1), atol=5e-3)
