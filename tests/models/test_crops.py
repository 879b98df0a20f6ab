"""Crop Viewport on the models of pictures: fields in closed form inside a turned box, and nothing of them outside."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from ball_views import model_in_a_box
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import OrientedBox
from scipy.spatial.transform import Rotation
from torch.nn.functional import normalize

from inr_plugins.fields.voxel_density import raw_of_optical_depth
from inr_plugins.models.cn_mipnerf.model import CnMipNerfModelConfig
from inr_plugins.models.diner.model import DinerModelConfig
from inr_plugins.models.finer_nerf.model import FinerNerfModel, FinerNerfModelConfig
from inr_plugins.models.neus.model import NeusModelConfig
from inr_plugins.rendering.crop import narrowed

DENSITY, COLOUR = 0.9, torch.tensor([0.8, 0.3, 0.1])
SIZE = 24
BOX = torch.tensor([[-1.5] * 3, [1.5] * 3])
TURNED = Rotation.from_euler("xyz", [0.3, -0.5, 0.8]).as_matrix()
CROP = OrientedBox(torch.tensor(TURNED).float(), torch.tensor([0.2, -0.1, 0.3]), torch.tensor([1.2, 0.6, 0.9]))


def rays_at(crop: OrientedBox | None):
    """Those of the page's camera, as nerfstudio cuts them: from z = 4 to the middle."""
    pose = torch.eye(4)[None, :3].clone()
    pose[:, 2, 3] = 4
    camera = Cameras(pose, 1.1 * SIZE, 1.1 * SIZE, SIZE / 2, SIZE / 2, SIZE, SIZE)
    return camera.generate_rays(camera_indices=0, keep_shape=True, obb_box=crop)


def lengths_inside(crop: OrientedBox) -> torch.Tensor:
    """How much of each ray lies in the box, counted at places a thousandth apart."""
    rays, step = rays_at(None), 1e-3
    along = torch.arange(2.0, 6.5, step, dtype=torch.float64)
    points = rays.origins[..., None, :] + rays.directions[..., None, :].double() * along[:, None]
    local = (points - crop.T.double()) @ crop.R.double()
    return (local.abs() <= crop.S.double() / 2).all(-1).sum(-1, keepdim=True).float() * step


def diner(_):
    small = {"num_voxels": 20**3, "key_width": 4, "coarse_voxels": (40**3,), "coarse_steps": (9,), "near_plane": 0.5}
    model = model_in_a_box(DinerModelConfig(**small, coarse_step_size=0.1))
    field = model.field
    depth = torch.tensor(DENSITY) * field.lattice.edge
    with torch.no_grad():
        field.density_table.fill_(float(raw_of_optical_depth(depth)))
        field.colour_table.copy_(COLOUR.logit().expand_as(field.colour_table))
    return model


class Everywhere:
    """One density and one colour at all points."""

    contraction, box = None, BOX

    def density_and_features(self, x):
        return torch.full((len(x),), DENSITY), x

    def shade(self, features, directions):
        return COLOUR.expand(len(features), 3)

    def density_and_colour(self, mean, variance, directions, ray, *, sampling_level):
        return self.density_of_gaussians(mean, variance, sampling_level=sampling_level), COLOUR.expand(len(mean), 3)

    def density_of_gaussians(self, mean, variance, *, sampling_level):
        return torch.full((len(mean),), DENSITY)

    def normal(self, x, *_):
        return torch.zeros_like(x)


def finer_nerf(monkeypatch):
    small = {"width": 8, "hidden_layers": 1, "samples_per_diagonal": 500, "double_samples_at": (), "near_plane": 0.5}
    monkeypatch.setattr(FinerNerfModel, "field", Everywhere())
    return model_in_a_box(FinerNerfModelConfig(**small, grid_resolution=8))


def cn_mipnerf(_):
    model = model_in_a_box(CnMipNerfModelConfig(width=8, hidden_layers=1, num_coarse_samples=16, num_fine_samples=16))
    vars(model)["field"] = Everywhere()
    return model


