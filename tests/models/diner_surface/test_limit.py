"""A surface stays in the hull of the masks: two balls, of which the hull holds one."""

import copy

import pytest
import torch
from ball_views import model_in_a_box
from inr_plugins.method_configs.diner_surface import diner_surface
from nerfstudio.engine.optimizers import Optimizers

from inr_plugins.models.diner_surface.limit import SurfaceLimit

MIDDLES, RADIUS = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]), 0.25
EDGE = 2 / 32


def lattice_points():
    axis = torch.linspace(-1, 1, 33)
    return torch.cartesian_prod(axis, axis, axis).view(33, 33, 33, 3)


def ball(x, number):
    return (x - MIDDLES[number]).norm(dim=-1) - RADIUS


def limit():
    """A hull that is the first ball, on a lattice twice as rough."""
    x = lattice_points()[::2, ::2, ::2]
    return SurfaceLimit.of_hull(-torch.ones(3), 2 * EDGE, ball(x, 0) / (2 * EDGE))


def two_balls(**changes):
    """A model whose surface is both."""
    settings = copy.deepcopy(diner_surface.config.pipeline.model)
    settings.hull_sizes, settings.hull_steps, settings.network.width = (), (), 16
    settings.lattice_sizes, settings.stage_steps, settings.smooth_share = (32, 48), (20,), (1.0, 1.0)
    settings.colour_degrees, settings.refresh_every = (0, 2), 10
    model = model_in_a_box(settings)
    x = lattice_points()
    model.start_at(-torch.ones(3), EDGE, torch.minimum(ball(x, 0), ball(x, 1)) / EDGE)
    return model


def test_places_are_allowed_in_the_hull_and_a_cell_and_a_half_around_it():
    x = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    nearest = (x / (2 * EDGE)).round() * (2 * EDGE)
    expected = (ball(nearest, 0) <= 3 * EDGE) & (x.abs() <= 1 + EDGE).all(-1)
    assert torch.equal(limit().allows(x), expected)
    assert 0 < int(expected.sum()) < len(x)
    assert bool(SurfaceLimit.none().allows(x).all())
    filled = SurfaceLimit(-torch.ones(3), 1.0, torch.ones(3, 3, 3, dtype=torch.bool))
    assert filled.allows(torch.tensor([[1.4, 0, 0], [1.6, 0, 0], [0, -1.6, 0]])).tolist() == [True, False, False]


@pytest.mark.parametrize("step", [9, 19])
def test_what_grew_outside_goes_when_the_band_follows_and_when_the_lattice_is_refined(step):
    model = two_balls()
    model.limit = limit()
    optimizers = Optimizers(copy.deepcopy(diner_surface.config.optimizers), model.get_param_groups())
    before = model.field.sdf(MIDDLES)
    assert bool((before < 0).all())
    model.after_step(optimizers, step)
    assert int(model.stage) == (step == 19)
    after = model.field.sdf(MIDDLES)
    assert float(after[0]) < 0 < float(after[1])
    assert float(model.surface_aabb()[1, 0]) < 0
    direction = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
    on = MIDDLES[0] + RADIUS * direction
    # What is read is smoothed, and so is what a finer lattice takes over.
    assert float(model.field.sdf(on).abs().mean()) < 0.3 * EDGE


def test_nothing_goes_where_the_hull_is_not_known():
    model = two_balls()
    assert model.limit.keep(model.field) == 0
    assert bool((model.field.sdf(MIDDLES) < 0).all())


def test_a_limit_is_saved_and_runs_of_versions_before_have_none():
    model = two_balls()
    model.limit = limit()
    state = copy.deepcopy(model.state_dict())
    x = torch.rand(2000, 3) * 2 - 1
    other = two_balls()
    other.load_state_dict(state)
    assert torch.equal(other.limit.allows(x), limit().allows(x))
    older = {name: value for name, value in state.items() if not name.startswith("limit.")}
    other.load_state_dict(older)
    assert bool(other.limit.allows(x).all())
