"""Bakes of fields in closed form: where a ball is seen, how far, in which colour, and what a bake asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from nerfstudio.cameras.rays import RayBundle
from viewer.fake_viewer import BOX

from inr_plugins.rendering.crop import cuts_off, guess_of
from inr_plugins.viewer.bake import Values, bake
from inr_plugins.viewer.baker import Guided

RADIUS = 0.5


class BallDistance:
    def __init__(self) -> None:
        self.asked = 0

    def sdf(self, x):
        self.asked += len(x)
        return x.norm(dim=-1) - RADIUS


class PaintedBall(BallDistance):
    def colour(self, x, d):
        return torch.where(x[:, :1] > 0, torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9]))


class BallOccupancy:
    def occupancy(self, x):
        return torch.sigmoid(100 * (RADIUS - x.norm(dim=-1)))


class BallDensity:
    def density(self, x):
        return 100.0 * (x.norm(dim=-1) < RADIUS)

    def colour(self, x, d):
        return torch.full_like(x, 0.3)


def model_of(field):
    """A model that is asked for the colour behind everything only: white."""
    return SimpleNamespace(
        field=field,
        scene_box=SimpleNamespace(aabb=BOX),
        device=torch.device("cpu"),
        forward=lambda ray_bundle: {"rgb": torch.ones(*ray_bundle.origins.shape[:-1], 3)},
    )


def rays_along(axis: int, offsets, *, sign: float = -1.0, **ends) -> RayBundle:
    """Rays that look along an axis from three units off, moved aside along the next axis."""
    offsets = torch.as_tensor(offsets)
    origins = torch.zeros(len(offsets), 3)
    origins[:, axis], origins[:, (axis + 1) % 3] = -3.0 * sign, offsets
    directions = torch.zeros(len(offsets), 3)
    directions[:, axis] = sign
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.ones(len(offsets), 1), **ends)


@pytest.mark.parametrize("field", [BallDistance(), PaintedBall(), BallOccupancy(), BallDensity()])
def test_a_ball_is_seen_where_it_is(field):
    baked = bake(model_of(field), seconds=0.1)
    assert baked is not None
    edge = baked.grid.edge
    outputs = baked.forward(rays_along(0, [0.0, 0.3, RADIUS - 2 * edge, RADIUS + 2 * edge, 0.9]))
    assert (outputs["accumulation"][:3] > 0.95).all()
    assert (outputs["accumulation"][3:] < 0.05).all()
    expected = 3 - (RADIUS**2 - torch.tensor([0.0, 0.3]) ** 2).sqrt()
    torch.testing.assert_close(outputs["depth"][:2, 0], expected, atol=1.5 * edge + 0.01, rtol=0)
    torch.testing.assert_close(outputs["normals"][0] * 2 - 1, torch.tensor([1.0, 0, 0]), atol=0.1, rtol=0)
    torch.testing.assert_close(outputs["rgb"][4], torch.ones(3))


def test_colours_are_the_fields():
    baked = bake(model_of(PaintedBall()), seconds=0.1)
    front, back = baked.forward(rays_along(0, [0.0]))["rgb"][0], baked.forward(rays_along(0, [0.0], sign=1.0))["rgb"][0]
    torch.testing.assert_close(front, torch.tensor([0.9, 0.1, 0.1]), atol=0.05, rtol=0)
    torch.testing.assert_close(back, torch.tensor([0.1, 0.1, 0.9]), atol=0.05, rtol=0)


def test_a_bake_is_cropped():
    baked = bake(model_of(BallDistance()), seconds=0.1)
    ends = {"nears": torch.full((2, 1), 3.0), "fars": torch.full((2, 1), 9.0)}
    seen = baked.forward(rays_along(0, [0.0, 0.45], **ends))
    # In the middle the solid is cut open; nearer to its rim too, where the lattice knows it.
    assert float(seen["depth"][0]) == pytest.approx(3.0, abs=1e-4)
    torch.testing.assert_close(seen["rgb"][0], torch.full((3,), 0.6))
    assert float(seen["depth"][1]) == pytest.approx(3.0, abs=4 * baked.grid.edge)
    assert (seen["accumulation"] > 0.95).all()
    ends = {"nears": torch.full((1, 1), 4.0), "fars": torch.full((1, 1), 9.0)}
    assert float(baked.forward(rays_along(0, [0.0], **ends))["accumulation"][0]) == 0
    baked = bake(model_of(BallDensity()), seconds=0.1)
    ends = {"nears": torch.full((1, 1), 3.0), "fars": torch.full((1, 1), 9.0)}
    assert float(baked.forward(rays_along(0, [0.0], **ends))["depth"][0]) == pytest.approx(3.0, abs=0.05)


def test_nothing_bakes_to_nothing():
    assert bake(model_of(SimpleNamespace(density=lambda x: torch.zeros(len(x)))), seconds=0.05) is None
    assert bake(model_of(SimpleNamespace()), seconds=0.05) is None


def test_fine_cells_lie_at_the_surface_only():
    field = BallDistance()
    baked = bake(model_of(field), seconds=0.1)
    full = torch.tensor(baked.grid.shape).prod()
    assert field.asked < 0.7 * full
    assert int(baked.grid.cells.sum()) < 0.5 * full


def test_a_guided_model_is_asked_about_what_the_bake_meets_and_near_it():
    baked = bake(model_of(BallDistance()), seconds=0.1)
    asked = []

    def forward(ray_bundle):
        asked.append(ray_bundle)
        return {"rgb": torch.full((len(ray_bundle), 3), 0.25), "accumulation": torch.ones(len(ray_bundle), 1)}

    model = SimpleNamespace(forward=forward, scene_box=SimpleNamespace(aabb=BOX), device=torch.device("cpu"))
    outputs = Guided(model, baked).forward(rays_along(0, [0.0, 0.9, 0.2]))
    assert len(asked[0]) == 2
    assert (asked[0].nears[0] < 2.5).all()
    assert (asked[0].fars[0] > 2.5).all()
    assert float(asked[0].fars[0] - asked[0].nears[0]) < 1.0
    torch.testing.assert_close(outputs["rgb"][:, 0], torch.tensor([0.25, 1.0, 0.25]))


class Asked:
    """A model that notes which rays it is asked about, and answers red; behind it is the colour of a direction."""

    def __init__(self, field) -> None:
        self.field, self.scene_box, self.device = field, SimpleNamespace(aabb=BOX), torch.device("cpu")
        self.bundles: list[RayBundle] = []

    def forward(self, ray_bundle):
        self.bundles.append(ray_bundle)
        if (ray_bundle.origins.norm(dim=-1) > 10).all():
            plain = torch.ones_like(ray_bundle.directions)
            return {"rgb": plain if cuts_off(ray_bundle) else (ray_bundle.directions + 1) / 2}
        return {
            "rgb": torch.tensor([[1.0, 0, 0]]).repeat(len(ray_bundle), 1),
            "accumulation": torch.ones(len(ray_bundle), 1),
        }


def guided(field) -> tuple[Guided, list[RayBundle]]:
    model = Asked(field)
    made = Guided(model, bake(model, seconds=0.1))
    model.bundles.clear()
    return made, model.bundles


def test_a_guided_model_is_asked_about_the_solid_that_a_crop_cuts_open_from_where_it_is_cut():
    made, asked = guided(BallDistance())
    ends = {"nears": torch.tensor([[3.0], [3.0], [1e10]]), "fars": torch.tensor([[3.2], [9.0], [1e10]])}
    outputs = made.forward(rays_along(0, [0.0, 0.9, 0.1], **ends))
    (bundle,) = asked
    assert bundle.nears.tolist() == [[3.0]]
    torch.testing.assert_close(bundle.fars, torch.tensor([[3.2]]))
    torch.testing.assert_close(outputs["rgb"][0], torch.tensor([1.0, 0, 0]))
    # Of the scenery nothing is left in a crop.
    torch.testing.assert_close(outputs["rgb"][1:], torch.ones(2, 3))


def test_a_guided_model_is_asked_about_the_scenery_that_no_bake_holds():
    made, asked = guided(BallDistance())
    outputs = made.forward(rays_along(0, [0.0, 0.9]))
    (bundle,) = asked
    assert float(bundle.fars[0]) < 3.5 < float(bundle.fars[1])
    assert float(bundle.nears[1]) == 0
    assert not cuts_off(bundle)
    torch.testing.assert_close(outputs["rgb"], torch.tensor([[1.0, 0, 0]] * 2))


@pytest.mark.parametrize("field", [BallDistance, BallOccupancy])
def test_a_guided_model_that_looks_for_a_surface_is_told_where_it_is_just_behind_it(field):
    made, asked = guided(field())
    offsets = torch.tensor([0.0, 0.2, 0.35, 0.9])
    made.forward(rays_along(0, offsets))
    (bundle,) = [each for each in asked if len(each) == 3] or asked
    expected = 3 - (RADIUS**2 - offsets[:3] ** 2).sqrt()
    behind = (guess_of(bundle)[:3] - expected) / made.baked.grid.edge
    assert (behind > 0).all()
    assert (behind < 1.5).all()


def test_a_guided_model_of_a_density_is_told_of_no_surface():
    made, asked = guided(BallDensity())
    made.forward(rays_along(0, [0.0]))
    assert guess_of(asked[0]) is None


def test_where_a_steep_field_changes_its_sign_there_is_something():
    values = Values(lambda x: x[:, 0], is_surface=True)
    corners = torch.tensor([[-9.0] * 4 + [9.0] * 4, [-9.0] * 8, [9.0] * 8, [9.0] * 7 + [0.1]])
    assert values.worth(corners, 1.0).tolist() == [True, False, False, True]