@pytest.mark.parametrize("make", [diner, finer_nerf, cn_mipnerf])
def test_light_is_stopped_on_the_way_through_the_crop_and_nowhere_else(make, monkeypatch):
    model = make(monkeypatch).eval()
    with torch.no_grad():
        outputs, whole = model(rays_at(CROP)), model(rays_at(None))
    opacity = 1 - torch.exp(-DENSITY * lengths_inside(CROP))
    assert (opacity > 0.3).any()
    torch.testing.assert_close(outputs["accumulation"], opacity, atol=0.012, rtol=0)
    torch.testing.assert_close(outputs["rgb"], COLOUR * opacity + 1 - opacity, atol=0.012, rtol=0)
    assert (outputs["accumulation"] <= whole["accumulation"] + 1e-3).all()
    nothing = lengths_inside(CROP)[..., 0] == 0
    assert nothing.sum() > SIZE
    torch.testing.assert_close(outputs["rgb"][nothing], torch.ones(int(nothing.sum()), 3))


@torch.no_grad()
@pytest.mark.parametrize("make", [diner, finer_nerf, cn_mipnerf])
def test_a_crop_that_is_larger_than_the_scene_shows_no_more_than_that(make, monkeypatch):
    model = make(monkeypatch).eval()
    whole, around = model(rays_at(None)), model(rays_at(box_of([-3.5] * 3, [3.5] * 3)))
    torch.testing.assert_close(around["accumulation"], whole["accumulation"], atol=1e-3, rtol=0)


# -- surfaces ----------------------------------------------------------------------------------------------------------


def ball(radius=0.5):
    """What NeuS asks of a field, of a ball in closed form."""

    def sdf(x):
        return x.norm(dim=-1) - radius

    return SimpleNamespace(
        training=False, box=BOX, middle=BOX.mean(0),
        network_unit=torch.tensor(1.5), sharpness=torch.tensor(300.0), sdf=sdf,
        rough_distance=sdf, distance_and_gradient=lambda x: (sdf(x), normalize(x, dim=-1), x),
        shade=lambda x, directions, gradient, features: COLOUR.expand(len(x), 3),
    )  # fmt: skip


def neus(capture="object"):
    small = {"width": 16, "hidden_layers": 2, "skips": (), "colour_width": 16, "colour_layers": 1, "start_steps": 0}
    small["skip_empty"] = False  # the ball below knows its distances itself
    model = model_in_a_box(NeusModelConfig(**small, capture=capture)).eval()
    vars(model)["field"] = ball()
    return model


def box_of(low, high) -> OrientedBox:
    low, high = torch.tensor(low), torch.tensor(high)
    return OrientedBox(torch.eye(3), (low + high) / 2, high - low)


@torch.no_grad()
def test_a_surface_is_seen_in_its_crop_whole_cut_open_or_not_at_all():
    model = neus()
    whole, around = model(rays_at(None)), model(rays_at(box_of([-0.7] * 3, [0.7] * 3)))
    torch.testing.assert_close(around["accumulation"], whole["accumulation"], atol=0.03, rtol=0)
    for low, high in (([0.6, -1.0, -1.0], [1.0] * 3), ([-1.0, -1.0, 0.6], [1.0] * 3), ([-1.0] * 3, [1.0, 1.0, -0.6])):
        # Beside the ball, before it and behind it.
        elsewhere = model(rays_at(box_of(low, high)))
        assert not elsewhere["accumulation"].any()
        assert len(elsewhere["rgb"].reshape(-1, 3).unique(dim=0)) == 1
    middle = SIZE // 2
    cut = model(rays_at(box_of([-1.0, -1.0, -1.0], [1.0, 1.0, 0.2])))
    assert float(whole["depth"][middle, middle]) == pytest.approx(3.5, abs=0.03)
    assert float(cut["accumulation"][middle, middle]) > 0.99
    assert float(cut["depth"][middle, middle]) == pytest.approx(3.8, abs=0.03)


@torch.no_grad()
def test_a_crop_has_no_scenery_behind_it_and_a_narrowed_ray_has():
    model = neus(capture="table")
    whole, crop = model(rays_at(None)), box_of([-0.7] * 3, [0.7] * 3)
    cropped = model(rays_at(crop))
    empty = whole["accumulation"][..., 0] == 0
    assert whole["rgb"][empty].std(0).max() > 1e-3
    (behind,) = cropped["rgb"][empty].unique(dim=0)
    torch.testing.assert_close(behind, neus()(rays_at(crop))["rgb"][0, 0])
    solid = whole["accumulation"][..., 0] > 0.999
    torch.testing.assert_close(cropped["rgb"][solid], whole["rgb"][solid], atol=0.01, rtol=0)
    rays = rays_at(None).flatten()
    near, far = torch.full((len(rays),), 3.0), torch.full((len(rays),), 5.0)
    assert (model(narrowed(rays, near, far))["rgb"] - whole["rgb"].reshape(-1, 3)).abs().max() < 0.02
